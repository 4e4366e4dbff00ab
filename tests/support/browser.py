"""A headless Chromium, spoken to over a pipe in the DevTools protocol."""
import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

from stack import DEADLINE_LEAST

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser")


def binary():
    return next(filter(None, map(shutil.which, (os.environ.get("CHROMIUM", ""), *NAMES))), None)


class Browser:
    """One page. What it logs, throws and asks for is kept in `console` and `requests`."""

    def __init__(self, width=1280, height=900):
        found = binary()
        if not found:
            raise FileNotFoundError("no Chromium: apt install chromium-headless-shell")
        self.dir = tempfile.mkdtemp(prefix="slo-browser-")
        to_browser, self.write_to = os.pipe()
        self.read_from, from_browser = os.pipe()

        def plumb():
            # It reads commands from 3 and writes answers to 4.
            read, write = os.dup(to_browser), os.dup(from_browser)
            os.dup2(read, 3)
            os.dup2(write, 4)

        self.process = subprocess.Popen(
            [found, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--no-first-run", "--disable-extensions", "--disable-background-networking",
             "--disable-component-update", "--disable-sync", "--remote-debugging-pipe", "--hide-scrollbars",
             f"--user-data-dir={self.dir}", f"--window-size={width},{height}", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            close_fds=False, preexec_fn=plumb, env={**os.environ, "TZ": "UTC"})
        os.close(to_browser)
        os.close(from_browser)
        self.numbers = itertools.count(1)
        self.buffer, self.events = b"", []
        self.console, self.requests = [], []
        self.session = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(domain + ".enable")
        self.size(width, height)

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.write_to)
        os.close(self.read_from)
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # the protocol

    def receive(self, deadline):
        while b"\0" not in self.buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.read_from], [], [], left)[0]:
                raise TimeoutError("Chromium does not answer")
            data = os.read(self.read_from, 1 << 20)
            if not data:
                raise ConnectionError("Chromium ended")
            self.buffer += data
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, **params):
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.write_to, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + DEADLINE_LEAST
        while True:
            got = self.receive(deadline)
            if got.get("id") != number:
                self.note(got)
            elif "error" in got:
                raise RuntimeError(f"{method}: {got['error']}")
            else:
                return got["result"]

    def note(self, event):
        method, params = event.get("method"), event.get("params", {})
        if method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.console.append(" ".join(str(a.get("value", a.get("description"))) for a in params["args"]))
        elif method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.console.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.console.append(params["entry"]["text"] + " " + params["entry"].get("url", ""))
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])

    # what a person does

    def size(self, width, height, mobile=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=2 if mobile else 1, mobile=mobile)

    def scheme(self, name):
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def open(self, url):
        self.call("Page.navigate", url=url)
        self.until("document.body && document.readyState === 'complete'")

    def run(self, expression):
        """The value of a JavaScript expression, awaited."""
        got = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in got:
            raise RuntimeError(got["exceptionDetails"].get("exception", {}).get("description", expression))
        return got["result"].get("value")

    def until(self, expression, what="", seconds=DEADLINE_LEAST):
        """Waits until the expression is true."""
        deadline = time.monotonic() + seconds
        while self.run(f"Boolean({expression})") is not True:
            if time.monotonic() > deadline:
                raise AssertionError(f"never came: {what or expression}\n{self.console}\n"
                                     f"{self.run('document.body?.innerText')}")
            time.sleep(0.02)

    def text(self, selector):
        return self.run(f"document.querySelector({json.dumps(selector)})?.textContent ?? null")

    def table(self, selector):
        """The texts of the cells of a table's body."""
        return self.run(f"[...document.querySelectorAll({json.dumps(selector)} + ' > tr')]"
                        ".map(r => [...r.children].map(c => c.textContent))")

    def facts(self, selector):
        return dict(self.run(f"[...document.querySelectorAll({json.dumps(selector)} + ' > div')]"
                             ".map(d => [d.firstChild.textContent, d.lastChild.textContent])"))

    def click(self, selector):
        """With the mouse, where the node is: what covers it would get the click."""
        box = self.run(f"(() => {{ const n = document.querySelector({json.dumps(selector)});"
                       "n.scrollIntoView({block: 'center'}); const b = n.getBoundingClientRect();"
                       "return [b.x + b.width / 2, b.y + b.height / 2]; })()")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    def type(self, selector, text):
        self.run(f"document.querySelector({json.dumps(selector)}).focus()")
        self.call("Input.insertText", text=text)

    def screenshot(self, path, whole=True):
        got = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        with open(path, "wb") as f:
            f.write(base64.b64decode(got["data"]))
