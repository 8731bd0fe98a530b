rule parity:
    """Hold LoRA and NF4 against PEFT and bitsandbytes (`make peers`); not part of `all`."""
    input:
        comparisons=sorted(map(str, Path("benchmarks/parity").glob("*.py"))),
        sources=sources("train"),
    output:
        "docs/parity.md",
    log:
        "logs/parity.log",
    benchmark:
        "logs/benchmarks/parity.tsv"
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=grown(4000),
        runtime=grown(10),
    shell:
        "python -m benchmarks.parity --out {output}" " 2>&1 >> {log} | tee -a {log} >&2"
