"""What thousands of runs would take on N nodes: a simulation of Snakemake in front of a cluster.

Snakemake submits one job after another and has at most so many in the queue; a job waits for a
slot, holds it for its start and its work, and is noticed at the next look at the queue. All figures
that go in are measured: the benchmarks of `snakemake all`, and those of `benchmarks/cluster`.
"""

import dataclasses
import heapq
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from minituner.foundation.errors import UserError

RUNS, CORES = 10_000, 16  # runs; slots a node
QUEUE, POLL = 100, 5.0  # as in profiles/slurm
NODES, GROUPS = (1, 4, 16, 64, 256), (1, 10, 100)
RESOURCES = ("mem_mb", "runtime")
MEMORY, TIME = 1.5, 10  # what is asked for at the first try, as a multiple of the most measured


@dataclasses.dataclass(frozen=True)
class Costs:
    """Seconds."""

    work: float  # one run's own: tuning and scoring
    job: float  # a job's start in its slot, whatever it holds
    member: float  # what each of its runs adds to that
    submit: float  # of Snakemake for one submission
    poll: float  # between two looks at the queue; 0: noticed at once

    def slot(self, size: int) -> float:
        """How long a job of `size` runs holds its slot."""
        return self.job + size * (self.member + self.work)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a simulation found."""

    makespan: float  # seconds from the first submission to the last notice
    jobs: int
    held: float  # slot-seconds that jobs held
    efficiency: float  # work's share of what the slots could have done by then


def simulate(runs: int, group: int, slots: int, queue: int, costs: Costs) -> Outcome:
    """Send `runs` independent runs, `group` a job, through `slots`, at most `queue` jobs at once.

    Raises:
        ValueError: if a number is below 1.
    """
    if min(runs, group, slots, queue) < 1:
        raise ValueError("runs, group, slots and queue are at least 1")
    sizes = [group] * (runs // group) + [runs % group] * (runs % group > 0)
    free = [0.0] * min(slots, len(sizes))  # a heap: when each slot is free again
    noticed: list[float] = []  # a heap: when each job in the queue will be noticed to have ended
    now = last = 0.0
    for size in sizes:
        if len(noticed) == queue:
            now = max(now, heapq.heappop(noticed))
        now += costs.submit
        end = max(now, heapq.heappop(free)) + costs.slot(size)
        heapq.heappush(free, end)
        seen = math.ceil(end / costs.poll) * costs.poll if costs.poll else end
        heapq.heappush(noticed, seen)
        last = max(last, seen)
    held = sum(map(costs.slot, sizes))
    return Outcome(last, len(sizes), held, runs * costs.work / (slots * last))


def measured(folder: Path) -> dict[str, list[dict[str, float]]]:
    """Rule → the core-seconds and peak MB of each of its jobs, from Snakemake's benchmark files.

    Raises:
        UserError: if there are none, or one is not such a file.
    """
    jobs: dict[str, list[dict[str, float]]] = {}
    for path in sorted(folder.rglob("*.tsv")):
        lines = path.read_text(encoding="utf-8").splitlines()
        try:
            row = dict(zip(lines[0].split("\t"), lines[-1].split("\t"), strict=True))
            values = {"cpu_time": float(row["cpu_time"]), "max_rss": float(row["max_rss"])}
        except (IndexError, KeyError, ValueError):
            raise UserError(
                f"{path}: no benchmark of Snakemake's; delete it and run snakemake --forceall all"
            ) from None
        inner = path.relative_to(folder).parts[:-1]
        jobs.setdefault(inner[0] if inner else path.stem, []).append(values)
    for rule in ("train", "evaluate"):
        if rule not in jobs:
            raise UserError(f"{folder}: no benchmark of {rule}; run snakemake --forceall all first")
    return jobs


def needed(jobs: Sequence[dict[str, float]], own_mb: float) -> tuple[int, int]:
    """MB and minutes to ask for, in steps of 500 MB and 5 minutes.

    A job on a cluster runs inside two Snakemakes, of `own_mb` each.
    """
    memory = MEMORY * max(job["max_rss"] for job in jobs) + 2 * own_mb
    minutes = TIME * max(job["cpu_time"] for job in jobs) / 60
    return math.ceil(memory / 500) * 500, max(math.ceil(minutes / 5), 1) * 5


def declared(folder: Path) -> dict[str, tuple[int, int]]:
    """Rule that runs a command → the MB and minutes that it asks for at the first try.

    What a rule does not say stands in `profiles/default/config.yaml` beside the folder of rules.
    """
    profile = folder.parent / "profiles" / "default" / "config.yaml"
    defaults = yaml.safe_load(profile.read_text(encoding="utf-8"))["default-resources"]
    asked = {}
    for path in sorted(folder.rglob("*.smk")):
        text = path.read_text(encoding="utf-8")
        for name, body in re.findall(r"(?ms)^rule (\w+):(.*?)(?=^rule |\Z)", text):
            if re.search(r"(?m)^    shell:", body):
                asked[name] = tuple(_asked(body, key, defaults[key]) for key in RESOURCES)
    return asked


def _asked(rule: str, key: str, default: str) -> int:
    """What a rule asks for at the first try; each retry asks for as much again."""
    said = re.search(rf"{key}=grown\((\d+)\)", rule) or re.fullmatch(r"attempt \* (\d+)", default)
    return int(said[1])


def costs_of(executor: dict[str, float], work: float) -> Costs:
    """What the simulation takes, from what was measured with empty jobs.

    A run is two jobs of Snakemake's, `train` and `evaluate`. A job that is no group is taken for a
    group of one.
    """
    member = executor.get("member_s", executor["slot_s"])
    start = max(executor["slot_s"] - member, 0.0)
    return Costs(work, start, 2 * member, executor["submit_s"], POLL)


def page(benchmarks: Path, overhead: dict[str, Any], rules: Path) -> str:
    """The page.

    Args:
        benchmarks: folder of Snakemake's benchmark files.
        overhead: what `benchmarks/cluster` measured.
        rules: folder of the rules, for what they ask for.
    """
    return as_markdown(measured(benchmarks), overhead, declared(rules))


def as_markdown(
    jobs: dict[str, list[dict[str, float]]],
    added: dict[str, Any],
    asked: dict[str, tuple[int, int]],
) -> str:
    """The page: what jobs need, what executors add, and what a sweep would take."""
    mean = {rule: sum(job["cpu_time"] for job in each) / len(each) for rule, each in jobs.items()}
    work = mean["train"] + mean["evaluate"]
    lines = [
        "# A sweep at scale",
        "",
        "Written by `snakemake scale` from measurements on the machine that ran it, at a load of "
        f"{added['load']:.1f} while overheads were measured. Before: `snakemake all`, `make "
        "slurm`; root, and Debian's Slurm.",
        "",
        "## What a job needs",
        "",
        f"A rule asks for {MEMORY} × the largest peak and the memory of the two Snakemakes around "
        f"a job on a cluster, {added['snakemake_mb']:.0f} MB each, in steps of 500 MB; and for "
        f"{TIME} × the longest time, in steps of 5 minutes. What a rule does not say stands in "
        "`profiles/default`. Each retry asks for as much again (`grown` in `rules/common.smk`). "
        "Times are core-seconds, which other work does not stretch. `threads` are the `shards` of "
        "`params.yaml`, 1 for a run: a sweep is parallel by itself.",
        "",
        "| rule | jobs | longest, core-s | peak, MB | mem_mb: needed | asked for "
        "| runtime, min: needed | asked for |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for rule, each in sorted(jobs.items()):
        if rule in asked:
            need, ask = needed(each, added["snakemake_mb"]), asked[rule]
            lines.append(
                f"| {rule} | {len(each)} | {max(job['cpu_time'] for job in each):.1f} "
                f"| {max(job['max_rss'] for job in each):.0f} "
                f"| {need[0]} | {ask[0]} | {need[1]} | {ask[1]} |"
            )
    lines += [
        "",
        "## What running it adds",
        "",
        "Empty jobs, in seconds. *One after another*: what one job more adds to the whole; with an "
        "executor this includes its looks at the queue, here every second. *In its slot*: how long "
        "Slurm says that the job held it. *Member*: the same for each job of a group of five. "
        "*Submission*: from one `sbatch` of Snakemake's to the next, with all slots shut.",
        "",
        "| executor | one after another | in its slot | member | submission |",
        "|---|--:|--:|--:|--:|",
    ]
    for name in ("local", "cluster-generic", "slurm"):
        cells = [added[name].get(f"{key}_s") for key in ("latency", "slot", "member", "submit")]
        shown = ["" if cell is None else f"{cell:.2f}" for cell in cells]
        lines.append(f"| {name} | " + " | ".join(shown) + " |")
    costs = costs_of(added["slurm"], work)
    lines += [
        "",
        f"## {RUNS:,} runs",
        "",
        f"A run is one `train` and one `evaluate`: {work:.1f} core-seconds, the mean of those "
        f"measured. Simulated by `benchmarks/throughput.py` for nodes of {CORES} slots, with twice "
        f"as many jobs in the queue as there are slots (`--jobs`) and a look at it every {POLL:g} "
        "s. Slurm's own lists, a slow shared disk and the time in which Snakemake plans are "
        f"not in it. The work alone is {RUNS * work / 3600:.1f} core-hours; the limit is that over "
        "the slots.",
        "",
        "| nodes | runs a job | jobs | hours | node-hours | work's share | limit, hours |",
        "|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for nodes in NODES:
        for group in GROUPS:
            outcome = simulate(RUNS, group, nodes * CORES, 2 * nodes * CORES, costs)
            hours = outcome.makespan / 3600
            lines.append(
                f"| {nodes} | {group} | {outcome.jobs:,} | {hours:.2f} | {nodes * hours:.1f} "
                f"| {outcome.efficiency:.0%} | {RUNS * work / 3600 / nodes / CORES:.2f} |"
            )
    few = simulate(RUNS, 10, NODES[-1] * CORES, QUEUE, costs)
    lines += [
        "",
        f"`--jobs` must grow with the nodes: with the profile's {QUEUE}, {NODES[-1]} nodes would "
        f"take {few.makespan / 3600:.2f} hours at 10 runs a job.",
    ]
    return "\n".join(lines) + "\n"
