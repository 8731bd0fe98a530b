"""The mutants of the sources, in an order drawn once: mutmut's operators, one change each."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import libcst
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation.mutators import mutation_operators

# Compiled loops are left out: a mutant of them would be compiled anew, and coverage sees none.
SOURCES = ("*.py", "analysis/*.py", "checkpoints/*.py", "compute/*.py", "corpus/*.py")
# What no run computes with: types, the lists of names, and what is imported.
UNUSED = (libcst.Annotation, libcst.Import, libcst.ImportFrom, libcst.Decorator)


class Mutant(NamedTuple):
    """One small fault."""

    path: str
    line: int
    text: str  # of the line in which what changes begins
    place: int  # among the mutants of lines with this text
    node: libcst.CSTNode
    changed: libcst.CSTNode
    module: libcst.Module

    @property
    def order(self) -> str:
        """Random, but of the line alone: other mutants, come or gone, change nothing."""
        return hashlib.sha256(f"0 {self.path} {self.text} {self.place}".encode()).hexdigest()

    @property
    def name(self) -> str:
        """The file, the line and the change: the same wherever in the file the line stands."""
        both = (self.module.code_for_node(node) for node in (self.node, self.changed))
        old, new = (" ".join(code.split()) for code in both)
        return f"{self.path}: {self.text}: {old} → {new} ({self.place})"

    def code(self) -> str:
        """The whole file with the fault."""
        return self.module.deep_replace(self.node, self.changed).code


class _Visitor(libcst.CSTVisitor):
    METADATA_DEPENDENCIES = (PositionProvider,)

    def __init__(self):
        self.changes: list[tuple[libcst.CSTNode, libcst.CSTNode, int]] = []

    def on_visit(self, node: libcst.CSTNode) -> bool:
        if isinstance(node, UNUSED) or self._is_prose(node) or self._is_for_people(node):
            return False
        position = self.get_metadata(PositionProvider, node, None)
        for kind, operator in mutation_operators:
            if position and isinstance(node, kind):
                line = position.start.line
                self.changes += [(node, changed, line) for changed in operator(node)]
        return True

    def _is_prose(self, node: libcst.CSTNode) -> bool:
        """Whether it is a docstring, or words to people, which tests hold to only in part."""
        if isinstance(node, libcst.Expr) and isinstance(node.value, libcst.BaseString):
            return True
        return isinstance(node, libcst.FormattedString | libcst.SimpleString) and (
            isinstance(node, libcst.FormattedString) or " " in node.value.strip("'\" ")
        )

    def _is_for_people(self, node: libcst.CSTNode) -> bool:
        """Whether it is `__all__`, or code for type checkers alone."""
        if isinstance(node, libcst.Assign):
            target = node.targets[0].target
            return isinstance(target, libcst.Name) and target.value == "__all__"
        return isinstance(node, libcst.If) and "TYPE_CHECKING" in libcst.Module([]).code_for_node(
            node.test
        )


def mutants_of(root: Path, path: str) -> Iterator[Mutant]:
    """All of one file."""
    source = (root / path).read_text(encoding="utf-8")
    wrapper = MetadataWrapper(libcst.parse_module(source))
    visitor = _Visitor()
    wrapper.visit(visitor)
    lines, places = source.splitlines(), Counter()
    for node, changed, line in visitor.changes:
        text = lines[line - 1].strip()
        places[text] += 1
        yield Mutant(path, line, text, places[text], node, changed, wrapper.module)


def all_mutants(root: Path) -> list[Mutant]:
    """Of all sources, in the order in which they are drawn."""
    paths = sorted(p for sources in SOURCES for p in (root / "minituner").glob(sources))
    found = (mutant for p in paths for mutant in mutants_of(root, str(p.relative_to(root))))
    return sorted(found, key=lambda mutant: mutant.order)
