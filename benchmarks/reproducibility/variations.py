"""What is varied, after the Reproducible Builds project's list, and how each build is run."""

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

BIN = Path(sys.executable).parent
SNAKEMAKE = ("snakemake", "all")


@dataclasses.dataclass
class Variation:
    """One way to build.

    Attributes:
        what: as the table names it.
        command: what builds, run in the project's folder.
        environment: variables that are set, or with None removed.
        folder: name of the project's folder.
        build: instead of one run of `command`, this is called with the project and `run`.
        needs: a program without which the variation is skipped.
    """

    what: str
    command: tuple[str, ...] = SNAKEMAKE
    environment: dict[str, str | None] = dataclasses.field(default_factory=dict)
    folder: str = "project"
    build: Callable[[Path, Callable], None] | None = None
    needs: str | None = None


def killed_and_resumed(project: Path, run: Callable) -> None:
    """SIGKILL to Snakemake and its jobs while the base is trained, then again from there."""
    running = run(*SNAKEMAKE, wait=False)
    log = project / "logs" / "base.log"
    for _ in range(600):
        if log.exists() and "step" in log.read_text():
            break
        time.sleep(0.1)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    run("snakemake", "--unlock")
    run(*SNAKEMAKE)


def last_stage_first(project: Path, run: Callable) -> None:
    """Each target alone and in another order than Snakemake's own."""
    for target in ("results/counts/counts.md", "qlora_trained", "trained", "all"):
        run("snakemake", target)


UNSHARE = ("unshare", "--user", "--map-user=65534", "--map-group=65534")
# The date alone: with the clock that waits are timed by faked as well, threads hang.
FAKETIME = ("env", "FAKETIME_DONT_FAKE_MONOTONIC=1", "faketime", "2031-02-03 04:05:06")
VARIATIONS = [
    Variation("a second run"),
    *(Variation(f"{n} core{'s'[: n > 1]}", (*SNAKEMAKE, "--cores", str(n))) for n in (1, 2, 4)),
    Variation("another order of jobs", build=last_stage_first),
    Variation("DVC's order, stage by stage", ("dvc", "repro")),
    Variation("killed while training, then resumed", build=killed_and_resumed),
    Variation(
        "another folder, user, day, time zone, locale, umask and hash seed, all at once",
        (*UNSHARE, *FAKETIME, "sh", "-c", "umask 077 && exec snakemake all"),
        {"TZ": "Pacific/Kiritimati", "LC_ALL": "C", "PYTHONHASHSEED": "7", "COLUMNS": "40"},
        "another folder, with blanks",
        needs="faketime",
    ),
    Variation(
        "other settings of the libraries",
        environment={
            "MKL_CBWR": "AUTO",
            "ATEN_CPU_CAPABILITY": "default",
            "ONEDNN_MAX_CPU_ISA": "AVX2",
            "OPENBLAS_CORETYPE": "Prescott",
            "OMP_NUM_THREADS": "4",
        },
    ),
]


def run_in(project: Path, environment: dict[str, str | None]) -> Callable:
    """A function that runs a command in a project, by default until it ends with success."""
    merged = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "DVC_"))}
    merged |= {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    merged |= {"DVC_SITE_CACHE_DIR": str(project.parent / "site")} | environment
    merged = {name: value for name, value in merged.items() if value is not None}

    def run(*command: str, wait: bool = True) -> subprocess.Popen:
        with open(project / "build.log", "ab") as log:
            started = subprocess.Popen(
                command,
                cwd=project,
                env=merged,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        if wait and started.wait():
            raise RuntimeError((project / "build.log").read_text()[-3000:])
        return started

    return run


def build(template: Path, root: Path, variation: Variation) -> Path:
    """Build a copy of the template below `root` under a variation's conditions."""
    project = root / variation.folder
    shutil.copytree(template, project)
    run = run_in(project, variation.environment)
    if variation.build:
        variation.build(project, run)
    else:
        run(*variation.command)
    return project
