rule quantize:
    """Store the base's Linears in NF4, two codes a byte."""
    input:
        base=model("results/base"),
        sources=sources("quantize"),
    output:
        model("results/nf4"),
    params:
        settings=settings("quantize"),
    shell:
        "python -m minituner quantize --settings {params.settings:q} --base results/base"
        " --out results/nf4 --log {log}"


rule qlora:
    """Tune a LoRA adapter of one rank and seed on the frozen NF4 base."""
    input:
        base=model("results/nf4"),
        irregular=IRREGULAR,
        sources=sources("train"),
    output:
        adapter("results/qlora/qlora_r{rank}_s{seed}"),
        "results/qlora/qlora_r{rank}_s{seed}/curve.csv",
    threads: config["tuning"]["shards"]
    params:
        settings=settings("train"),
    shell:
        "python -m minituner train --settings {params.settings:q} --base results/nf4"
        " --irregular {input.irregular} --method qlora --rank {wildcards.rank}"
        " --seed {wildcards.seed} --out results/qlora/qlora_r{wildcards.rank}_s{wildcards.seed}"
        " --threads {threads} --log {log}"


rule qlora_trained:
    """All runs on the NF4 base: a target for `snakemake qlora_trained` and for DVC."""
    input:
        adapters(runs.qlora_runs(SWEEP)),


rule memory:
    """Measure the live tensors of a real step: full fine-tuning, LoRA and QLoRA at equal batch."""
    input:
        base=model("results/base"),
        nf4=model("results/nf4"),
        irregular=IRREGULAR,
        sources=sources("memory"),
    output:
        multiext("results/memory/memory", ".parquet", ".csv", ".md"),
    params:
        settings=settings("memory"),
    shell:
        "python -m minituner memory --settings {params.settings:q} --base results/base"
        " --nf4 results/nf4 --irregular {input.irregular} --out results/memory --log {log}"
