rule plot:
    """Draw the ablation, the gain against forgetting, and the training curves."""
    input:
        summary="results/evaluate/summary.parquet",
        base=model("results/base"),
        adapters=[file for run in LORA for file in adapter(f"results/train/{run}")],
        curves=expand("results/train/{run}/curve.csv", run=LORA + FULL),
        sources=sources("plot"),
    output:
        [name for name in FIGURES if name.endswith(".png")],
        report("results/ablation.svg", caption="../report/ablation.rst", category="Results"),
        report("results/pareto.svg", caption="../report/pareto.rst", category="Results"),
        report("results/curves.svg", caption="../report/curves.rst", category="Results"),
    log:
        "logs/plot.log",
    benchmark:
        "logs/benchmarks/plot.tsv"
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=grown(1000),
        runtime=grown(5),
    params:
        settings=settings("definition_of_done", "sweep"),
        out=subpath(output[0], parent=True),
    shell:
        "python -m minituner plot --settings {params.settings:q} --evaluate results/evaluate"
        " --train results/train --base results/base --out {params.out}"
        " 2>&1 >> {log} | tee -a {log} >&2"
