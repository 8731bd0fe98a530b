"""Build the tiny project under each variation, compare every tracked byte and write the table."""

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

from benchmarks.reproducibility.variations import VARIATIONS, Variation, build, run_in
from minituner.foundation import storage
from minituner.workflow import provenance
from tests.support import arm64, x86
from tests.support.tiny_project import Project, copy_project

CPUS = ("Haswell", "EPYC-Milan")
ROOT = Path(__file__).resolve().parents[2]
# This checkout's code, of which the project's is a copy: its loops are compiled already.
IN_ONE_PROCESS = """
import json, sys
from minituner.workflow import cli
cli.check_checkout = lambda: None
sys.exit(any(cli.main(command) for command in json.loads(sys.argv[1])))
"""
# Runs every compiled loop once, so that the emulated CPU finds them on disk: making them takes many
# minutes under emulation.
COMPILE = """
from minituner import compute
from minituner.model import MiniGPT, ModelConfig
import torch
ids = torch.zeros(2, 9, dtype=torch.int64)
compute.accelerate(MiniGPT(ModelConfig("ab"))).loss(ids, ids).backward()
compute.dequantize(*compute.quantize(torch.ones(64)))  # by loops too, now that numba is loaded
"""


def make_template(folder: Path) -> None:
    """The files of this checkout with tiny settings, in git."""
    copy_project(folder)
    project = Project(folder)
    project.make_tiny()
    project.run("git", "init", "--quiet")
    project.run("git", "add", ".")
    project.run("git", "commit", "--quiet", "--message", "tiny")


def tracked(project: Path) -> dict[str, str]:
    """Each file that dvc.lock covers → its SHA-256."""
    hashes = {}
    for stage in yaml.safe_load((project / "dvc.yaml").read_text())["stages"].values():
        for out in [*stage.get("outs", ()), *stage.get("metrics", ())]:
            path = project / (next(iter(out)) if isinstance(out, dict) else out)
            for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                if file.is_file() and file.parent.name != ".provenance":
                    hashes[file.relative_to(project).as_posix()] = storage.sha256(file)
    return hashes


def but_the_page(project: Path) -> dict[str, str]:
    """`tracked`, but for the one file that names the packages' versions."""
    return {name: sha for name, sha in tracked(project).items() if name != "results/report.html"}


def commands(project: Path) -> list[list[str]]:
    """The subcommands of all jobs in an order that works, as Snakemake would run them."""
    run = "snakemake --dry-run --forceall --printshellcmds --quiet host -- all".split()
    listed = Project(project).run(*run).stdout
    jobs = re.findall(r"(?m)python -m minituner (.*?)(?:\s+2>&1.*)?$", listed)
    return [shlex.split(job) for job in jobs]


def build_emulated(
    template: Path, root: Path, python: Sequence[str], environment: dict[str, str]
) -> Path:
    """Build with the jobs in two processes on an emulated CPU, where starting a process is slow.

    Args:
        template: the project.
        root: where it is copied to and built.
        python: the emulator and its Python.
        environment: variables that are set.
    """
    project = root / "project"
    shutil.copytree(template, project)
    steps = commands(project)
    # The page in a process of its own: at the end of the long one qemu died of SIGSEGV.
    page = next(i for i, step in enumerate(steps) if step[0] == "report")
    for part in (steps[:page], steps[page:]):
        run_in(project, environment)(*python, "-c", IN_ONE_PROCESS, json.dumps(part))
    return project


def build_on_x86(template: Path, root: Path, cpu: str) -> Path:
    """Build on an emulated x86-64 CPU, whose compiled loops this one makes."""
    (root / "compiled").mkdir(parents=True)
    own = {"NUMBA_CACHE_DIR": str(root / "compiled"), "PYTHONPATH": str(ROOT), **x86.V3}
    subprocess.run([sys.executable, "-P", "-c", COMPILE], env=os.environ | own, check=True)
    return build_emulated(template, root, ("qemu-x86_64", "-cpu", cpu, sys.executable, "-P"), own)


def compare(reference: dict[str, str], made: dict[str, str]) -> str:
    """What the table says of a build."""
    unequal = [name for name in reference | made if reference.get(name) != made.get(name)]
    if not unequal:
        return f"all {len(reference)} files equal"
    return f"**{len(unequal)} of {len(reference)} differ**: {', '.join(unequal[:3])} …"


def on_arm64(template: Path, root: Path, cpu: str) -> str:
    """What the table says of a build on an emulated arm64 CPU."""
    if missing := arm64.missing():
        return f"skipped: {missing}"
    emulator = arm64.command(cpu), arm64.environment()
    made = build_emulated(template, root / cpu, *emulator)
    equal = compare(but_the_page(root / "reference" / "project"), but_the_page(made))
    return f"{equal}; the page names another PyTorch"


def measure(root: Path) -> list[tuple[str, str]]:
    """Each variation and what came of it."""
    template = root / "template"
    make_template(template)
    at_once = ThreadPoolExecutor(len(CPUS))
    qemu = shutil.which("qemu-x86_64")
    emulated = {
        cpu: at_once.submit(build_on_x86, template, root / cpu, cpu) for cpu in CPUS if qemu
    }
    plain = build(template, root / "reference", VARIATIONS[0])
    reference = tracked(plain)
    rows = []
    for i, variation in enumerate(VARIATIONS):
        if variation.needs and not shutil.which(variation.needs):
            rows.append((variation.what, f"skipped: {variation.needs} is missing"))
        else:
            made = build(template, root / str(i), variation)
            rows.append((variation.what, compare(reference, tracked(made))))
            shutil.rmtree(root / str(i))
        print(*rows[-1], sep=": ", flush=True)
    for cpu in CPUS:
        what = f"emulated {cpu}, the jobs in two processes"
        if cpu in emulated:
            rows.append((what, compare(reference, tracked(emulated[cpu].result()))))
        else:
            rows.append((what, "skipped: qemu-x86_64 is missing"))
        print(*rows[-1], sep=": ", flush=True)
    for name in arm64.CPUS:
        rows.append((f"emulated arm64 with {name}, PyTorch 2.9.1", on_arm64(template, root, name)))
        print(*rows[-1], sep=": ", flush=True)
    # Else the comparison could not fail.
    unpinned = Variation(
        "*for contrast:* `MINITUNER_NUMERICS=unrestricted`",
        environment={"MINITUNER_NUMERICS": "unrestricted"},
    )
    made = build(template, root / "unpinned", unpinned)
    rows.append((unpinned.what, compare(reference, tracked(made))))
    return rows


def as_markdown(rows: list[tuple[str, str]]) -> str:
    """The page."""
    here = provenance.made_with()
    lines = [
        "# Variations tried",
        "",
        "The whole workflow with tiny settings, built once and then again under each of these "
        "conditions; every file that dvc.lock covers is compared. Written by `snakemake "
        f"reproducibility` on {here['cpu']}, torch {here['packages']['torch'].partition('+')[0]}.",
        "",
        "| built again with | result |",
        "|---|---|",
        *(f"| {what} | {result} |" for what, result in rows),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the table; fail if a build differs that must not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(Path(folder))
    storage.write_text(out, as_markdown(rows))
    broken = [what for what, result in rows[:-1] if "differ" in result]
    if broken:
        sys.exit(f"minituner: error: {out}: not reproduced with {', '.join(broken)}")


if __name__ == "__main__":
    main()
