"""A page in headless Chromium, driven over two pipes, without a driver."""

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
SECONDS = 60  # Far more than a page takes, but an end.


def find_chromium():
    """Returns the path of a Chromium that is installed, or `None`."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Page:
    """A page that was opened; messages go as JSON that ends in a zero byte."""

    def __init__(self, to_chromium, from_chromium):
        self._to, self._from = to_chromium, from_chromium
        self._rest, self._number, self._session = b"", 0, None
        self.events = []
        target = self.call("Target.createTarget", url="about:blank")
        self._session = self.call(
            "Target.attachToTarget", targetId=target["targetId"], flatten=True
        )["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def open(self, address, *, width, is_dark=False):
        """Opens a file, or an address, in a window; waits until it is there."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = "dark" if is_dark else "light"
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=features)
        self.events.clear()
        if "://" not in str(address):
            address = Path(address).absolute().as_uri()
        self.call("Page.navigate", url=address)
        self._read(lambda m: m.get("method") == "Page.loadEventFired")

    def evaluate(self, expression):
        """Returns the value of an expression in the page."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True
        )
        return answer["result"]["value"]

    def wait_for(self, expression):
        """Waits until an expression is true in the page."""
        end = time.monotonic() + SECONDS
        while not self.evaluate(f"Boolean({expression})"):
            assert time.monotonic() < end, f"Never true: {expression}"
            time.sleep(0.1)

    def choose_file(self, selector, path):
        """Gives a file to an input, as a person would."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        found = self.call("DOM.querySelector", nodeId=root, selector=selector)
        self.call(
            "DOM.setFileInputFiles", files=[str(path)], nodeId=found["nodeId"]
        )

    def take_screenshot(self, path):
        """Writes all of the page, from top to end, as a PNG."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        shot = self.call(
            "Page.captureScreenshot",
            captureBeyondViewport=True,
            clip={**size, "scale": 1},
        )
        Path(path).write_bytes(base64.b64decode(shot["data"]))

    def print_pdf(self, path):
        """Writes the page as it is printed."""
        printed = self.call("Page.printToPDF", printBackground=True)
        Path(path).write_bytes(base64.b64decode(printed["data"]))

    @property
    def requests(self):
        """The addresses that were asked for since the page was opened."""
        return [
            event["params"]["request"]["url"]
            for event in self.events
            if event.get("method") == "Network.requestWillBeSent"
        ]

    @property
    def complaints(self):
        """What the console says that is wrong."""
        return [
            event["params"]
            for event in self.events
            if event.get("method") == "Runtime.exceptionThrown"
            or event.get("method") == "Runtime.consoleAPICalled"
            or event.get("method") == "Log.entryAdded"
        ]

    def call(self, method, **params):
        """Calls a method of the protocol and returns its result."""
        self._number += 1
        number = self._number
        message = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        answer = self._read(lambda m: m.get("id") == number)
        assert "error" not in answer, answer
        return answer["result"]

    def _read(self, is_wanted):
        """Keeps messages until one is what is waited for."""
        end = time.monotonic() + SECONDS
        while True:
            while b"\0" in self._rest:
                text, self._rest = self._rest.split(b"\0", 1)
                message = json.loads(text)
                self.events.append(message)
                if is_wanted(message):
                    return message
            left = max(0.0, end - time.monotonic())
            ready, _, _ = select.select([self._from], [], [], left)
            assert ready, f"Chromium says nothing for {SECONDS} s."
            piece = os.read(self._from, 2**20)
            assert piece, "Chromium has ended."
            self._rest += piece


@contextlib.contextmanager
def open_page(folder) -> Iterator[Page]:
    """Starts Chromium with a profile in a folder, and ends it."""
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    # Chromium reads from descriptor 3 and writes to 4; the shell puts them
    # there, and is replaced.
    script = f'exec "$0" "$@" 3<&{theirs_in} 4>&{theirs_out}'
    process = subprocess.Popen(
        [
            *("bash", "-c", script, find_chromium()),
            *("--headless", "--no-sandbox", "--disable-gpu"),
            *("--disable-dev-shm-usage", "--remote-debugging-pipe"),
            *("--no-first-run", "--disable-background-networking"),
            f"--user-data-dir={folder}",
        ],
        pass_fds=(theirs_in, theirs_out),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        yield Page(ours_out, ours_in)
    finally:
        os.close(ours_out)
        os.close(ours_in)
        process.terminate()
        process.wait(SECONDS)
