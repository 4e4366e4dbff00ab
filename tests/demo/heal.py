#!/usr/bin/python3
"""Load against time while end lines are lost: what the agent has in flight, what HAProxy has.

    heal.py [--cut SECONDS] [--before S] [--after S] [--poll T] [--grace T] [--width N]

Real HAProxy, the agent with the shipped poll and grace, a steady load of streams; in the middle of it
both ways of the end lines are cut off. BUILD_DIR and HAPROXY name the binaries.
"""
import argparse
import asyncio
import contextlib
import pathlib
import re
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from heal_lab import HealLab, Load  # noqa: E402
from stack import wait_for  # noqa: E402

STEP = 0.5
DEADLINE = 5.0  # of one question to HAProxy
ANSWER = 1.0  # what a question takes on a busy machine, the wait for end lines included
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0}


def seconds(text):
    """Of a time as the configuration writes it."""
    number, unit = re.fullmatch(r"(\d+)(ms|s|m)", text).groups()
    return int(number) * UNITS[unit]


def healed_within(poll):
    """From the end of the last stream until the ledger is 0. While a server is busy, each request
    that ends while a question is on its way hides one that is missing, so a few may be left by
    then. A question is open and hangs; the next two find the servers idle, each up to a poll
    after the one before has ended."""
    return DEADLINE + 2 * (poll + ANSWER)


async def run(lab, args):
    load = Load(lab, args.width)
    began = time.monotonic()
    cut_at, back_at = args.before, args.before + args.cut
    end_at = back_at + args.after
    phases = [(0, "all well"), (cut_at, "no end line arrives"), (back_at, "end lines are back"),
              (end_at, "the load ends"), (end_at + 6, None)]
    load.start()
    ending = None
    print(f"{'s':>6} {'agent':>6} {'haproxy':>8} {'load':>6}")
    for k in range(int((end_at + 6) / STEP) + 1):
        await asyncio.sleep(max(0.0, began + k * STEP - time.monotonic()))
        now = k * STEP
        while phases and phases[0][0] <= now:
            if phases[0][1]:
                print(f"       -- {phases[0][1]}")
            phases.pop(0)
        lab.relay.drop = 1.0 if cut_at <= now < back_at else 0.0
        if now >= end_at and not ending:
            ending = asyncio.create_task(load.end())
        there = await asyncio.to_thread(lab.there)
        servers = await asyncio.to_thread(lab.ledger)
        print(f"{now:6.1f} {sum(s['inflight'] for s in servers.values()):6} "
              f"{sum(there.values()):8} {sum(s['load'] for s in servers.values()):6.3f}", flush=True)
    await ending
    ended, bound = time.monotonic(), healed_within(seconds(args.poll))
    with contextlib.suppress(TimeoutError):
        await asyncio.to_thread(wait_for, lab.idle, "an empty ledger", bound)
    took = time.monotonic() - ended
    bad = [a for a in load.answers if not a.good]
    print(f"{len(load.answers)} streams, {len(bad)} of them bad, {lab.relay.dropped} lines lost of "
          f"{lab.relay.lines}; repairs: expired "
          f"{lab.counter('ledger_repairs_total', cause='expired'):.0f}, surplus "
          f"{lab.counter('ledger_repairs_total', cause='surplus'):.0f}; "
          f"at the end {'exactly 0' if lab.idle() else 'NOT 0'}, "
          f"{took:.1f} s after the last stream and this table (bound: {bound:.1f} s)")
    return lab.idle() and not bad


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--cut", type=float, default=10)
    p.add_argument("--before", type=float, default=3)
    p.add_argument("--after", type=float, default=8)
    p.add_argument("--poll", default="1s")
    p.add_argument("--grace", default="3s")
    p.add_argument("--width", type=int, default=40)
    args = p.parse_args()
    with HealLab(room=100, speed=2, poll=args.poll, grace=args.grace) as lab:
        wait_for(lab.answers, "HAProxy answers", 30)
        return 0 if asyncio.run(run(lab, args)) else 1


if __name__ == "__main__":
    sys.exit(main())
