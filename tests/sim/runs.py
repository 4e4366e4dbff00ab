"""Runs of slo-sim and slo-sim-profile, many at once, each only once, and what they say together."""
import concurrent.futures
import json
import os
import pathlib
import statistics
import subprocess

MODEL = "deepseek-coder-6.7b"
MODES = ("prefill-first", "chunked")
HEADROOMS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
PUBLISHED = "sharegpt-pub:7@a10,bird:4@l20"
FLEET = "a10=1,l20=4"
SLO = 0.05  # s/token
BURST_SLO = 5  # s end to end
KEEP = 99.0  # % of the requests that must meet it


class Case:
    """One strategy in one setting: a run per seed."""

    def __init__(self, runs):
        self.runs = runs

    def values(self, *path):
        for run in self.runs:
            for name in path:
                run = run[name]
            yield run

    def mean(self, *path):
        return statistics.fmean(self.values(*path))

    def range(self, *path):
        values = list(self.values(*path))
        return min(values), max(values)

    def share(self, name, *path):
        """Percent of all requests of all seeds."""
        offered = sum(self.values(*path, "offered"))
        return 100 * sum(self.values(*path, name)) / offered if offered else 0.0

    def met(self, *path):
        return self.share("met", *(path or ("all",)))

    def keeps(self):
        return self.met() >= KEEP


class Lab:
    def __init__(self, binaries, work, seeds, seconds):
        self.binaries, self.work = pathlib.Path(binaries), pathlib.Path(work)
        self.seeds, self.seconds = range(1, seeds + 1), seconds
        self.pool = concurrent.futures.ThreadPoolExecutor(os.cpu_count())
        self.chains = concurrent.futures.ThreadPoolExecutor(32)  # of runs that wait for each other
        self.done = {}

    def command(self, name, *args):
        argv = [str(self.binaries / name), *map(str, args)]
        p = subprocess.run(argv, capture_output=True, text=True)
        if p.returncode != 0:
            raise SystemExit(f"{' '.join(argv)}: {p.stderr}")
        return p.stdout

    def profiles(self, mode, seed, kind="measured"):
        return self.work / "profiles" / kind / mode / str(seed)

    def measure(self, headrooms, *options):
        """Each seed gets profiles of its own, so that their noise is part of every spread."""
        jobs = [self.pool.submit(self.command, "slo-sim-profile", "--mode", mode, "--seed", seed,
                                 "--created", 1, "--headroom",
                                 ",".join(f"{h:g}" for h in headrooms),
                                 "--output", self.profiles(mode, seed), *options)
                for mode in MODES for seed in self.seeds]
        return [job.result() for job in jobs]

    def measure_burst(self):
        """Profiles for bursts: a target that requests can miss, and a fast GPU beside slow ones."""
        jobs = [self.pool.submit(self.command, "slo-sim-profile", "--mode", mode, "--seed", seed, "--created", 1,
                                 "--headroom", "0.8", "--slo", f"e2e={BURST_SLO}", "--gpus", "a10,l20,h100",
                                 "--inputs", "128,256,512,1024", "--outputs", "16,32,64,128",
                                 "--output", self.profiles(mode, seed, "burst"))
                for mode in MODES for seed in self.seeds]
        return [job.result() for job in jobs]

    def capacity(self, mode, seed, fleet, size):
        """Requests/s of one size that the fleet sustains, as its profiles say."""
        inputs, outputs = map(int, size.split("x"))
        total = 0
        for part in fleet.split(","):
            gpu, count = part.split("=")
            path = self.profiles(mode, seed, "burst") / MODEL / f"{gpu}.json"
            profile = json.loads(path.read_text())
            row, column = profile["indexes"][0].index(outputs), profile["indexes"][1].index(inputs)
            total += int(count) * profile["tputs"][row][column]
        return total

    def start(self, strategies, mode, headroom=1.0, workloads=PUBLISHED, fleet=FLEET, seconds=None,
              kind="measured", **options):
        """A future for each seed; run() waits for them."""
        extra = [str(a) for k, v in sorted(options.items())
                 for a in ("--" + k.replace("_", "-"), v)]
        jobs = []
        for seed in self.seeds:
            argv = ("slo-sim", "-S", ",".join(strategies), "--mode", mode, "-f", fleet, "-w", workloads,
                    "-p", self.profiles(mode, seed, kind), "--headroom", f"{headroom:g}",
                    "-s", seed, "-t", seconds or self.seconds, "--json", "-", *extra)
            if argv not in self.done:
                self.done[argv] = self.pool.submit(self.command, *argv)
            jobs.append(self.done[argv])
        return jobs

    def run_one(self, strategy, mode, seed, workloads, fleet, seconds, **options):
        """The runs of one seed, with the profiles for bursts."""
        extra = [str(a) for k, v in sorted(options.items())
                 for a in ("--" + k.replace("_", "-"), v)]
        return json.loads(self.command(
            "slo-sim", "-S", strategy, "--mode", mode, "-f", fleet, "-w", workloads, "-s", seed, "-t", seconds,
            "-p", self.profiles(mode, seed, "burst"), "--json", "-", *extra))

    def run(self, strategies, *args, **options):
        """{strategy: Case}"""
        runs = [run for job in self.start(strategies, *args, **options)
                for run in json.loads(job.result())]
        return {s: Case([r for r in runs if r["strategy"] == s]) for s in strategies}

    def dump(self, strategy, mode, headroom):
        """Every measured request of all seeds, as dicts of text."""
        rows = []
        for seed in self.seeds:
            path = self.work / f"dump-{strategy}-{seed}.csv"
            self.command("slo-sim", "-S", strategy, "--mode", mode, "-w", PUBLISHED, "-f", FLEET,
                         "-p", self.profiles(mode, seed), "--headroom", f"{headroom:g}", "-s", seed,
                         "-t", self.seconds, "--json", os.devnull, "--dump", path)
            with open(path, encoding="ascii") as f:
                names = f.readline().strip().split(",")
                rows += [dict(zip(names, line.rstrip("\n").split(","))) for line in f]
        return rows

    def reshape(self, kind, change):
        """Profiles of another kind: change(gpu, profile, idle profile) edits each in place."""
        for mode in MODES:
            for seed in self.seeds:
                source, target = self.profiles(mode, seed), self.profiles(mode, seed, kind)
                for path in source.glob("h*/*/*.json"):
                    profile = json.loads(path.read_text())
                    idle = json.loads((source / "h5" / MODEL / path.name).read_text())
                    change(path.stem, profile, idle)
                    out = target / path.relative_to(source)
                    out.parent.mkdir(parents=True, exist_ok=True)
                    out.write_text(json.dumps(profile))

    def largest_load(self, strategy, mode, headroom, seconds, **options):
        """The largest multiple of the published load that keeps the SLO, to 0.01."""
        low, high = 0.0, 0.25
        while high < 4 and self.run([strategy], mode, headroom, seconds=seconds, load=high,
                                    **options)[strategy].keeps():
            low, high = high, high * 2
        while high - low > 0.01:
            middle = round((low + high) / 2, 4)
            if self.run([strategy], mode, headroom, seconds=seconds, load=middle,
                        **options)[strategy].keeps():
                low = middle
            else:
                high = middle
        return low
