rule study:
    """Tune and score every variant of the further studies with one seed."""
    input:
        base=model("results/base"),
        nf4=model("results/nf4"),
        irregular=IRREGULAR,
        control=CONTROL,
        sources=sources("study"),
    output:
        "results/science/s{seed}.parquet",
    log:
        "logs/science/s{seed}.log",
    benchmark:
        "logs/benchmarks/study/s{seed}.tsv"
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=grown(2000),
        runtime=grown(60),
    params:
        settings=settings("science", "lora", "tuning"),
    shell:
        "python -m minituner study --settings {params.settings:q} --base results/base"
        " --nf4 results/nf4 --irregular {input.irregular} --control {input.control}"
        " --seed {wildcards.seed} --out {output}"
        " 2>&1 >> {log} | tee -a {log} >&2"


rule science:
    """Write what the further studies found, with one figure; not part of `all`."""
    input:
        runs=expand("results/science/s{seed}.parquet", seed=config["sweep"]["seeds"]),
        sources=sources("studies"),
    output:
        "results/science/findings.parquet",
        multiext("docs/science", ".md", ".png", ".svg"),
    log:
        "logs/science.log",
    benchmark:
        "logs/benchmarks/science.tsv"
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=grown(2000),
        runtime=grown(20),
    params:
        settings=settings(
            "science", "evaluate", "tuning.learning_rate", "subsets.train", "definition_of_done"
        ),
        out=subpath(output[0], parent=True),
    shell:
        "python -m minituner studies --settings {params.settings:q} --runs {input.runs}"
        " --out {params.out} --page docs/science.md"
        " 2>&1 >> {log} | tee -a {log} >&2"
