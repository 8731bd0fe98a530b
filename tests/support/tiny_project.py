"""A tiny project: the files of this checkout with small settings, run from end to end once.

Every test gets its own copy of the finished project, times of change included, so that it may
spoil what it likes; the long part is paid once.
"""

import dataclasses
import fcntl
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
TINY = {
    "subsets": {"train": 40, "val": 20, "test": 30, "control_val": 20, "control_test": 30},
    "model": {"n_layer": 1, "n_head": 2, "d_model": 16, "d_ff": 32},
    "base": {"steps": 20, "batch_size": 16, "warmup": 2, "eval_every": 10},
    "tuning": {"steps": 4, "batch_size": 8, "warmup": 1, "eval_every": 2},
    "sweep": {"ranks": [1, 2], "qlora_ranks": [1, 2], "seeds": [0]},
    "evaluate": {"bootstrap": 20},
    "science": {"convention_ranks": [1, 2]},
    # Bars that a model of 20 steps meets.
    "definition_of_done": {
        "accuracy_gain": -1,
        "perplexity_drift": 1000,
        "adapter_ratio": 10,
        "agreement": 1000,
    },
}


@dataclasses.dataclass
class Project:
    """A project folder and how to run commands in it."""

    root: Path
    trace: Path | None = None
    extra: dict = dataclasses.field(default_factory=dict)  # environment variables

    def environment(self):
        """A user's environment, whatever this one holds."""
        # make tells the makes below it how to speak; a user's is below none.
        foreign = ("GIT_", "DVC_", "MAKE", "MFLAGS")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
        kept |= {
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.root.parent),
            "DVC_SITE_CACHE_DIR": str(self.root.parent / "site"),
            "GIT_CONFIG_GLOBAL": os.devnull,
            **{f"GIT_{who}_NAME": "tester" for who in ("AUTHOR", "COMMITTER")},
            **{f"GIT_{who}_EMAIL": "tester@example.org" for who in ("AUTHOR", "COMMITTER")},
        }
        if self.trace:
            kept |= {"PYTHONPATH": str(self.trace), "MINITUNER_TRACE": str(self.trace)}
        return kept | self.extra

    def run(self, *command, ok=True):
        """Run a command as a user would; return it with what it printed."""
        done = subprocess.run(
            list(map(str, command)),
            cwd=self.root,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
        )
        if ok:
            assert done.returncode == 0, done.stdout
        return done

    def make(self, *arguments, ok=True):
        """Run make with the environment that runs the tests instead of a fresh `.venv`."""
        return self.run("make", f"BIN={BIN}", "STAMP=", *arguments, ok=ok)

    def jobs(self, *options):
        """Rule → number of jobs that `snakemake all` would run now."""
        out = self.run("snakemake", "--dry-run", "all", *options).stdout
        table = re.findall(r"^(\w+) +(\d+)$", out.partition("Job stats:")[2], re.M)
        return {rule: int(n) for rule, n in table if rule not in ("all", "total")}

    def stale_stages(self):
        """The DVC stages whose own dependencies, settings or outputs differ from dvc.lock."""
        out = self.run("dvc", "status", "--json").stdout
        return set(yaml.safe_load(out))

    def edit(self, path, old, new):
        """Replace a piece of a text file; it must be there exactly once."""
        file = self.root / path
        text = file.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{path}: {old!r} occurs {text.count(old)} times"
        file.write_text(text.replace(old, new), encoding="utf-8")

    def set(self, section, **values):
        """Change settings in params.yaml."""
        file = self.root / "params.yaml"
        settings = yaml.safe_load(file.read_text(encoding="utf-8"))
        settings[section] |= values
        file.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")

    def make_tiny(self):
        """Set small settings, and leave two objects a verb, for a third of the sentences."""
        for section, values in TINY.items():
            self.set(section, **values)
        file = self.root / "data" / "templates.csv"
        lines, left = [], Counter()
        for line in file.read_text(encoding="utf-8").splitlines(keepends=True):
            verb = line.rpartition(",")[2] if line.startswith("object,") else None
            left[verb] += 1
            if verb is None or left[verb] <= 2:
                lines.append(line)
        file.write_text("".join(lines), encoding="utf-8")


def project_files():
    """The files of this checkout that belong to the project, results left out."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        if not name.startswith(("results/", "tests/")) and name != "dvc.lock":
            if (ROOT / name).is_file():
                yield name


def copy_project(root):
    """Put those files into a new folder, times of change included."""
    for name in project_files():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, root / name)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The tiny project after `snakemake all` and `dvc commit`, all in git. Do not change it.

    Made once, whatever the number of processes that share the tests: the first one makes it, the
    others wait.
    """
    place = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        place = place.parent
    root = place / "workflow" / "project"
    with open(place / "workflow.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.parent.exists():
            try:
                make(root)
            except BaseException:
                shutil.rmtree(root.parent)
                raise
    return Project(root)


def make(root):
    """The tiny project from end to end; each of its jobs writes its imports beside it, to trace."""
    copy_project(root)
    trace = root.parent / "trace"
    trace.mkdir()
    shutil.copy(ROOT / "tests" / "workflow" / "trace_imports.py", trace / "sitecustomize.py")
    project = Project(root, trace)
    project.make_tiny()
    project.run("git", "init", "--quiet")
    project.run("snakemake", "all")
    project.run("dvc", "commit", "--force")
    project.run("git", "add", ".")
    project.run("git", "commit", "--quiet", "--message", "tiny")


@pytest.fixture
def project(finished, tmp_path):
    """A copy of the finished tiny project."""
    shutil.copytree(finished.root, tmp_path / "project", symlinks=True)
    return Project(tmp_path / "project")
