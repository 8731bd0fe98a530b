"""The same bytes from other CPUs' kernels: other vector widths here, other CPUs under qemu."""

import os
import shutil
import subprocess
import sys

import pytest

# Products of many shapes, a decomposition, then steps of a MiniGPT by each method, each as a hash.
WORK = """
import hashlib
from minituner import compute, nf4, qlora, train
from minituner.lora import wrap_minigpt_with_lora
from minituner.model import IGNORE, MiniGPT, ModelConfig
import torch

compute.pin()
draw = compute.generator(0, "everywhere")
def say(name, *tensors):
    parts = b"".join(t.detach().contiguous().numpy().tobytes() for t in tensors)
    print(name, hashlib.sha256(parts).hexdigest()[:16])

for n, into, out in [(1, 1, 1), (7, 64, 1), (33, 1, 64), (300, 64, 256), (270, 256, 64),
                     (136, 300, 29), (77, 8, 64), (600, 64, 8)]:
    x = torch.randn(n, into, generator=draw).requires_grad_()
    layer = torch.nn.Linear(into, out)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, generator=draw)
    y = compute.linear(layer, x)
    y.square().sum().backward()
    say((n, into, out), y, x.grad, layer.weight.grad, layer.bias.grad)
factors = (torch.randn(64, 8, generator=draw), torch.randn(8, 64, generator=draw))
say("svd", *map(torch.from_numpy, compute.decompose(*(factor.numpy() for factor in factors))))
for method, rank in (("full", None), ("lora", 8), ("qlora", 8)):
    model = MiniGPT(ModelConfig("x" * 29), compute.generator(1, "everywhere"))
    if method == "qlora":
        nf4.replace_linears(model, qlora.block_linears(model), quantize=compute.quantize)
    if rank:
        wrap_minigpt_with_lora(model, rank, 8.0, generator=compute.generator(2, "everywhere"))
    batches = [torch.randint(29, (8, 36), generator=draw) for _ in range(3)]
    pairs = [(ids[:, :-1], ids[:, 1:].clone()) for ids in batches]
    for _, targets in pairs:  # sentences of different lengths, some with a masked prompt
        targets[0, 20:] = targets[1, 7:] = targets[1:4, :5] = IGNORE
    settings = {"steps": 3, "learning_rate": 1e-2, "warmup": 1, "eval_every": 1}
    settings["weight_decay"] = 0.01
    fast = compute.accelerate(model)
    curve = train.fit(fast, iter(pairs), pairs[:1], settings, adamw=compute.AdamW)
    say(method, *filter(torch.is_tensor, model.state_dict().values()))
    print(curve[-1]["val_loss"])
"""


CPUS = ["Haswell", "EPYC-Milan"]


def start(*launcher, **environment):
    """A fresh process that runs WORK; `launcher` goes before its Python."""
    return subprocess.Popen(
        [*launcher, sys.executable, "-c", WORK],
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def hashes(process, pinned=True):
    """What WORK printed."""
    printed, errors = process.communicate(timeout=900)
    assert process.returncode == 0, errors
    assert ("not reproducible byte for byte here" in errors) != pinned
    return printed.splitlines()


@pytest.fixture(scope="module")
def native():
    lines = hashes(start())
    assert len(lines) == 8 + 1 + 3 * 2
    return lines


@pytest.fixture(scope="module")
def emulated(native):
    """A process an emulated CPU, all started at once, since each takes minutes.

    After the native run, which leaves the compiled loops on disk: compiling takes long under qemu.
    """
    qemu = shutil.which("qemu-x86_64")
    return {cpu: start(qemu, "-cpu", cpu) for cpu in CPUS if qemu}


@pytest.mark.parametrize("isa", ["AVX2", "AVX512_CORE", "ALL"])
def test_narrower_and_wider_vectors_add_in_the_same_order(native, isa):
    assert hashes(start(ONEDNN_MAX_CPU_ISA=isa)) == native


@pytest.mark.parametrize("variable", ["MKL_CBWR", "ATEN_CPU_CAPABILITY", "OMP_NUM_THREADS"])
def test_what_the_user_has_set_does_not_matter(native, variable):
    others = {"MKL_CBWR": "AUTO", "ATEN_CPU_CAPABILITY": "default", "OMP_NUM_THREADS": "4"}
    assert hashes(start(**{variable: others[variable]})) == native


def test_without_the_pins_the_bytes_do_differ(native):
    """Else the tests above could not fail."""
    assert hashes(start(MINITUNER_NUMERICS="unrestricted"), pinned=False) != native


@pytest.mark.long
@pytest.mark.parametrize("cpu", CPUS)
def test_another_cpu_trains_the_same_bytes(native, emulated, cpu):
    if cpu not in emulated:
        pytest.skip("qemu-x86_64 is missing: apt-get install qemu-user")
    assert hashes(emulated[cpu]) == native
