rule qlora:
    """Tune a LoRA adapter of one rank and seed on the frozen NF4 base."""
    input:
        base=model("results/nf4"),
        irregular=IRREGULAR,
        sources=sources("train"),
    output:
        adapter("results/qlora/qlora_r{rank}_s{seed}"),
        "results/qlora/qlora_r{rank}_s{seed}/curve.csv",
    log:
        "logs/qlora/qlora_r{rank}_s{seed}.log",
    benchmark:
        "logs/benchmarks/qlora/qlora_r{rank}_s{seed}.tsv"
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
        "python -m minituner train --settings {params.settings:q} --base results/nf4"
        " --irregular {input.irregular} --method qlora --rank {wildcards.rank}"
        " --seed {wildcards.seed} --out {params.out} --threads {threads}"
        " 2>&1 >> {log} | tee -a {log} >&2"


rule qlora_trained:
    """All runs on the NF4 base: a target for `snakemake qlora_trained` and for DVC."""
    input:
        [file for run in QLORA for file in adapter(f"results/qlora/{run}")],
