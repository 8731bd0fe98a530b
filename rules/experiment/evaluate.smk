SCORES = expand("results/evaluate/{name}.parquet", name=["summary", "per_verb", "agreement"])


rule evaluate:
    """Score one run on what was held out, one row a sentence."""
    input:
        base=lambda wildcards: model(runs.base_folder(wildcards.run)),
        adapter=lambda wildcards: adapter(runs.adapter_folder(wildcards.run)),
        irregular=IRREGULAR,
        control=CONTROL,
        sources=sources("evaluate"),
    output:
        "results/evaluate/runs/{run}.parquet",
    params:
        run=lambda wildcards: options(runs.folders(wildcards.run)),
    shell:
        "python -m minituner evaluate {params.run} --irregular {input.irregular}"
        " --control {input.control} --out {output} --log {log}"


rule agreement:
    """Compare logits: each LoRA adapter on both bases, and QLoRA runs with LoRA runs."""
    input:
        base=model("results/base"),
        nf4=model("results/nf4"),
        adapters=adapters(runs.compared_runs(SWEEP) + runs.qlora_runs(SWEEP)),
        irregular=IRREGULAR,
        control=CONTROL,
        sources=sources("agreement"),
    output:
        "results/evaluate/agreement.parquet",
    params:
        adapters=list(map(runs.adapter_folder, runs.compared_runs(SWEEP))),
        trained=list(map(runs.adapter_folder, runs.qlora_runs(SWEEP))),
    shell:
        "python -m minituner agreement --base results/base --nf4 results/nf4"
        " --adapters {params.adapters} --trained {params.trained} --irregular {input.irregular} --control {input.control}"
        " --out {output} --log {log}"


rule summarize:
    """Average the runs over seeds, with bootstrap intervals over pairs and seeds."""
    input:
        runs=expand("results/evaluate/runs/{run}.parquet", run=runs.all_runs(SWEEP)),
        sources=sources("summarize"),
    output:
        multiext("results/evaluate/summary", ".parquet", ".csv"),
        "results/evaluate/per_verb.parquet",
    params:
        settings=settings("summarize"),
    shell:
        "python -m minituner summarize --settings {params.settings:q} --runs {input.runs}"
        " --out results/evaluate --log {log}"
