rule memory:
    """Measure the live tensors of a real step: full fine-tuning, LoRA and QLoRA at equal batch."""
    input:
        base=model("results/base"),
        nf4=model("results/nf4"),
        irregular=IRREGULAR,
        sources=sources("memory"),
    output:
        multiext("results/memory/memory", ".parquet", ".csv", ".md"),
    log:
        "logs/memory.log",
    benchmark:
        "logs/benchmarks/memory.tsv"
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=grown(1500),
        runtime=grown(5),
    params:
        settings=settings("lora", "tuning.batch_size", "sweep.qlora_ranks"),
        out=subpath(output[0], parent=True),
    shell:
        "python -m minituner memory --settings {params.settings:q} --base results/base"
        " --nf4 results/nf4 --irregular {input.irregular} --out {params.out}"
        " 2>&1 >> {log} | tee -a {log} >&2"
