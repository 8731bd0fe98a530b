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

from minituner.foundation import checkout

PACKAGE = Path(__file__).resolve().parents[1]
CLI = "workflow.cli"  # its functions load what only people ask for, such as all commands' help
# Rules that run a subcommand of another name.
COMMAND_OF_RULE = {"train_full": "train", "qlora": "train"}


def of(*commands: str) -> list[str]:
    """The files that some subcommands run, relative to the project, sorted.

    These are the command line itself, and each subcommand's own file with all that it imports,
    wherever the import stands.

    Raises:
        KeyError: if there is no such subcommand.
    """
    reached: set[str] = set()
    for root in ["__init__", "__main__", CLI, *(f"commands.{command}" for command in commands)]:
        if not _file(root).is_file():
            raise KeyError(root.removeprefix("commands."))
        reached |= _closure(root)
    return sorted(
        f"{PACKAGE.name}/{_file(module).relative_to(PACKAGE).as_posix()}" for module in reached
    )


@functools.cache
def _closure(root: str) -> frozenset[str]:
    """A module and all it imports, transitively, with the `__init__` of each room."""
    reached: set[str] = set()
    waiting = [root]
    while waiting:
        module = waiting.pop()
        if module not in reached:
            reached.add(module)
            waiting += _imports_of(module)
            waiting += [module.rpartition(".")[0]] if "." in module else []
    return frozenset(reached)


@functools.cache
def _imports_of(module: str) -> frozenset[str]:
    tree = ast.parse(_file(module).read_text(encoding="utf-8"))
    package = module if _file(module).name == "__init__.py" else module.rpartition(".")[0]
    return frozenset(_imported(_statements(tree, module != CLI), package))


def _statements(node: ast.AST, in_functions: bool) -> Iterator[ast.AST]:
    """The statements below a node, without the expressions in them, where nothing is imported."""
    yield node
    if in_functions or not isinstance(node, ast.FunctionDef):
        for block in ("body", "orelse", "finalbody", "handlers", "cases"):
            for statement in getattr(node, block, ()):
                yield from _statements(statement, in_functions)


def _imported(nodes: Iterable[ast.AST], package: str) -> Iterator[str]:
    """The package's modules that import statements name, in any of Python's ways to write one."""
    for node in nodes:
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = [PACKAGE.name, *package.split(".")] if node.level else []
            above = above[: len(above) - node.level + 1]
            prefix = ".".join(filter(None, [*above, node.module]))
            names = [f"{prefix}.{alias.name}" for alias in node.names]
        for name in names:
            yield from _module_named(name)


def _module_named(name: str) -> Iterator[str]:
    """`package.room.module.function` and `package.room.module` → `room.module`."""
    first, *parts = name.split(".")
    if first == PACKAGE.name:
        for end in (len(parts), len(parts) - 1):
            module = ".".join(parts[:end])
            if module and _file(module).is_file():
                yield module
                return


@functools.cache
def _file(module: str) -> Path:
    """The file of a module or, for a room, its `__init__`."""
    path = PACKAGE.joinpath(*filter(None, module.split(".")))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def commands_of(dvc_stage: str) -> list[str]:
    """The subcommands that a stage of dvc.yaml runs, from the rules that its command allows.

    A rule that only gathers files, such as `trained`, runs none.
    """
    allowed = re.search(r"--allowed-rules ([\w ]+?) --", dvc_stage)
    rules = allowed[1].split() if allowed else []
    named = {COMMAND_OF_RULE.get(rule, rule) for rule in rules}
    return sorted(name for name in named if _file(f"commands.{name}").is_file())


def update(dvc_yaml: Path) -> None:
    """Write the source files of each stage of dvc.yaml anew, leaving all else as it is."""
    stages = re.split(r"(?m)^(?=  \w+:$)", dvc_yaml.read_text(encoding="utf-8"))
    for i, stage in enumerate(stages):
        commands = commands_of(stage)
        if commands:
            lines = textwrap.wrap(", ".join(of(*commands)) + ",", 94, break_long_words=False)
            text = "".join(f"      {line}\n" for line in lines)
            stages[i] = re.sub(r"(?m)(^      minituner/\S+\.py,.*\n)+", text, stage, count=1)
    # Standard library only, since the Snakefile imports this module: not storage.atomic.
    new = dvc_yaml.with_name(f".{dvc_yaml.name}.tmp")
    new.write_text("".join(stages), encoding="utf-8")
    new.replace(dvc_yaml)


if __name__ == "__main__":
    checkout.need_or_exit("dvc.yaml")
    update(checkout.ROOT / "dvc.yaml")
