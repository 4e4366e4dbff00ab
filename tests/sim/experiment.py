#!/usr/bin/python3
"""Does it keep the SLO, and against what? Runs all simulations behind RESULTS.md and writes it.

    experiment.py --build DIR [--out DIR] [--quick]

--build is where slo-sim and slo-sim-profile were built (build/release); work files go below it.
--out gets RESULTS.md and the plots. --quick is a small one that only shows that all of it works.
"""
import argparse
import pathlib
import sys
import time

import plots
import tables
from runs import HEADROOMS, Lab, PUBLISHED

HEAD = """# Does it keep the SLO?

Written by `make experiment`; do not edit. What follows from it is in [ANALYSIS.md](ANALYSIS.md), what
is simulated in [README.md](README.md).

The published setting (AIBrix, `heterogeneous-gpu.rst`): 1 A10 + 4 L20, deepseek-coder-6.7b, ShareGPT 7/s +
long-prompt code 4/s, SLO: P99 of the latency per token (input and output) <= 0.05 s. Here: {seeds} seeds,
{seconds} s of arrivals each, the first 60 s not measured. Profiles come from `slo-sim-profile`, others for each
seed; *h* is their headroom. The daemon's defaults hold where nothing else is said: output predicted
from what ended, `queue_timeout` 30s.

SLO met % counts every request, a rejected one as a miss; a P99 is of those served. **Bold**: at least
99 % met, or P99 <= 0.05 with every seed. Engine *prefill-first* is vLLM up to 0.6, as in the published
run; *chunked* is vLLM since V1.
"""


def sections(lab, quick):
    points = (0.5, 1.0) if quick else tuple(i / 10 for i in range(5, 16))
    headrooms = (1.0, 0.9, 0.8) if quick else HEADROOMS
    long = 180 if quick else 3600
    best = (1.0, 0.9) if quick else (1.0, 0.9, 0.8, 0.7)
    yield "The published setting", "![](cdf.svg)\n", lambda: tables.published(lab)
    yield "Chat and code apart", "The same runs: SLO met of each of the two workloads, P99 in s/token.\n", \
        lambda: tables.kinds(lab)
    yield "One minute at a time", (
        "prefill-first, h 1. Published: slo is above 0.05 in 2 of 10 minutes (0.051, 0.064); without "
        "SLO routing up to 0.18. A minute's P99 is its 7th slowest request; a reject counts as slower "
        "than all.\n"), lambda: tables.minutes(lab)
    yield f"The same for {long} s", (
        "10 minutes are short: a queue that grows without end needs longer to show.\n"), \
        lambda: tables.long_run(lab, long)
    yield "Other fleets of the published run", (
        "Its autoscaler moved between these; prefill-first, h 1. Published for least-request: "
        "0.031 / 0.085 / 0.112.\n"), lambda: tables.fleets(lab)
    yield "Load", "1 is the published load.\n\n![](load.svg)\n", lambda: tables.loads(lab, points)
    yield "The largest load that keeps the SLO", (
        f"At least 99 % of all requests over {long // 2} s runs, all seeds together; found to 0.01. "
        "Without `queue_timeout` nothing is rejected, and a request may be held for minutes.\n"), \
        lambda: tables.largest(lab, long // 2, best)
    yield "leastconn with a maxconn", (
        "What HAProxy can do by itself: least-request, at most so many requests on a server, the others "
        "wait in order of arrival for up to 30 s. *maxconn-slack*: the same, but waiting in slo's order, by "
        "the latest start that keeps the SLO.\n"), lambda: tables.maxconn(lab)
    yield "Headroom of the profiles", "![](headroom.svg)\n", lambda: tables.headroom(lab, headrooms)
    yield "The sample profiles", "Those of `haproxy-conf/profiles`, made at 0.8.\n", \
        lambda: tables.samples(lab)
    yield "Other traffic", "", lambda: tables.others(lab)
    yield "A wrong profile", (
        "The profile promises more (or less) throughput than was measured.\n"), \
        lambda: tables.wrong_profile(lab)
    yield "Misestimated prompts", (
        "Prompt tokens as the gateway sees them are off by this standard deviation of the logarithm; "
        "0.07 is what the estimator reaches on text like that it was fitted on, 0.27 is bytes/4.\n"), \
        lambda: tables.wrong_tokens(lab)
    yield "A burst, and after it", (
        "8 s of 2.5 times the capacity at 62 % of it, target 5 s end to end, prefill-first, h 0.8. *In time again*: "
        "the last request that missed the target arrived so long after the burst, in the worst of the "
        "seeds; *never*: not within the 110 s that are left. *Idle*: seconds in which requests waited though "
        "a deployment had room for one of them, likewise. `late: hold` is AIBrix's rule.\n"), \
        lambda: tables.bursts(lab)
    yield "More than there is room for", (
        "The same fleets and target, 240 s at so many times the capacity.\n"), lambda: tables.overload(lab)
    yield "Defaults of the daemon", "", lambda: tables.defaults(lab)
    yield "Cold start", "", lambda: tables.cold(lab)
    yield "Where it went", "The published setting, prefill-first.\n", lambda: tables.places(lab)
    yield "The slowest hundredth", "The published setting, prefill-first.\n", \
        lambda: tables.slowest(lab)
    yield "What if", "Changes that need no other code; prefill-first.\n", \
        lambda: tables.what_if(lab)


def draw(lab, out, quick):
    points = (0.5, 1.0, 1.5) if quick else tuple(i / 10 for i in range(5, 16))
    headrooms = (1.0, 0.9, 0.8) if quick else HEADROOMS
    plots.cdf(lab, out / "cdf.svg", tables.STRATEGIES, "prefill-first", 1.0)
    plots.met_by_load(lab, out / "load.svg", list(tables.variants((1.0, 0.9))), "prefill-first",
                      points)
    heavy = {"workloads": tables.HEAVY}
    plots.met_by_headroom(lab, out / "headroom.svg", "prefill-first", headrooms, [
        ("published", "slo", False, {"workloads": PUBLISHED}),
        ("published, no queue_timeout", "slo", True, {"workloads": PUBLISHED, "queue_timeout": 0}),
        ("heavy-tailed, light", "least-request", False, heavy)])


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--build", type=pathlib.Path, required=True)
    args.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent)
    args.add_argument("--quick", action="store_true")
    args = args.parse_args()
    began = time.monotonic()
    seeds, seconds = (1, 90) if args.quick else (5, 600)
    lab = Lab(args.build / "tests/sim", args.build / "experiment", seeds, seconds)
    args.out.mkdir(parents=True, exist_ok=True)
    few = ("--inputs", "256,512,4096,8192", "--outputs", "8,32,64,256") if args.quick else ()
    lab.measure((*HEADROOMS, 0.05), *few)
    lab.measure_burst()
    text = HEAD.format(seeds=seeds, seconds=seconds)
    for title, intro, make in sections(lab, args.quick):
        print(f"  {time.monotonic() - began:5.0f} s  {title}", flush=True)
        text += f"\n## {title}\n\n{intro}"
        text += ("\n" if intro else "") + make().lstrip("\n")
    draw(lab, args.out, args.quick)
    (args.out / "RESULTS.md").write_text(text)
    print(f"  {time.monotonic() - began:5.0f} s  {args.out / 'RESULTS.md'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
