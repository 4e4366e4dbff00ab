#!/usr/bin/python3
"""Can the daemon do without profiles? Runs slo-sim with learned times and writes LEARNED.md.

    learned.py --build DIR [--out DIR] [--seeds N] [--first SEED]

--build is where slo-sim and slo-profile were built (build/release). Seeds are others than those of
experiment.py, on which the learner was never tuned.
"""
import argparse
import concurrent.futures
import csv
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

from runs import MODES

HEAD = """# Learned times

Written by `make experiment`; do not edit. `slo-sim -p learned`: no profile anywhere, a promise of 0.05 s
per token. *told*: the size of the KV cache is configured; *found*: it is not. Seeds {first} to {last}, of
which some were looked at when the rules for a cache of unknown size were chosen; 600 s each, the first minute counts. Mean (lowest to highest) over the seeds.
"""
PUBLISHED = """
*measured*: strategy slo with a profile from `slo-profile`, h 1. *R500* and *R2000*: P99 of the s/token of what arrives
in the 60 s after the 500th and the 2000th end, divided by that of the run with the measured profile.
*worst minute*: SLO met in the worst minute, less that of least-request in the same minute.
"""
ERRORS = """
Median of |actual / predicted - 1| of the hundred ends that follow so many ends of that type.
"""
HARM = """
SLO met, and how it compares with least-request: in points, the worst 5 minutes of all seeds.
"""
ENGINES = """
The same with `--engines 2`: the agent reads every 2 s how many requests run and wait in each engine, and how
full its cache is, but not how large it is.
"""
FLEETS = (
    ("l20=2,a100-80=1, load 0.9", ("-f", "l20=2,a100-80=1", "-l", "0.9")),
    ("a10=4,h100=1, load 1.6", ("-f", "a10=4,h100=1", "-l", "1.6")),
    ("l20=5 only, load 1.1", ("-f", "l20=5", "-l", "1.1")),
    ("azure-conv:8", ("-w", "azure-conv:8")),
    ("azure-code:8", ("-w", "azure-code:8")),
    ("sharegpt-vllm:16", ("-w", "sharegpt-vllm:16")),
    ("bursts 3x30/150", ("--burst", "3x30/150")),
    ("A10 at half speed, 180 to 400 s", ("--slow", "a10:0.5@180-400")),
    ("one L20 at half speed, 180 to 400 s", ("--slow", "l20/2:0.5@180-400")),
    ("one L20 hangs, 180 to 200 s", ("--slow", "l20/2:0.001@180-200")),
    ("one L20 hangs, 180 to 420 s", ("--slow", "l20/2:0.001@180-420")),
    ("A10 out of use, 60 to 660 of 1,000 s", ("-t", "1000", "--slow", "a10:0@60-660")),
    ("30 % of the prompts cached", ("--cached", "0.3")),
    ("ends tell bytes only", ("--bytes",)),
    ("prompts misestimated, sd 0.5", ("--input-error", "0.5")),
    ("all is forgotten at 200 s", ("--forget", "200")),
    ("tpot 0.05, load 0.2", ("-g", "tpot=0.05", "-l", "0.2")),
    ("the same, streams, 153 bytes a token", ("-g", "tpot=0.05", "-l", "0.2", "--streams", "1:153")),
    ("the same, half streams, 153 bytes a token", ("-g", "tpot=0.05", "-l", "0.2", "--streams", "0.5:153")),
    ("the same, streams, 400 bytes a token", ("-g", "tpot=0.05", "-l", "0.2", "--streams", "1:400")),
    ("ttft 1, load 0.5", ("-g", "ttft=1", "-l", "0.5")),
    ("ttft 2, load 1", ("-g", "ttft=2")),
)
TELLING = (
    ("published", "told", ()),
    ("published", "learned", ()),
    ("published", "x2", ()),
    ("published", "x4", ()),
    ("sharegpt-vllm:16", "learned", ("-w", "sharegpt-vllm:16")),
    ("bursts 3x30/150", "learned", ("--burst", "3x30/150")),
)
STRATEGIES = ("slo", "slo-adaptive")
ENDS = (20, 50, 200, 1000)
TARGET = 0.05  # seconds per token
KNEE = 14  # as rates.c has it
CELLS = """
Throughput of a cell by what was learned in 600 s and by the measured profile (h 1), of the cells with at least 1 % of
the requests of that GPU: median of |ln ratio|, mean (lowest to highest) over the seeds.
"""
RESTART = """
The agent starts again at 200 s, under load 1. SLO met of what arrives in each minute from then on, and of the same requests
without a restart. *without*: nothing is known of the servers' times; *with*: what the snapshot keeps.
"""
PRIOR = """
A profile that was measured on GPUs as they are, is right, or is off as the row says; at h 1. *given*: it decides, cell by cell. *prior*:
learning begins with it. SLO met, and of `slo` in each of the first three minutes.
"""
OFF = (
    ("right", ()),
    ("all GPUs have half the speed, load 0.5", ("--slow", "a10:0.5@0-1e6", "--slow", "l20:0.5@0-1e6", "-l", "0.5")),
    ("all GPUs have twice the speed, load 2", ("--slow", "a10:2@0-1e6", "--slow", "l20:2@0-1e6", "-l", "2")),
    ("the A10 has half the speed", ("--slow", "a10:0.5@0-1e6")),
    ("it tells twice the throughput", ("--optimism", "2")),
    ("it tells half the throughput", ("--optimism", "0.5")),
)


