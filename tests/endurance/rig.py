"""What the endurance tests share: a stack that tells every SPOE error, memory figures, load.

The HAProxy configuration is the shipped one with a few lines added: answers tell the SPOE error and
the time of the agent in headers, end lines go to a ring of HAProxy as well, from which a test can
read all of them.
"""
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from lab import PATIENCE, Lab  # noqa: E402
from stack import CONF, Process, wait_for  # noqa: E402

BUILD = pathlib.Path(os.environ.get("BUILD_DIR", "build/release")).resolve()
TOOLS = pathlib.Path(os.environ.get("DEMO_DIR", BUILD)).resolve()
# Sanitizers and valgrind keep memory of their own: its bounds hold for what is shipped.
JUDGES_MEMORY = BUILD.name == "release" and not os.environ.get("SLO_WRAP")

TELL = """
    http-after-response set-header x-test-error %[var(txn.slo.error)] if { var(txn.slo.error) -m found }
    http-after-response set-header x-test-ptime %[var(txn.slo.ptime)] if { var(txn.slo.ptime) -m found }
    http-after-response set-var(txn.test_by) res.hdr(x-demo-server) if { res.hdr(x-demo-server) -m found }
    log ring@test_lines format raw local0
"""
RING = """
ring test_lines
    format raw
    maxlen 1024
    size 8388608

frontend llm from slo"""
MORE_KEYS = (' want=%[var(txn.slo.server)] verdict=%[var(txn.slo.verdict)] '
             'wait=%[var(txn.slo.wait_ms)] by=%[var(txn.test_by)]"')


def replaced(text, old, new):
    if text.count(old) != 1:
        raise ValueError(f"haproxy.cfg has {text.count(old)} times {old!r}")
    return text.replace(old, new)


def telling(text):
    """The shipped haproxy.cfg, and it tells what went wrong."""
    text = replaced(text, "\nfrontend llm from slo", RING)
    mark = "    http-after-response del-header x-slo- -m beg\n"
    text = replaced(text, mark, mark + TELL)
    mark = "enc=%[var(txn.slo_enc)]"
    return replaced(text, mark + '"', mark + MORE_KEYS)


class Rig(Lab):
    def write_config(self, change=None, profiles=None):
        def both(conf):
            conf["decisions"] = {"keep": 1000}  # full soon: a ring that fills up is no leak
            if change:
                change(conf)
        super().write_config(both, profiles)

    def proxy_argv(self):
        path = self.dir / "haproxy.cfg"
        path.write_text(telling((CONF / self.conf_name).read_text()))
        return [path if a == CONF / self.conf_name else a for a in super().proxy_argv()]

    def env(self):
        return {**super().env(), "SLO_SPOE_CFG": str(CONF / "spoe-slo.cfg")}

    def lines(self):
        """The end lines of all requests so far, as dictionaries (of this worker, up to 8 MB)."""
        text = self.runtime("show events test_lines")
        return [dict(pair.split("=", 1) for pair in line.split()[1:])
                for line in text.splitlines() if line.startswith("slo1 ")]

    def until(self, condition, what, seconds=30):
        def true():
            with contextlib.suppress(OSError):
                return condition()
            return False
        return wait_for(true, what, seconds * PATIENCE, step=0.05)

    def until_idle(self, seconds=60):
        """The ledger, the queue and the servers are empty."""
        self.until(self.idle, "an empty ledger and queue", seconds)

    def memory(self):
        return memory_of(self.agent.child.pid)


def memory_of(pid):
    """Resident bytes of a process."""
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            return int(line.split()[1]) * 1024
    raise ValueError("no Rss")


class Load:
    """The load generator. Its totals are read by a thread as they come."""

    def __init__(self, rig, report=0.2, **options):
        argv = [TOOLS / "endurance/load", "--port", rig.port, "--report", report]
        for name, value in options.items():
            argv += ["--" + name.replace("_", "-"), value]
        self.error_file = rig.dir / "load.log"
        with open(self.error_file, "ab") as errors:
            self.child = subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL,
                                          stdout=subprocess.PIPE, stderr=errors)
        self.totals = {}
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.child.stdout:
            self.totals = json.loads(line)

    def running(self):
        return self.child.poll() is None

    def end(self, seconds=120):
        """No more arrivals; waits for the answers that are due. The totals."""
        if self.running():
            self.child.terminate()
        return self.wait(seconds)

    def wait(self, seconds):
        try:
            self.child.wait(seconds)
        finally:
            if self.running():
                self.child.kill()
                self.child.wait()
        self.reader.join(10)
        if self.child.returncode or not self.totals.get("final"):
            raise RuntimeError(f"load: exit status {self.child.returncode}: {self.errors()}")
        return self.totals

    def errors(self):
        return self.error_file.read_text(errors="replace")[-4000:]


def lost(totals):
    return sum(totals["lost"].values())


def left(totals):
    return sum(totals["left_waiting"]) + sum(totals["left_streaming"])


__all__ = ["JUDGES_MEMORY", "PATIENCE", "Load", "Process", "Rig", "left", "lost", "memory_of"]
