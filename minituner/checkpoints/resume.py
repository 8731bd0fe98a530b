"""Long runs outlive a kill: what training has reached lies beside its result until that is whole.

A resumed run ends with the bytes of an uninterrupted one. For that the file holds, exactly, all
that a step depends on: the trained weights, AdamW's state, torch's random state (dropout) and the
curve; the batches are drawn again from the start and skipped. It is used only by the very run that
wrote it: the same settings, seed, input files, sources and torch.
"""

import contextlib
import fcntl
import hashlib
import json
import time
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from minituner.compute import AdamW
from minituner.foundation import progress, storage

INTERVAL = 1.0  # seconds between two checkpoints, so that short runs write none


class Resume:
    """A context in which `out` is made; its checkpoint is `.resume/NAME.safetensors` beside `out`.

    There it stays when DVC empties a stage's folder. Leaving the context without an error removes
    it. A second process that makes the same `out`, or one that outlived its Snakemake, waits.

    Args:
        out: the folder that the run makes.
        inputs: the files it reads.
        identity: all else that decides its bytes: settings, seed, method, rank.
    """

    def __init__(self, out: Path, inputs: list[Path], **identity: Any):
        self.path = out.parent / ".resume" / f"{out.name}.safetensors"
        sources = sorted(Path(__file__).parents[1].rglob("*.py"))
        identity["files"] = [storage.sha256(path) for path in [*inputs, *sources] if path.is_file()]
        text = json.dumps(identity | {"torch": torch.__version__}, sort_keys=True)
        self.identity = hashlib.sha256(text.encode()).hexdigest()

    def __enter__(self) -> "Resume":
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = open(self.path.with_suffix(".lock"), "wb")  # closed, hence free, when killed
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._saved = time.monotonic()
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        if kind is None:
            self.path.unlink(missing_ok=True)
        self.path.with_suffix(".lock").unlink(missing_ok=True)
        self._lock.close()
        with contextlib.suppress(OSError):
            self.path.parent.rmdir()  # unless others are at work in it

    def load(self, optimizer: AdamW, curve: list[dict[str, float]]) -> int:
        """Bring weights, optimizer and curve to where they were; the number of steps done."""
        try:
            with safetensors.safe_open(self.path, "pt") as file:
                saved = json.loads(file.metadata()["run"])
                if saved["identity"] != self.identity:
                    return 0
                tensors = {name: file.get_tensor(name) for name in file.keys()}
        except (OSError, safetensors.SafetensorError, ValueError, KeyError, TypeError):
            return 0  # none yet, or of no use: the run starts over
        for i, parameter in enumerate(_parameters(optimizer)):
            parameter.data.copy_(tensors[f"{i}.parameter"])
            moments = {name: tensors[f"{i}.{name}"] for name in ("step", "exp_avg", "exp_avg_sq")}
            optimizer.state[parameter] = {name: value.clone() for name, value in moments.items()}
        torch.set_rng_state(tensors["rng"])
        curve.extend(saved["curve"])
        progress.say(f"resumed at step {saved['step']}")
        return saved["step"]

    def save(self, step: int, optimizer: AdamW, curve: list[dict]) -> None:
        """Keep the state after `step` steps, unless the last one is younger than `INTERVAL`."""
        if time.monotonic() - self._saved < INTERVAL:
            return
        tensors = {"rng": torch.get_rng_state()}
        for i, parameter in enumerate(_parameters(optimizer)):
            tensors[f"{i}.parameter"] = parameter.detach()
            tensors |= {f"{i}.{k}": v for k, v in optimizer.state[parameter].items()}
        run = json.dumps({"identity": self.identity, "step": step, "curve": curve})
        content = safetensors.torch.save(tensors, metadata={"run": run})
        with storage.atomic(self.path) as temporary:
            temporary.write_bytes(content)
        self._saved = time.monotonic()


def _parameters(optimizer: AdamW) -> list[torch.Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]
