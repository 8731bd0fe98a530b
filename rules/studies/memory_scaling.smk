SHAPES = ["minigpt", "gpt2", "gpt2-medium", "tinyllama-1.1b", "openllama-3b", "llama-7b"]


rule scaling_step:
    """Take one real step at a shape and note the process's peak of memory."""
    input:
        programs=programs("benchmarks/memory_scaling"),
        sources=sources("step"),
    output:
        "results/memory_scaling/{shape}_{method}.json",
    wildcard_constraints:
        shape=r"[\w.-]+",
        method="lora|qlora",
    # As many as there are: alone on the machine, since it asks how much memory is available.
    threads: 1024
    resources:
        mem_mb=grown(20000),
        runtime=grown(60),
    shell:
        "python -m minituner step --shape {wildcards.shape} --method {wildcards.method}"
        " --out {output} --log {log}"


rule memory_scaling:
    """Draw peak memory against model size, from MiniGPT to 7B; not part of `all`."""
    input:
        steps=expand(
            "results/memory_scaling/{shape}_{method}.json", shape=SHAPES, method=["lora", "qlora"]
        ),
        programs=programs("benchmarks/memory_scaling"),
        sources=sources("scaling"),
    output:
        multiext("results/memory_scaling/memory_scaling", ".parquet", ".csv"),
        multiext("docs/memory_scaling", ".md", ".png", ".svg"),
    shell:
        "python -m minituner scaling --steps {input.steps} --out results/memory_scaling"
        " --page docs --log {log}"
