rule scale_overhead:
    """Measure what executors add to a job, on a Slurm started for it (`make slurm`, root)."""
    input:
        benchmark=sorted(map(str, Path("benchmarks/cluster").glob("*.py"))),
    output:
        "results/scale/overhead.json",
    log:
        "logs/scale_overhead.log",
    benchmark:
        "logs/benchmarks/scale_overhead.tsv"
    conda:
        "../environment.yml"
    # All there are: nothing else should be measured with it.
    threads: 1024
    resources:
        mem_mb=grown(2000),
        runtime=grown(30),
    shell:
        "python -m benchmarks.cluster --out {output}" " 2>&1 >> {log} | tee -a {log} >&2"


rule scale:
    """Work out what a sweep at scale takes; not part of `all`, whose benchmarks it reads."""
    input:
        overhead="results/scale/overhead.json",
        rules=sorted(map(str, Path("rules").glob("*.smk"))),
        sources=sources("throughput"),
    output:
        "docs/scale.md",
    log:
        "logs/scale.log",
    benchmark:
        "logs/benchmarks/scale.tsv"
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=grown(500),
        runtime=grown(5),
    shell:
        "python -m minituner throughput --benchmarks logs/benchmarks --overhead {input.overhead}"
        " --rules rules --out {output}"
        " 2>&1 >> {log} | tee -a {log} >&2"
