"""What a change runs again: exactly the jobs and stages that depend on it, never fewer."""

import os
import re
import shutil

import pytest

TUNED = {"train", "train_full", "qlora"}
SCORED = {"evaluate", "agreement", "summarize"}
REPORTED = {"plot", "judge", "values", "completions", "card", "report", "gate"}
ADAPTED = {"spectra", *SCORED, *REPORTED}
AFTER_BASE = {"calibration", "counts", "quantize", "memory", "codes", *TUNED, *ADAPTED}
ALL_RULES = {"corpus", "subsets", "base", *AFTER_BASE}


def setting(section, **values):
    return lambda project: project.set(section, **values)


def another_line(path):
    def change(project):
        file = project.root / path
        file.write_text(file.read_text(encoding="utf-8") + "\n# changed\n", encoding="utf-8")

    return change


def drop_last_row(path):
    def change(project):
        file = project.root / path
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
        file.write_text("".join(lines[:-1]), encoding="utf-8")

    return change


CHANGES = {
    # name: (change, rules that Snakemake runs, stages whose own inputs DVC finds changed)
    "the corpus seed": (
        setting("corpus", seed=7),
        ALL_RULES,
        {"corpus", "page"},
    ),
    "the size of a subset": (
        setting("subsets", val=19),
        {"subsets", "memory", *TUNED, *ADAPTED},
        {"corpus", "page"},
    ),
    "the base's steps": (
        setting("base", steps=21),
        {"base", *AFTER_BASE},
        {"base", "page"},
    ),
    "LoRA's alpha": (
        setting("lora", alpha=3),
        {"train", "qlora", "memory", *ADAPTED},
        {"train", "qlora", "page"},
    ),
    "the tuning steps": (
        setting("tuning", steps=5),
        {*TUNED, *ADAPTED},
        {"train", "qlora", "page"},
    ),
    "the batch size": (
        setting("tuning", batch_size=9),
        AFTER_BASE - {"calibration", "quantize", "codes"},
        {"counts", "train", "qlora", "page"},
    ),
    "LoRA's learning rate": (
        setting("tuning", learning_rate=0.002),
        {"train", "qlora", *ADAPTED},
        {"train", "qlora", "page"},
    ),
    "full fine-tuning's learning rate": (
        setting("full", learning_rate=0.0002),
        {"train_full", "evaluate", "summarize", *REPORTED},
        {"train", "page"},
    ),
    "the NF4 blocksize": (
        setting("nf4", blocksize=128),
        {"counts", "quantize", "codes", "qlora", "memory", *SCORED, *REPORTED},
        {"counts", "qlora", "page"},
    ),
    "the bootstrap": (
        setting("evaluate", bootstrap=21),
        {"summarize", *REPORTED},
        {"evaluate", "page"},
    ),
    "a bar": (
        setting("definition_of_done", perplexity_drift=999),
        REPORTED,
        {"verdict", "page", "values"},
    ),
    "a row of the templates": (
        drop_last_row("data/templates.csv"),
        ALL_RULES,
        {"corpus", "page"},
    ),
    "evaluate.py": (
        another_line("minituner/evaluate.py"),
        {"calibration", *ADAPTED},
        {"evaluate", "weights", "page"},
    ),
    "what all figures share": (
        another_line("minituner/reporting/style.py"),
        {"calibration", "spectra", "codes", *REPORTED},
        {"weights", "verdict", "page"},
    ),
    "the figures of the experiment": (
        another_line("minituner/reporting/figures.py"),
        REPORTED,
        {"verdict"},
    ),
    "a compiled loop": (
        another_line("minituner/compute/kernels/tiles.py"),
        AFTER_BASE | {"base"},
        {"base", "counts", "train", "qlora", "evaluate", "weights", "page"},
    ),
    "a help text": (
        another_line("minituner/workflow/help.py"),
        set(),
        set(),
    ),
    "the help of a command": (
        lambda project: project.edit(
            "minituner/workflow/help.py", "pretrain MiniGPT on", "train a MiniGPT on"
        ),
        set(),
        set(),
    ),
    "a caption": (
        another_line("report/ablation.rst"),
        set(),
        set(),
    ),
    "the page's template": (
        another_line("minituner/reporting/template/page.html.j2"),
        {"report"},
        {"page"},
    ),
    "the card's template": (
        another_line("minituner/reporting/template/model_card.md.j2"),
        {"card"},
        {"page"},
    ),
    "the page's script": (
        another_line("minituner/reporting/template/panel.js"),
        {"report"},
        {"page"},
    ),
    "a rule's command": (
        lambda project: project.edit(
            "rules/experiment/counts.smk", "--out results/counts", "--out  results/counts"
        ),
        {"counts", "values", "card", "report"},
        {"counts"},
    ),
}


