rule benchmarks:
    """Time the product beside PEFT, bitsandbytes and Trainer (`make peers`); not part of `all`."""
    input:
        base=model("results/base"),
        irregular=IRREGULAR,
        control=CONTROL,
        programs=sorted(map(str, Path("benchmarks/performance").glob("*.py"))),
        training=sources("train"),
        scoring=sources("evaluate"),
    output:
        multiext("results/performance/", "repetitions.parquet", "performance.parquet"),
        table="docs/performance_table.md",
        picture="docs/performance_ratios.png",
    log:
        "logs/benchmarks.log",
    conda:
        "../environment.yml"
    # As many as there are: alone on the machine.
    threads: 1024
    resources:
        mem_mb=grown(8000),
        runtime=grown(120),
    params:
        out=subpath(output[0], parent=True),
        page=subpath(output.table, parent=True),
    shell:
        "python -m benchmarks.performance --out {params.out} --page {params.page}"
        " 2>&1 >> {log} | tee -a {log} >&2"


rule growth:
    """Measure how time and memory grow with runs, corpus and width; not part of `all`."""
    input:
        base=model("results/base"),
        irregular=IRREGULAR,
        programs=sorted(map(str, Path("benchmarks/growth").glob("*.py"))),
        training=sources("train"),
        scoring=sources("evaluate"),
    output:
        table="results/performance/growth.parquet",
        page="docs/growth.md",
        picture="docs/growth.png",
    log:
        "logs/growth.log",
    conda:
        "../environment.yml"
    # As many as there are: alone on the machine.
    threads: 1024
    resources:
        mem_mb=grown(8000),
        runtime=grown(60),
    params:
        page=subpath(output.page, parent=True),
    shell:
        "python -m benchmarks.growth --out {output.table} --page {params.page}"
        " 2>&1 >> {log} | tee -a {log} >&2"
