#!/usr/bin/python3
"""Memory of the agent: idle connections, held requests, and what is left of both when they end.

    memory.py [--connections 20000] [--held 10000] [--slack KB]

The agent alone; we speak SPOP to it. As many connections are opened as descriptors allow, at most
so many. Held requests have bodies of 12 KB; first a thousand share a connection (HAProxy up to
3.0), then each has its own (later versions). Resident memory is read before, during and after.
Exit status 0: at most 2 KB an idle connection and 1 KB a held request, and all but a tenth of the
start is back afterwards. libev keeps two tables that grow with the highest descriptor: 32 bytes
each are granted to them, and the slack to noise that small numbers do not drown. BUILD_DIR chooses
what is run; bounds are judged in release builds.
"""
import argparse
import contextlib
import pathlib
import resource
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from rig import JUDGES_MEMORY, PATIENCE, memory_of  # noqa: E402

from lab import AgentAlone  # noqa: E402
from spop import hello, notify  # noqa: E402

KB = 1024
BODY = b'{"model":"llama2-7b","max_tokens":100,"prompt":"' + b"hello world " * 1000 + b'"}'
OURS = 100  # descriptors for other things, here and there
CONNECTION_MAX, HELD_MAX, LIBEV = 2048, 1024, 32
BACK = 0.1
SETTLE = 11  # seconds: the agent looks every five


class Memory:
    def __init__(self, lab, slack):
        self.lab, self.slack, self.faults, self.ids = lab, slack, [], 0

    def rss(self):
        return memory_of(self.lab.agent.child.pid)

    def connect(self, n):
        peers = []
        for i in range(n):
            peers.append(self.lab.peer(greet=False))
            peers[-1].send(hello())
            if i % 100 == 99 or i == n - 1:
                for peer in peers[i // 100 * 100:]:
                    peer.receive()
        return peers

    def hold(self, peers, each):
        """So many NOTIFYs on each connection; the first ones of all fill the servers."""
        ids = []
        for peer in peers:
            for number in range(1, each + 1):
                self.ids += 1
                ids.append(f"7F000001:A692_7F000001:B5A7_6B03B124_{self.ids:08X}:7D57")
                peer.send(notify(number, 1, {"id": ids[-1], "path": "/v1/completions",
                                             "body": BODY, "size": len(BODY)}))
        full = len(self.lab.fleet)
        self.lab.until(lambda: self.lab.queued() == len(ids) - full, "all are held", 120)
        return ids

    def back(self, bound):
        """Gives the agent time to give memory back; what is left in the end."""
        if JUDGES_MEMORY:
            with contextlib.suppress(TimeoutError):
                self.lab.until(lambda: self.rss() <= bound, "memory is back", 30)
            time.sleep(SETTLE if not self.slack else 0)
        return self.rss()

    def phase(self, what, connections, each, limit):
        lab = self.lab
        before = self.rss()
        peers = self.connect(connections)
        ids = self.hold(peers, each) if each else []
        number = len(ids) or connections
        during = self.rss()
        for peer in peers:
            peer.close()
        lab.until(lambda: lab.counter("spop_connections") == 0, "connections are closed", 60)
        lab.ends(*ids)
        lab.until(lambda: lab.idle() and lab.state()["remembered"] == 0, "all is forgotten", 120)
        bound = before * (1 + BACK) + LIBEV * connections + self.slack
        after = self.back(bound)
        cost = (during - before) / number
        print(f"{number} {what}: {before / KB:.0f} KB before, {during / KB:.0f} KB with them, "
              f"{cost:.0f} bytes each, {after / KB:.0f} KB after "
              f"({100 * (after / before - 1):+.1f} %)", flush=True)
        if during - before > limit * number + self.slack:
            self.faults.append(f"{what}: more than {limit} bytes each")
        if after > bound:
            self.faults.append(f"{what}: memory does not come back")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--connections", type=int, default=20000)
    parser.add_argument("--held", type=int, default=10000)
    parser.add_argument("--slack", type=int, default=0)
    args = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    connections = min(args.connections, most - OURS)

    def conf(c):
        c["limits"] = {"remember_ended": "1s", "spop_connections": 20000}
        c["routing"]["queue_timeout"] = "10m"
        c["decisions"] = {"keep": 0}  # a ring of fixed size, which fills up meanwhile

    with AgentAlone(room=1, config=conf) as lab:
        lab.until(lambda: lab.state()["queued"] == 0, "the agent", 30 * PATIENCE)
        memory = Memory(lab, args.slack * KB)
        print(f"{connections} connections, of {args.connections}: {most} descriptors are allowed")
        memory.phase("held requests, 1000 a connection", max(1, args.held // 1000),
                     min(1000, args.held), HELD_MAX)
        memory.phase("held requests, each with its connection", min(args.held, connections), 1,
                     HELD_MAX + CONNECTION_MAX)
        memory.phase("idle connections", connections, 0, CONNECTION_MAX)
    for fault in memory.faults:
        print(("FAULT: " if JUDGES_MEMORY else "not judged in this build: ") + fault)
    if memory.faults and JUDGES_MEMORY:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
