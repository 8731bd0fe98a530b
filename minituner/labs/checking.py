"""Checking a learner's file step by step, and saying the first thing that is wrong with it.

A lab's checks are a module with `STEPS`, in order. A step's function is handed the learner's `Work`
and raises `Wrong`, with a mistake's name from `mistakes.py`, or returns. A wrong answer is told by
what it equals: `tell` holds it against the right one and then against what each typical mistake
would have given, and `tell_all` does so on several inputs, on all of which the mistake must fit.
"""

import dataclasses
import importlib
import math
import numbers
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from minituner.foundation import checkout
from minituner.foundation.errors import UserError
from minituner.labs.mistakes import MISTAKES
from minituner.labs.work import OURS, Work, Wrong, problem_of, stops

FOLDER = Path("docs/labs")
THEORY = Path("docs/theory")
NAMES = ("00-lora-by-hand", "01-lora-counts", "02-lora-finetune", "03-qlora-preview")
PLURAL = re.compile(r"(the )?(?!bias)[a-z]*[a-rt-z]s\b(?!')")  # "the codes", "targets", not "loss"


@dataclasses.dataclass(frozen=True)
class Step:
    """One step of a lab.

    Attributes:
        title: as the lab's page has it behind `## Step N: `.
        theory: a chapter and the heading there, `02-parameter-count.md: One layer`; or empty.
        check: raises `Wrong` if the learner's work is wrong.
    """

    title: str
    theory: str
    check: Callable[["Work"], None]


def verb(what: str, one: str = "is", many: str = "are") -> str:
    """A name with its verb: `the code is`, `the codes are`."""
    return f"{what} {many if PLURAL.match(what) else one}"


def is_tensor(answer: Any, shape: tuple[int, ...], what: str) -> None:
    """Refuse an answer that is no tensor of a shape.

    Raises:
        Wrong: saying what it is.
    """
    if not isinstance(answer, torch.Tensor):
        forgot = "; is a `return` missing?" if answer is None else ""
        raise Wrong("", f"{verb(what)} {type(answer).__name__}, not a tensor{forgot}")
    if tuple(answer.shape) != shape:
        raise Wrong("", f"{verb(what, 'has', 'have')} the shape {tuple(answer.shape)}, not {shape}")


def is_number(answer: Any, what: str) -> None:
    """Refuse an answer that is neither a number nor a tensor of one.

    Raises:
        Wrong: saying what it is.
    """
    if isinstance(answer, torch.Tensor):
        is_tensor(answer, (), what)
    elif not isinstance(answer, numbers.Real):
        forgot = "; is a `return` missing?" if answer is None else ""
        raise Wrong("", f"{verb(what)} {answer!r:.80}, not a number{forgot}")


def same(answer: Any, right: Any, within: float = 1e-5) -> bool:
    """Whether two tensors or numbers are equal up to float rounding; a count must be exact."""
    if isinstance(right, int):
        return bool(answer == right)
    answer, right = (torch.as_tensor(x, dtype=torch.float64).detach() for x in (answer, right))
    return answer.shape == right.shape and torch.allclose(answer, right, within, within)


class Case(NamedTuple):
    """An answer and what it is held against.

    Attributes:
        answer: the learner's: a tensor or a number.
        right: the same, right.
        mistakes: name → the same, wrong in that way. A mistake that gives several wrong answers
            has one entry for each, `name: which`.
        what: a name for the answer.
    """

    answer: Any
    right: Any
    mistakes: dict[str, Any]
    what: str


def tell(
    answer: Any, right: Any, mistakes: dict[str, Any], what: str, within: float = 1e-5
) -> None:
    """Hold one answer against the right one, then against what typical mistakes give.

    Args:
        answer: see `Case`.
        right: see there.
        mistakes: see there.
        what: see there.
        within: relative and absolute tolerance.

    Raises:
        Wrong: with the mistake's name, or how far off the answer is if no mistake gives it.
    """
    tell_all([Case(answer, right, mistakes, what)], within)


def tell_all(cases: Iterable[Case], within: float = 1e-5) -> None:
    """The same for answers to several inputs: a mistake is named only if it gives all of them.

    Where a case does not list a mistake, the mistake changes nothing. An error that comes once an
    answer was wrong, as of matrices that fit only where they are square, does not hide its name.

    Raises:
        Wrong: with the mistake's name, or how far off the first wrong answer is.
    """
    seen: list[Case] = []
    try:
        for case in cases:
            if isinstance(case.right, torch.Tensor):
                is_tensor(case.answer, tuple(case.right.shape), case.what)
            else:
                is_number(case.answer, case.what)
            seen.append(case)
    except Exception:
        if all(same(case.answer, case.right, within) for case in seen):
            raise
    wrong = [case for case in seen if not same(case.answer, case.right, within)]
    if not wrong:
        return
    for name in dict.fromkeys(name for case in seen for name in case.mistakes):
        would_be = [case.mistakes.get(name, case.right) for case in seen]
        pairs = list(zip(seen, would_be, strict=True))
        differs = any(not same(value, case.right, within) for case, value in pairs)
        if differs and all(same(case.answer, value, within) for case, value in pairs):
            mistake, _, which = name.partition(": ")
            raise Wrong(mistake, f"({which})" if which else "")
    raise Wrong("", off(wrong[0]))


def off(case: Case) -> str:
    """How far an answer is from the right one."""
    if not isinstance(case.right, torch.Tensor):
        return f"{verb(case.what)} {shown(case.answer)}; right would be {shown(case.right)}"
    worst = float((case.answer.detach().double() - case.right.double()).abs().max())
    if not math.isfinite(worst):
        return f"{verb(case.what, 'holds', 'hold')} NaN or infinity"
    return f"{verb(case.what)} wrong: the largest difference is {shown(worst)}"


def shown(number: Any) -> str:
    """A number as it is printed: a whole one with all its digits, any other with six."""
    number = float(number) if isinstance(number, torch.Tensor) else number
    return f"{int(number)}" if math.isfinite(number) and number == int(number) else f"{number:.6g}"


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
        except OURS:
            raise
        except (Exception, SystemExit) as error:
            if stops(error):
                raise
            chapter, _, heading = step.theory.partition(": ")
            read = f"read step {number} of {FOLDER / name}.md"
            read += f", and {THEORY / chapter}, {heading!r}" if heading else ""
            problem = problem_of(error, work, f"step {number}, {step.title}", MISTAKES[name[:2]])
            raise UserError(f"{problem}; {read}") from None
        print(f"step {number}, {step.title}: right", flush=True)
    print(f"All {len(steps)} steps of lab {name[:2]} are right.")
