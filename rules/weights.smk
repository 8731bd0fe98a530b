rule spectra:
    """Decompose what each LoRA adapter learned into singular values, and try its first direction."""
    input:
        base=model("results/base"),
        adapters=[file for run in LORA for file in adapter(f"results/train/{run}")],
        irregular=IRREGULAR,
        evaluations=expand("results/evaluate/runs/{run}.parquet", run=["base", *LORA]),
        sources=sources("spectra"),
    output:
        multiext("results/spectra/spectra", ".parquet", ".png"),
        report(
            "results/spectra/spectra.svg",
            caption="../report/spectra.rst",
            category="Weights",
        ),
        "results/spectra/truncated.parquet",
    log:
        "logs/spectra.log",
    benchmark:
        "logs/benchmarks/spectra.tsv"
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=grown(2000),
        runtime=grown(20),
    params:
        adapters=[f"results/train/{run}" for run in LORA],
        out=subpath(output[0], parent=True),
    shell:
        "python -m minituner spectra --base results/base --adapters {params.adapters}"
        " --irregular {input.irregular} --evaluate results/evaluate/runs --out {params.out}"
        " 2>&1 >> {log} | tee -a {log} >&2"


rule codes:
    """Count how often each NF4 code is used, and draw the weights' histogram."""
    input:
        base=model("results/base"),
        nf4=model("results/nf4"),
        sources=sources("codes"),
    output:
        multiext("results/codes/codes", ".parquet", ".png"),
        report("results/codes/codes.svg", caption="../report/codes.rst", category="Weights"),
        "results/codes/histogram.parquet",
    log:
        "logs/codes.log",
    benchmark:
        "logs/benchmarks/codes.tsv"
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=grown(2000),
        runtime=grown(5),
    params:
        out=subpath(output[0], parent=True),
    shell:
        "python -m minituner codes --base results/base --nf4 results/nf4 --out {params.out}"
        " 2>&1 >> {log} | tee -a {log} >&2"
