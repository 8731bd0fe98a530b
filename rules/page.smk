rule completions:
    """Continue example prompts with the base, the judged adapter and the QLoRA run beside it."""
    input:
        judged="results/definition_of_done.json",
        base=model("results/base"),
        nf4=model("results/nf4"),
        adapters=[file for run in LORA + QLORA for file in adapter(adapter_folder(run))],
        irregular=IRREGULAR,
        control=CONTROL,
        sources=sources("completions"),
    output:
        "results/completions/completions.parquet",
    log:
        "logs/completions.log",
    benchmark:
        "logs/benchmarks/completions.tsv"
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=grown(2000),
        runtime=grown(10),
    params:
        settings=settings("sweep"),
        out=subpath(output[0], parent=True),
    shell:
        "python -m minituner completions --settings {params.settings:q} --results results"
        " --irregular {input.irregular} --control {input.control} --out {params.out}"
        " 2>&1 >> {log} | tee -a {log} >&2"


rule report:
    """Write the one page that shows it all, the definition of done met or not."""
    input:
        given=list(MADE_FROM.values()),
        data=[CORPUS, IRREGULAR, CONTROL],
        models=[file for run in ["base", "nf4", *FULL] for file in model(base_folder(run))],
        adapters=[file for run in LORA + QLORA for file in adapter(adapter_folder(run))],
        runs=expand("results/evaluate/runs/{run}.parquet", run=RUNS),
        evaluated=expand(
            "results/evaluate/{name}.parquet", name=["summary", "per_verb", "agreement"]
        ),
        judged=["results/definition_of_done.json", "results/metrics.json"],
        figures=FIGURES,
        tables=TABLES,
        spectra=rules.spectra.output,
        codes=rules.codes.output,
        completions=rules.completions.output,
        page=here("report/page.html.j2"),
        style=here("report/style.css"),
        sources=sources("report"),
    output:
        PAGE,
    log:
        "logs/report.log",
    benchmark:
        "logs/benchmarks/report.tsv"
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=grown(2000),
        runtime=grown(5),
    params:
        settings=settings(
            "corpus",
            "subsets",
            "model",
            "base",
            "lora",
            "tuning",
            "full",
            "sweep",
            "nf4",
            "evaluate",
            "definition_of_done",
        ),
        templates=subpath(input.page, parent=True),
    shell:
        "python -m minituner report --settings {params.settings:q} --data data"
        " --results results --templates {params.templates:q} --out {output}"
        " 2>&1 >> {log} | tee -a {log} >&2"
