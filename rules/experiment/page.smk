rule completions:
    """Continue example prompts with the base, the judged adapter and the QLoRA run beside it."""
    input:
        judged="results/definition_of_done.json",
        base=model("results/base"),
        nf4=model("results/nf4"),
        adapters=adapters(runs.lora_runs(SWEEP) + runs.qlora_runs(SWEEP)),
        irregular=IRREGULAR,
        control=CONTROL,
        sources=sources("completions"),
    output:
        "results/completions/completions.parquet",
    params:
        settings=settings("completions"),
    shell:
        "python -m minituner completions --settings {params.settings:q} --results results"
        " --irregular {input.irregular} --control {input.control} --out results/completions"
        " --log {log}"


rule card:
    """Write the model card of the judged adapter, the definition of done met or not."""
    input:
        given=list(MADE_FROM.values()),
        data=[CORPUS, IRREGULAR, CONTROL],
        base=model("results/base"),
        adapters=adapters(runs.lora_runs(SWEEP)),
        summary="results/evaluate/summary.parquet",
        counts="results/counts/counts.parquet",
        judged="results/definition_of_done.json",
        template=here("minituner/reporting/template/model_card.md.j2"),
        sources=sources("card"),
    output:
        "results/model_card.md",
    params:
        settings=settings("card"),
    shell:
        "python -m minituner card --settings {params.settings:q} --data data --results results"
        " --out {output} --log {log}"


rule report:
    """Write the one page that shows it all, the definition of done met or not."""
    input:
        given=list(MADE_FROM.values()),
        data=[CORPUS, IRREGULAR, CONTROL],
        models=models(["base", "nf4", *runs.full_runs(SWEEP)]),
        adapters=adapters(runs.lora_runs(SWEEP) + runs.qlora_runs(SWEEP)),
        runs=expand("results/evaluate/runs/{run}.parquet", run=runs.all_runs(SWEEP)),
        evaluated=SCORES,
        judged=["results/definition_of_done.json", "results/metrics.json"],
        figures=FIGURES,
        tables=TABLES,
        spectra=rules.spectra.output,
        codes=rules.codes.output,
        calibration=rules.calibration.output,
        completions=rules.completions.output,
        template=[
            here(f"minituner/reporting/template/{name}")
            for name in ("page.html.j2", "panel.js", "style.css")
        ],
        sources=sources("report"),
    output:
        "results/report.html",
    params:
        settings=settings("report"),
    shell:
        "python -m minituner report --settings {params.settings:q} --data data"
        " --results results --out {output} --log {log}"


rule values:
    """Collect the figures that the pages quote."""
    input:
        SCORES,
        [name for name in TABLES if name.endswith(".parquet")],
        multiext("results/definition_of_done", ".json", ".md"),
        [name for name in FIGURES if name.endswith(".png")],
        base=model("results/base"),
        sources=sources("values"),
    output:
        "results/values.json",
    params:
        settings=settings("values"),
    shell:
        "python -m minituner values --settings {params.settings:q} --results results"
        " --out {output} --log {log}"


rule docs:
    """Write the figures into README and docs/; not part of `all`, since it changes files in git."""
    input:
        "results/values.json",
    shell:
        "python -m minituner fill --values {input} 2>&1 | tee {log}"
