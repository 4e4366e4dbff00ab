#!/usr/bin/python3
"""Soak: load through real HAProxy at about half of the machine's rate, for an hour or as told.

    soak.py [--seconds 3600] [--rate N] [--share 0.5] [--minute 60] [--out FILE]

1 % of the clients leave before their answer's end (while held, waiting or streaming, by FIN or
RST), the agent gets a SIGHUP with newer profiles every minute, HAProxy reloads every five. A
line a minute, a summary at the end, all of it in FILE too. Exit status 0: every request that did
not leave got a whole 200 from the server that the agent chose, no SPOE error, ledger and queue 0,
and, over ten minutes and more, no growth of the agent's memory.

--minute compresses the clock of all this. BUILD_DIR and HAPROXY choose what is run.
"""
import argparse
import os
import pathlib
import signal
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from rig import JUDGES_MEMORY, Load, Rig, left, lost  # noqa: E402

ROOM = 40  # requests that a server holds: bursts have to wait
SPEED = 200  # of the demo servers
MAXCONN = 3000
ABORTS = 0.01
RATE_CLIENTS, RATE_SECONDS = 64, 8.0
LONG = 600  # seconds from which memory is judged
GROWTH, SLACK = 0.02, 512 * 1024  # what is taken for noise: of the figure, and bytes
KB = 1024


