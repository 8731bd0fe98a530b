rule corpus:
    """Generate the learner-English corpus from the verbs and the templates."""
    input:
        verbs=config["corpus"]["verbs"],
        templates=config["corpus"]["templates"],
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
    shell:
        "python -m minituner corpus --settings {params.settings:q} --verbs {input.verbs:q}"
        " --templates {input.templates:q} --out {output.corpus}"
        " 2>&1 >> {log} | tee -a {log} >&2"
