#!/usr/bin/python3
"""Runs suites of tests and counts them.

    run_tests.py --build DIR [--variant V] [--only TEST] [SUITE...]

Suites: unit corpus scenarios prop experiment integration engine endurance valgrind. Without a suite: all
of them and `make lint`, as `make test` means it. TEST is the name of one file, such as test_queue.
The last line is "N passed, M failed, K skipped"; exit 1 if any failed.
What a failed test printed is shown, a passed one stays quiet.
"""
import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PYTHON = "/usr/bin/python3"
# -q: only errors. A leak or a bad access changes the exit code, which fails the test.
VALGRIND = ["valgrind", "-q", "--leak-check=full", "--errors-for-leak-kinds=definite,indirect",
            "--error-exitcode=99"]
only = ""  # the name of the one file to run; all when empty
totals = {"passed": 0, "failed": 0, "skipped": 0}
telling = threading.Lock()


def report(name, passed, failed, skipped, seconds, output=""):
    with telling:
        tell(name, passed, failed, skipped, seconds, output)


def tell(name, passed, failed, skipped, seconds, output):
    totals["passed"] += passed
    totals["failed"] += failed
    totals["skipped"] += skipped
    text = f"  {name:<44} {passed:>5} passed"
    if failed:
        text += f", {failed} FAILED"
    if skipped:
        text += f", {skipped} skipped"
    print(f"{text}  ({seconds:.1f} s)", flush=True)
    for why in sorted(set(re.findall(r"\.\.\. skipped ['\"](.*)['\"]$", output, re.M))):
        print(f"    skipped: {why}", flush=True)
    if failed:
        print(output[-12000:], flush=True)


def run(argv, env=None, timeout=3600):
    began = time.monotonic()
    full = dict(os.environ, **(env or {}))
    try:
        p = subprocess.run([str(a) for a in argv], cwd=ROOT, env=full, stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout)
        code, out = p.returncode, p.stdout.decode(errors="replace")
    except subprocess.TimeoutExpired as e:
        code, out = -1, (e.stdout or b"").decode(errors="replace") + f"\nno end within {timeout} s\n"
    return code, out, time.monotonic() - began


def whole(name, argv, env=None, timeout=3600):
    """One test that is its exit code."""
    code, out, seconds = run(argv, env, timeout)
    report(name, int(code == 0), int(code != 0), 0, seconds, out)


def sanitizers():
    """97: see CRASHES of stack.py."""
    return {"ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:allocator_may_return_null=1:exitcode=97",
            "UBSAN_OPTIONS": "print_stacktrace=1:exitcode=97"}


def cmocka(name, argv, env=None):
    code, out, seconds = run(argv, dict(sanitizers(), CMOCKA_MESSAGE_OUTPUT="TAP", **(env or {})))
    passed = len(re.findall(r"^\s*ok \d+", out, re.M))
    failed = len(re.findall(r"^\s*not ok \d+", out, re.M))
    if code != 0 and failed == 0:
        failed = 1  # it died, or a sanitizer or valgrind spoke at the end
    if code == 0 and passed == 0:
        failed = 1  # nothing ran
    report(name, passed, failed, 0, seconds, out)


def chosen(files):
    return [f for f in sorted(files) if only in ("", f.stem)]


