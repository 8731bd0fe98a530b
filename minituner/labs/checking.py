"""Running a learner's file step by step, and saying the first thing that is wrong with it.

A lab's checks are a module with `STEPS`, in order. A step's function is handed the learner's `Work`
and raises `Wrong`, with a mistake's name from `mistakes.py`, or returns. A wrong answer is told by
what it equals: `tell` holds it against the right one and then against what each typical mistake
would have given.
"""

import dataclasses
import importlib
import re
import sys
import traceback
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from minituner.foundation import checkout
from minituner.foundation.errors import UserError
from minituner.foundation.text import parse_json, read_text
from minituner.labs.mistakes import MISTAKES

FOLDER = Path("docs/labs")
THEORY = Path("docs/theory")
NAMES = ("00-lora-by-hand", "01-lora-counts", "02-lora-finetune", "03-qlora-preview")
MODULE = "learner"  # what the learner's file is called while it is checked: not `__main__`


class Wrong(Exception):
    """What is wrong: a typical mistake's name, and what else there is to say; or that alone."""

    def __init__(self, mistake: str, more: str = ""):
        super().__init__(mistake)
        self.mistake, self.more = mistake, more


@dataclasses.dataclass(frozen=True)
class Step:
    """One step of a lab.

    Attributes:
        title: as the lab's page has it behind `## Step N: `.
        theory: a chapter and the heading there: `02-parameter-count.md: One layer`.
        check: raises `Wrong` if the learner's work is wrong.
    """

    title: str
    theory: str
    check: Callable[["Work"], None]


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
            except (Exception, SystemExit) as error:
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


def is_tensor(answer: Any, shape: tuple[int, ...], what: str) -> None:
    """Refuse an answer that is no float tensor of a shape.

    Raises:
        Wrong: saying what it is.
    """
    if not isinstance(answer, torch.Tensor):
        forgot = "; is a `return` missing?" if answer is None else ""
        raise Wrong("", f"{what} is {type(answer).__name__}, not a tensor{forgot}")
    if tuple(answer.shape) != shape:
        raise Wrong("", f"{what} has the shape {tuple(answer.shape)}, not {shape}")


def same(answer: Any, right: Any, within: float = 1e-5) -> bool:
    """Whether two tensors, numbers or dicts of numbers are equal up to float rounding."""
    if isinstance(right, dict):
        keys = isinstance(answer, dict) and answer.keys() == right.keys()
        return keys and all(same(answer[key], right[key], within) for key in right)
    answer, right = (torch.as_tensor(x, dtype=torch.float64) for x in (answer, right))
    return answer.shape == right.shape and torch.allclose(answer, right, within, within)


def tell(
    answer: Any, right: Any, mistakes: dict[str, Any], what: str, within: float = 1e-5
) -> None:
    """Hold an answer against the right one, then against what typical mistakes give.

    Args:
        answer: the learner's: a tensor, a number or a dict of numbers.
        right: the same, right.
        mistakes: name → the same, wrong in that way.
        what: a name for the answer.
        within: relative and absolute tolerance.

    Raises:
        Wrong: with the mistake's name, or both values if no mistake gives the answer.
    """
    if isinstance(right, torch.Tensor):
        is_tensor(answer, tuple(right.shape), what)
        answer = answer.detach()
    elif isinstance(right, dict) and not (
        isinstance(answer, dict) and answer.keys() == right.keys()
    ):
        raise Wrong("", f"{what} is {answer!r:.80}, not a dict with the keys {', '.join(right)}")
    elif not isinstance(right, dict) and not isinstance(answer, int | float | torch.Tensor):
        raise Wrong("", f"{what} is {answer!r:.80}, not a number")
    if same(answer, right, within):
        return
    for name, wrong in mistakes.items():
        if not same(wrong, right, within) and same(answer, wrong, within):
            raise Wrong(name)
    if isinstance(right, torch.Tensor):
        worst = float((answer - right).abs().max())
        raise Wrong("", f"{what} is wrong, by {worst:.3g} where it is wrong most")
    raise Wrong("", f"{what} is {answer}; right is {right}")


def lab_name(lab: str) -> str:
    """`00` → `00-lora-by-hand`.

    Raises:
        UserError: if there is no such lab.
    """
    for name in NAMES:
        if lab in (name, name[:2], name[1:2]):
            return name
    raise UserError(f"LAB: {lab!r:.40}: no such lab; choose {', '.join(n[:2] for n in NAMES)}")


def steps_of(lab: str) -> tuple[Step, ...]:
    """A lab's steps, in order."""
    return importlib.import_module(f"minituner.labs.lab_{lab_name(lab)[:2]}").STEPS


def check(lab: str, path: Path | None = None) -> None:
    """Check a learner's file, a line a step, until something is wrong.

    Args:
        lab: its number, `00`, or its name.
        path: of the file; None for the file with gaps itself, filled in where it lies.

    Raises:
        UserError: naming the step, what is wrong and where to read; or what else is missing.
    """
    name, steps = lab_name(lab), steps_of(lab)
    if path is None:
        checkout.need(f"{FOLDER / name}.py")
        path = checkout.ROOT / FOLDER / f"{name}.py"
    work = Work(path)
    for number, step in enumerate(steps, 1):
        try:
            step.check(work)
        except checkout.NoCheckoutError:
            raise  # no fault of the learner's
        except (Exception, SystemExit) as error:
            chapter, _, heading = step.theory.partition(": ")
            read = f"read step {number} of {FOLDER / name}.md, and {THEORY / chapter}, {heading!r}"
            problem = problem_of(error, work, f"step {number}, {step.title}", MISTAKES[name[:2]])
            raise UserError(f"{problem}; {read}") from None
        print(f"step {number}, {step.title}: right", flush=True)
    print(f"All {len(steps)} steps of lab {name[:2]} are right.")


def problem_of(error: BaseException, work: Work, step: str, mistakes: dict[str, str]) -> str:
    """What a step raised, as one line without a remedy."""
    if isinstance(error, Wrong):
        named = f"{error.mistake}: {mistakes[error.mistake]}" if error.mistake else ""
        return f"{work.path}: {step}: {' '.join(filter(None, (named, error.more)))}"
    if isinstance(error, NotImplementedError):
        return f"{work.place(error)}: this gap is still open: {error}"
    place, words = work.place(error), " ".join(str(error).split())
    return f"{place}: {type(error).__name__}: {words} (in {step})"
