rule spectra:
    """Decompose what each LoRA adapter learned into singular values, and try its first direction."""
    input:
        base=model("results/base"),
        adapters=adapters(runs.lora_runs(SWEEP)),
        irregular=IRREGULAR,
        evaluations=expand(
            "results/evaluate/runs/{run}.parquet", run=["base", *runs.lora_runs(SWEEP)]
        ),
        sources=sources("spectra"),
    output:
        multiext("results/spectra/spectra", ".parquet", ".png"),
        report(
            "results/spectra/spectra.svg", caption="../../report/spectra.rst", category="Weights"
        ),
        "results/spectra/truncated.parquet",
    params:
        adapters=list(map(runs.adapter_folder, runs.lora_runs(SWEEP))),
    shell:
        "python -m minituner spectra --base results/base --adapters {params.adapters}"
        " --irregular {input.irregular} --evaluate results/evaluate/runs --out results/spectra"
        " --log {log}"


rule codes:
    """Count how often each NF4 code is used, and draw the weights' histogram."""
    input:
        base=model("results/base"),
        nf4=model("results/nf4"),
        sources=sources("codes"),
    output:
        multiext("results/codes/codes", ".parquet", ".png"),
        report("results/codes/codes.svg", caption="../../report/codes.rst", category="Weights"),
        "results/codes/histogram.parquet",
    shell:
        "python -m minituner codes --base results/base --nf4 results/nf4 --out results/codes"
        " --log {log}"


rule calibration:
    """Hold the base's probability of each form against how often the corpus writes it."""
    input:
        base=model("results/base"),
        corpus=CORPUS,
        sources=sources("calibration"),
    output:
        multiext("results/calibration/calibration", ".parquet", ".png"),
        report(
            "results/calibration/calibration.svg",
            caption="../../report/calibration.rst",
            category="Weights",
        ),
    shell:
        "python -m minituner calibration --base results/base --corpus {input.corpus}"
        " --out results/calibration --log {log}"
