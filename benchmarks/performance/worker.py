"""One side of a row in a process of its own: sets up, then times a repetition for each line read.

python -m benchmarks.performance.worker FUNCTION ARGUMENTS-AS-JSON THREADS TIMES
"""

import minituner  # noqa: F401, I001  first of all, before torch: it pins the kernels
import json
import resource
import sys
import time

import torch

from benchmarks.performance import ours, peers
from minituner import compute
from minituner.foundation import environment


def cpu_seconds() -> float:
    """Of this process and of the finished ones that it started."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def side(name: str, arguments: list, threads: int) -> ours.Work:
    """Set up one side; a peer gets no setting of ours but the number of threads."""
    ours.THREADS = threads
    whose = ours if hasattr(ours, name) else peers
    if whose is ours:
        compute.pin()
    if whose is peers or environment.unrestricted():
        torch.set_num_threads(threads)
    return getattr(whose, name)(*arguments)


def main(name: str, arguments: str, threads: str, times: str) -> None:
    """Answer each line with the wall and CPU seconds that the work takes, of so many in a row."""
    run = side(name, json.loads(arguments), int(threads))
    for _ in sys.stdin:
        started, used = time.perf_counter(), cpu_seconds()
        for _ in range(int(times)):
            run()
        passed = time.perf_counter() - started, cpu_seconds() - used
        print(*(seconds / int(times) for seconds in passed), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
