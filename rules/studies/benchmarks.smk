"""What is measured of the project itself; none of it is part of `all`.

The programs lie in benchmarks/. Those that time have the machine to themselves: they ask for more
threads than any has.
"""

ALONE = 1024


rule benchmarks:
    """Time the product beside PEFT, bitsandbytes and Trainer (`make peers`)."""
    input:
        base=model("results/base"),
        irregular=IRREGULAR,
        control=CONTROL,
        programs=programs("benchmarks/performance"),
        linear4bit="benchmarks/parity/against_bitsandbytes.py",
        sources=sources("train", "evaluate"),
    output:
        multiext("results/performance/", "repetitions.parquet", "performance.parquet"),
        table="docs/performance_table.md",
        picture="docs/performance_ratios.png",
    threads: ALONE
    resources:
        mem_mb=grown(8000),
        runtime=grown(120),
    shell:
        "python -m benchmarks.performance --out results/performance --page docs > {log} 2>&1"


rule growth:
    """Measure how time and memory grow with runs, corpus and width."""
    input:
        base=model("results/base"),
        corpus=CORPUS,
        irregular=IRREGULAR,
        programs=programs("benchmarks/growth"),
        sources=sources("train", "evaluate"),
    output:
        table="results/performance/growth.parquet",
        page="docs/growth.md",
        picture="docs/growth.png",
    threads: ALONE
    resources:
        mem_mb=grown(8000),
        runtime=grown(60),
    shell:
        "python -m benchmarks.growth --out {output.table} --page docs > {log} 2>&1"


rule parity:
    """Hold LoRA and NF4 against PEFT and bitsandbytes (`make peers`)."""
    input:
        comparisons=programs("benchmarks/parity"),
        sources=sources("train"),
    output:
        "docs/parity.md",
    resources:
        mem_mb=grown(4000),
        runtime=grown(10),
    shell:
        "python -m benchmarks.parity --out {output} > {log} 2>&1"


rule coverage:
    """Simulate how often an interval holds the truth."""
    input:
        simulation=programs("benchmarks/coverage"),
        sources=sources("summarize"),
    output:
        "docs/coverage.md",
    resources:
        runtime=grown(30),
    shell:
        "python -m benchmarks.coverage --out {output} > {log} 2>&1"


rule telling_apart:
    """Work out how many items and seeds tell one point apart, from the variances measured here."""
    input:
        runs=expand("results/evaluate/runs/{run}.parquet", run=["base", *runs.lora_runs(SWEEP)]),
        programs=programs("benchmarks/telling_apart"),
        sources=sources("plot", "judge"),
    output:
        multiext("docs/telling_apart", ".md", ".png"),
    shell:
        "python -m benchmarks.telling_apart --runs {input.runs} --page docs > {log} 2>&1"


rule reproducibility:
    """Build a tiny project under many conditions and compare every byte."""
    input:
        variations=programs("benchmarks/reproducibility"),
        sources=sorted(map(str, Path("minituner").rglob("*.py"))),
    output:
        "docs/variations.md",
    threads: ALONE
    resources:
        mem_mb=grown(4000),
        runtime=grown(60),
    shell:
        "python -m benchmarks.reproducibility --out {output} > {log} 2>&1"


rule scale_overhead:
    """Measure what executors add to a job, on a Slurm started for it (`make slurm`, root)."""
    input:
        benchmark=programs("benchmarks/cluster"),
    output:
        "results/scale/overhead.json",
    threads: ALONE
    resources:
        runtime=grown(30),
    shell:
        "python -m benchmarks.cluster --out {output} > {log} 2>&1"


rule scale:
    """Work out what a sweep at scale takes, from the benchmarks of `all`."""
    input:
        overhead="results/scale/overhead.json",
        simulation="benchmarks/throughput.py",
        rules=sorted(map(str, Path("rules").rglob("*.smk"))),
        defaults="profiles/default/config.yaml",
        sources=sources("throughput"),
    output:
        "docs/scale.md",
    shell:
        "python -m minituner throughput --benchmarks logs/benchmarks --overhead {input.overhead}"
        " --rules rules --out {output} --log {log}"
