#!/usr/bin/python3
"""Checks that the documentation speaks of what exists.

In every README.md and man page: a linked file exists; `some/file.c` is a file of the project, as far as
its path is given; some_function() is a function of agent/ or include/; a metric slo_spoa_... is one that
these print; a man page has the options of its program,
slo-spoa(8) the reasons and the codes of warnings. The first two commands of the README are
`make run` and `make test`, and it has at most 190 lines. The samples for several hosts have every line of
haproxy.cfg that is not theirs to change. Exit 1 with the place of each fault.
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
LINES = 190
SUFFIXES = r"\.(?:c|h|py|sh|cfg|md|scd)"
# What the user or the build makes, or another program's.
FOREIGN = ("build/", "HAProxy src/")
LIBC = ("recv", "send")


def files():
    # -co: also those that are not committed yet.
    out = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True,
                         text=True, check=False).stdout.split("\n")
    return [f for f in out if f and (ROOT / f).is_file()]


def faults_of(doc, text, names, code):
    for number, line in enumerate(text.split("\n"), 1):
        where = f"{doc}:{number}:"
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", line):
            if not ((ROOT / doc).parent / link).exists():
                yield f"{where} the link leads nowhere: {link}"
        for path in re.findall(rf"`([\w./*-]*\w{SUFFIXES})`", line):
            if not path.startswith(FOREIGN) and "*" not in path \
                    and not any(n == path or n.endswith("/" + path) for n in names):
                yield f"{where} there is no such file: {path}"
        for function in re.findall(r"\b(\w+)\(\)", line):
            if function not in LIBC and not re.search(rf"^\w[^\n;=]*\b{function}\(", code, re.M):
                yield f"{where} there is no such function: {function}()"


def metrics_of(doc, text, code):
    for name in re.findall(r"slo_spoa_(\w+?)(?:_bucket|_sum|_count)?_?(?![\w*])", text):
        if name not in code and name.removeprefix("redis_") not in code:
            yield f"{doc}: there is no such metric: slo_spoa_{name}"


# What haproxy-pair.cfg and haproxy-active.cfg have in another way.
ELSEWHERE = re.compile(r"\s*(ring slo_events$|log (ring@slo_events|\"\$\{SLO_EVENTS-)|unique-id-format |server agent )")


def variants():
    def lines(name):
        text = (ROOT / "haproxy-conf" / name).read_text()
        return [re.sub(r"\s+# .*", "", l).rstrip() for l in text.split("\n") if not l.strip().startswith("#")]
    for name in "haproxy-pair.cfg", "haproxy-active.cfg":
        missing = set(lines("haproxy.cfg")) - set(lines(name))
        for line in sorted(l for l in missing if not ELSEWHERE.match(l)):
            yield f"haproxy-conf/{name}: haproxy.cfg has a line that this lacks: {line.strip()}"


def options(program, manual):
    known = set(re.findall(r'\{ "([\w-]+)", \w+_argument', (ROOT / program).read_text()))
    told = set(re.findall(r"\*--([\w-]+)\*", (ROOT / manual).read_text()))
    for name in known ^ told:
        yield f"{manual}: --{name} is {'not described' if name in known else 'no option of ' + program}"


def reasons(manual):
    table = (ROOT / "agent/core/sched.c").read_text()
    text = (ROOT / manual).read_text()
    for reason in re.findall(r'\[SLO_REASON_\w+\] = "([\w-]+)"', table):
        if f"*{reason}*" not in text:
            yield f"{manual}: the reason {reason} is not described"


def warnings(manual, code):
    """Each code of a warning, which may be a name that is defined elsewhere."""
    text = (ROOT / manual).read_text()
    named = dict(re.findall(r'#define (\w+)\s+"([a-z-]+)"', code))
    codes = set(re.findall(r'\[WATCH_\w+\] = \{ "([a-z-]+)"', code))
    for literal, name in re.findall(r'warn_set\(\s*[\w>-]+,\s*\w+(?:\(\))?,\s*(?:"([a-z-]+)"|([A-Z_]+))', code):
        codes.add(literal or named.get(name, name))
    if len(codes) < 40:
        yield f"{manual}: only {len(codes)} codes of warnings are found: docs.py looks in the wrong way"
    for c in sorted(codes):
        if not re.search(rf"[*_]{c}[*_]", text):
            yield f"{manual}: the warning {c} is not described"


def front_page(text):
    commands = re.findall(r"^    (\S.*)$", text, re.M)[:2]
    if commands != ["make run", "make test"]:
        yield f"README.md: the first two commands are {commands}, not make run and make test"
    if text.count("\n") > LINES:
        yield f"README.md: {text.count(chr(10))} lines; at most {LINES}, the man pages have room"


def main():
    names = files()
    if not names:
        return 0  # an unpacked archive, not a git work tree
    code = "\n".join((ROOT / n).read_text() for n in names
                     if n.startswith(("agent/", "include/")) and n.endswith((".c", ".h")))
    faults = list(front_page((ROOT / "README.md").read_text()))
    faults += variants()
    faults += options("agent/main.c", "agent/man/slo-spoa.8.scd")
    faults += reasons("agent/man/slo-spoa.8.scd")
    faults += warnings("agent/man/slo-spoa.8.scd", code)
    faults += options("agent/replay/main.c", "agent/man/slo-replay.1.scd")
    faults += options("agent/profile/main.c", "agent/man/slo-profile.1.scd")
    faults += options("agent/ctl/main.c", "agent/man/slo-ctl.1.scd")
    for doc in (n for n in names if n.endswith(("README.md", ".scd"))):
        text = (ROOT / doc).read_text()
        faults += [*faults_of(doc, text, names, code), *metrics_of(doc, text, code)]
    print("\n".join(faults), file=sys.stderr) if faults else print("the documentation names what exists")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
