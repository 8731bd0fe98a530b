"""What a command imports is what it needs: no reader of tables pays for PyTorch or numba."""

import ast
import json
import subprocess
import sys

import pytest

from tests.support.tiny_project import ROOT

HEAVY = ("torch", "numba", "pandas", "pyarrow", "matplotlib")
COMMANDS = sorted(path.stem for path in (ROOT / "minituner" / "commands").glob("[!_]*.py"))
TABLES = {"pandas", "pyarrow"}  # pyarrow loads pandas itself to write a table of rows
FIGURES = TABLES | {"matplotlib"}
MODEL = TABLES | {"torch", "numba"}
# Which of them a command may import; everything else is a command that computes with a model.
ALLOWED = {
    **dict.fromkeys(("gate", "validate", "completion", "provenance", "reproduce"), set()),
    **dict.fromkeys(("environment", "fill"), set()),
    **dict.fromkeys(("corpus", "subsets", "judge", "summarize", "card"), TABLES),
    **dict.fromkeys(("compare", "showcase", "values"), TABLES),
    "report": FIGURES,
    "plot": FIGURES,
    "studies": FIGURES,
    "throughput": set(),
    "scaling": FIGURES | {"torch"},
    "counts": TABLES | {"torch", "matplotlib"},
    "codes": FIGURES | {"torch"},
    **dict.fromkeys(("base", "train", "evaluate", "agreement"), MODEL),
    **dict.fromkeys(("quantize", "merge", "step"), {"torch", "numba"}),
    **dict.fromkeys(("memory", "completions", "study", "conjugate", "complete"), MODEL),
    **dict.fromkeys(("calibration", "spectra", "check"), MODEL | FIGURES),
}


def imports_of(command):
    """The import statements of a command's file, those inside its functions too."""
    path = ROOT / "minituner" / "commands" / f"{command}.py"
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield ast.unparse(node)


def test_every_command_has_its_allowance():
    assert sorted(ALLOWED) == COMMANDS


# Those that load PyTorch take seconds each; what a job of theirs loads is seen below.
@pytest.mark.parametrize("command", [name for name in COMMANDS if "torch" not in ALLOWED[name]])
def test_a_command_imports_no_heavy_package_that_it_does_not_need(command):
    code = "\n".join(imports_of(command))
    code += f"\nimport json, sys; print(json.dumps([n for n in {HEAVY} if n in sys.modules]))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert set(json.loads(done.stdout)) <= ALLOWED[command]


def test_every_job_of_the_workflow_loaded_no_more_than_that(finished):
    jobs = [json.loads(path.read_text()) for path in (finished.root.parent / "trace").glob("*")
            if path.suffix == ".json"]  # fmt: skip
    assert {job["command"] for job in jobs} >= {"gate", "judge", "summarize", "values", "report"}
    for job in jobs:
        assert set(job["heavy"]) <= ALLOWED[job["command"]], job["command"]


@pytest.mark.parametrize("command", ["gate", "judge", "summarize", "values", "report"])
def test_the_verdict_and_the_pages_do_without_torch_and_numba(command):
    assert not {"torch", "numba"} & ALLOWED[command]
