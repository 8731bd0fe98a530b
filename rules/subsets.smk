rule subsets:
    """Draw the irregular-verb subset and the regular-verb control set from the corpus."""
    input:
        **VERBS,
        corpus=CORPUS,
        sources=sources("subsets"),
    output:
        irregular=IRREGULAR,
        control=CONTROL,
    log:
        "logs/subsets.log",
    benchmark:
        "logs/benchmarks/subsets.tsv"
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=grown(1000),
        runtime=grown(5),
    params:
        settings=settings("subsets"),
        verbs=options(VERBS),
    shell:
        "python -m minituner subsets --settings {params.settings:q} --corpus {input.corpus}"
        " {params.verbs} --irregular {output.irregular} --control {output.control}"
        " 2>&1 >> {log} | tee -a {log} >&2"