# The others, which differ from these by one rule, are left to `make long`.
SOON = (
    *("the corpus seed", "LoRA's alpha", "the NF4 blocksize", "the bootstrap", "evaluate.py"),
    *("a compiled loop", "a help text", "the page's template", "a rule's command"),
)
LATER = [pytest.param(name, marks=pytest.mark.long) for name in CHANGES if name not in SOON]


@pytest.mark.parametrize("name", [*SOON, *LATER])
def test_a_change_reruns_what_depends_on_it_and_nothing_else(project, name):
    change, rules, stages = CHANGES[name]
    change(project)
    assert set(project.jobs()) == rules
    assert project.stale_stages() == stages


@pytest.mark.parametrize(
    "name", ["a help text", "the help of a command", "a caption", "the page's template"]
)
def test_words_for_people_retrain_nothing(name):
    _, rules, stages = CHANGES[name]
    assert not rules & {"base", "quantize", *TUNED}
    assert not stages & {"base", "train", "qlora"}


def test_a_finished_project_runs_no_job(project):
    assert project.jobs() == {}
    assert project.stale_stages() == set()
    assert "Nothing to be done" in project.run("snakemake").stdout
    assert "Running stage" not in project.run("dvc", "repro").stdout


def test_a_newer_file_with_the_same_content_reruns_nothing(project):
    for path in (
        "minituner/model.py",
        "data/verbs.csv",
        "params.yaml",
        "rules/experiment/train.smk",
    ):
        (project.root / path).touch()
    assert project.jobs() == {}
    assert project.stale_stages() == set()


@pytest.mark.parametrize(
    "written", ["1e-3", *(pytest.param(w, marks=pytest.mark.long) for w in ("1.0e-03", "0.0_01"))]
)
def test_the_same_number_written_in_another_way_reruns_nothing(project, written):
    project.edit("params.yaml", "learning_rate: 0.001\n", f"learning_rate: {written}\n")
    assert project.jobs() == {}
    assert project.stale_stages() == set()


def test_a_number_as_dvc_writes_it_reaches_the_jobs_and_snakemakes_text_is_named(project, tried):
    """`dvc exp run -S tuning.learning_rate=0.00005` writes 5e-05."""
    tuned = {"train", "qlora", *ADAPTED}
    assert set(project.jobs("--config", "tuning={learning_rate: 5e-05}")) == tuned
    project.edit("params.yaml", "learning_rate: 0.001\n", "learning_rate: 5e-05\n")
    assert set(project.jobs()) == tuned
    assert project.stale_stages() == {"train", "qlora", "page"}
    done = project.run("snakemake", "--dry-run", "--config", 'lora={"alpha": 16}', ok=False)
    assert done.returncode != 0
    assert done.stdout.splitlines()[-1].startswith("minituner: error: settings: lora.alpha: ")
    assert "--configfile" in done.stdout.splitlines()[-1]
    (project.root / "mine.yaml").write_text("lora:\n  alpha: 16\n", encoding="utf-8")
    assert "train" in project.jobs("--configfile", "mine.yaml")
    reports = "yaml/pyyaml#173 speechbrain/HyperPyYAML#8"
    tried("small numbers as DVC and Python write them, `5e-05`", reports, "read as numbers")
    tried(
        "`--config` with a section in braces", "snakemake/snakemake#963", "points to `--configfile`"
    )