class Requests:
    """Those of one run, in order of arrival."""

    def __init__(self, rows):
        self.rows = rows
        for r in rows:
            r["t"], r["met"], r["ends"] = float(r["t"]), int(r["met"]), int(r["ends"])

    def between(self, start, end):
        return Requests.of([r for r in self.rows if start <= r["t"] < end])

    @classmethod
    def of(cls, rows):
        new = cls([])
        new.rows = rows
        return new

    def met(self):
        return 100 * statistics.fmean(r["met"] for r in self.rows) if self.rows else 100.0

    def p99(self):
        values = sorted(float(r["tpat"]) for r in self.rows if r["end"] == "served")
        return values[math.ceil(0.99 * len(values)) - 1] if values else math.nan

    def moment_of(self, ends):
        """When so many had ended."""
        moments = sorted(r["t"] + float(r["e2e"]) for r in self.rows if r["end"] == "served")
        return moments[ends] if ends < len(moments) else None

    def errors(self, gpu, ends):
        values = [abs(float(r["ratio"]) - 1) for r in self.rows
                  if r["gpu"] == gpu and ends <= r["ends"] < ends + 100]
        return statistics.median(values) if len(values) > 20 else None

    def below(self, other, width, step):
        """The worst window, in points of SLO met less the other's."""
        last = max(r["t"] for r in other.rows)
        starts = range(0, max(1, int(last) - width + 1), step)
        return min(self.between(s, s + width).met() - other.between(s, s + width).met() for s in starts)


class Lab:
    def __init__(self, binaries, work, seeds):
        self.binaries, self.work, self.seeds = pathlib.Path(binaries), pathlib.Path(work), seeds
        self.pool = concurrent.futures.ThreadPoolExecutor(os.cpu_count())

    def command(self, name, *args):
        argv = [str(self.binaries / name), *map(str, args)]
        p = subprocess.run(argv, capture_output=True, text=True)
        if p.returncode != 0:
            raise SystemExit(f"{' '.join(argv)}: {p.stderr}")

    def measure(self, mode, seed):
        folder = self.work / "measured" / mode / str(seed)
        if not folder.exists():
            self.command("slo-sim-profile", "--mode", mode, "--seed", seed, "--created", 1, "--headroom", "1,0.9",
                         "--output", folder)
        return folder

    def one(self, strategy, mode, seed, kv, options):
        profiles = () if strategy == "least-request" else ("-p", "learned", "--kv", kv) if kv else (
            "-p", self.measure(mode, seed), "--headroom", "1")
        with (tempfile.NamedTemporaryFile(suffix=".csv", dir=self.work) as f,
              tempfile.NamedTemporaryFile(suffix=".json", dir=self.work) as told):
            self.command("slo-sim", "-S", strategy, "--mode", mode, "-s", seed, "--warm-up", 0, *profiles,
                         *options, "--json", told.name, "--dump", f.name)
            with open(f.name, encoding="ascii", newline="") as rows:
                run = Requests(list(csv.DictReader(rows)))
            run.types = json.loads(pathlib.Path(told.name).read_text())[0]["types"]
            return run

    def run(self, strategy, mode, kv=None, options=()):
        """A run for each seed."""
        return list(self.pool.map(lambda seed: self.one(strategy, mode, seed, kv, options), self.seeds))


