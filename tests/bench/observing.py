"""What it costs that the agent can be asked: the ring of decisions, promises by window, the comparison
with profiles and what warnings are judged by. In instructions, by callgrind, of one request and its end
line: those of a daemon without all that (SLO_UNOBSERVED, decisions.keep 0), and what each part adds.

    observing.py BUILD/release BUILD/unobserved/release"""
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/support"))

from stack import Ports, wait_for  # noqa: E402

FEW, MANY = 10000, 30000  # requests: the difference leaves the start out
KEPT = 10000
STRATEGIES = ("slo", "slo-adaptive")


class Agent:
    def __init__(self, daemon, kept, wrap=()):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="slo-observing-"))
        ports = Ports()
        self.spop, self.events = ports.take(), ports.take()
        profiles = self.dir / "profiles/llama2-7b"
        profiles.mkdir(parents=True)
        for gpu in ("a10", "l20"):
            p = json.loads((ROOT / f"haproxy-conf/profiles/llama2-7b/{gpu}.json").read_text())
            p["tputs"] = [[100 * t for t in row] for row in p["tputs"]]  # so that none waits
            (profiles / f"{gpu}.json").write_text(json.dumps(p))
        deployments = {"a10": {"servers": ["a10-1"]}, "l20": {"servers": [f"l20-{i}" for i in range(1, 5)]}}
        (self.dir / "slo-spoa.json").write_text(json.dumps({
            "spop": {"listen": [f"127.0.0.1:{self.spop}"]}, "events": {"listen": [f"127.0.0.1:{self.events}"]},
            "profiles": {"dir": "profiles"}, "routing": {"seed": 1}, "decisions": {"keep": kept},
            "models": {"llama2-7b": {"deployments": deployments}}}))
        ports.disown()
        with open(self.dir / "log", "wb") as log:
            self.child = subprocess.Popen([*wrap, daemon, "-f", self.dir / "slo-spoa.json"], stderr=log)
        wait_for(self.listens, "the agent listens", 120)

    def listens(self):
        try:
            socket.create_connection(("127.0.0.1", self.spop)).close()
            return True
        except OSError:
            if self.child.poll() is not None:
                sys.exit("the agent ended: " + (self.dir / "log").read_text(errors="replace"))
            return False

    def load(self, tool, count, strategy):
        subprocess.run([tool, "--spop", str(self.spop), "--events", f"tcp:{self.events}", "--count", str(count),
                        "--warmup", "0", "--strategy", strategy], check=True, stdout=subprocess.DEVNULL)

    def resident(self):
        status = pathlib.Path(f"/proc/{self.child.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024

    def stop(self):
        time.sleep(0.5)  # the last end lines
        self.child.send_signal(signal.SIGTERM)
        self.child.wait(120)
        log = (self.dir / "log").read_text(errors="replace")
        shutil.rmtree(self.dir)
        return log


def instructions(daemon, kept, strategy, count, tool):
    agent = Agent(daemon, kept, ["valgrind", "--tool=callgrind", f"--callgrind-out-file={os.devnull}"])
    agent.load(tool, count, strategy)
    return int(re.search(r"Collected : (\d+)", agent.stop())[1])


def per_request(daemon, kept, strategy, tool):
    few, many = (instructions(daemon, kept, strategy, n, tool) for n in (FEW, MANY))
    return (many - few) / (MANY - FEW)


def memory(daemon, kept, tool):
    agent = Agent(daemon, kept)
    agent.load(tool, 2 * KEPT, "slo")
    resident = agent.resident()
    agent.stop()
    return resident


def main():
    release, unobserved = (pathlib.Path(a) for a in sys.argv[1:3])
    tool = release / "bench/spop_load"
    print("what it costs to be asked, in instructions of a request and its end line:")
    for strategy in STRATEGIES:
        bare = per_request(unobserved / "slo-spoa", 0, strategy, tool)
        watched = per_request(release / "slo-spoa", 0, strategy, tool)
        whole = per_request(release / "slo-spoa", KEPT, strategy, tool)
        print(f"  {strategy}: {bare:.0f} without; promises, profiles and warnings {watched - bare:+.0f}, decisions "
              f"{whole - watched:+.0f}: {100 * (whole / bare - 1):+.1f} %", flush=True)
    ring = memory(release / "slo-spoa", KEPT, tool) - memory(release / "slo-spoa", 0, tool)
    print(f"  memory of {KEPT:,} kept decisions: {ring / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
