"""A headless Chromium driven over its debugging pipe (Chrome DevTools Protocol), and no more."""

import itertools
import json
import os
import shutil
import subprocess
import tempfile
import time

CHROMIUM = next(filter(shutil.which, ("chromium", "chromium-browser", "google-chrome")), None)
MISSING = "no Chromium here to open the page in (on Debian: apt-get install chromium)"
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-component-update"
    " --disable-background-networking --disable-sync --hide-scrollbars --remote-debugging-pipe"
).split()


class Browser:
    """One tab; `events` holds all that the page logged, threw and asked for since it was opened."""

    def __init__(self):
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        read, self.to = os.pipe()
        self.back, write = os.pipe()

        def as_3_and_4():  # where Chromium expects the pipe
            os.dup2(os.dup(read), 3)
            os.dup2(os.dup(write), 4)

        self.process = subprocess.Popen(
            [CHROMIUM, *FLAGS, f"--user-data-dir={self.profile.name}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=as_3_and_4,
            pass_fds=(3, 4),
        )
        os.close(read)
        os.close(write)
        self.ids, self.buffer, self.events, self.session = itertools.count(1), b"", [], None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method, **params):
        """Call a method of the protocol and return its result; events met on the way are kept."""
        number = next(self.ids)
        message = {"id": number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while (answer := self.receive()).get("id") != number:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def receive(self):
        while b"\0" not in self.buffer:
            piece = os.read(self.back, 1 << 20)
            assert piece, "Chromium ended"
            self.buffer += piece
        raw, _, self.buffer = self.buffer.partition(b"\0")
        message = json.loads(raw)
        if "method" in message:
            self.events.append((message["method"], message["params"]))
        return message

    def evaluate(self, expression):
        """The value of a JavaScript expression in the page, or what a promise comes to."""
        how = {"returnByValue": True, "awaitPromise": True}
        answer = self.call("Runtime.evaluate", expression=expression, **how)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def open(self, url, width, height=900, dark=False):
        """Open a page at a width, in CSS pixels, and wait until its images are there."""
        self.events.clear()
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=scheme)
        self.call("Page.navigate", url=url)
        self.receive_until("Page.loadEventFired")

    def receive_until(self, method, seconds=300):
        end = time.monotonic() + seconds
        while not any(name == method for name, _ in self.events):
            assert time.monotonic() < end, f"no {method}"
            self.receive()

    def press(self, key):
        """Press and release a key, and wait until the screen was drawn again."""
        code = {"Tab": 9, "Enter": 13, "End": 35, "Home": 36, "ArrowRight": 39, "ArrowDown": 40}[
            key
        ]
        for kind in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code)
        self.drawn()

    def write(self, text):
        """Write a text in place of what the focused field holds, as from a keyboard."""
        self.evaluate("document.activeElement.select()")
        self.call("Input.insertText", text=text)
        self.drawn()

    def drawn(self):
        """Wait until the screen was drawn again, and what waits for that has run."""
        frame = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
        self.evaluate(f"{frame}.then(() => 0)")

    def troubles(self, url):
        """What the page logged or threw, and what it asked for beyond itself."""
        logged = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        found = [event for name, event in self.events if name in logged]
        asked = [e["request"]["url"] for n, e in self.events if n == "Network.requestWillBeSent"]
        return found + [each[:100] for each in asked if each != url and each[:5] != "data:"]

    def screenshot(self):
        """The whole page as PNG bytes."""
        import base64

        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        return base64.b64decode(shot["data"])

    def close(self):
        """End the browser."""
        os.close(self.to)
        self.process.terminate()
        self.process.wait(timeout=30)
        os.close(self.back)
        self.profile.cleanup()
