"""Judge the results by the definition of done."""

import argparse

SETTINGS = ("definition_of_done", "sweep")
PATHS = ("results", "out")


def run(args: argparse.Namespace) -> None:
    """Write `definition_of_done.json` and `.md` and `metrics.json`, whether or not bars are met."""
    from minituner.analysis import verdict
    from minituner.checkpoints import names, runs
    from minituner.foundation import parquet, storage
    from minituner.reporting.verdict_page import as_markdown
    from minituner.workflow import settings

    chosen = settings.load(args.settings, *SETTINGS)
    evaluated = args.results / "evaluate" / "summary.parquet"
    plot = args.results / "ablation.png"
    evidence = verdict.Evidence(
        summary=parquet.read_frame(evaluated),
        agreement=parquet.read_frame(args.results / "evaluate" / "agreement.parquet"),
        memory=parquet.read_frame(args.results / "memory" / "memory.parquet"),
        base_bytes=names.file_bytes(args.results / "base"),
        adapter_bytes={
            run: names.file_bytes(args.results / "train" / run)
            for run in runs.lora_runs(chosen["sweep"])
        },
        plot=verdict.look_at(plot, evaluated),
    )
    outcome = verdict.judge(evidence, chosen["definition_of_done"])
    storage.write_json(args.out / "definition_of_done.json", outcome)
    storage.write_text(args.out / "definition_of_done.md", as_markdown(outcome))
    storage.write_json(args.out / "metrics.json", verdict.headline(outcome, evidence.summary))
