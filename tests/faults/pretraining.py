"""Pretrains in a fresh process a line of its input, forked so that loading torch is paid once.

`python pretraining.py CORPUS SETTINGS`: for each folder read, prints the process that makes it,
then how that ended. Nothing here may use threads, which a fork would leave behind.
"""

import json
import os
import sys
from pathlib import Path

from minituner import train
from minituner.checkpoints import resume

resume.INTERVAL = 0
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        os.dup2(2, 1)
        train.pretrain(json.loads(sys.argv[2]), Path(sys.argv[1]), Path(line.strip()))
        os._exit(0)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
