"""What the Snakefile spares Snakemake: it must still be what this version of it does."""

import threading
import time

from snakemake.persistence import PersistenceBase
from snakemake.scheduling.job_scheduler import JobScheduler

from tests.support.tiny_project import ROOT


class Scheduler:
    """What `look_again` needs of one."""

    def __init__(self):
        self._open_jobs = threading.Semaphore(0)

    def looks(self):
        """How often it was told to look for jobs since the last time."""
        n = 0
        while self._open_jobs.acquire(blocking=False):
            n += 1
        return n


def test_the_scheduler_has_one_timer_at_a_time_and_another_after_it(monkeypatch):
    for owner, name in (
        (JobScheduler, "_schedule_reevalutation"),
        (PersistenceBase, "_serialize_param"),
    ):
        monkeypatch.setattr(owner, name, getattr(owner, name))  # put back at the end
    before = PersistenceBase._serialize_param
    exec((ROOT / "rules/guards/thrift.smk").read_text(encoding="utf-8"), {})
    assert PersistenceBase._serialize_param is not before
    assert PersistenceBase._serialize_param(None, "text") == "'text'"
    scheduler = Scheduler()
    for _ in range(2):
        for _ in range(3):
            JobScheduler._schedule_reevalutation(scheduler, 0.2)
        assert scheduler.looks() == 0
        deadline = time.monotonic() + 20
        while scheduler.timer and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.2)
        assert scheduler.looks() == 1
