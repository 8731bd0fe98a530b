rule quantize:
    """Store the base's Linears in NF4, two codes a byte."""
    input:
        base=model("results/base"),
        sources=sources("quantize"),
    output:
        model("results/nf4"),
    log:
        "logs/quantize.log",
    benchmark:
        "logs/benchmarks/quantize.tsv"
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=grown(1000),
        runtime=grown(5),
    params:
        settings=settings("nf4"),
        out=subpath(output[0], parent=True),
    shell:
        "python -m minituner quantize --settings {params.settings:q} --base results/base"
        " --out {params.out}"
        " 2>&1 >> {log} | tee -a {log} >&2"
