"""The tables of RESULTS.md: each function runs what it needs and returns Markdown."""
import pathlib

from runs import BURST_SLO, FLEET, MODEL, MODES, PUBLISHED, SLO, Case

ROOT = pathlib.Path(__file__).resolve().parents[2]

STRATEGIES = ("oracle", "scalar", "slo", "slo-adaptive", "slo-pack-load", "least-request", "round-robin",
              "random", "slo-least-load")
# AIBrix's variation_comparison.png, seconds per token: P50, P90, P99. Those of slo and slo-pack-load
# are printed in its legend, the others read off the curves to 0.001.
FIGURE = {"oracle": (0.006, 0.009, 0.011), "scalar": (0.005, 0.015, 0.024),
          "slo": (0.010, 0.022, 0.032), "slo-pack-load": (0.010, 0.023, 0.044),
          "least-request": (0.031, 0.085, 0.112)}
HEAVY = "sharegpt-aibrix:4@a10,bird:2@l20"
BURST = {"load": 0.6, "burst": "3x30/150"}
BURSTS = "sharegpt-pub:7@a10,azure-code:2.5@l20"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows]) + "\n"


def p99(case, bold=True):
    least, most = case.range("all", "tpat", "p99")
    text = f"{case.mean('all', 'tpat', 'p99'):.3f} ({least:.3f}-{most:.3f})"
    return f"**{text}**" if bold and most <= SLO else text


def met(case, bold=True):
    text = f"{case.met():.2f}"
    return f"**{text}**" if bold and case.keeps() else text


def rejected(case):
    return f"{case.share('rejected', 'all') + case.share('refused', 'all'):.2f}"


def busy(case):
    types = case.runs[0]["types"]
    return ", ".join(f"{gpu} {100 * case.mean('types', gpu, 'busy'):.0f}" for gpu in types)


def label(strategy, headroom):
    return f"{strategy}, h {headroom:g}" if strategy.startswith("slo") else strategy


def variants(headrooms, strategies=STRATEGIES):
    """(strategy, headroom); what needs no profile comes once, and what collapses with all of them."""
    for s in strategies:
        once = not s.startswith("slo") or s == "slo-least-load"
        for h in headrooms[:1] if once else headrooms:
            yield s, h


def published(lab):
    text = ""
    for mode in MODES:
        rows = []
        for s, h in variants((1.0, 0.9)):
            c = lab.run([s], mode, h)[s]
            figure = FIGURE.get(s) if h == 1.0 else None
            rows.append([label(s, h), f"{figure[2]:.3f}" if figure else "", p99(c),
                         f"{c.mean('all', 'tpat', 'p50'):.3f}" +
                         (f" ({figure[0]:.3f})" if figure else ""),
                         f"{c.mean('all', 'tpat', 'p90'):.3f}" +
                         (f" ({figure[1]:.3f})" if figure else ""),
                         met(c), rejected(c), f"{c.mean('all', 'goodput'):.2f}",
                         f"{c.mean('all', 'ttft', 'p99'):.1f}", f"{c.mean('all', 'e2e', 'p99'):.1f}",
                         f"{c.share('waited', 'all'):.0f}", f"{c.mean('all', 'wait', 'p99'):.1f}",
                         busy(c), f"{c.mean('cost_per_1000_met'):.3f}"])
        text += f"\n### Engine: {mode}\n\n" + table(
            ["", "P99 published", "P99 (least-most of the seeds)", "P50 (published)",
             "P90 (published)", "SLO met %", "rejected %", "goodput/s", "TTFT P99 s", "E2E P99 s",
             "waited %", "wait P99 s", "busy %", "cost/1000 met"], rows)
    return text


