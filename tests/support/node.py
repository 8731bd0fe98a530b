"""The page's script run by Node.js, outside a browser."""

import json
import shutil
import subprocess

from minituner.reporting.templates import FOLDER

NODE = shutil.which("node")
MISSING = "no Node.js here to run the page's script (on Debian: apt-get install nodejs)"
PANEL = FOLDER / "panel.js"


def run(body, **given):
    """What a function body in JavaScript returns that sees `panel`, the script, and `given`."""
    program = (
        f"const panel = require({json.dumps(str(PANEL))}), fs = require('fs');"
        "const given = JSON.parse(fs.readFileSync(0));"
        f"fs.writeSync(1, JSON.stringify((() => {{ {body} }})()));"
    )
    done = subprocess.run(
        [NODE, "-e", program],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
