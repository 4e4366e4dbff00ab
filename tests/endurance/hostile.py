#!/usr/bin/python3
"""Hostile peers: each kind for some time, then all at once, while requests go through HAProxy.

    hostile.py [--seconds 60] [--rate 200]

  silent  fills every port with connections that say nothing
  slow    sends good beginnings, a byte a second
  deaf    asks and asks, and never reads an answer
  flood   opens connections as fast as it can
  noise   sends random bytes to all ports, TCP and UDP

Exit status 0: every request got a 200 from the server that the agent chose, no SPOE error, and
ledger and queue are 0 afterwards. BUILD_DIR and HAPROXY choose what is run.
"""
import argparse
import collections
import contextlib
import itertools
import pathlib
import random
import resource
import select
import socket
import subprocess
import sys
import time
import weakref

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from rig import PATIENCE, Load, Rig, lost  # noqa: E402

from spop import hello, notify  # noqa: E402

KINDS = ("silent", "slow", "deaf", "flood", "noise")
SILENT, FLOOD_OPEN = 400, 2000  # connections to each port, in all


def connect(port):
    """A connection that does not wait, or None."""
    s = socket.socket()
    s.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        try:
            s.connect(("127.0.0.1", port))
        except BlockingIOError:
            raise
        except OSError:
            s.close()
            return None
    return s


class Peers:
    """So many connections to each port; those that the agent closes are opened anew."""

    def __init__(self, ports, each):
        self.ports, self.each = ports, each
        self.open = {port: [] for port in ports}

    def refill(self):
        for port, peers in self.open.items():
            alive = []
            for s in peers:
                try:
                    gone = s.recv(65536, socket.MSG_PEEK) == b""
                except BlockingIOError:
                    gone = False
                except OSError:
                    gone = True
                if gone:
                    s.close()
                else:
                    alive.append(s)
            alive += filter(None, (connect(port) for _ in range(self.each - len(alive))))
            self.open[port] = alive

    def all(self):
        return [(port, s) for port, peers in self.open.items() for s in peers]


def silent(ports):
    peers = Peers(ports, SILENT)
    while True:
        peers.refill()
        yield 0.1


def slow(ports):
    whole = dict(zip(ports, (hello(), b"slo1 id=7F000001:1 be=b srv=s st=200 ts=----\n",
                             b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")))
    peers = Peers(ports, 50)
    for i in itertools.count():
        peers.refill()
        for port, s in peers.all():
            with contextlib.suppress(OSError):
                at = i % len(whole[port])
                s.send(whole[port][at:at + 1])
        yield 1.0


def deaf(ports):
    """What it asks the agent to route is of a model that nobody knows: no load is due to it."""
    ask = notify(1, 1, {"id": "deaf", "path": "/v1/completions", "model": "none"}) * 50
    get = b"GET /state.json HTTP/1.1\r\nHost: x\r\n\r\n" * 5
    spop, _, http = ports
    peers = Peers([spop, http], 8)
    greeted = weakref.WeakSet()
    while True:
        peers.refill()
        for port, s in peers.all():
            data = get if port == http else ask if s in greeted else hello()
            with contextlib.suppress(OSError):
                s.send(data)
                greeted.add(s)
        yield 0.005


def flood(ports):
    kept = collections.deque()
    while True:
        for port in ports:
            for _ in range(50):
                s = connect(port)
                if s:
                    kept.append(s)
        while len(kept) > FLOOD_OPEN:
            kept.popleft().close()
        yield 0


def noise(ports):
    rng = random.Random(4)
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    peers = Peers(ports, 5)
    while True:
        peers.refill()
        for _, s in peers.all():
            with contextlib.suppress(OSError):
                s.send(rng.randbytes(rng.randrange(1, 3000)))
        for _ in range(10):
            with contextlib.suppress(OSError):
                udp.sendto(rng.randbytes(rng.randrange(0, 2000)), ("127.0.0.1", ports[1]))
        yield 0.005


def attack(kind, ports, seconds):
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    end = time.monotonic() + seconds
    for pause in globals()[kind](ports):
        if time.monotonic() >= end:
            break
        select.select([], [], [], min(pause, max(0, end - time.monotonic())))


def ports_of(rig):
    return [rig.spop, rig.events, rig.http]


def phase(rig, kinds, seconds, rate):
    load = Load(rig, rate=rate, seconds=seconds)
    peers = [subprocess.Popen([sys.executable, __file__, "--attack", kind, "--seconds",
                               str(seconds), "--ports", *map(str, ports_of(rig))],
                              stdin=subprocess.DEVNULL) for kind in kinds]
    try:
        totals = load.wait(seconds + 200 * PATIENCE)
    finally:
        for peer in peers:
            peer.terminate()
        for peer in peers:
            peer.wait(10)
    name = "all at once" if len(kinds) > 1 else kinds[0]
    print(f"{name:<12} {totals['good']} of {totals['sent']} good, {totals['lost']}, SPOE errors "
          f"{totals['spoe_errors']}, mean {1000 * totals['took_mean']:.1f} ms, longest "
          f"{1000 * totals['took_max']:.0f} ms, in the agent {totals['ptime_max_ms']} ms",
          flush=True)
    if lost(totals) or totals["spoe_errors"] or totals["good"] != totals["sent"]:
        return [f"{name}: {load.errors()}"]
    return []


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60, help="of each kind, and of all")
    parser.add_argument("--rate", type=int, default=200)
    parser.add_argument("--attack", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--ports", type=int, nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.attack:
        attack(args.attack, args.ports, args.seconds)
        return
    faults = []
    with Rig(room=60, speed=200, maxconn=1000) as rig:
        for kinds in [(kind,) for kind in KINDS] + [KINDS]:
            faults += phase(rig, kinds, args.seconds, args.rate)
            rig.until_idle()
        if not rig.agent.alive():
            faults.append("the agent ended")
        print(f"ledger {rig.dispatched()}, queue {rig.queued()}")
        if faults:
            print("\n".join(["FAULTS", *faults]))
            raise SystemExit(1)


if __name__ == "__main__":
    main()
