rule counts:
    """Count the parameters and bytes of each regime and rank, by formula."""
    input:
        base=model("results/base"),
        sources=sources("counts"),
    output:
        multiext("results/counts/counts", ".parquet", ".csv", ".md"),
    log:
        "logs/counts.log",
    benchmark:
        "logs/benchmarks/counts.tsv"
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=grown(1000),
        runtime=grown(5),
    params:
        settings=settings("lora.target_modules", "tuning.batch_size", "nf4", "sweep.ranks"),
        out=subpath(output[0], parent=True),
    shell:
        "python -m minituner counts --settings {params.settings:q} --base results/base"
        " --out {params.out}"
        " 2>&1 >> {log} | tee -a {log} >&2"
