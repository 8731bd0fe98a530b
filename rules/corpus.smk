rule corpus:
    """Generate the learner corpus from the verbs and the templates, or take the user's own."""
    input:
        **MADE_FROM,
        sources=sources("corpus"),
    output:
        corpus=CORPUS,
    log:
        "logs/corpus.log",
    benchmark:
        "logs/benchmarks/corpus.tsv"
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=grown(1000),
        runtime=grown(5),
    params:
        settings=settings("corpus"),
        made_from=options(MADE_FROM),
    shell:
        "python -m minituner corpus --settings {params.settings:q} {params.made_from}"
        " --out {output.corpus}"
        " 2>&1 >> {log} | tee -a {log} >&2"
