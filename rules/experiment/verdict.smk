FIGURE_NAMES = [
    "verdict",
    "ablation",
    "pareto",
    "curves",
]
FIGURES = expand("results/{name}.{kind}", name=FIGURE_NAMES, kind=["png", "svg"])


rule plot:
    """Draw the verdict, the ablation, the gain against forgetting, and the training curves."""
    input:
        summary="results/evaluate/summary.parquet",
        base=model("results/base"),
        adapters=adapters(runs.lora_runs(SWEEP)),
        curves=expand(
            "results/train/{run}/curve.csv", run=runs.lora_runs(SWEEP) + runs.full_runs(SWEEP)
        ),
        sources=sources("plot"),
    output:
        [name for name in FIGURES if name.endswith(".png")],
        report("results/verdict.svg", caption="../../report/verdict.rst", category="Results"),
        report("results/ablation.svg", caption="../../report/ablation.rst", category="Results"),
        report("results/pareto.svg", caption="../../report/pareto.rst", category="Results"),
        report("results/curves.svg", caption="../../report/curves.rst", category="Results"),
    params:
        settings=settings("plot"),
    shell:
        "python -m minituner plot --settings {params.settings:q} --evaluate results/evaluate"
        " --train results/train --base results/base --out results --log {log}"


rule judge:
    """Hold the results against the definition of done and write the table, met or not."""
    input:
        summary="results/evaluate/summary.parquet",
        agreement="results/evaluate/agreement.parquet",
        memory="results/memory/memory.parquet",
        base=model("results/base"),
        adapters=adapters(runs.lora_runs(SWEEP)),
        figures=FIGURES,
        sources=sources("judge"),
    output:
        multiext("results/definition_of_done", ".json", ".md"),
        "results/metrics.json",
    params:
        settings=settings("judge"),
    shell:
        "python -m minituner judge --settings {params.settings:q} --results results"
        " --out results --log {log}"


TABLES = expand(
    "results/{name}/{name}.{kind}", name=["counts", "memory"], kind=["parquet", "csv", "md"]
)
REPORTS = [
    *FIGURES,
    *TABLES,
    "results/definition_of_done.md",
    "results/values.json",
    "results/model_card.md",
    "results/report.html",
]


rule gate:
    """Fail, naming the criterion and the figure, if the definition of done is not met.

    It waits for every table and figure, so that a missed bar costs none of them.
    """
    input:
        judged="results/definition_of_done.json",
        reports=ancient(REPORTS),
        sources=sources("gate"),
    output:
        "results/gate.txt",
    shell:
        "python -m minituner gate --judged {input.judged} --out {output} --log {log}"
