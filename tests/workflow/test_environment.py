"""pyproject.toml, the locks and environment.yml name the same versions."""

import ast
import re
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.tiny_project import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DIRECT = [
    Requirement(text) for text in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]
]
# The others look at the project from outside; nothing that is made or tested rests on them.
EXTRAS = sorted(PROJECT["optional-dependencies"].keys() - {"dev"})


def pins(lines):
    """Package → version of lines such as `name==1.2`; anything else is refused."""
    found = {}
    for line in lines:
        match = re.fullmatch(r"([\w.-]+)==([\w.]+)", line)
        assert match, f"{line!r} is not an exact pin"
        found[canonicalize_name(match[1])] = match[2]
    return found


def lock(name="base"):
    lines = (ROOT / "requirements" / f"{name}.lock").read_text(encoding="utf-8").splitlines()
    return pins(line for line in lines if line and not line.startswith("#"))


def test_the_lock_satisfies_what_pyproject_asks_for():
    locked = lock()
    for requirement in DIRECT:
        version = locked[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{requirement}: locked is {version}"


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_lock_of_an_extra_satisfies_it_and_pins_nothing_twice(extra):
    locked = lock(extra)
    for requirement in map(Requirement, PROJECT["optional-dependencies"][extra]):
        version = locked[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{requirement}: locked is {version}"
    assert not locked.keys() & lock().keys()


def test_any_torch_of_a_range_may_be_used_and_the_lock_names_one_without_a_build():
    (torch,) = [requirement for requirement in DIRECT if requirement.name == "torch"]
    assert all(torch.specifier.contains(version) for version in ("2.9.1", lock()["torch"]))
    assert "+" not in (ROOT / "requirements" / "base.lock").read_text(encoding="utf-8")


def test_conda_users_get_the_same_pins():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    (listed,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    locked = lock()
    names = [canonicalize_name(requirement.name) for requirement in DIRECT]
    assert pins(listed) == {name: locked[name] for name in names}


def test_what_is_installed_here_is_what_the_lock_says():
    from importlib.metadata import version

    for requirement in DIRECT:
        installed = version(requirement.name).partition("+")[0]
        assert installed == lock()[canonicalize_name(requirement.name)]


def test_no_registry_is_named():
    for name in (
        *(f"requirements/{name}.lock" for name in ("base", *EXTRAS)),
        "requirements/install.mk",
        "tests/Makefile",
        "environment.yml",
        "Makefile",
        "pyproject.toml",
    ):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert not re.search(r"https?://|--(extra-)?index-url", text), name


def test_the_package_imports_neither_peers_nor_workflow_tools():
    """Lab 00 alone looks whether PEFT is there, and does without."""
    tools = {"peft", "transformers", "bitsandbytes", "snakemake", "dvc"}
    for path in (ROOT / "minituner").rglob("*.py"):
        barred = tools - {"peft"} if path.name == "lab_00.py" else tools
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not barred & {name.partition(".")[0] for name in names}, path
