"""What a result's bytes came from: written beside each result, and followed back to the corpus.

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
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from minituner.foundation import checkout, environment, storage, trace
from minituner.foundation.errors import UserError

PACKAGES = "torch numpy numba llvmlite pandas pyarrow matplotlib safetensors pillow".split()
LOCK = Path("dvc.lock")
SHOWN = ("commit", "python", "packages", "system", "cpu", "numerics")
# What a subcommand was called with that says nothing of what it wrote.
LEFT_OUT = ("run", "command", "settings", "log")


def commit() -> str | None:
    """The git commit of the sources, with `+` if they differ from it; None without git.

    Nor is there one of an installed package: a repository around it is another's.
    """
    head = checkout.is_here() and trace.git(checkout.ROOT, "rev-parse", "HEAD")
    status = ("status", "--porcelain", "--untracked-files=no", "minituner", "rules")
    return head + ("+" if trace.git(checkout.ROOT, *status) else "") if head else None


def code() -> str:
    """One SHA-256 over the sources of this package that the process has loaded."""
    loaded = {name: module for name, module in sys.modules.items() if name.startswith("minituner.")}
    digest = hashlib.sha256()
    for name in sorted(loaded):
        if getattr(loaded[name], "__file__", None):
            digest.update(f"{name} {storage.sha256(loaded[name].__file__)}\n".encode())
    return digest.hexdigest()


def made_with() -> dict[str, Any]:
    """What a result's bytes might depend on besides its inputs, settings and code."""
    return {
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}, {' '.join(platform.libc_ver())}",
        "cpu": environment.cpu_name(),
        "numerics": "unrestricted" if environment.unrestricted() else "pinned",
        "variables": {name: os.environ.get(name) for name in environment.PINNED},
    }


def record(args: argparse.Namespace, noted: trace.Trace) -> None:
    """Write the record of each file that a subcommand has written."""
    arguments = {name: value for name, value in vars(args).items() if name not in LEFT_OUT}
    shared = {
        "command": args.command,
        "arguments": json.loads(json.dumps(arguments, default=str)),
        "settings": _settings(args),
        "inputs": dict(sorted(noted.read.items())),
        "commit": commit(),
        "code": code(),
        **made_with(),
    }
    for path in dict.fromkeys(noted.written):
        if path.is_file():
            content = {"file": path.name, "sha256": storage.sha256(path), **shared}
            text = json.dumps(content, indent=1, sort_keys=False) + "\n"
            storage.write_text(trace.record_path(path), text)


def _settings(args: argparse.Namespace) -> Any:
    """The settings as the rules pass them, else the name of the file that they came from."""
    text = getattr(args, "settings", None)
    return json.loads(text) if text and text.lstrip().startswith("{") else text


def stages(lock: Path) -> dict[str, dict[str, Any]]:
    """The stages of a dvc.lock.

    Raises:
        OSError, ValueError, KeyError or TypeError: if it is none.
    """
    import yaml

    try:
        content = yaml.load(lock.read_text(encoding="utf-8"), yaml.CSafeLoader)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None
    return content["stages"]


class Ancestor(NamedTuple):
    """A file that a result came from."""

    depth: int  # how many commands lie between
    path: Path
    record: dict[str, Any] | None  # of the bytes that the file has now
    again: bool  # whether it was listed before


def current_record(path: Path) -> dict[str, Any] | None:
    """The record of a file, if there is one and it is of the bytes that the file has now."""
    content = trace.read_record(path)
    return content if content and content["sha256"] == storage.sha256(path) else None


def ancestry(path: Path) -> Iterator[Ancestor]:
    """A file and all it came from."""
    seen: set[Path] = set()

    def walk(path: Path, depth: int) -> Iterator[Ancestor]:
        again = path in seen
        seen.add(path)
        content = None if again else current_record(path)
        yield Ancestor(depth, path, content, again)
        for name in (content or {}).get("inputs", ()):
            yield from walk(Path(name), depth + 1)

    return walk(path, 0)


def owner(path: Path) -> tuple[str, dict[str, Any]] | None:
    """The stage of dvc.lock that owns a file, and its entry; for files that DVC put in place."""
    try:
        entries = stages(LOCK)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    for name, stage in entries.items():
        if any(path.is_relative_to(out["path"]) for out in stage.get("outs", ())):
            return name, stage
    return None


def explain(path: Path) -> str:
    """What `minituner provenance` prints.

    Raises:
        UserError: if there is no such file.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; name a result, for example results/ablation.png")
    root = current_record(path)
    lines, expected = [], {}
    for depth, place, content, again in ancestry(path):
        indent = "  " * depth
        if again:
            lines.append(f"{indent}{place}  (above)")
            continue
        lines.append(indent + _origin(place, content, expected.get(place)))
        if content:
            expected |= {Path(name): digest for name, digest in content["inputs"].items()}
            differing = [name for name in SHOWN if root and content.get(name) != root[name]]
            lines += [f"{indent}  with another {name}: {content.get(name)}" for name in differing]
    lines += _made_with(root) if root else _of_lock(path)
    return "\n".join(lines) + "\n"


def _origin(path: Path, content: dict[str, Any] | None, expected: str | None) -> str:
    """One line on a file: its hash, and the command and arguments it came from."""
    if not path.is_file():
        return f"{path}  missing now"
    actual = storage.sha256(path)
    text = f"{path}  {actual[:12]}"
    if expected and expected != actual:
        text += f"  CHANGED since (was {expected[:12]})"
    if content:
        arguments = {k: v for k, v in content["arguments"].items() if isinstance(v, str | int)}
        places = ("out", "irregular", "control") if content["command"] == "subsets" else ("out",)
        chosen = [f"--{k} {v}" for k, v in arguments.items() if k not in places]
        return f"{text}  by minituner {' '.join([content['command'], *chosen])}"
    entry = owner(path)
    if entry:
        return f"{text}  no record; DVC's stage {entry[0]} made it: {entry[1]['cmd']}"
    return f"{text}  given"


def _made_with(root: dict[str, Any]) -> list[str]:
    """The environment and the settings that a record tells of."""
    lines = [""]
    for name in SHOWN:
        value = root[name]
        if isinstance(value, dict):
            value = ", ".join(f"{k} {v}" for k, v in value.items())
        lines.append(f"{name}: {value}")
    return [*lines, f"settings: {json.dumps(root['settings'])}"]


def _of_lock(path: Path) -> list[str]:
    """The dependencies and settings that dvc.lock tells of."""
    entry = owner(path)
    stage = entry[1] if entry else {}
    lines = [f"  {dep['path']}  md5 {dep.get('md5', '')[:12]}" for dep in stage.get("deps", ())]
    if stage.get("params"):
        lines.append(f"  settings: {json.dumps(stage['params'])}")
    return lines
