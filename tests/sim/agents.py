#!/usr/bin/python3
"""What do several agents over one fleet cost, against one? Runs slo-sim and writes AGENTS.md.

    agents.py --build DIR [--out DIR] [--seeds N] [--first SEED] [--quick]

--build is where slo-sim and slo-sim-profile were built (build/release).
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys

HEAD = """# Several agents over one fleet

Written by `make experiment`; do not edit. What follows from it is in [ANALYSIS.md](ANALYSIS.md). The
published setting (1 A10 + 4 L20) with `slo-sim --agents`: every request goes to one agent, drawn at
random; what one agent dispatches and what ends the others hear a message later. Seeds {first} to {last},
{seconds} s each, profiles of each seed, prefill-first. In each cell: SLO met, the highest P99 of the seeds in
s/token, and how many placements *overshoot*: HAProxy's server had no room for them any more, as another
agent had taken it unseen. *bursts*: 3x30/150 at load 0.8. *Spared*: who places leaves as much room of that
server to each other agent until that one has heard of it.
"""
SETTINGS = (("load 0.9", ("-l", "0.9")), ("load 1", ()), ("load 1.5", ("-l", "1.5")),
            ("bursts", ("-l", "0.8", "--burst", "3x30/150")))
WAYS = (("apart: they tell each other nothing", ("--apart",)),
        ("all look at new room at once", ("--turn", "0", "--greedy")),
        ("in turns, nothing spared", ("--greedy",)),
        ("in turns, as the daemon", ()),
        ("the most urgent first", ("--turn", "0", "--greedy", "--yield", "3")))
AGENTS = (1, 2, 4, 16)


class Lab:
    def __init__(self, build, seeds, seconds):
        self.binaries, self.work = build / "tests/sim", build / "experiment" / "agents"
        self.seeds, self.seconds = seeds, seconds
        self.pool = concurrent.futures.ThreadPoolExecutor(os.cpu_count())

    def command(self, name, *args):
        argv = [str(self.binaries / name), *map(str, args)]
        p = subprocess.run(argv, capture_output=True, text=True)
        if p.returncode != 0:
            raise SystemExit(f"{' '.join(argv)}: {p.stderr}")
        return p.stdout

    def measure(self, *options):
        list(self.pool.map(lambda seed: self.command(
            "slo-sim-profile", "--seed", seed, "--created", 1, "--headroom", "1,0.9", "--output",
            self.work / str(seed), *options), self.seeds))

    def start(self, *options, headroom=0.9):
        """A future of the runs, one of each seed."""
        def one(seed):
            return json.loads(self.command(
                "slo-sim", "-p", self.work / str(seed), "--headroom", headroom, "-S", "slo", "-s", seed,
                "-t", self.seconds, "--warm-up", min(60, self.seconds // 3), "--json", "-", *options))[0]
        return [self.pool.submit(one, seed) for seed in self.seeds]


def cell(futures):
    runs = [f.result() for f in futures]
    offered = sum(r["all"]["offered"] for r in runs)
    met = 100 * sum(r["all"]["met"] for r in runs) / offered
    over = 100 * sum(r["overshoots"] for r in runs) / max(1, sum(r["routed"] for r in runs))
    return f"{met:.2f} %, {max(r['all']['tpat']['p99'] for r in runs):.3f}, {over:.1f} %"


def table(head, rows):
    """rows: a name and futures for each column; all are started before the first is waited for."""
    text = "| | " + " | ".join(head) + " |\n|---|" + "---|" * len(head) + "\n"
    for name, columns in [(n, list(c)) for n, c in rows]:
        text += f"| {name} | " + " | ".join(cell(c) for c in columns) + " |\n"
    return text


def ways(lab, headroom):
    rows = []
    for setting, options in SETTINGS:
        for way, more in WAYS:
            rows.append((f"{setting}, {way}", [lab.start(*options, *more, "--agents", n, headroom=headroom)
                                               for n in AGENTS]))
    return table([f"{n} agents" if n > 1 else "one agent" for n in AGENTS], rows)


def delays(lab):
    rows = []
    for setting, options in SETTINGS[1:3]:
        for n in (2, 4):
            rows.append((f"{setting}, {n} agents", [lab.start(*options, "--agents", n, "--delay", ms)
                                                    for ms in (1, 5, 20, 100)]))
    return table(["1 ms", "5 ms", "20 ms", "100 ms"], rows)


def crowds(lab):
    rows = []
    for load in (0.3, 0.7):
        for n in (2, 4, 16):
            for way, more in WAYS[2:4]:
                rows.append((f"load {load}, {n} agents, {way}",
                             [lab.start("-l", load, "--burst", "500x0.02/20", *more, "--agents", n,
                                        "--delay", ms) for ms in (1, 5, 20)]))
    return table(["1 ms", "5 ms", "20 ms"], rows)


def skews(lab):
    rows = []
    for setting, options in SETTINGS[1:]:
        for way, more in WAYS[3:]:
            rows.append((f"{setting}, {way}", [lab.start(*options, *more, "--agents", 2, "--skew", share)
                                               for share in (0.5, 0.75, 0.9)]))
    return table(["50 %", "75 %", "90 %"], rows)


def many(lab):
    fleet = ("-f", "l20=62", "-w", "sharegpt-pub:1000")
    return table(["one agent", "4 agents", "16 agents"],
                 [(way, [lab.start(*fleet, *more, "--agents", n, headroom=1) for n in (1, 4, 16)])
                  for way, more in WAYS[1:4]])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True, type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=301)
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    seeds = range(args.first, args.first + (1 if args.quick else args.seeds))
    lab = Lab(args.build, seeds, 90 if args.quick else 600)
    lab.measure(*(("--inputs", "256,512,4096,8192", "--outputs", "8,32,64,256") if args.quick else ()))
    text = HEAD.format(first=seeds[0], last=seeds[-1], seconds=lab.seconds)
    for headroom in (0.9, 1):
        text += f"\n## Headroom {headroom:g}, a message takes 1 ms\n\n" + ways(lab, headroom)
    text += "\n## Slower messages\n\nIn turns 3 ms apart, as the daemon, headroom 0.9.\n\n" + delays(lab)
    text += ("\n## Crowds\n\nOf every 20 s the requests of a third (load 0.3) come within 20 ms: rates are 500 "
             "times as high then. Headroom 0.9; how long a message takes.\n\n" + crowds(lab))
    text += ("\n## One agent gets more\n\nTwo agents, 1 ms, headroom 0.9; the share of the requests that "
             "the first one gets.\n\n" + skews(lab))
    lab.seconds = 30 if args.quick else 120
    lab.seeds = seeds[:1]
    text += (f"\n## 1,000 requests a second\n\n62 L20, full, ShareGPT as published, {lab.seconds} s, one seed, "
             "headroom 1.\n\n" + many(lab))
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "AGENTS.md").write_text(text)
    print(args.out / "AGENTS.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
