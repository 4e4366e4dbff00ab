"""The SDKs of OpenAI, Anthropic and Vercel in one process of Node.js, which driver.mjs runs in.

    sdks = Sdks(folder)                     after get-sdks.sh has filled DIR
    call = sdks.call("openai", url, "chat", body={...})
    call.began()                            a stream's first piece is there
    call.abort()
    call.result()                           what driver.mjs says
"""
import itertools
import json
import os
import pathlib
import queue
import re
import shutil
import subprocess
import threading

HERE = pathlib.Path(__file__).resolve().parent
DIR = pathlib.Path(os.environ.get("SDKS_DIR", HERE.parents[1] / "build/clients"))
OLDEST_NODE = 18
WHY_NOT = (f"no SDKs in {DIR}, or no Node.js {OLDEST_NODE}: sh tests/clients/get-sdks.sh gets the SDKs, "
           "with npm and its registry")
PATIENCE_S = 600


def available():
    return (DIR / "done").exists() and node_version() >= OLDEST_NODE


def node_version():
    """0: there is none."""
    if not shutil.which("node"):
        return 0
    said = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False).stdout
    return int((re.match(r"v(\d+)", said) or [0, 0])[1])


class Call:
    def __init__(self, sdks, number):
        self.sdks, self.number = sdks, number
        self.started = threading.Event()
        self.answers = queue.Queue()

    def began(self):
        return self.started.wait(PATIENCE_S)

    def abort(self):
        self.sdks.write({"abort": self.number})

    def result(self):
        return self.answers.get(timeout=PATIENCE_S)


class Sdks:
    def __init__(self, folder):
        # Imports are looked up beside the script.
        script = DIR / "driver.mjs"
        new = DIR / f"driver.{os.getpid()}.mjs"
        shutil.copyfile(HERE / "driver.mjs", new)
        os.replace(new, script)
        self.log = open(pathlib.Path(folder) / "node.log", "ab")
        self.process = subprocess.Popen(["node", str(script)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.numbers, self.calls = itertools.count(), {}
        if not self.process.stdout.readline():
            raise RuntimeError("node: " + pathlib.Path(self.log.name).read_text()[-2000:])
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        for line in self.process.stdout:
            said = json.loads(line)
            call = self.calls[said["id"]]
            call.started.set()
            if "began" not in said:
                call.answers.put(said)

    def write(self, command):
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()

    def call(self, sdk, url, what, **more):
        call = Call(self, next(self.numbers))
        self.calls[call.number] = call
        self.write({"id": call.number, "sdk": sdk, "url": url, "what": what, **more})
        return call

    def stop(self):
        self.process.stdin.close()
        self.process.wait(PATIENCE_S)
        self.process.stdout.close()
        self.log.close()
