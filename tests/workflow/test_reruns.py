"""What a change runs again: exactly the jobs and stages that depend on it, never fewer."""

import shutil

import pytest

TUNED = {"train", "train_full", "qlora"}
SCORED = {"evaluate", "agreement", "summarize"}
REPORTED = {"plot", "judge", "values", "completions", "report", "gate"}
ADAPTED = {"spectra", *SCORED, *REPORTED}
AFTER_BASE = {"counts", "quantize", "memory", "codes", *TUNED, *ADAPTED}
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
        AFTER_BASE - {"quantize", "codes"},
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
        ADAPTED,
        {"evaluate", "weights", "page"},
    ),
    "what all figures share": (
        another_line("minituner/reporting/style.py"),
        {"spectra", "codes", *REPORTED},
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
            "minituner/commands/plot.py", "Draw the figures.", "Draw every figure."
        ),
        REPORTED,
        {"verdict"},
    ),
    "a caption": (
        another_line("report/ablation.rst"),
        set(),
        set(),
    ),
    "the page's template": (
        another_line("report/page.html.j2"),
        {"report"},
        {"page"},
    ),
    "a rule's command": (
        lambda project: project.edit(
            "rules/experiment/counts.smk", "--out results/counts", "--out  results/counts"
        ),
        {"counts", "values", "report"},
        {"counts"},
    ),
}


@pytest.mark.parametrize("name", CHANGES)
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


@pytest.mark.parametrize("written", ["1e-3", "1.0e-03", "0.0_01"])
def test_the_same_number_written_in_another_way_reruns_nothing(project, written):
    project.edit("params.yaml", "learning_rate: 0.001\n", f"learning_rate: {written}\n")
    assert project.jobs() == {}
    assert project.stale_stages() == set()


def test_a_number_as_dvc_writes_it_reaches_the_jobs_and_snakemakes_text_is_named(project):
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