def test_an_input_replaced_by_an_older_file_is_named_with_a_remedy_that_works(project, tried):
    """As `cp -p`, tar and rsync do it: Snakemake sees an input that is older than its outputs."""
    verbs = project.root / "data" / "verbs.csv"
    content, times = verbs.read_bytes(), verbs.stat()
    verbs.write_bytes(content)
    os.utime(verbs, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert project.jobs() == {}, "another file, but of the same content"
    verbs.write_bytes(content[: content[:-1].rindex(b"\n") + 1])
    os.utime(verbs, ns=(times.st_atime_ns, times.st_mtime_ns))
    done = project.run("snakemake", "--dry-run", "all", ok=False)
    said = done.stdout.splitlines()[-1]
    assert done.returncode != 0 and said.startswith("minituner: error: data/verbs.csv: replaced")
    remedy = re.search("run `(.*)` and", said)[1]
    project.run(*remedy.split())
    assert set(project.jobs()) == ALL_RULES
    tried("an input replaced by an older file, `cp -p`", "", "named with a remedy that works")


def test_outputs_kept_of_a_job_that_failed_between_them_are_made_again(project, tried):
    """Since each output gets its name once it is whole, the job is run again for the other ones."""
    made = [project.root / "data" / f"{name}.parquet" for name in ("irregular", "control")]
    whole = [path.read_bytes() for path in made]
    made[1].unlink()
    place, line = (
        "minituner/commands/subsets.py",
        "    parquet.write_table(args.control, control)\n",
    )
    broken = f"    raise OSError(args)\n{line}"
    project.edit(place, line, broken)
    command = ["snakemake", "--keep-incomplete", "data/control.parquet"]
    assert project.run(*command, ok=False).returncode != 0
    assert [path.exists() for path in made] == [True, False]
    project.edit(place, broken, line)
    assert project.jobs()["subsets"] == 1
    project.run("snakemake", "data/control.parquet")
    assert [path.read_bytes() for path in made] == whole and project.jobs() == {}
    tried("a failing job under `--keep-incomplete`", "snakemake/snakemake#3808", "made again whole")


def test_another_seed_only_adds_jobs(project):
    project.set("sweep", seeds=[0, 1])
    assert project.jobs() == {
        "train": 2,
        "train_full": 1,
        "qlora": 2,
        "evaluate": 5,
        "agreement": 1,
        "summarize": 1,
        "plot": 1,
        "judge": 1,
        "spectra": 1,
        "completions": 1,
        "card": 1,
        "report": 1,
        "values": 1,
        "gate": 1,
    }
    assert project.stale_stages() == {"train", "qlora", "evaluate", "weights", "verdict", "page"}


def test_another_rank_only_adds_jobs(project):
    project.set("sweep", ranks=[1, 2, 4])
    jobs = project.jobs()
    assert jobs == {
        "counts": 1,
        "train": 1,
        "evaluate": 1,
        "summarize": 1,
        "plot": 1,
        "judge": 1,
        "spectra": 1,
        "completions": 1,
        "card": 1,
        "report": 1,
        "values": 1,
        "gate": 1,
    }
    assert project.stale_stages() == {"counts", "train", "evaluate", "weights", "verdict", "page"}


@pytest.mark.long
def test_the_users_own_base_is_watched(project):
    own = project.root / "checkpoints" / "mine"
    own.mkdir()
    for name in ("model.safetensors", "config.json"):
        shutil.copy(project.root / "results" / "base" / name, own)
    project.set("base", checkpoint="checkpoints/mine")
    assert "base" in project.jobs() and "base" in project.stale_stages()
    project.run("dvc", "repro", "base")
    assert "base" not in project.jobs() and "base" not in project.stale_stages()
    config = own / "config.json"
    config.write_text(config.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    assert "base" in project.jobs() and "base" in project.stale_stages()
