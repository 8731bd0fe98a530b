"""`minituner provenance FILE`: the way from a result back to the corpus, as the records tell it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from minituner.foundation import storage
from minituner.foundation.errors import UserError

LEDGER = Path("dvc.lock")
SHOWN = ("commit", "python", "packages", "system", "cpu", "numerics")


def record(path: Path) -> dict[str, Any] | None:
    """The record of a file, if there is one and it is of the bytes that the file has now."""
    content = storage.record(path)
    return content if content and content["sha256"] == storage.sha256(path) else None


def ancestry(path: Path) -> Iterator[tuple[int, Path, dict[str, Any] | None, bool]]:
    """A file and all it came from: depth, path, its record if any, whether it was listed before."""
    seen: set[Path] = set()

    def walk(path: Path, depth: int) -> Iterator[tuple[int, Path, dict[str, Any] | None, bool]]:
        again = path in seen
        seen.add(path)
        found = None if again else record(path)
        yield depth, path, found, again
        for name in (found or {}).get("inputs", ()):
            yield from walk(Path(name), depth + 1)

    return walk(path, 0)


def stages(ledger: Path) -> dict[str, dict[str, Any]]:
    """The stages of a dvc.lock.

    Raises:
        ValueError, KeyError or TypeError: if it is none.
    """
    try:
        content = yaml.load(ledger.read_text(encoding="utf-8"), yaml.CSafeLoader)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None
    return content["stages"]


def ledger_entry(path: Path) -> tuple[str, dict[str, Any]] | None:
    """The stage of dvc.lock that owns a file, and its entry; for files that DVC put in place."""
    try:
        found = stages(LEDGER)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    for name, stage in found.items():
        if any(path.is_relative_to(out["path"]) for out in stage.get("outs", ())):
            return name, stage
    return None


def _origin(path: Path, found: dict[str, Any] | None, expected: str | None) -> str:
    """One line on a file: its hash, and the command, commit and inputs it came from."""
    if not path.is_file():
        return f"{path}  missing now"
    actual = storage.sha256(path)
    text = f"{path}  {actual[:12]}"
    if expected and expected != actual:
        text += f"  CHANGED since (was {expected[:12]})"
    if found:
        arguments = {k: v for k, v in found["arguments"].items() if isinstance(v, str | int)}
        places = ("out", "irregular", "control") if found["command"] == "subsets" else ("out",)
        chosen = [f"--{k} {v}" for k, v in arguments.items() if k not in places]
        return f"{text}  by minituner {' '.join([found['command'], *chosen])}"
    entry = ledger_entry(path)
    if entry:
        return f"{text}  no record; DVC's stage {entry[0]} made it: {entry[1]['cmd']}"
    return f"{text}  given"


def explain(path: Path) -> str:
    """What `minituner provenance` prints.

    Raises:
        UserError: if there is no such file.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; name a result, for example results/ablation.png")
    root = record(path)
    lines, expected = [], {}
    for depth, place, found, again in ancestry(path):
        if again:
            lines.append(f"{'  ' * depth}{place}  (above)")
            continue
        line = _origin(place, found, expected.get(place))
        expected |= {Path(name): digest for name, digest in (found or {}).get("inputs", {}).items()}
        lines.append("  " * depth + line)
        other = _differences(root, found) if found and found is not root else []
        lines += [f"{'  ' * depth}  with another {name}: {value}" for name, value in other]
    if root:
        lines.append("")
        for name in SHOWN:
            value = root[name]
            if isinstance(value, dict):
                value = ", ".join(f"{k} {v}" for k, v in value.items())
            lines.append(f"{name}: {value}")
        lines.append(f"settings: {json.dumps(root['settings'])}")
    else:
        entry = ledger_entry(path)
        for dep in (entry[1] if entry else {}).get("deps", ()):
            lines.append(f"  {dep['path']}  md5 {dep.get('md5', '')[:12]}")
        if entry and entry[1].get("params"):
            lines.append(f"  settings: {json.dumps(entry[1]['params'])}")
    return "\n".join(lines) + "\n"


def _differences(root: dict[str, Any] | None, found: dict[str, Any]) -> list[tuple[str, Any]]:
    """What of the environment a file was made in differs from the first one's."""
    return [(n, found[n]) for n in SHOWN if root and found.get(n) != root[n]]
