"""The record beside each result: what its bytes came from (lineage.py follows it back).

A record says which command wrote the file, from which files (by SHA-256) and settings, at which
commit, with which packages, on which CPU and in which numerics mode. It differs from machine to
machine although the file does not, so neither git nor DVC tracks it.
"""

import argparse
import hashlib
import importlib.metadata
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

from minituner.foundation import environment as pinning
from minituner.foundation import storage

PACKAGES = "torch numpy numba llvmlite pandas pyarrow matplotlib safetensors pillow".split()
ROOT = Path(__file__).resolve().parents[2]


def commit() -> str | None:
    """The git commit of the sources, with `+` if they differ from it; None without git."""
    head = storage.git(ROOT, "rev-parse", "HEAD")
    changed = storage.git(
        ROOT, "status", "--porcelain", "--untracked-files=no", "minituner", "rules"
    )
    return head + ("+" if changed else "") if head else None


def code() -> str:
    """One SHA-256 over the sources of this package that the process has loaded."""
    loaded = {name: module for name, module in sys.modules.items() if name.startswith("minituner.")}
    digest = hashlib.sha256()
    for name in sorted(loaded):
        if getattr(loaded[name], "__file__", None):
            digest.update(f"{name} {storage.sha256(loaded[name].__file__)}\n".encode())
    return digest.hexdigest()


def environment() -> dict[str, Any]:
    """What a result's bytes might depend on besides its inputs, settings and code."""
    return {
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}, {' '.join(platform.libc_ver())}",
        "cpu": pinning.cpu_name(),
        "numerics": "unrestricted" if pinning.unrestricted() else "pinned",
        "variables": {name: os.environ.get(name) for name in pinning.PINNED},
    }


def record(args: argparse.Namespace, trace: storage.Trace) -> None:
    """Write the record of each file that a subcommand has written."""
    given = {
        k: v for k, v in vars(args).items() if k not in ("run", "command", "settings", "sections")
    }
    shared = {
        "command": args.command,
        "arguments": json.loads(json.dumps(given, default=str)),
        "settings": _settings(args),
        "inputs": dict(sorted(trace.read.items())),
        "commit": commit(),
        "code": code(),
        **environment(),
    }
    for path in dict.fromkeys(trace.written):
        if path.is_file():
            content = {"file": path.name, "sha256": storage.sha256(path), **shared}
            target = storage.record_of(path)
            storage.write_text(target, json.dumps(content, indent=1, sort_keys=False) + "\n")


def _settings(args: argparse.Namespace) -> Any:
    """The settings as the rules pass them, else the name of the file that they came from."""
    text = getattr(args, "settings", None)
    return json.loads(text) if text and text.lstrip().startswith("{") else text
