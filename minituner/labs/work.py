"""A learner's file, run once, and what an error that comes of it says."""

import contextlib
import re
import signal
import sys
import traceback
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from minituner.foundation import checkout
from minituner.foundation.errors import UserError
from minituner.foundation.text import parse_json, read_text

MODULE = "learner"  # what the learner's file is called while it is checked: not `__main__`


class Wrong(Exception):
    """What is wrong: a typical mistake's name, and what else there is to say; or that alone."""

    def __init__(self, mistake: str, more: str = ""):
        super().__init__(mistake)
        self.mistake, self.more = mistake, more


class ProjectError(UserError):
    """A file of the project's own cannot be read, whatever the learner wrote."""


OURS = (checkout.NoCheckoutError, ProjectError)  # errors that are no fault of the learner's


def stops(error: BaseException) -> bool:
    """Whether somebody ended the check by SIGTERM, which the command line makes an exit of."""
    return isinstance(error, SystemExit) and error.code == 128 + signal.SIGTERM


@contextlib.contextmanager
def of_the_project(remedy: str) -> Iterator[None]:
    """Tell an error in a file that is read meanwhile as the project's own.

    Args:
        remedy: what to do, a clause.

    Raises:
        ProjectError: in place of any other error that a file causes.
    """
    try:
        yield
    except OURS:
        raise
    except (UserError, OSError) as error:
        own = "this is a file of the project's and no fault of your code"
        raise ProjectError(f"{error}; {own}; {remedy}") from None


class Work:
    """A learner's file, run once; its names are attributes.

    Args:
        path: a Python file or a notebook.

    Raises:
        UserError: if it is neither, or does not run; with the learner's own line.
    """

    def __init__(self, path: Path):
        self.path, self._chunks = path, set()
        self._module = types.ModuleType(MODULE)
        sys.modules[MODULE] = self._module  # where dataclasses look for their names
        for name, source in self._sources():
            self._chunks.add(name)
            try:
                exec(compile(source, name, "exec"), self._module.__dict__)
            except SyntaxError as error:
                raise UserError(f"{name}: line {error.lineno}: {error.msg}; mend it") from None
            except OURS:
                raise
            except (Exception, SystemExit) as error:
                if stops(error):
                    raise
                raise UserError(f"{problem_of(error, self, 'its cells', {})}; mend it") from None

    def _sources(self) -> Iterator[tuple[str, str]]:
        """Name and code of the file or, of a notebook, of each cell."""
        text = read_text(self.path, "name the file that you wrote")
        if self.path.suffix != ".ipynb":
            yield str(self.path), text
            return
        try:
            cells = parse_json(text)["cells"]
            codes = [cell["source"] for cell in cells if cell["cell_type"] == "code"]
        except (ValueError, KeyError, TypeError):
            raise UserError(f"{self.path}: not a notebook; name a .py or an .ipynb file") from None
        for number, code in enumerate(codes, 1):
            # Lines for the notebook alone, such as %matplotlib inline, are no Python.
            source = re.sub(r"(?m)^( *)[%!].*$", r"\1pass", "".join(code))
            yield f"{self.path}: code cell {number}", source

    def __getattr__(self, name: str) -> Any:
        """What the learner's file calls `name`."""
        try:
            return getattr(self._module, name)
        except AttributeError:
            raise Wrong("", f"there is no `{name}`; keep the names of the file with gaps") from None

    def place(self, error: BaseException) -> str:
        """The last line of the learner's own that an error came through, with the file's name."""
        frames = traceback.extract_tb(error.__traceback__)
        lines = [f"{f.filename}: line {f.lineno}" for f in frames if f.filename in self._chunks]
        return lines[-1] if lines else f"{self.path}: what your code gave cannot be used"


def problem_of(error: BaseException, work: Work, step: str, mistakes: dict[str, str]) -> str:
    """What a step raised, as one line without a remedy."""
    if isinstance(error, Wrong):
        named = f"{error.mistake}: {mistakes[error.mistake]}" if error.mistake else ""
        return f"{work.path}: {step}: {' '.join(filter(None, (named, error.more)))}"
    if isinstance(error, NotImplementedError):
        return f"{work.place(error)}: this gap is still open: {error}"
    place, words = work.place(error), " ".join(str(error).split())
    return f"{place}: {type(error).__name__}: {words} (in {step})"
