"""The plots beside RESULTS.md, by gnuplot."""
import subprocess

from runs import SLO

COLOURS = {"oracle": "#888888", "scalar": "#000000", "slo": "#0072b2", "slo-adaptive": "#f0e442",
           "slo-pack-load": "#56b4e9",
           "slo-least-load": "#cc79a7", "least-request": "#d55e00", "round-robin": "#e69f00",
           "random": "#009e73"}
CURVE_POINTS = 120


def gnuplot(out, title, settings, curves):
    """curves: (name, strategy, dashed, [(x, y)])"""
    lines = ['set terminal svg size 720,440 font "sans,12" noenhanced background "white"',
             f'set title "{title}"', "set grid", 'set key outside right', *settings]
    plot = ", ".join(f'"-" with lines lw 2 dt {2 if dashed else 1} lc rgb "{COLOURS[strategy]}" '
                     f'title "{name}"' for name, strategy, dashed, _ in curves)
    lines.append("plot " + plot)
    for *_, points in curves:
        lines += [f"{x:.5g} {y:.5g}" for x, y in points] + ["e"]
    svg = subprocess.run(["gnuplot"], input="\n".join(lines) + "\n", text=True, check=True,
                         stdout=subprocess.PIPE).stdout
    out.write_text("\n".join(line.rstrip() for line in svg.splitlines()).rstrip() + "\n")


def cdf(lab, out, strategies, mode, headroom):
    curves = []
    for s in strategies:
        rows = lab.dump(s, mode, headroom)
        tpat = sorted(float(r["tpat"]) for r in rows if r["tpat"])
        # A rejected request never ends, so its curve stays below 1.
        step = max(1, len(tpat) // CURVE_POINTS)
        points = [(tpat[i], (i + 1) / len(rows)) for i in range(0, len(tpat), step)]
        points.append((tpat[-1], len(tpat) / len(rows)))
        curves.append((s, s, False, points))
    gnuplot(out, f"Latency per token, published setting, {mode}, headroom {headroom:g}",
            ["set logscale x", "set xrange [0.001:1]", "set yrange [0:1]",
             'set xlabel "seconds per token, input and output"', 'set ylabel "share of the requests"',
             f'set arrow from {SLO},0 to {SLO},1 nohead dt 3 lc rgb "#444444"'], curves)


def met_by_load(lab, out, variants, mode, points):
    curves = []
    for s, h in variants:
        values = [(p, lab.run([s], mode, h, load=p)[s].met()) for p in points]
        name = f"{s}, h {h:g}" if s.startswith("slo") else s
        curves.append((name, s, h < 1, values))
    gnuplot(out, f"SLO met by load, {mode} (1 = published)",
            ["set yrange [20:101]", 'set xlabel "load"', 'set ylabel "SLO met, % of all requests"',
             'set arrow from graph 0,first 99 to graph 1,first 99 nohead dt 3 lc rgb "#444444"'],
            curves)


def met_by_headroom(lab, out, mode, headrooms, settings):
    """settings: (name, colour of this strategy, options)"""
    curves = []
    for name, strategy, dashed, options in settings:
        values = [(h, lab.run(["slo"], mode, h, **options)["slo"].met()) for h in headrooms]
        curves.append((name, strategy, dashed, values))
    gnuplot(out, f"slo: SLO met by headroom of the profile, {mode}",
            ["set yrange [80:100.5]", 'set xlabel "headroom (share of the highest rate)"',
             'set ylabel "SLO met, % of all requests"',
             'set arrow from graph 0,first 99 to graph 1,first 99 nohead dt 3 lc rgb "#444444"'],
            curves)
