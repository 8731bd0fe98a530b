"""Which source files a subcommand runs, read from the code itself.

Snakemake and DVC must rerun a stage when its code changes and leave the others alone. Both take a
list of files; this module derives it from the imports, so that no list can be forgotten:
a test holds it against what Python really loads and against dvc.yaml.
"""

import ast
import functools
import re
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
SUBCOMMANDS = ("commands.stages", "commands.extras")  # whose functions run a subcommand each
LAZY = ("workflow.cli", *SUBCOMMANDS)


def of(*commands: str) -> list[str]:
    """The files that some subcommands run, relative to the project, sorted.

    These are the command line itself with what it imports at its top, and every module that the
    subcommands' own functions import, with all that those import wherever it stands. What is
    imported inside other subcommands' functions is left out.

    Raises:
        KeyError: if there is no such subcommand.
    """
    found = _closure(["__init__", "__main__"])
    for command in commands:
        found |= _closure(_stage_modules()[command])
    return sorted(f"{PACKAGE.name}/{_file(m).relative_to(PACKAGE).as_posix()}" for m in found)


def _closure(modules: Iterable[str]) -> set[str]:
    """The modules and all they import, transitively, with the `__init__` of each folder."""
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting += _imports_of(module)
            waiting += [module.rpartition(".")[0]] if "." in module else []
    return found


@functools.cache
def _imports_of(module: str) -> frozenset[str]:
    nodes: Iterable[ast.AST] = ast.walk(_tree(module))
    if module in LAZY:
        # Their functions import one stage each; those are followed by `_stage_modules`.
        inside = {
            node
            for function in ast.walk(_tree(module))
            if isinstance(function, ast.FunctionDef)
            for node in ast.walk(function)
        }
        nodes = (node for node in nodes if node not in inside)
    return frozenset(_imported(nodes))


@functools.cache
def _stage_modules() -> dict[str, set[str]]:
    """Subcommand → the module of its function, and the modules that this imports."""
    return {
        node.name.removeprefix("_"): {module, *_imported(ast.walk(node))}
        for module in SUBCOMMANDS
        for node in _tree(module).body
        if isinstance(node, ast.FunctionDef)
    }


def _imported(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """The package's modules that import statements name, in any of Python's ways to write one."""
    for node in nodes:
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] != PACKAGE.name:
                continue
            # `from package.module import name` names the module, or a module called name.
            for end in (len(parts), len(parts) - 1):
                module = ".".join(parts[1:end])
                if module and _file(module).is_file():
                    yield module
                    break


@functools.cache
def _tree(module: str) -> ast.Module:
    return ast.parse(_file(module).read_text(encoding="utf-8"))


@functools.cache
def _file(module: str) -> Path:
    """The file of a module or, for a folder, its `__init__`."""
    path = PACKAGE.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def update(dvc_yaml: Path) -> None:
    """Write the source files of each stage of dvc.yaml anew, leaving all else as it is.

    A stage's rules are those that its command names behind `--allowed-rules`; a rule that runs no
    subcommand of its own name (`trained`, `train_full`) adds nothing or what `train` does.
    """
    stages = re.split(r"(?m)^(?=  \w+:$)", dvc_yaml.read_text(encoding="utf-8"))
    for i, stage in enumerate(stages):
        allowed = re.search(r"--allowed-rules ([\w ]+?) --", stage)
        if allowed:
            rules = {"train" if name == "train_full" else name for name in allowed[1].split()}
            listed = ", ".join(of(*sorted(rules & _stage_modules().keys()))) + ","
            lines = textwrap.wrap(listed, 94, break_long_words=False)
            text = "".join(f"      {line}\n" for line in lines)
            stages[i] = re.sub(r"(?m)(^      minituner/.*\n)+", text, stage, count=1)
    # Standard library only, since the Snakefile imports this module: files.atomic is out of reach.
    new = dvc_yaml.with_name(f".{dvc_yaml.name}.tmp")
    new.write_text("".join(stages), encoding="utf-8")
    new.replace(dvc_yaml)


if __name__ == "__main__":
    update(PACKAGE.parent / "dvc.yaml")
