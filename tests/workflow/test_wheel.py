"""The package by itself: a wheel, made of the source archive, used far from any checkout."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile

import pytest
import yaml
from torch.nn.init import ones_

from minituner.checkpoints.adapters import save_adapter
from minituner.lora import lora_layers, wrap_minigpt_with_lora
from tests.support.tiny_project import ROOT, copy_project, project_files

LABS = ROOT / "docs" / "labs" / "solutions"
ARCHIVE = "from setuptools import build_meta; build_meta.build_sdist('made')"
PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
USERS = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def run(*command, cwd, ok=True):
    """Run a command with nothing in the environment that names this checkout."""
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=USERS, capture_output=True, text=True, timeout=300
    )
    assert not ok or done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel that is made of the source archive, which is made of the project's files."""
    root = tmp_path_factory.mktemp("sources")
    copy_project(root)
    run(sys.executable, "-c", ARCHIVE, cwd=root)
    (archive,) = (root / "made").iterdir()
    # With the setuptools that is here: nothing is fetched.
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", "wheels")
    run(*PIP, "wheel", *options, archive, cwd=root)
    (made,) = (root / "wheels").iterdir()
    return made


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The programs of an environment that has the wheel, and all other packages of this one."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home)
    python = home / "bin" / "python"
    run(*PIP, "--python", python, "install", "--no-deps", "--no-index", wheel, cwd=home)
    (site,) = home.glob("lib/*/site-packages")
    # Only now, or pip would find the package of this environment.
    (site / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home / "bin"


@pytest.fixture
def minituner(installed, tmp_path):
    """Run `minituner` in an empty folder."""
    return lambda *arguments, ok=True: run(installed / "minituner", *arguments, cwd=tmp_path, ok=ok)


def test_the_wheel_holds_every_file_of_the_package_and_its_license(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    package = {name for name in names if ".dist-info/" not in name}
    assert package == {name for name in project_files() if name.startswith("minituner/")}
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_the_help_lists_the_commands(minituner):
    assert "minituner validate" in minituner("--help").stdout


def test_settings_are_validated_against_the_schema(minituner, tmp_path):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    (tmp_path / "data").mkdir()
    for name in ("verbs.csv", "templates.csv"):
        shutil.copy(ROOT / "data" / name, tmp_path / "data")
    assert minituner("validate").stdout == "params.yaml: valid\n"
    settings = yaml.safe_load((tmp_path / "params.yaml").read_text())
    settings["lora"]["alhpa"] = 1
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(settings))
    assert "lora.alhpa: unknown key; did you mean alpha?" in minituner("validate", ok=False).stderr


def test_the_parameters_of_a_transformer_are_counted(minituner):
    assert "19,988,480" in minituner("counts", "--shape", "llama-7b", "--rank", "8").stdout


def test_an_adapter_is_merged_into_its_base(minituner, tmp_path, model, base):
    wrap_minigpt_with_lora(model, 2, 4.0)
    for layer in lora_layers(model).values():
        ones_(layer.lora_B)
    save_adapter(tmp_path / "adapter", model, base)
    said = minituner("merge", "--base", base, "--adapter", "adapter", "--out", "merged").stdout
    assert said.startswith("merged: merged; the largest logit difference it makes is ")
    assert {"model.safetensors", "config.json"} <= set(os.listdir(tmp_path / "merged"))


def test_what_the_labs_and_the_readme_import_is_the_installed_package(installed, tmp_path):
    sources = [*LABS.glob("*.py"), ROOT / "README.md"]
    lines = [re.findall(r"^ *(from minituner.*?)(?:  #.*)?$", p.read_text(), re.M) for p in sources]
    imports = sorted(set(sum(lines, [])))
    assert len(imports) > 10
    public = "from minituner.lora import LoRALinear, load_lora_state_dict"
    shown = "import minituner, minituner.reporting.page; print(minituner.__file__)"
    said = run(installed / "python", "-c", "\n".join([*imports, public, shown]), cwd=tmp_path)
    assert said.stdout.startswith(str(installed.parent))


def test_a_lab_that_needs_no_data_is_checked(minituner):
    assert "lab 00 are right." in minituner("check", "00", LABS / "00-lora-by-hand.py").stdout


@pytest.mark.parametrize(
    "program, needed",
    [
        ("minituner fill --values values.json", "README.md and docs/"),
        ("minituner check 00", "docs/labs/00-lora-by-hand.py"),
        ("minituner step --shape llama-7b --method lora --out step.json", "benchmarks/"),
        ("python -m minituner.labs", "docs/labs/"),
        ("python -m minituner.workflow.sources", "dvc.yaml"),
    ],
)
def test_what_needs_a_checkout_says_so_in_one_line(installed, tmp_path, program, needed):
    name, *arguments = program.split()
    done = run(installed / name, *arguments, cwd=tmp_path, ok=False)
    assert done.returncode and done.stderr == (
        f"minituner: error: {needed}: not part of the installed package; clone the project, run "
        "`pip install -e .` in it, and there the same again\n"
    )
