rule values:
    """Collect the figures that the pages quote."""
    input:
        expand("results/evaluate/{name}.parquet", name=["summary", "per_verb", "agreement"]),
        "results/counts/counts.parquet",
        "results/memory/memory.parquet",
        multiext("results/definition_of_done", ".json", ".md"),
        expand("results/{name}.png", name=["ablation", "pareto", "curves"]),
        base=model("results/base"),
        sources=sources("values"),
    output:
        "results/values.json",
    log:
        "logs/values.log",
    benchmark:
        "logs/benchmarks/values.tsv"
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=grown(2000),
        runtime=grown(5),
    params:
        settings=settings("definition_of_done"),
    shell:
        "python -m minituner values --settings {params.settings:q} --results results"
        " --out {output}"
        " 2>&1 >> {log} | tee -a {log} >&2"


rule docs:
    """Write the figures into README and docs/; not part of `all`, since it changes files in git."""
    input:
        "results/values.json",
    log:
        "logs/docs.log",
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=grown(1000),
        runtime=grown(5),
    shell:
        "python -m minituner fill --values {input} 2>&1 | tee {log}"
