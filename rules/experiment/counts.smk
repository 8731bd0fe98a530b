rule counts:
    """Count the parameters and bytes of each regime and rank, by formula."""
    input:
        base=model("results/base"),
        sources=sources("counts"),
    output:
        multiext("results/counts/counts", ".parquet", ".csv", ".md"),
    params:
        settings=settings("counts"),
    shell:
        "python -m minituner counts --settings {params.settings:q} --base results/base"
        " --out results/counts --log {log}"
