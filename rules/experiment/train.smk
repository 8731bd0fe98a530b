rule train:
    """Tune a LoRA adapter of one rank and seed on the irregular verbs."""
    input:
        base=model("results/base"),
        irregular=IRREGULAR,
        sources=sources("train"),
    output:
        adapter("results/train/lora_r{rank}_s{seed}"),
        "results/train/lora_r{rank}_s{seed}/curve.csv",
    threads: config["tuning"]["shards"]
    params:
        settings=settings("train"),
    shell:
        "python -m minituner train --settings {params.settings:q} --base results/base"
        " --irregular {input.irregular} --method lora --rank {wildcards.rank}"
        " --seed {wildcards.seed} --out results/train/lora_r{wildcards.rank}_s{wildcards.seed}"
        " --threads {threads} --log {log}"


rule train_full:
    """Tune all weights with one seed: the comparator."""
    input:
        base=model("results/base"),
        irregular=IRREGULAR,
        sources=sources("train"),
    output:
        model("results/train/full_s{seed}"),
        "results/train/full_s{seed}/curve.csv",
    threads: config["tuning"]["shards"]
    params:
        settings=settings("train", "FULL_SETTINGS"),
    shell:
        "python -m minituner train --settings {params.settings:q} --base results/base"
        " --irregular {input.irregular} --method full --seed {wildcards.seed}"
        " --out results/train/full_s{wildcards.seed} --threads {threads} --log {log}"


rule trained:
    """All runs on the base: a target for `snakemake trained` and for DVC."""
    input:
        adapters(runs.lora_runs(SWEEP)),
        models(runs.full_runs(SWEEP)),
