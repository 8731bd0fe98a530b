rule evaluate:
    """Score one run on the held-out frames, one row a sentence."""
    input:
        base=evaluated_base,
        adapter=evaluated_adapter,
        irregular=IRREGULAR,
        control=CONTROL,
        sources=sources("evaluate"),
    output:
        "results/evaluate/runs/{run}.parquet",
    log:
        "logs/evaluate/{run}.log",
    benchmark:
        "logs/benchmarks/evaluate/{run}.tsv"
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=grown(1500),
        runtime=grown(5),
    params:
        base=base_option,
        adapter=adapter_option,
    shell:
        "python -m minituner evaluate --base {params.base} {params.adapter}"
        " --irregular {input.irregular} --control {input.control} --out {output}"
        " 2>&1 >> {log} | tee -a {log} >&2"


rule agreement:
    """Compare the LoRA adapters' logits on the base and on the NF4 base."""
    input:
        base=model("results/base"),
        nf4=model("results/nf4"),
        adapters=[file for run in COMPARED for file in adapter(f"results/train/{run}")],
        irregular=IRREGULAR,
        control=CONTROL,
        sources=sources("agreement"),
    output:
        "results/evaluate/agreement.parquet",
    log:
        "logs/agreement.log",
    benchmark:
        "logs/benchmarks/agreement.tsv"
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=grown(1500),
        runtime=grown(5),
    params:
        adapters=[f"results/train/{run}" for run in COMPARED],
    shell:
        "python -m minituner agreement --base results/base --nf4 results/nf4"
        " --adapters {params.adapters} --irregular {input.irregular} --control {input.control}"
        " --out {output}"
        " 2>&1 >> {log} | tee -a {log} >&2"


rule summarize:
    """Average the runs over seeds, with bootstrap intervals over frames and seeds."""
    input:
        runs=expand("results/evaluate/runs/{run}.parquet", run=RUNS),
        sources=sources("summarize"),
    output:
        multiext("results/evaluate/summary", ".parquet", ".csv"),
        "results/evaluate/per_verb.parquet",
    log:
        "logs/summarize.log",
    benchmark:
        "logs/benchmarks/summarize.tsv"
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=grown(1000),
        runtime=grown(5),
    params:
        settings=settings("evaluate"),
        out=subpath(output[0], parent=True),
    shell:
        "python -m minituner summarize --settings {params.settings:q} --runs {input.runs}"
        " --out {params.out}"
        " 2>&1 >> {log} | tee -a {log} >&2"
