"""Pretrains in a fresh process a line of its input, forked so that loading torch is paid once.

`python pretraining.py CORPUS SETTINGS`: for each folder read, prints the process that makes it,
then how that ended. Nothing here may use threads, which a fork would leave behind.
"""

import json
import os
import sys

from minituner import train  # noqa: F401  what the command would import, hence each fork anew
from minituner.checkpoints import models, resume  # noqa: F401
from minituner.compute import accelerated  # noqa: F401
from minituner.foundation import parquet  # noqa: F401
from tests.support.command import call

resume.INTERVAL = 0
corpus, settings = sys.argv[1], json.loads(sys.argv[2])
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        os.dup2(2, 1)
        call("base", given=settings, corpus=corpus, out=line.strip())
        os._exit(0)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
