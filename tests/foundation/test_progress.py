"""Bars on a terminal, silence elsewhere."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

CODE = """
import sys, time
from minituner.foundation import progress
progress.DELAY = 0
for i in progress.bar(range(3), "training", "steps"):
    time.sleep(0.15)
    progress.say(f"line {i}")
print("tqdm" in sys.modules)
"""


def read(terminal):
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # how Linux says that the other side is closed
        return b""


def test_a_pipe_gets_the_lines_alone_and_tqdm_is_not_loaded():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("line 0\nline 1\nline 2\nFalse\n", "")


def test_a_terminal_gets_rate_and_time_left_on_stderr_and_the_lines_whole_on_stdout():
    terminal, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    done = subprocess.Popen(
        [sys.executable, "-c", CODE], stdout=subprocess.PIPE, stderr=side, text=True
    )
    os.close(side)
    shown = b""
    while piece := read(terminal):
        shown += piece
    os.close(terminal)
    out, _ = done.communicate(timeout=60)
    shown = shown.decode()
    assert out == "line 0\nline 1\nline 2\nTrue\n"
    assert "training" in shown and "steps/s" in shown and "<00:00" in shown
