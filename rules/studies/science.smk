from minituner.commands import study as minituner_study
from minituner.workflow import help as minituner_help

STUDIES = list(minituner_study.OF_STUDY)
QUESTIONS = sorted(path.stem for path in Path(here("studies/questions")).glob("[!_]*.py"))
PROJECTS = {f"base_s{seed}": f"--base-seed {seed}" for seed in config["science"]["base_seeds"]}
LARGER = "forty_verbs"


# A base by its number of steps; one of them is the experiment's own.
BASES = {
    steps: (
        "results/base" if steps == config["base"]["steps"] else f"results/science/lengths/{steps}"
    )
    for steps in config["science"]["base_steps"]
}


wildcard_constraints:
    study="|".join(STUDIES),
    steps=r"[1-9]\d*",
    project="|".join([*PROJECTS, LARGER]),


rule study:
    """Tune, follow and score the runs of one further study with one seed."""
    input:
        base=model("results/base"),
        nf4=model("results/nf4"),
        irregular=IRREGULAR,
        control=CONTROL,
        programs=[
            "studies/following.py",
            "studies/levels.py",
            "studies/subspace.py",
            "studies/tuning.py",
            "studies/variants.py",
        ],
        sources=sources("study"),
    output:
        scored="results/science/{study}/s{seed}.parquet",
        curves="results/science/{study}/curves_s{seed}.parquet",
    resources:
        runtime=grown(60),
    params:
        settings=lambda wildcards: settings(
            "study", "SETTINGS", *minituner_study.OF_STUDY[wildcards.study]
        ),
    shell:
        "python -m minituner study --settings {params.settings:q} --study {wildcards.study}"
        " --base results/base --nf4 results/nf4 --irregular {input.irregular}"
        " --control {input.control} --seed {wildcards.seed} --out {output.scored}"
        " --curves {output.curves} --log {log}"


rule intruders:
    """Count the intruder dimensions of the experiment's runs with one seed, and score without."""
    input:
        base=model("results/base"),
        adapters=lambda wildcards: adapters(
            [f"{group}_s{wildcards.seed}" for group in runs.groups("lora", SWEEP["ranks"])]
        ),
        full=lambda wildcards: model(runs.base_folder(f"full_s{wildcards.seed}")),
        irregular=IRREGULAR,
        control=CONTROL,
        programs=["studies/definitions.py", "studies/following.py", "studies/intruders.py"],
        sources=sources("spectra"),
    output:
        scored="results/science/intruders/s{seed}.parquet",
        counts="results/science/intruders/curves_s{seed}.parquet",
    params:
        ranks=SWEEP["ranks"],
    shell:
        "python -m studies.intruders --results results --irregular {input.irregular}"
        " --control {input.control} --ranks {params.ranks} --seed {wildcards.seed}"
        " --out {output.scored} --counts {output.counts} > {log} 2>&1"


rule base_of_length:
    """Pretrain a base with another number of steps."""
    input:
        corpus=CORPUS,
        sources=sources("base"),
    output:
        model("results/science/lengths/{steps}"),
        "results/science/lengths/{steps}/curve.csv",
    threads: config["base"]["shards"]
    resources:
        runtime=grown(60),
    params:
        settings=lambda wildcards: settings(
            "base", given=config | {"base": config["base"] | {"steps": int(wildcards.steps)}}
        ),
    shell:
        "python -m minituner base --settings {params.settings:q} --corpus {input.corpus}"
        " --out results/science/lengths/{wildcards.steps} --threads {threads} --log {log}"


rule calibrations:
    """Hold each of these bases against the habit of its corpus."""
    input:
        bases=[file for folder in BASES.values() for file in model(folder)],
        corpus=CORPUS,
        program="studies/lengths.py",
        sources=sources("calibration"),
    output:
        "results/science/lengths.parquet",
    params:
        bases=list(BASES.values()),
    shell:
        "python -m studies.lengths --bases {params.bases} --corpus {input.corpus} --out {output}"
        " > {log} 2>&1"


rule project:
    """Run an experiment of its own, on a base of another seed or on forty irregular verbs."""
    input:
        tables=lambda wildcards: (
            [f"studies/{LARGER}/verbs.csv", f"studies/{LARGER}/templates.csv"]
            if wildcards.project == LARGER
            else list(MADE_FROM.values())
        ),
        settings=f"studies/{LARGER}/params.yaml",
        program="studies/project.py",
        sources=sources(*minituner_help.STAGES),
    output:
        verdict="results/science/projects/{project}/definition_of_done.json",
        summary="results/science/projects/{project}/summary.parquet",
    threads: config["base"]["shards"]
    resources:
        runtime=grown(60),
    params:
        settings=lambda wildcards, input: (
            f"--settings {input.settings}"
            if wildcards.project == LARGER
            else f"--settings {shlex.quote(json.dumps(config))} {PROJECTS[wildcards.project]}"
        ),
        folder=subpath(output.verdict, parent=True),
    shell:
        "python -m studies.project {params.settings} --tables {input.tables} --cores {threads}"
        " --out {params.folder} > {log} 2>&1"


rule science:
    """Write what the further studies found, with a picture a question; not part of `all`."""
    input:
        studies=expand(
            "results/science/{study}/{kind}{seed}.parquet",
            study=[*STUDIES, "intruders"],
            kind=["s", "curves_s"],
            seed=SWEEP["seeds"],
        ),
        lengths=rules.calibrations.output,
        projects=expand(
            "results/science/projects/{project}/{name}",
            project=[*PROJECTS, LARGER],
            name=["definition_of_done.json", "summary.parquet"],
        ),
        programs=programs("studies") + programs("studies/questions"),
        sources=sources("studies"),
    output:
        findings="results/science/findings.parquet",
        page="docs/science.md",
        pictures=expand("docs/science/{question}.{kind}", question=QUESTIONS, kind=["png", "svg"]),
    params:
        settings=settings("studies"),
    shell:
        "python -m minituner studies --settings {params.settings:q} --science results/science"
        " --out {output.findings} --page {output.page} --log {log}"