def spread(values, digits):
    values = [v for v in values if v is not None and not math.isnan(v)]
    if not values:
        return "-"
    return (f"{statistics.fmean(values):.{digits}f} "
            f"({min(values):.{digits}f} to {max(values):.{digits}f})")


def published(lab):
    text = "\n## The published setting\n" + PUBLISHED
    text += ("\n| engine | cache | SLO met | measured | least-request | P99 | measured | R500 | R2000 "
             "| worst minute |\n|---|---|---|---|---|---|---|---|---|---|\n")
    errors = "\n## Errors of predictions\n" + ERRORS
    errors += "\n| engine | cache | GPU | " + " | ".join(map(str, ENDS)) + " |\n|---|---|---" + "|---" * len(ENDS) + "|\n"
    for mode in MODES:
        given, least = lab.run("slo", mode), lab.run("least-request", mode)
        for kv in ("told", "learned"):
            learned = lab.run("slo", mode, kv)
            ratios = []
            for ends in (500, 2000):
                at = [run.moment_of(ends) for run in learned]
                ratios.append(spread([a.between(t, t + 60).p99() / g.between(t, t + 60).p99()
                                      for a, g, t in zip(learned, given, at) if t is not None], 2))
            row = [mode, "found" if kv == "learned" else kv, spread([r.met() for r in learned], 2),
                   spread([r.met() for r in given], 2), spread([r.met() for r in least], 2),
                   spread([r.p99() for r in learned], 4), spread([r.p99() for r in given], 4), *ratios,
                   spread([a.below(b, 60, 60) for a, b in zip(learned, least)], 2)]
            text += "| " + " | ".join(row) + " |\n"
            for gpu in ("a10", "l20"):
                cells = []
                for ends in ENDS:
                    found = [v for v in (r.errors(gpu, ends) for r in learned) if v is not None]
                    cells.append(f"{100 * statistics.fmean(found):.1f} %" if found else "-")
                errors += f"| {mode} | {row[1]} | {gpu} | " + " | ".join(cells) + " |\n"
    return text + errors


def against(lab, mode, name, options, kvs):
    """One row: both strategies against least-request."""
    least = lab.run("least-request", mode, options=options)
    row = [name, mode, spread([r.met() for r in least], 2)]
    for strategy in STRATEGIES:
        for kv in kvs:
            learned = lab.run(strategy, mode, kv, options)
            row += [spread([r.met() for r in learned], 2),
                    f"{min(a.below(b, 300, 30) for a, b in zip(learned, least)):.2f}"]
        row += [""] * 2 * (2 - len(kvs))
    return "| " + " | ".join(row) + " |\n"


def others(lab):
    text = "\n## Other fleets, other traffic, harm\n" + HARM
    text += "\n| setting | engine | least-request |" + "".join(
        f" {s}, {kv} | worst 5 min |" for s in STRATEGIES for kv in ("told", "found"))
    text += "\n" + "|---" * (3 + 4 * len(STRATEGIES)) + "|\n"
    for name, options in FLEETS:
        for mode in MODES:
            text += against(lab, mode, name, options, ("told", "learned"))
    for factor in ("0.5", "2"):
        for mode in MODES:
            text += against(lab, mode, f"the cache is told as {factor} of its size", (), ("x" + factor,))
    return text


def engines(lab):
    """What it is worth that engines tell of requests that wait in them."""
    text = "\n## Engines that tell\n" + ENGINES
    text += ("\n| setting | cache | SLO met | with metrics | P99 | with metrics | worst 5 min | with metrics |\n"
             "|---|---|---|---|---|---|---|---|\n")
    for name, kv, options in TELLING:
        least = lab.run("least-request", MODES[0], options=options)
        alone = lab.run("slo", MODES[0], kv, options)
        told = lab.run("slo", MODES[0], kv, (*options, "--engines", "2"))
        row = [name, {"learned": "found"}.get(kv, kv)]
        row += [spread([r.met() for r in runs], 2) for runs in (alone, told)]
        row += [spread([r.p99() for r in runs], 4) for runs in (alone, told)]
        row += [spread([r.below(b, 300, 30) for r, b in zip(runs, least)], 2) for runs in (alone, told)]
        text += "| " + " | ".join(row) + " |\n"
    return text


def nearest(axis, tokens):
    return min(range(len(axis)), key=lambda i: abs(math.log(axis[i] / max(tokens, 1))))


