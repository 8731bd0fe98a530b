"""End within seconds on SIGTERM and Ctrl-C: jobs remove their temporary files and keep checkpoints.

Left to itself Snakemake lets running jobs finish on SIGTERM, and on a SIGINT that it alone was sent.
"""

import signal

import psutil


def stop(number, frame):
    """Pass the wish to end on to the jobs, then end as on Ctrl-C, which lifts the lock as well."""
    for child in psutil.Process().children(recursive=True):
        try:
            child.send_signal(signal.SIGTERM)
        except psutil.NoSuchProcess:
            pass
    raise KeyboardInterrupt


# Snakemake sets its own handler just before it calls this.
onstart:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