def kinds(lab):
    """Who pays for it: each workload of the published setting by itself."""
    chat, code = (w.split(":")[0] for w in PUBLISHED.split(","))
    rows = []
    for s, h in variants((1.0, 0.9), tuple(s for s in STRATEGIES if s != "slo-least-load")):
        cells = [label(s, h)]
        for mode in MODES:
            c = lab.run([s], mode, h)[s]
            for kind in (chat, code):
                cells += [f"{c.met('workloads', kind):.2f}", f"{c.mean('workloads', kind, 'tpat', 'p99'):.3f}",
                          f"{c.mean('workloads', kind, 'e2e', 'p99'):.1f}"]
        rows.append(cells)
    return table(["", *(f"{mode}, {name}" for mode in MODES
                        for kind in ("chat", "code") for name in (f"{kind}: met %", "P99", "E2E P99 s"))], rows)


def minutes(lab):
    """How often the P99 of a minute is above the SLO, as in AIBrix's second figure."""
    rows = []
    for s in ("slo", "slo-pack-load", "least-request"):
        groups = {}
        for r in lab.dump(s, "prefill-first", 1.0):
            tpat = float(r["tpat"]) if r["tpat"] else float("inf")
            groups.setdefault((r["seed"], int(float(r["t"]) // 60)), []).append(tpat)
        worst = [sorted(g)[-(len(g) // 100) - 1] for g in groups.values() if len(g) > 100]
        over = sum(w > SLO for w in worst)
        finite = [w for w in worst if w < float("inf")]
        rows.append([s, len(worst), over, f"{100 * over / max(1, len(worst)):.0f}",
                     f"{sorted(worst)[len(worst) // 2]:.3f}",
                     f"{max(finite):.3f}" if finite else "-"])
    return table(["", "minutes", "with P99 > 0.05", "%", "P99 of the median minute",
                  "of the worst minute"], rows)


def long_run(lab, seconds):
    rows = []
    for s, h in variants((1.0, 0.9, 0.8)):
        cells = [label(s, h)]
        for mode in MODES:
            c = lab.run([s], mode, h, seconds=seconds)[s]
            cells += [p99(c), met(c), rejected(c)]
        rows.append(cells)
    return table(["", "prefill-first: P99", "SLO met %", "rejected %", "chunked: P99", "SLO met %",
                  "rejected %"], rows)


def fleets(lab):
    """What the autoscaler of the published run had put in place at times."""
    rows = []
    for fleet, traffic in ((FLEET, PUBLISHED), ("a10=2,l20=3", PUBLISHED), ("a10=1,l20=5", PUBLISHED),
                           (FLEET, PUBLISHED.replace("bird", "bird-long"))):
        cells = [fleet, traffic.replace("@a10", "").replace("@l20", "")]
        for s in ("slo", "least-request", "random"):
            c = lab.run([s], "prefill-first", 1.0, workloads=traffic, fleet=fleet)[s]
            cells.append(" / ".join(f"{c.mean('all', 'tpat', p):.3f}"
                                    for p in ("p50", "p90", "p99")) + f" / {met(c)}")
        rows.append(cells)
    return table(["P50 / P90 / P99 / SLO met %", "workloads", "slo", "least-request", "random"], rows)


def loads(lab, points):
    text = ""
    for mode in MODES:
        rows = []
        for s, h in variants((1.0, 0.9, 0.8)):
            cells = [label(s, h)]
            for load in points:
                c = lab.run([s], mode, h, load=load)[s]
                cells.append(f"{met(c)} / {c.mean('all', 'tpat', 'p99'):.3f}")
            rows.append(cells)
        text += f"\n### Engine: {mode}\n\n" + table(["SLO met % / P99 at load"] +
                                                    [f"{p:g}" for p in points], rows)
    return text


def largest(lab, seconds, headrooms):
    jobs = {}
    for mode in MODES:
        for s, h in variants(headrooms):
            jobs[mode, s, h] = lab.chains.submit(lab.largest_load, s, mode, h, seconds)
        for h in headrooms:
            jobs[mode, "slo", h, 0] = lab.chains.submit(lab.largest_load, "slo", mode, h, seconds,
                                                        queue_timeout=0)
    rows = []
    for s, h in variants(headrooms):
        cells = [label(s, h)]
        for mode in MODES:
            best, base = jobs[mode, s, h].result(), jobs[mode, "least-request", headrooms[0]].result()
            cells += [f"{best:.2f}", f"{best / base:.2f}" if base else "-"]
        rows.append(cells)
    for h in headrooms:
        cells = [f"slo, h {h:g}, no queue_timeout"]
        for mode in MODES:
            best = jobs[mode, "slo", h, 0].result()
            base = jobs[mode, "least-request", headrooms[0]].result()
            cells += [f"{best:.2f}", f"{best / base:.2f}" if base else "-"]
        rows.append(cells)
    return table(["", "prefill-first: largest load", "/ least-request", "chunked: largest load",
                  "/ least-request"], rows)


def maxconn(lab):
    """HAProxy's own means against overload."""
    rows = []
    for name, s, h, options in (
            *((f"{s} {n}", s, 1.0, {"maxconn": n}) for s in ("maxconn", "maxconn-slack")
              for n in (8, 12, 16, 24, 32)),
            ("least-request", "least-request", 1.0, {}), ("slo, h 1", "slo", 1.0, {}),
            ("slo, h 0.9", "slo", 0.9, {})):
        cells = [name]
        for traffic, setting in ((PUBLISHED, {}), (PUBLISHED, {"load": 1.1}),
                                 (PUBLISHED, {"load": 1.5}), (PUBLISHED, BURST), (HEAVY, {})):
            c = lab.run([s], "prefill-first", h, workloads=traffic, **setting, **options)[s]
            cells.append(f"{met(c)} / {c.mean('all', 'tpat', 'p99'):.3f}")
        rows.append(cells)
    return table(["prefill-first: SLO met % / P99", "published", "load 1.1", "load 1.5", "bursts",
                  "heavy-tailed, light"], rows)


def headroom(lab, headrooms):
    text = ""
    for name, traffic in (("published", PUBLISHED), ("heavy-tailed, light", HEAVY),
                          ("heavy-tailed, full", HEAVY.replace(":4@", ":7@").replace(":2@", ":4@"))):
        rows = []
        for h in headrooms:
            cells = [f"{h:g}"]
            for mode in MODES:
                for timeout in (30, 0):
                    c = lab.run(["slo"], mode, h, workloads=traffic, queue_timeout=timeout)["slo"]
                    cells.append(f"{met(c)} / {c.mean('all', 'tpat', 'p99'):.3f} / "
                                 f"{c.mean('all', 'wait', 'p99'):.0f}")
            rows.append(cells)
        text += f"\n### {name}: `{traffic.replace('@a10', '').replace('@l20', '')}`\n\n" + table(
            ["headroom: SLO met % / P99 / wait P99 s", "prefill-first", "without queue_timeout",
             "chunked", "without queue_timeout"], rows)
    return text


def others(lab):
    text = ""
    for name, traffic, options in (
            ("Heavy-tailed, light", HEAVY, {}),
            ("Heavy-tailed, full", HEAVY.replace(":4@", ":7@").replace(":2@", ":4@"), {}),
            ("The published traffic at 0.6, and three times that for 30 s of every 150 s", PUBLISHED,
             BURST),
            ("Gamma bursts (shape 0.05)", BURSTS, {})):
        rows = []
        for s, h in variants((1.0, 0.9, 0.8)):
            cells = [label(s, h)]
            for mode in MODES:
                c = lab.run([s], mode, h, workloads=traffic, **options)[s]
                cells += [p99(c), met(c), rejected(c)]
            rows.append(cells)
        text += f"\n### {name}: `{traffic.replace('@a10', '').replace('@l20', '')}`\n\n" + table(
            ["", "prefill-first: P99", "SLO met %", "rejected %", "chunked: P99", "SLO met %",
             "rejected %"], rows)
    return text


def effects(lab, settings, headrooms=(1.0, 0.9, 0.8), strategies=("slo",)):
    """settings: (name, options); SLO met % / P99 of each, for two workloads."""
    rows = []
    for name, options in settings:
        for s in strategies:
            cells = [name if len(strategies) == 1 else f"{name}, {s}"]
            for traffic in (PUBLISHED, HEAVY):
                for h in headrooms:
                    c = lab.run([s], "prefill-first", h, workloads=traffic, **options)[s]
                    cells.append(f"{met(c)} / {c.mean('all', 'tpat', 'p99'):.3f}")
            rows.append(cells)
    head = [f"{w}, h {h:g}" for w in ("published", "heavy-tailed, light") for h in headrooms]
    return table(["prefill-first: SLO met % / P99"] + head, rows)


def wrong_profile(lab):
    return effects(lab, [("right", {})] + [(f"throughput x {f:g}", {"optimism": f})
                                           for f in (1.2, 1.5, 0.8)],
                   strategies=("slo", "slo-pack-load"))


def wrong_tokens(lab):
    return effects(lab, [("right", {})] + [(f"prompt tokens off by {e:g}", {"input_error": e})
                                           for e in (0.1, 0.27, 0.5)])


def defaults(lab):
    return effects(lab, [
        ("as the daemon: predict sample, cold optimistic, late serve, queue_timeout 30s", {}),
        ("predict p50", {"predict": "p50"}),
        ("predict p90", {"predict": "p90"}),
        ("output known beforehand", {"predict": "truth"}),
        ("late hold", {"late": "hold"}),
        ("late reject", {"late": "reject"}),
        ("late reject, predict p90", {"late": "reject", "predict": "p90"}),
        ("infeasible fallback", {"infeasible": "fallback"}),
        ("queue_timeout auto, 60s at most", {"queue_timeout": "auto"}),
        ("queue_timeout auto, 120s at most", {"queue_timeout": "auto", "queue_timeout_max": 120}),
        ("queue_timeout 10s", {"queue_timeout": 10}),
        ("queue_timeout 60s", {"queue_timeout": 60}),
        ("queue_timeout 120s", {"queue_timeout": 120}),
        ("no queue_timeout", {"queue_timeout": 0})])


# Sizes of the bursts; each has the same share of the capacity.
SIZES = {"256x16": ("256x16",), "256x64": ("256x64",), "512x128": ("512x128",),
         "four sizes": ("128x16", "256x64", "512x32", "1024x128")}
BURST_FLEETS = (FLEET, "h100=1,l20=8")
LATES = ("hold", "reject", "serve")
HOWS = (*((late, "slo", late) for late in LATES), ("slo-adaptive", "slo-adaptive", "serve"))


def bursts_of(lab, fleet, sizes, strategy, late, load, seconds, **options):
    """Load 1 is the capacity for these sizes, by each seed's own profiles."""
    runs = []
    for seed in lab.seeds:
        traffic = ",".join(f"{s}:{load * lab.capacity('prefill-first', seed, fleet, s) / len(sizes):.3f}"
                           for s in sizes)
        runs += lab.run_one(strategy, "prefill-first", seed, workloads=traffic, fleet=fleet, seconds=seconds,
                            late=late, slo=f"e2e={BURST_SLO}", warm_up=0, **options)
    return Case(runs)


def burst_end(case, end):
    """The last request that missed its SLO arrived so long after the burst: all seeds, the worst."""
    return max(max(0.0, t - end) for t in case.values("missed_last"))


def bursts(lab, seconds=240):
    end, rows = seconds / 2, []
    for fleet in BURST_FLEETS:
        for name, sizes in SIZES.items():
            cells = [fleet, name]
            for _, strategy, late in HOWS:
                c = bursts_of(lab, fleet, sizes, strategy, late, 0.62, seconds - 10,
                              burst=f"{2.5 / 0.62:.4f}x8/{end:g}")
                after = burst_end(c, end)
                idle = max(c.range("types", gpu, "idle")[1] for gpu in c.runs[0]["types"])
                cells += [f"{c.met():.2f}", f"{after:.1f}" if after < seconds - 15 - end else "never",
                          f"{idle:.0f}"]
            rows.append(cells)
    head = [h for how, *_ in HOWS for h in (f"{how}: SLO met %", "in time again after s", "idle s")]
    return table(["fleet", "input x output tokens"] + head, rows)


def overload(lab, seconds=240):
    rows = []
    for fleet in BURST_FLEETS:
        for name in ("256x64", "four sizes"):
            for load in (1.0, 1.2, 1.5, 2.0):
                rows.append([fleet, name, f"{load:g}"] +
                            [f"{bursts_of(lab, fleet, SIZES[name], strategy, late, load, seconds).met():.2f}"
                             for _, strategy, late in HOWS])
    return table(["fleet", "input x output tokens", "load"] + [f"{how}: SLO met %" for how, *_ in HOWS], rows)


def cold(lab):
    """The first minute after a start at full load, before anything was learned."""
    rows = []
    for how, limit in (("optimistic", 0), ("input", 0), ("max", 64), ("max", 512), ("max", 4096)):
        cells = [how + (f", max_tokens {limit}" if limit else "")]
        for traffic in (PUBLISHED, HEAVY):
            for h in (1.0, 0.9):
                options = {"max_tokens": limit} if limit else {}
                c = lab.run(["slo"], "prefill-first", h, workloads=traffic, seconds=60, warm_up=0,
                            cold=how, **options)["slo"]
                cells.append(f"{met(c)} / {c.mean('all', 'tpat', 'p99'):.3f}")
        rows.append(cells)
    return table(["first 60 s: SLO met % / P99", "published, h 1", "published, h 0.9",
                  "heavy-tailed, light, h 1", "heavy-tailed, light, h 0.9"], rows)


def samples(lab):
    """The profiles in haproxy-conf, which are what somebody who has measured nothing runs with."""
    for mode in MODES:
        for seed in lab.seeds:
            target = lab.profiles(mode, seed, "samples") / "h80" / MODEL
            target.mkdir(parents=True, exist_ok=True)
            for path in (ROOT / "haproxy-conf/profiles/llama2-7b").glob("*.json"):
                (target / path.name).write_bytes(path.read_bytes())
    rows = []
    for kind, h in (("samples", 0.8), ("measured", 0.8), ("measured", 0.9)):
        cells = [f"{kind}, h {h:g}"]
        for traffic in (PUBLISHED, HEAVY):
            for mode in MODES:
                c = lab.run(["slo"], mode, h, kind=kind, workloads=traffic)["slo"]
                cells.append(f"{met(c)} / {c.mean('all', 'tpat', 'p99'):.3f}")
        rows.append(cells)
    return table(["slo: SLO met % / P99", "published, prefill-first", "chunked",
                  "heavy-tailed, light, prefill-first", "chunked"], rows)


def places(lab):
    """Where each workload went and what became of it there."""
    rows = []
    for s, h in variants((1.0, 0.9), ("oracle", "scalar", "slo", "slo-pack-load", "least-request")):
        c = lab.run([s], "prefill-first", h)[s]
        for w in ("sharegpt-pub", "bird"):
            offered = sum(c.values("workloads", w, "offered"))
            for gpu in c.runs[0]["types"]:
                path = ("workloads", w, "on", gpu)
                share = 100 * sum(c.values(*path, "offered")) / offered
                if share < 0.05:
                    continue
                rows.append([label(s, h), w, gpu, f"{share:.1f}"] +
                            [f"{c.mean(*path, 'tpat', p):.4f}" for p in ("p50", "p90", "p99")] +
                            [f"{c.mean(*path, 'ttft', 'p50'):.2f}",
                             f"{c.mean(*path, 'wait', 'p90'):.1f}", f"{c.met(*path):.2f}"])
    return table(["", "workload", "on", "% of it", "P50", "P90", "P99", "TTFT P50 s", "wait P90 s",
                  "SLO met %"], rows)


def slowest(lab):
    """The slowest hundredth of slo's requests, and what was missed outright."""
    rows = []
    for s, h in (("slo", 1.0), ("slo", 0.9), ("least-request", 1.0), ("scalar", 1.0)):
        all_rows = lab.dump(s, "prefill-first", h)
        served = sorted((r for r in all_rows if r["tpat"]), key=lambda r: float(r["tpat"]))
        tail = served[-(len(served) // 100 or 1):]

        def part(test):
            return f"{100 * sum(map(test, tail)) / len(tail):.0f}"

        e2e = sum(float(r["e2e"]) for r in tail)
        rows.append([label(s, h), part(lambda r: r["workload"] == "sharegpt-pub"),
                     part(lambda r: r["gpu"] == "a10"),
                     f"{100 * sum(float(r['wait']) for r in tail) / e2e:.0f}",
                     f"{100 * sum(float(r['ttft']) - float(r['wait']) for r in tail) / e2e:.0f}",
                     f"{100 * sum(float(r['e2e']) - float(r['ttft']) for r in tail) / e2e:.0f}",
                     part(lambda r: int(r["seen_output"]) < 0.7 * int(r["output"])),
                     sum(r["end"] == "rejected" and r["workload"] == "bird" for r in all_rows),
                     sum(r["end"] == "rejected" and r["workload"] != "bird" for r in all_rows)])
    return table(["slowest 1 %", "% sharegpt-pub", "% on the A10", "% of its time in our queue",
                  "% in the engine's queue and prefill", "% decoding", "% predicted too short",
                  "code rejected", "chat rejected"], rows)


def what_if(lab):
    """Decisions that profiles can change: the first says where code goes, the second ranks by speed."""
    def bar(gpu, profile, idle):
        for c, tokens in enumerate(profile["indexes"][1]):
            for row in profile["tputs"] if gpu == "a10" and tokens >= 4096 else ():
                row[c] = 0

    def by_speed(gpu, profile, idle):
        for r, row in enumerate(profile["e2e"]):
            for c, e2e in enumerate(row):
                factor = e2e / idle["e2e"][r][c]
                row[c] /= factor  # the load is 1 / (tput x e2e): unchanged
                profile["tputs"][r][c] *= factor

    lab.reshape("barred", bar)
    lab.reshape("by-speed", by_speed)
    rows = []
    for name, kind, options in (("as it is", "measured", {}),
                                ("output known beforehand", "measured", {"predict": "truth"}),
                                ("no queue_timeout", "measured", {"queue_timeout": 0}),
                                ("no code on the A10", "barred", {}),
                                ("no code on the A10, no queue_timeout", "barred",
                                 {"queue_timeout": 0}),
                                ("ranked by the latency of an idle server", "by-speed", {}),
                                ("the same, no queue_timeout", "by-speed", {"queue_timeout": 0})):
        cells = [name]
        for traffic, load in ((PUBLISHED, 1), (PUBLISHED, 0.6), (HEAVY, 1)):
            for h in (1.0, 0.9):
                c = lab.run(["slo"], "prefill-first", h, kind=kind, workloads=traffic, load=load,
                            **options)["slo"]
                cells.append(f"{met(c)} / {c.mean('all', 'tpat', 'p99'):.3f}")
        rows.append(cells)
    return table(["slo: SLO met % / P99", "published, h 1", "h 0.9", "published x 0.6, h 1", "h 0.9",
                  "heavy-tailed, light, h 1", "h 0.9"], rows)
