"""Spare Snakemake two things that take time and change nothing.

It limits how many jobs it starts a second. For that each look for jobs starts a timer for another
look a second later, also where one is on its way already: each job that ends adds a chain of looks
that never stops, and behind a hundred jobs it looks a hundred times a second, each time at every
input of every job that waits. One timer does. It also does not hold up the end of Snakemake.

It imports pandas to see whether a rule's parameter is one of its tables. Here all are text.
"""

import threading

from snakemake.persistence import PersistenceBase
from snakemake.scheduling.job_scheduler import JobScheduler


def look_again(scheduler, delay):
    """Have the scheduler look for jobs after so many seconds, unless it is about to."""

    def look():
        scheduler.timer = None
        scheduler._open_jobs.release()

    if getattr(scheduler, "timer", None) is None:
        scheduler.timer = threading.Timer(delay, look)
        scheduler.timer.daemon = True
        scheduler.timer.start()


# What another version of Snakemake does not have stays as it is there.
if hasattr(JobScheduler, "_schedule_reevalutation"):
    JobScheduler._schedule_reevalutation = look_again
if hasattr(PersistenceBase, "_serialize_param_builtin"):
    PersistenceBase._serialize_param = PersistenceBase._serialize_param_builtin
