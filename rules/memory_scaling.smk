SHAPES = ["minigpt", "gpt2", "gpt2-medium", "tinyllama-1.1b", "openllama-3b", "llama-7b"]


rule scaling_step:
    """Take one real step at a shape and note the process's peak of memory."""
    input:
        sources=sources("step"),
    output:
        "results/memory_scaling/{shape}_{method}.json",
    log:
        "logs/memory_scaling/{shape}_{method}.log",
    benchmark:
        "logs/benchmarks/memory_scaling/{shape}_{method}.tsv"
    wildcard_constraints:
        shape=r"[\w.-]+",
        method="lora|qlora",
    conda:
        "../environment.yml"
    # As many as there are: alone on the machine, since it asks how much memory is available.
    threads: 1024
    resources:
        mem_mb=grown(20000),
        runtime=grown(60),
    shell:
        "python -m minituner step --shape {wildcards.shape} --method {wildcards.method}"
        " --out {output}"
        " 2>&1 >> {log} | tee -a {log} >&2"


rule memory_scaling:
    """Draw peak memory against model size, from MiniGPT to 7B; not part of `all`."""
    input:
        steps=expand(
            "results/memory_scaling/{shape}_{method}.json",
            shape=SHAPES,
            method=["lora", "qlora"],
        ),
        sources=sources("scaling"),
    output:
        multiext("results/memory_scaling/memory_scaling", ".parquet", ".csv"),
        multiext("docs/memory_scaling", ".md", ".png", ".svg"),
    log:
        "logs/memory_scaling.log",
    benchmark:
        "logs/benchmarks/memory_scaling.tsv"
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=grown(2000),
        runtime=grown(5),
    shell:
        "python -m minituner scaling --steps {input.steps} --out results/memory_scaling"
        " --page docs"
        " 2>&1 >> {log} | tee -a {log} >&2"