class Report:
    def __init__(self, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.file = open(path, "w")

    def say(self, text=""):
        print(text, flush=True)
        print(text, file=self.file, flush=True)


class Memory:
    """Samples of the agent's resident memory."""

    def __init__(self, rig):
        self.rig, self.samples = rig, []
        self.began = time.monotonic()

    def sample(self):
        self.samples.append((time.monotonic() - self.began, self.rig.memory()))
        return self.samples[-1][1]

    def between(self, first, last):
        """The samples of a part of the time, 0 to 1."""
        end = self.samples[-1][0]
        return [s for s in self.samples if first * end <= s[0] <= last * end]

    def median(self, first, last):
        return statistics.median(m for _, m in self.between(first, last))

    def slope(self):
        """Bytes an hour, least squares, after warm-up."""
        settled = self.between(0.2, 1)
        return statistics.linear_regression(*zip(*settled)).slope * 3600


class Soak:
    def __init__(self, rig, report, args):
        self.rig, self.report, self.args = rig, report, args
        self.minutes = self.hups = self.reloads = 0
        self.workers = set()
        self.stopped = False

    def find_rate(self):
        load = Load(self.rig, clients=RATE_CLIENTS, seconds=max(1.5, RATE_SECONDS * self.args.minute / 60))
        totals = load.wait(120)
        rate = totals["good"] / totals["seconds"]
        self.report.say(f"the machine's rate: {rate:.0f} requests/s, {RATE_CLIENTS} clients in a "
                        "closed loop")
        if lost(totals):
            raise RuntimeError(f"lost already: {totals} {load.errors()}")
        return max(50, round(rate * self.args.share))

    def in_force(self):
        return self.rig.agent.text().count("is in force")

    def each_minute(self, load, memory):
        self.minutes += 1
        if self.in_force() == self.hups:  # two signals at once would be one
            self.hups += 1
            self.rig.set_room(ROOM, created=1.8e9 + self.hups)
            self.rig.agent.send(signal.SIGHUP)
        if self.minutes % 5 == 3:
            self.reloads += 1
            self.rig.reload_proxy()
        self.workers.add(self.rig.worker())
        totals, state = load.totals, self.rig.state()
        self.report.say(
            f"{self.minutes:>6} {totals['sent']:>10} {totals['good']:>10} {left(totals):>7} "
            f"{lost(totals):>5} {totals['spoe_errors']:>5} {memory.sample() / KB:>9.0f} "
            f"{state['dispatched']:>7} {state['queued']:>6} {1000 * totals['took_mean']:>8.1f} "
            f"{totals['ptime_max_ms']:>7}")

    def run(self, rate):
        args, rig = self.args, self.rig
        load = Load(rig, report=min(1.0, args.minute / 10), rate=rate, burst=rate // 4,
                    aborts=ABORTS, seconds=args.seconds, max_open=MAXCONN * 9 // 10)
        memory = Memory(rig)
        self.report.say("minute       sent       good    left  lost  spoe  agent KB  ledger  queue"
                        "  mean ms  max ms")
        next_minute = time.monotonic() + args.minute
        while load.running() and rig.agent.alive() and rig.proxy.alive() and not self.stopped:
            time.sleep(min(1.0, args.minute / 10))
            if load.totals:
                memory.sample()
            if load.totals and time.monotonic() >= next_minute:
                next_minute += args.minute
                self.each_minute(load, memory)
        return load.end(), load, memory

    def judge(self, load, totals, memory):
        rig, say, faults = self.rig, self.report.say, []

        def check(good, text):
            if not good:
                faults.append(text)

        try:
            rig.until_idle(60)
            rig.until(lambda: self.in_force() >= self.hups, "the last SIGHUP is followed")
        except TimeoutError as e:
            faults.append(str(e))
        early, late = memory.median(0.2, 0.4), memory.median(0.8, 1)
        grown = late - early
        state = rig.state()
        ends = {r: int(rig.end_lines(r)) for r in ("closed", "cancelled", "duplicate", "unknown",
                                                   "malformed", "dropped")}
        say()
        say(f"time: {totals['seconds']:.0f} s, {self.hups} SIGHUPs, {self.reloads} reloads of "
            f"HAProxy, {len(self.workers)} workers seen")
        say(f"requests: {totals['sent']} sent, {totals['good']} good, {left(totals)} left early "
            f"(waiting: {totals['left_waiting'][0]} FIN, {totals['left_waiting'][1]} RST; "
            f"streaming: {totals['left_streaming'][0]} FIN, {totals['left_streaming'][1]} RST)")
        say(f"lost: {lost(totals)} {totals['lost']}, SPOE errors: {totals['spoe_errors']}, "
            f"delayed by our own limit: {totals['delayed']}")
        say(f"answers: mean {1000 * totals['took_mean']:.1f} ms, longest "
            f"{1000 * totals['took_max']:.0f} ms; longest in the agent {totals['ptime_max_ms']} ms")
        say(f"agent: ledger {state['dispatched']}, queue {state['queued']}, end lines {ends}, "
            f"leases expired {rig.counter('leases_expired_total'):.0f}")
        say(f"agent's memory: {early / KB:.0f} KB after warm-up (median of 20-40 % of the time), "
            f"{late / KB:.0f} KB at the end (80-100 %), {grown / KB:+.0f} KB, slope "
            f"{memory.slope() / KB:+.0f} KB an hour, peak "
            f"{max(m for _, m in memory.samples) / KB:.0f} KB")
        check(totals["sent"] == totals["good"] + left(totals), "requests without a good answer")
        check(lost(totals) == 0, f"{lost(totals)} requests lost: {load.errors()}")
        check(totals["spoe_errors"] == 0, "SPOE errors")
        check(left(totals) > 0, "nobody left early")
        check(self.in_force() == self.hups > 0, "a SIGHUP did not reload")
        check(len(self.workers) >= self.reloads, "HAProxy did not reload")
        # An old worker says "Proxy ... stopped", once for the frontend and once for the backend.
        check(ends["malformed"] <= 2 * self.reloads, "broken end lines")
        check(ends["dropped"] == 0, "end lines dropped")
        check(rig.counter("leases_expired_total") == 0, "leases had to expire")
        check(state["dispatched"] == state["queued"] == 0, "ledger or queue is not 0")
        check(not self.stopped, "stopped before its time")
        if JUDGES_MEMORY and self.args.seconds >= LONG:
            check(grown <= early * GROWTH + SLACK, "the agent's memory grows")
        return faults


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--rate", type=int, default=0, help="requests/s; 0: a share of what the machine can")
    parser.add_argument("--share", type=float, default=0.5, help="of that")
    parser.add_argument("--minute", type=float, default=60, help="seconds of a minute")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("build/soak.txt"))
    args = parser.parse_args()
    report = Report(args.out)

    def short_memory(conf):
        # Ended ids are remembered for half a minute of our clock.
        conf["limits"] = {"remember_ended": f"{round(500 * args.minute)}ms"}

    rig = Rig(room=ROOM, speed=SPEED, maxconn=MAXCONN, config=short_memory)
    with rig:
        soak = Soak(rig, report, args)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: setattr(soak, "stopped", True))
        rate = args.rate or soak.find_rate()
        report.say(f"soak: {args.seconds:.0f} s at {rate} requests/s, a quarter of them in bursts, "
                   f"{100 * ABORTS:.0f} % leave; {os.environ.get('HAPROXY', 'haproxy')}")
        totals, load, memory = soak.run(rate)
        faults = soak.judge(load, totals, memory)
        for fault in faults:
            report.say(f"FAULT: {fault}")
        report.say("soak: FAILED" if faults else "soak: good")
        if faults:
            raise SystemExit(1)


if __name__ == "__main__":
    main()
