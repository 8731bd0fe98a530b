"""Draw the figures."""

import argparse

SETTINGS = ("definition_of_done", "sweep")
PATHS = ("evaluate", "train", "base", "out")


def run(args: argparse.Namespace) -> None:
    """Write `verdict`, `ablation`, `pareto` and `curves`, each as PNG and SVG."""
    import pandas as pd

    from minituner.analysis.verdict import choose
    from minituner.checkpoints import names, runs
    from minituner.foundation import parquet, progress, storage
    from minituner.reporting import figures, style, verdict_figure
    from minituner.workflow import settings

    chosen = settings.load(args.settings, *SETTINGS)
    sweep, bars = chosen["sweep"], chosen["definition_of_done"]
    source = args.evaluate / "summary.parquet"
    summary = parquet.read_frame(source)
    base_bytes = names.file_bytes(args.base)
    bytes_of = {run: names.file_bytes(args.train / run) for run in runs.lora_runs(sweep)}
    ratios = {run: size / base_bytes for run, size in bytes_of.items()}
    judged = choose(summary, ratios, bars)["adapter"]
    ranks, seed = sorted(sweep["ranks"]), sweep["seeds"][0]
    sizes = pd.DataFrame({"rank": r, "ratio": ratios[f"lora_r{r}_s{seed}"]} for r in ranks)
    curves = {
        run: pd.read_csv(storage.reading(args.train / run / names.CURVE_FILE))
        for run in [*runs.lora_runs(sweep), *runs.full_runs(sweep)]
    }
    with style.applied():
        drawn = {
            "verdict": verdict_figure.verdict(summary, judged, bytes_of[judged], base_bytes),
            "ablation": figures.ablation(summary, sizes, sweep, bars),
            "pareto": figures.pareto(summary, sweep, bars),
            "curves": figures.curves(curves, sweep),
        }
        for name in progress.bar(drawn, "drawing", "figures"):
            style.save(drawn[name], args.out / name, source)