def throughput(r, inputs, outputs):
    """Of one server, by the formula of core/latency/rates.h."""
    own = r["step"] * outputs
    others = r["prompt"] * inputs + r["cached"] * outputs * (inputs + outputs / 2)
    n = min((TARGET * (inputs + outputs) * r["headroom"] - own) / others, r["kv"] / (inputs + outputs),
            1 + KNEE * own / others)
    n = max(n, 1)
    return n / (own + n * others)


def off_by(run, folder, gpu):
    """Median of |ln(learned / measured)| over the cells of that GPU; None: it learned nothing."""
    profile = json.loads(next(folder.glob(f"h100/*/{gpu}.json")).read_text())
    outputs, inputs = profile["indexes"]
    served = [r for r in run.rows if r["gpu"] == gpu]
    cells = {}
    for r in served:
        cell = nearest(outputs, float(r["output"])), nearest(inputs, float(r["input"]))
        cells[cell] = cells.get(cell, 0) + 1
    rates = run.types[gpu]["learned"]
    ratios = [abs(math.log(throughput(rates, inputs[i], outputs[o]) / profile["tputs"][o][i]))
              for (o, i), n in cells.items() if rates and n >= 0.01 * len(served) and profile["tputs"][o][i] > 0]
    return statistics.median(ratios) if ratios else None


def cells(lab):
    text = "\n## Cells\n" + CELLS + "\n| engine | cache | traffic | A10 | L20 |\n|---|---|---|---|---|\n"
    for mode in MODES:
        for kv in ("told", "learned"):
            for name, options in (("published", ()), ("azure-conv:8", ("-w", "azure-conv:8"))):
                runs = lab.run("slo", mode, kv, options)
                row = [mode, "found" if kv == "learned" else kv, name]
                row += [spread([off_by(r, lab.measure(mode, s), gpu) for r, s in zip(runs, lab.seeds)], 2)
                        for gpu in ("a10", "l20")]
                text += "| " + " | ".join(row) + " |\n"
    return text


def minutes(runs, start):
    return [f"{statistics.fmean(r.between(start + 60 * i, start + 60 * i + 60).met() for r in runs):.2f}"
            for i in range(3)]


def restarts(lab):
    text = "\n## Restarts\n" + RESTART
    text += "\n| engine | cache | snapshot | 1st minute | 2nd | 3rd | worst run, 1st |\n|---|---|---|---|---|---|---|\n"
    for mode in MODES:
        for kv in ("told", "learned"):
            for name, options in (("no restart", ()), ("without", ("--forget", "200")), ("with", ("--restart", "200"))):
                runs = lab.run("slo", mode, kv, options)
                row = [mode, "found" if kv == "learned" else kv, name, *minutes(runs, 200),
                       f"{min(r.between(200, 260).met() for r in runs):.2f}"]
                text += "| " + " | ".join(row) + " |\n"
    return text


def priors(lab):
    text = "\n## A profile to begin with\n" + PRIOR
    text += ("\n| profile | slo, given | slo, prior | given: 1st, 2nd, 3rd minute | prior | slo-adaptive, given "
             "| slo-adaptive, prior |\n|---|---|---|---|---|---|---|\n")
    for name, options in OFF:
        runs = {(s, begins): lab.run(s, MODES[0], None, (*options, *begins))
                for s in ("slo", "slo-adaptive") for begins in ((), ("--prior",))}
        row = [name] + [spread([r.met() for r in runs["slo", begins]], 2) for begins in ((), ("--prior",))]
        row += [", ".join(minutes(runs["slo", begins], 0)) for begins in ((), ("--prior",))]
        row += [spread([r.met() for r in runs["slo-adaptive", begins]], 2) for begins in ((), ("--prior",))]
        text += "| " + " | ".join(row) + " |\n"
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True, type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=201)
    args = parser.parse_args()
    work = args.build / "experiment" / "learned"
    work.mkdir(parents=True, exist_ok=True)
    lab = Lab(args.build / "tests/sim", work, range(args.first, args.first + args.seeds))
    text = HEAD.format(first=args.first, last=args.first + args.seeds - 1) + published(lab)
    text += cells(lab) + others(lab) + restarts(lab) + priors(lab) + engines(lab)
    (args.out / "LEARNED.md").write_text(text)
    print(args.out / "LEARNED.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
