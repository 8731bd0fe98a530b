rule study:
    """Tune and score every variant of the further studies with one seed."""
    input:
        base=model("results/base"),
        nf4=model("results/nf4"),
        irregular=IRREGULAR,
        control=CONTROL,
        programs=programs("studies"),
        sources=sources("study"),
    output:
        "results/science/s{seed}.parquet",
    resources:
        runtime=grown(60),
    params:
        settings=settings("study"),
    shell:
        "python -m minituner study --settings {params.settings:q} --base results/base"
        " --nf4 results/nf4 --irregular {input.irregular} --control {input.control}"
        " --seed {wildcards.seed} --out {output} --log {log}"


rule science:
    """Write what the further studies found, with one figure; not part of `all`."""
    input:
        runs=expand("results/science/s{seed}.parquet", seed=SWEEP["seeds"]),
        programs=programs("studies"),
        sources=sources("studies"),
    output:
        "results/science/findings.parquet",
        multiext("docs/science", ".md", ".png", ".svg"),
    params:
        settings=settings("studies"),
    shell:
        "python -m minituner studies --settings {params.settings:q} --runs {input.runs}"
        " --out results/science --page docs/science.md --log {log}"
