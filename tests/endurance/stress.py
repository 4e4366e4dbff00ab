#!/usr/bin/python3
"""Stress: h2load through real HAProxy, h1 and h2, few and many clients, streaming and not.

    stress.py [--requests 100000] [--clients 64,256,1000] [--rounds 3]

Rounds of all combinations. The servers have less room than there are clients, so requests are
held too. Exit status 0: every request got a 2xx from the server that the agent chose, no SPOE error,
ledger and queue are 0, and the agent's memory is after the last round what it was after the first.
BUILD_DIR and HAPROXY choose what is run.
"""
import argparse
import itertools
import os
import pathlib
import re
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from rig import JUDGES_MEMORY, PATIENCE, Rig  # noqa: E402

from stack import wait_for  # noqa: E402

SPEED = 400  # of the demo servers
STREAMS = 4  # on an h2 connection
GROWTH, SLACK = 0.02, 1024 * 1024  # taken for noise: of the agent's memory, and bytes
BODY = '{"model":"llama2-7b","stream":%s,"max_tokens":8,"prompt":"Tell me something new, in short."}'


class Stress:
    def __init__(self, rig):
        self.rig, self.seen, self.sent = rig, set(), 0
        self.faults = []
        for stream in ("true", "false"):
            (rig.dir / stream).write_text(BODY % stream)

    def h2load(self, http, clients, stream, requests):
        """Requests that got a 2xx, and the seconds they took."""
        streams = 1 if http == "h1" else STREAMS
        argv = ["h2load", "-n", requests, "-c", clients, "-m", streams, "-d", self.rig.dir / stream,
                "-H", "content-type: application/json", "-H", "x-demo-output-tokens: 8",
                *(["--h1"] if http == "h1" else []), f"{self.rig.url}/v1/completions"]
        began = time.monotonic()
        p = subprocess.run([str(a) for a in argv], stdin=subprocess.DEVNULL, capture_output=True,
                           text=True, timeout=900 * PATIENCE)
        m = re.search(r"status codes: (\d+) 2xx", p.stdout)
        if p.returncode or not m:
            raise RuntimeError(f"h2load: {p.stdout} {p.stderr}")
        return int(m[1]), time.monotonic() - began

    def new_lines(self, requests):
        lines = {line["id"]: line for line in self.rig.lines()}
        new = [line for i, line in lines.items() if i not in self.seen]
        if len(new) < requests:
            return None
        self.seen = set(lines)
        return new

    def burst(self, http, clients, stream, requests):
        good, seconds = self.h2load(http, clients, stream, requests)
        self.sent += requests
        lines = self.rig.until(lambda: self.new_lines(requests), "an end line of each request", 120)
        held = sum(line["wait"] not in ("0", "-") for line in lines)
        bad = [line for line in lines
               if line["err"] != "-" or line["verdict"] != "route" or line["st"] != "200"
               or not line["srv"] == line["want"] == line["by"]]
        name = f"{http} {clients:>5} clients {'streaming' if stream == 'true' else 'whole':<9}"
        print(f"  {name} {requests:>6} requests, {good} good, {len(bad)} misrouted or worse, {held} "
              f"held, {requests / seconds:.0f}/s", flush=True)
        if good != requests or bad or len(lines) != requests:
            self.faults.append(f"{name}: {good} of {requests} good, {len(lines)} end lines, "
                               f"wrong: {bad[:3]}")

    def memory_falls_to(self, most):
        """What was freed goes back within seconds; the least that was seen."""
        least = []

        def fallen():
            least.append(self.rig.memory())
            return least[-1] <= most
        try:
            wait_for(fallen, "memory", 60 * PATIENCE, step=0.5)
        except TimeoutError:
            pass
        return min(least)

    def settled_memory(self):
        """After a busy time: read until it has not fallen for some seconds."""
        least, since = self.rig.memory(), time.monotonic()
        while time.monotonic() - since < 6:
            time.sleep(0.5)
            now = self.rig.memory()
            if now < least:
                least, since = now, time.monotonic()
        return least

    def run(self, requests, clients, rounds):
        kinds = list(itertools.product(("h1", "h2"), clients, ("true", "false")))
        bursts = kinds * rounds
        after_first = None
        for i, kind in enumerate(bursts):
            # What the division leaves over goes to the first ones.
            self.burst(*kind, requests // len(bursts) + (i < requests % len(bursts)))
            if i + 1 == len(kinds):
                self.rig.until_idle()
                after_first = self.settled_memory()
        self.rig.until_idle()
        most = after_first * (1 + GROWTH) + SLACK
        last = self.memory_falls_to(most)
        state = self.rig.state()
        print(f"{self.sent} requests, ledger {state['dispatched']}, queue {state['queued']}, agent's "
              f"memory {after_first // 1024} KB after the first round, {last // 1024} KB at the end")
        if JUDGES_MEMORY and last > most:
            self.faults.append("the agent's memory grows")
        if not self.rig.agent.alive():
            self.faults.append("the agent ended")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=100000)
    parser.add_argument("--clients", default="64,256,1000")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    clients = [int(n) for n in args.clients.split(",")]
    if args.requests < max(clients) * len(clients) * 4 * args.rounds:
        parser.error("a client of every burst must have a request")

    def short_memory(conf):
        # Ended ids are known for so long: the first round has to reach what the last one does.
        conf["limits"] = {"remember_ended": "1s"}

    print(f"stress: {os.environ.get('HAPROXY', 'haproxy')}")
    room = max(1, max(clients) // 10)  # on each of five servers: half of them, h2 an eighth
    with Rig(room=room, speed=SPEED, maxconn=3 * max(clients), config=short_memory) as rig:
        stress = Stress(rig)
        stress.run(args.requests, clients, args.rounds)
        if stress.faults:
            print("\n".join(["stress: FAILED", *stress.faults]))
            raise SystemExit(1)
    print("stress: good")


if __name__ == "__main__":
    main()
