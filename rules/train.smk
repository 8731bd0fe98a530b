rule train:
    """Tune a LoRA adapter of one rank and seed on the irregular verbs."""
    input:
        base=model("results/base"),
        irregular=IRREGULAR,
        sources=sources("train"),
    output:
        adapter("results/train/lora_r{rank}_s{seed}"),
        "results/train/lora_r{rank}_s{seed}/curve.csv",
    log:
        "logs/train/lora_r{rank}_s{seed}.log",
    benchmark:
        "logs/benchmarks/train/lora_r{rank}_s{seed}.tsv"
    conda:
        "../environment.yml"
    threads: config["tuning"]["shards"]
    resources:
        mem_mb=grown(1500),
        runtime=grown(5),
    params:
        settings=settings("lora", "tuning"),
        out=subpath(output[0], parent=True),
    shell:
        "python -m minituner train --settings {params.settings:q} --base results/base"
        " --irregular {input.irregular} --method lora --rank {wildcards.rank}"
        " --seed {wildcards.seed} --out {params.out} --threads {threads}"
        " 2>&1 >> {log} | tee -a {log} >&2"


rule train_full:
    """Tune all weights with one seed: the comparator."""
    input:
        base=model("results/base"),
        irregular=IRREGULAR,
        sources=sources("train"),
    output:
        model("results/train/full_s{seed}"),
        "results/train/full_s{seed}/curve.csv",
    log:
        "logs/train/full_s{seed}.log",
    benchmark:
        "logs/benchmarks/train/full_s{seed}.tsv"
    conda:
        "../environment.yml"
    threads: config["tuning"]["shards"]
    resources:
        mem_mb=grown(1500),
        runtime=grown(5),
    params:
        settings=settings(
            "full",
            "tuning.steps",
            "tuning.batch_size",
            "tuning.shards",
            "tuning.warmup",
            "tuning.eval_every",
        ),
        out=subpath(output[0], parent=True),
    shell:
        "python -m minituner train --settings {params.settings:q} --base results/base"
        " --irregular {input.irregular} --method full --seed {wildcards.seed}"
        " --out {params.out} --threads {threads}"
        " 2>&1 >> {log} | tee -a {log} >&2"


rule trained:
    """All runs on the base: a target for `snakemake trained` and for DVC."""
    input:
        [file for run in LORA for file in adapter(f"results/train/{run}")],
        [file for run in FULL for file in model(f"results/train/{run}")],
