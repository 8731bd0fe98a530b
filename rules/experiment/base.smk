rule base:
    """Pretrain MiniGPT on the noisy corpus, or take the user's own checkpoint."""
    input:
        corpus=CORPUS,
        checkpoint=model(config["base"]["checkpoint"]),
        sources=sources("base"),
    output:
        model("results/base"),
        "results/base/curve.csv",
    threads: config["base"]["shards"]
    resources:
        runtime=grown(30),
    params:
        settings=settings("base"),
    shell:
        "python -m minituner base --settings {params.settings:q} --corpus {input.corpus}"
        " --out results/base --threads {threads} --log {log}"
