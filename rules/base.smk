rule base:
    """Pretrain MiniGPT on the noisy corpus, or take the user's own checkpoint."""
    input:
        corpus=CORPUS,
        checkpoint=checkpoint(),
        sources=sources("base"),
    output:
        model("results/base"),
        "results/base/curve.csv",
    log:
        "logs/base.log",
    benchmark:
        "logs/benchmarks/base.tsv"
    conda:
        "../environment.yml"
    threads: config["base"]["shards"]
    resources:
        mem_mb=grown(2000),
        runtime=grown(30),
    params:
        settings=settings("model", "base"),
        out=subpath(output[0], parent=True),
    shell:
        "python -m minituner base --settings {params.settings:q} --corpus {input.corpus}"
        " --out {params.out} --threads {threads}"
        " 2>&1 >> {log} | tee -a {log} >&2"