def side_by_side(jobs):
    """Calls all of them, as many at once as there are processors: they mostly wait."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for done in [pool.submit(*job) for job in jobs]:
            done.result()


def unit(build, wrap=()):
    label = "valgrind" if wrap else build.name
    env = {"SLO_TEST_SCALE": "0.1"} if wrap else None
    side_by_side([(cmocka, f"{test.stem} ({label})", [*wrap, build / "unit" / test.parent.name / test.stem], env)
                  for test in chosen((ROOT / "tests/unit").glob("*/test_*.c"))])


def corpus(build):
    for target in sorted((ROOT / "tests/fuzz").glob("fuzz_*.c")):
        seeds = ROOT / "tests/fuzz/corpus" / target.stem.removeprefix("fuzz_")
        whole(f"corpus of {target.stem} ({build.name})", [build / "fuzz" / target.stem, seeds],
              sanitizers())


def scenarios(build):
    code, out, seconds = run([PYTHON, "tests/scenarios/run.py", build / "slo-replay",
                              "tests/scenarios"], sanitizers())
    m = re.search(r"scenarios: (\d+) passed, (\d+) failed", out)
    passed, failed = (int(m[1]), int(m[2])) if m else (0, 1)
    report(f"scenarios ({build.name})", passed, failed or int(code != 0), 0, seconds, out)


def prop(build):
    ops = 1000000 if build.name == "release" else 100000
    whole(f"{ops} random operations ({build.name})",
          [build / "tests/prop/prop", "--ops", ops, "--out", build / "prop-failure.jsonl"],
          sanitizers())


def experiment(build):
    """In small: that the tools, tables and plots work together, not what they say."""
    whole(f"make experiment in small ({build.name})",
          [PYTHON, "tests/sim/experiment.py", "--quick", "--build", build, "--out",
           build / "experiment/quick"])
    real = [PYTHON, "tests/sim/real.py", "--build", build, "--out", build / "experiment/quick/REAL.md"]
    whole(f"make experiment-real in small ({build.name})",
          [*real, "--seconds", "90", "--compress", "20", "--seeds", "1", "--strategies",
           "slo, h 0.9; roundrobin"])
    whole(f"its simulation again ({build.name})", [*real, "--again"])


def python_tests(label, build, demo, haproxy, env=None, folder="integration", timeout=3600):
    """A job for each file."""
    env = dict(sanitizers(), HAPROXY=str(haproxy), BUILD_DIR=str(build), DEMO_DIR=str(demo),
               LLAMA_DIR=str(build.parent / "llama"), VALKEY_DIR=str(build.parent / "valkey"), SDKS_DIR=str(build.parent / "clients"),
               PYTHONPATH=str(ROOT / "tests/support"), **(env or {}))
    return [(python_test, f"{test.stem} ({label})", test, env, timeout)
            for test in chosen((ROOT / "tests" / folder).glob("test_*.py"))]


def python_test(name, test, env, timeout):
    code, out, seconds = run([PYTHON, "-m", "unittest", "-v", test], env, timeout)
    m = re.search(r"^Ran (\d+) tests?", out, re.M)
    ran = int(m[1]) if m else 0
    bad = sum(int(n) for n in re.findall(r"(?:failures|errors)=(\d+)", out))
    skipped = sum(int(n) for n in re.findall(r"skipped=(\d+)", out))
    if code != 0 and bad == 0:
        bad = 1
    if ran == 0:
        bad = 1
    report(name, max(0, ran - bad - skipped), bad, skipped, seconds, out)


def haproxies(root):
    """The system's and a newer one, each with its name: get-haproxy.sh takes what there is."""
    for binary in ("haproxy", root / "hap/haproxy"):
        said = subprocess.run([binary, "-v"], capture_output=True, text=True, check=True).stdout
        yield "HAProxy " + re.search(r"version (\d+\.\d+)", said)[1], binary


def with_haproxy(folder, root, build, pairs=None):
    return [job for label, haproxy in pairs or haproxies(root)
            for job in python_tests(f"{label}, {build.name}", build, root / "release", haproxy,
                                    folder=folder)]


# What peers do to the agent; the rest has ASan, and would take minutes more.
UNDER_VALGRIND = {"test_bad_input", "test_faults", "test_routing"}


def under_valgrind(root):
    build = root / "release"
    label, haproxy = next(haproxies(root))
    jobs = python_tests(f"{label}, valgrind", build, build, haproxy,
                        {"SLO_WRAP": " ".join(VALGRIND), "SLO_TEST_SCALE": "0.1"})
    return [job for job in jobs if job[2].stem in UNDER_VALGRIND]


def valgrind(root):
    unit(root / "release", VALGRIND)
    side_by_side(under_valgrind(root))


def everything(root):
    old, new = haproxies(root)
    release, asan = root / "release", root / "asan"
    whole("lint", ["make", "--no-print-directory", f"BUILD={root}", "lint"])
    for build in (release, asan):
        unit(build)
        corpus(build)
        scenarios(build)
        prop(build)
    experiment(release)
    unit(release, VALGRIND)
    side_by_side(with_haproxy("integration", root, release, [old, new]) +
                 with_haproxy("integration", root, asan, [old]) +
                 with_haproxy("engine", root, release, [old, new]) +
                 with_haproxy("clients", root, release, [old, new]) +
                 with_haproxy("endurance", root, release, [new]) +
                 with_haproxy("endurance", root, asan, [old]) + under_valgrind(root))


def main():
    global only
    args = argparse.ArgumentParser()
    args.add_argument("--build", type=pathlib.Path, required=True)
    args.add_argument("--variant", default="release")
    args.add_argument("--only", default="", metavar="TEST")
    args.add_argument("suite", nargs="*")
    args = args.parse_args()
    only = args.only
    root = args.build.resolve()
    build = root / args.variant
    suites = {"unit": lambda: unit(build), "corpus": lambda: corpus(build),
              "scenarios": lambda: scenarios(build), "prop": lambda: prop(build),
              "experiment": lambda: experiment(build),
              "integration": lambda: side_by_side(with_haproxy("integration", root, build)),
              "engine": lambda: side_by_side(with_haproxy("engine", root, build) +
                                             with_haproxy("clients", root, build)),
              "endurance": lambda: side_by_side(with_haproxy("endurance", root, build)),
              "valgrind": lambda: valgrind(root)}
    began = time.monotonic()
    if args.suite:
        for name in args.suite:
            suites[name]()
    else:
        everything(root)
    print(f"in {time.monotonic() - began:.0f} s")
    print(f"{totals['passed']} passed, {totals['failed']} failed, {totals['skipped']} skipped")
    return 1 if totals["failed"] or not totals["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
