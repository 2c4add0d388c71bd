"""A real browser, without a window: Debian's chromium, driven over a pair of pipes.

The protocol is that of the browser's developer tools: JSON objects, each followed by a zero byte,
the commands over descriptor 3 and the replies and events over descriptor 4."""
import base64
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

PROGRAM = "/usr/bin/chromium"
PATIENCE_S = 30 * float(os.environ.get("SLOW", 1))
OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars",
           "--disable-extensions", "--disable-background-networking", "--disable-component-update",
           "--disable-dev-shm-usage", "--mute-audio", "--remote-debugging-pipe", "about:blank")


class Failed(Exception):
    """The browser is missing, has died, or has refused a command."""


class Browser:
    """One page in one browser; a context manager, for the browser must end."""

    def __init__(self):
        if not os.access(PROGRAM, os.X_OK):
            raise Failed(f"{PROGRAM} is missing: ./deps.sh test installs Debian's chromium")
        self.profile = tempfile.mkdtemp(prefix="archbench-browser-")
        commands, self._out = os.pipe()
        self._in, replies = os.pipe()
        # The shell puts the pipes' ends where the browser looks for them; bash, as Debian's sh refuses
        # descriptors from 10 on. `commands` was opened
        # first, so `replies` is never 3, and the first redirection cannot overwrite it.
        self.process = subprocess.Popen(
            ["/bin/bash", "-c", f'exec "$@" 3<&{commands} 4>&{replies}', "bash", PROGRAM,
             f"--user-data-dir={self.profile}", *OPTIONS],
            pass_fds=(commands, replies), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        os.close(commands)
        os.close(replies)
        os.set_blocking(self._in, False)
        self._buffer, self._number, self._session = b"", 0, None
        self.events = []
        try:
            self._attach()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self):
        os.close(self._out)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self._in)
        shutil.rmtree(self.profile, ignore_errors=True)

    def _attach(self):
        targets = self.send("Target.getTargets")["targetInfos"]
        page = next(t["targetId"] for t in targets if t["type"] == "page")
        self._session = self.send("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def _message(self, until):
        """The next message; Failed when none comes in time."""
        while b"\0" not in self._buffer:
            if self.process.poll() is not None:
                raise Failed(f"{PROGRAM} ended with status {self.process.returncode}")
            if time.monotonic() > until:
                raise Failed(f"{PROGRAM} did not answer within {PATIENCE_S:.0f} s")
            try:
                self._buffer += os.read(self._in, 1 << 20)
            except BlockingIOError:
                time.sleep(0.002)
        text, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(text)

    def send(self, method, **parameters):
        """Run one command of the protocol and return its result. Events that come meanwhile are
        kept in `events`."""
        self._number += 1
        command = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            command["sessionId"] = self._session
        text = memoryview(json.dumps(command).encode() + b"\0")
        while text:
            text = text[os.write(self._out, text):]
        until = time.monotonic() + PATIENCE_S
        while True:
            message = self._message(until)
            if message.get("id") == self._number:
                if "error" in message:
                    raise Failed(f"{method}: {message['error']['message']}")
                return message["result"]
            self.events.append(message)

    def _await_event(self, method):
        until = time.monotonic() + PATIENCE_S
        while not any(e.get("method") == method for e in self.events):
            self.events.append(self._message(until))

    # What a test asks of it

    def open(self, path, fragment=""):
        """Load a file and wait until all of it is there."""
        self.events = []
        # A change of the fragment alone would not load anything.
        self.send("Page.navigate", url="about:blank")
        self._await_event("Page.loadEventFired")
        self.events = []
        self.send("Page.navigate", url=pathlib.Path(path).resolve().as_uri() + fragment)
        self._await_event("Page.loadEventFired")

    def requested(self):
        """Every address that the page has asked for, but data it carries itself."""
        urls = [e["params"]["request"]["url"] for e in self.events
                if e.get("method") == "Network.requestWillBeSent"]
        return [u for u in urls if not u.startswith("data:")]

    def complaints(self):
        """What the page wrote to the console, exceptions included."""
        return [e["params"] for e in self.events if e.get("method") in (
            "Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")]

    def evaluate(self, script):
        """The value of a JavaScript expression in the page; of a promise, what it promises."""
        found = self.send("Runtime.evaluate", expression=script, returnByValue=True,
                          awaitPromise=True, userGesture=True)
        if "exceptionDetails" in found:
            raise Failed(str(found["exceptionDetails"]))
        return found["result"].get("value")

    def look(self, width, height, dark=False, media="screen", touch=False):
        """A window of this many CSS pixels, of a reader who likes it dark or light."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=touch)
        self.send("Emulation.setEmulatedMedia", media=media, features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce"}])

    def press(self, key):
        """A key, such as Tab or Enter, down and up."""
        code = {"Tab": 9, "Enter": 13}[key]
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key, code=key,
                      windowsVirtualKeyCode=code, **(text if kind == "keyDown" else {}))

    def screenshot(self, whole=False):
        """PNG of the window, or of the whole page."""
        return base64.b64decode(self.send("Page.captureScreenshot",
                                          captureBeyondViewport=whole)["data"])

    def pdf(self):
        """The page as it prints, on the paper that its style asks for."""
        self.send("Emulation.setEmulatedMedia", media="")
        return base64.b64decode(self.send("Page.printToPDF", preferCSSPageSize=True,
                                          printBackground=True, generateTaggedPDF=True)["data"])
