"""Subcommands beside the stages of `all`: further studies, measurements, pages and proofs.

They are kept out of cli.py so that a change here makes no result of `all` stale.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

from minituner.workflow import settings


def add(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the subcommands; `command` adds one, see `cli.build_parser`."""
    fill = command("fill", _fill, "write those figures into README and docs/", "values")
    fill.add_argument("--check", action="store_true", help="only say what is out of date")
    step = command("step", _step, "measure one step at any shape", "out")
    step.add_argument("--shape", required=True, help="a preset or n_layer=…,d_model=…")
    step.add_argument("--method", choices=("lora", "qlora"), required=True)
    scaling = command("scaling", _scaling, "draw what the steps measured", "out", "page")
    scaling.add_argument("--steps", type=Path, nargs="+", required=True, metavar="PATH")
    study = command(
        "study", _study, "tune and score every variant of the studies with one seed",
        "base", "nf4", "irregular", "control", "out",
    )  # fmt: skip
    study.add_argument("--seed", type=int, required=True)
    studies = command("studies", _studies, "write what the studies found", "out", "page")
    studies.add_argument("--runs", type=Path, nargs="+", required=True, metavar="PATH")
    text = "write a run's results between the markers of a page"
    command("showcase", _showcase, text, "results", "page")
    command(
        "throughput", _throughput, "work out what a sweep at scale takes",
        "benchmarks", "overhead", "rules", "out",
    )  # fmt: skip
    command("environment", _environment, "write down packages, CPU and numerics mode", "out")
    command(
        "reproduce", _reproduce, "hold a rebuilt project against the recorded one",
        "recorded", "made",
    )  # fmt: skip
    origin = command("provenance", _provenance, "show what a result came from")
    origin.add_argument("file", type=Path, metavar="FILE")


def _fill(args: argparse.Namespace) -> None:
    from minituner.reporting import fill as pages

    pages.fill(args.values, Path(), args.check)


def _step(args: argparse.Namespace) -> None:
    from minituner.budget import peak

    peak.take_step(args.shape, args.method, args.out)


def _scaling(args: argparse.Namespace) -> None:
    from minituner.reporting import scaling_figure

    scaling_figure.report(args.steps, args.out, args.page)


def _study(args: argparse.Namespace) -> None:
    from minituner.analysis import variants

    paths = (args.base, args.nf4, args.irregular, args.control)
    variants.run(settings.load(args.settings, *args.sections), *paths, args.seed, args.out)


def _studies(args: argparse.Namespace) -> None:
    from minituner.analysis import studies

    studies.report(settings.load(args.settings, *args.sections), args.runs, args.out, args.page)


def _showcase(args: argparse.Namespace) -> None:
    from minituner.reporting import showcase

    showcase.show(args.results, args.page)


def _throughput(args: argparse.Namespace) -> None:
    from benchmarks import throughput

    throughput.report(args.benchmarks, args.overhead, args.rules, args.out)


def _provenance(args: argparse.Namespace) -> None:
    from minituner.workflow import lineage

    print(lineage.explain(args.file), end="")


def _environment(args: argparse.Namespace) -> None:
    from minituner.workflow import reproduce

    reproduce.write_environment(args.out)


def _reproduce(args: argparse.Namespace) -> None:
    from minituner.workflow import reproduce

    print(reproduce.compare(args.recorded, args.made), end="")
