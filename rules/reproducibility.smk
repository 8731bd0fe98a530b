rule reproducibility:
    """Build a tiny project under many conditions and compare every byte; not part of `all`."""
    input:
        variations=sorted(map(str, Path("benchmarks/reproducibility").glob("*.py"))),
        sources=sorted(map(str, Path("minituner").rglob("*.py"))),
    output:
        "docs/variations.md",
    log:
        "logs/reproducibility.log",
    benchmark:
        "logs/benchmarks/reproducibility.tsv"
    conda:
        "../environment.yml"
    # As many as there are: its own builds use them all.
    threads: 1024
    resources:
        mem_mb=grown(4000),
        runtime=grown(60),
    shell:
        "python -m benchmarks.reproducibility --out {output} 2>&1 >> {log} | tee -a {log} >&2"
