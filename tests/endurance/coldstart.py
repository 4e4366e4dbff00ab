#!/usr/bin/python3
"""Cold starts: the agent is started again and again, and right after HAProxy's check has seen it
comes a burst of requests.

    coldstart.py [--times 100] [--requests 5000]

Exit status 0: all requests got a 200 from the server that the agent chose, no SPOE error, and the
agent never took as long as `timeout processing`. Before each start the old agent is killed, every
fourth time it is told to stop. BUILD_DIR and HAPROXY choose what is run.
"""
import argparse
import pathlib
import re
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from rig import Rig  # noqa: E402

PROCESSING_MS = 35000
CLIENTS = 64
BODY = ('{"model":"llama2-7b","max_tokens":8,"prompt":"Tell me something that I do not know yet, '
        'and make it short."}')


class ColdStart:
    def __init__(self, rig, requests):
        self.rig, self.requests = rig, requests
        self.body = rig.dir / "body.json"
        self.body.write_text(BODY)
        self.seen = set()
        self.ptimes = []

    def seen_by_haproxy(self):
        return any(r["pxname"] == "spoa" and r["svname"] == "agent" and r["status"] == "UP"
                   for r in self.rig.stat())

    def end_agent(self, i):
        if i % 4 == 3:
            self.rig.stop_agent()
        else:
            self.rig.agent.stop(signal.SIGKILL)
        self.rig.until(lambda: not self.seen_by_haproxy(), "HAProxy sees that the agent is gone")

    def burst(self):
        argv = ["h2load", "--h1", "-n", self.requests, "-c", CLIENTS, "-d", self.body,
                "-H", "content-type: application/json", "-H", "x-demo-output-tokens: 8",
                f"{self.rig.url}/v1/completions"]
        p = subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=600)
        m = re.search(r"requests: .* (\d+) succeeded, (\d+) failed", p.stdout)
        if p.returncode or not m or (int(m[1]), int(m[2])) != (self.requests, 0):
            raise AssertionError(f"h2load: {p.stdout} {p.stderr}")

    def new_lines(self):
        """The end lines of this burst."""
        lines = {line["id"]: line for line in self.rig.lines()}
        new = [line for i, line in lines.items() if i not in self.seen]
        self.seen_now = set(lines)
        return new if len(new) >= self.requests else None

    def judge(self):
        lines = self.rig.until(self.new_lines, "an end line of each request")
        self.seen = self.seen_now
        bad = [line for line in lines
               if line["err"] != "-" or line["verdict"] != "route" or line["st"] != "200"
               or line["srv"] != line["want"]]
        if bad or len(lines) != self.requests:
            raise AssertionError(f"{len(bad)} of {len(lines)} went wrong: {bad[:3]}")
        self.ptimes.append(max(int(line["ptime"]) for line in lines))
        if self.ptimes[-1] >= PROCESSING_MS:
            raise AssertionError(f"the agent took {self.ptimes[-1]} ms")
        self.rig.until_idle()

    def run(self, times):
        for i in range(times):
            self.end_agent(i)
            self.rig.start_agent(wait=False)
            self.rig.until(self.seen_by_haproxy, "HAProxy sees the agent")
            self.burst()
            self.judge()
            print(f"cold start {i + 1}: {self.requests} good, the agent took at most "
                  f"{self.ptimes[-1]} ms", flush=True)
        print(f"{times} cold starts, {times * self.requests} requests, no SPOE error, longest in "
              f"the agent {max(self.ptimes)} ms")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--requests", type=int, default=5000)
    args = parser.parse_args()
    with Rig(room=200, speed=200, maxconn=1000) as rig:
        ColdStart(rig, args.requests).run(args.times)


if __name__ == "__main__":
    main()
