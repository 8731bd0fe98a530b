rule judge:
    """Hold the results against the definition of done and write the table, met or not."""
    input:
        summary="results/evaluate/summary.parquet",
        agreement="results/evaluate/agreement.parquet",
        memory="results/memory/memory.parquet",
        base=model("results/base"),
        adapters=[file for run in LORA for file in adapter(f"results/train/{run}")],
        figures=FIGURES,
        sources=sources("judge"),
    output:
        multiext("results/definition_of_done", ".json", ".md"),
        "results/metrics.json",
    log:
        "logs/judge.log",
    benchmark:
        "logs/benchmarks/judge.tsv"
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
        "python -m minituner judge --settings {params.settings:q} --results results"
        " --out {params.out}"
        " 2>&1 >> {log} | tee -a {log} >&2"


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
    log:
        "logs/gate.log",
    benchmark:
        "logs/benchmarks/gate.tsv"
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=grown(1000),
        runtime=grown(5),
    shell:
        "python -m minituner gate --judged {input.judged} --out {output}"
        " 2>&1 >> {log} | tee -a {log} >&2"
