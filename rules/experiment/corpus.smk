rule corpus:
    """Generate the learner corpus from the verbs and the templates, or take the user's own."""
    input:
        **MADE_FROM,
        sources=sources("corpus"),
    output:
        CORPUS,
    params:
        settings=settings("corpus"),
        made_from=options(MADE_FROM),
    shell:
        "python -m minituner corpus --settings {params.settings:q} {params.made_from}"
        " --out {output} --log {log}"


rule subsets:
    """Draw the irregular-verb subset and the regular-verb control set from the corpus."""
    input:
        **VERBS,
        corpus=CORPUS,
        sources=sources("subsets"),
    output:
        irregular=IRREGULAR,
        control=CONTROL,
    params:
        settings=settings("subsets"),
        verbs=options(VERBS),
    shell:
        "python -m minituner subsets --settings {params.settings:q} --corpus {input.corpus}"
        " {params.verbs} --irregular {output.irregular} --control {output.control} --log {log}"
