"""The textbook modules are plain PyTorch: three files of them train LoRA anywhere on their own."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import minituner

PACKAGE = Path(minituner.__file__).parent
TEXTBOOK = ["model", "lora", "nf4", "qlora", "data", "train", "evaluate"]
ALLOWED = {f"minituner.{name}" for name in TEXTBOOK}
ALLOWED |= {f"minituner.foundation.{name}" for name in ("errors", "progress", "seeds")}

STEP = """
import sys

import torch
from lora import load_lora_state_dict, lora_state_dict, wrap_minigpt_with_lora
from model import IGNORE, MiniGPT, ModelConfig

torch.manual_seed(0)
model = MiniGPT(ModelConfig(vocab="abcdefgh", n_layer=2, n_head=2, d_model=16, d_ff=32, context=12))
wrap_minigpt_with_lora(model, r=2, alpha=4.0, target_modules=["q_proj", "v_proj", "mlp.fc1"])
before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
ids = torch.randint(8, (4, 12))
targets = ids.roll(-1, 1)
targets[:, :4] = IGNORE
optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
losses = []
for _ in range(3):
    optimizer.zero_grad()
    loss = model.loss(ids, targets)
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
assert losses[2] < losses[1] < losses[0], losses
moved = {n for n, tensor in model.state_dict().items() if not torch.equal(tensor, before[n])}
assert moved == {name for name in before if name.endswith(("lora_A", "lora_B"))}, moved
assert len(moved) == 2 * 2 * 3 == len(lora_state_dict(model))
load_lora_state_dict(model, {name: t.clone() for name, t in lora_state_dict(model).items()})
foreign = {name.partition(".")[0] for name in sys.modules} & {"minituner", "numba"}
assert not foreign, foreign
print(sys.modules["model"].__file__, sys.modules["lora"].__file__, sys.modules["errors"].__file__)
"""


def test_three_files_copied_into_an_empty_folder_train_lora(tmp_path):
    for path in ("model.py", "lora.py", "foundation/errors.py"):
        shutil.copy(PACKAGE / path, tmp_path)
    for file in tmp_path.iterdir():
        source = file.read_text(encoding="utf-8")
        for old, new in (("minituner.foundation.errors", "errors"), ("minituner.model", "model")):
            source = source.replace(f"from {old} import", f"from {new} import")
        file.write_text(source, encoding="utf-8")
    (tmp_path / "step.py").write_text(STEP, encoding="utf-8")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run(
        [sys.executable, "-s", "step.py"],
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    copies = [str(tmp_path / name) for name in ("model.py", "lora.py", "errors.py")]
    assert done.stdout.split() == copies


def imported(name):
    """The modules that a textbook module imports, in functions and for type checking too."""
    tree = ast.parse((PACKAGE / f"{name}.py").read_text(encoding="utf-8"))
    modules = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name}: a relative import"
            if node.module in ("minituner", "minituner.foundation"):
                modules.update(f"{node.module}.{alias.name}" for alias in node.names)
            else:
                modules.add(node.module)
    return modules


@pytest.mark.parametrize("name", TEXTBOOK)
def test_a_textbook_module_imports_the_textbook_errors_progress_and_seeds_alone(name):
    modules = imported(name)
    assert "torch" in modules
    assert {module for module in modules if module.split(".")[0] == "minituner"} <= ALLOWED
    others = {module.split(".")[0] for module in modules} - {"minituner", "torch", "numpy"}
    assert others <= sys.stdlib_module_names


def test_model_and_lora_import_errors_alone_of_the_package_beside_the_textbook():
    of_package = {n: {m for m in imported(n) if m.startswith("minituner")} for n in TEXTBOOK}
    assert of_package["model"] == {"minituner.foundation.errors"}
    assert of_package["lora"] <= {"minituner.foundation.errors", "minituner.model"}


@pytest.mark.parametrize("name", TEXTBOOK)
def test_a_textbook_module_mentions_neither_loops_nor_files(name):
    source = (PACKAGE / f"{name}.py").read_text(encoding="utf-8")
    assert not re.search(r"\bnumba\b|\bPath\b|\bpathlib\b|\bopen\(", source)
