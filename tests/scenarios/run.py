#!/usr/bin/env python3
"""Runs slo-replay on worked scenarios and compares its decisions with their expect lines.

usage: run.py REPLAY_BINARY FILE-or-DIR...

A scenario holds what it expects behind the line that causes it:
  {"t":..,"expect":"r1","server":"a10-1","load":0.25}   routed; "via" and "reason" of a fallback
  {"t":..,"expect":"r1","server_in":["a","b"]}          any of these
  {"t":..,"expect":"r1","reject":"slo-failure"}         no-server-usable, -listed: no-server
  {"t":..,"expect":"r1","pass":"ended"}
  {"t":..,"expect":"r1","queued":true}                  not decided by its arrival
  {"t":..,"expect":"r1",...,"queued_until":1.0}         its later decision
  {"expect":"r1","queued_until":null}                   queued at the end
  {"t":..,"expect":"","profile":"refused"}              of a line with profile_text
Decisions come in the order of these lines, and no others come. In the first line, "args" are
options for slo-replay, and "fails_at" is the number of the line that it must refuse.
"""

import json
import os
import subprocess
import sys

LOAD_TOLERANCE = 1e-6
TIME_TOLERANCE = 1e-9
OUR_REASON = {"no-server-usable": "no-server", "no-server-listed": "no-server"}


class Mismatch(Exception):
    pass


def scenario_files(paths):
    for path in paths:
        if not os.path.isdir(path):
            yield path
            continue
        for folder, _, names in sorted(os.walk(path)):
            for name in sorted(names):
                if name.endswith(".jsonl"):
                    yield os.path.join(folder, name)


def read_scenario(path):
    """The first line's object, the expect lines, the ids of arrivals by line."""
    head, expects, arrived = {}, [], set()
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            try:
                item = json.loads(line)
            except ValueError:
                continue  # a scenario may be about that
            if not isinstance(item, dict):
                continue
            if "scenario" in item:
                head = item
            elif "expect" in item:
                check_expect(item, arrived)
                expects.append(item)
            elif "arrive" in item:
                arrived.add(item["arrive"])
    return head, expects


def check_expect(item, arrived):
    known = {"t", "expect", "server", "server_in", "load", "via", "reason", "reject", "pass",
             "queued", "queued_until", "profile"}
    unknown = set(item) - known
    if unknown:
        raise Mismatch(f"expect line with unknown {sorted(unknown)}")
    if "profile" not in item and item["expect"] not in arrived:
        raise Mismatch(f"expects {item['expect']} before it arrives")


def replay(binary, head, path):
    command = [binary, *head.get("args", []), path]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def check_outcome(want, got):
    """One decision against its expect line."""
    name = want["expect"]
    if "profile" in want:
        if got.get("profile") != want["profile"]:
            raise Mismatch(f"wanted a profile {want['profile']}, got {got}")
        return
    if got.get("id") != name:
        raise Mismatch(f"wanted {name} at t={want['t']}, got {got}")
    if "reject" in want:
        reason = OUR_REASON.get(want["reject"], want["reject"])
        check_fields(name, {"verdict": "reject", "reason": reason}, got)
    elif "pass" in want:
        check_fields(name, {"verdict": "pass", "reason": want["pass"]}, got)
    else:
        check_placed(name, want, got)


def check_placed(name, want, got):
    if "server" not in want and "server_in" not in want:
        raise Mismatch(f"expect line of {name} says nothing")
    check_fields(name, {"verdict": "fallback" if "via" in want else "route"}, got)
    check_fields(name, {key: want[key] for key in ("server", "via", "reason") if key in want}, got)
    if "server_in" in want and got.get("server") not in want["server_in"]:
        raise Mismatch(f"{name}: server {got.get('server')}, wanted one of {want['server_in']}")
    if "load" in want and abs(got.get("load", -1) - want["load"]) > LOAD_TOLERANCE:
        raise Mismatch(f"{name}: load {got.get('load')}, wanted {want['load']}")


def check_fields(name, wanted, got):
    for key, value in wanted.items():
        if got.get(key) != value:
            raise Mismatch(f"{name}: {key} {got.get(key)}, wanted {value} ({got})")


def check_decisions(expects, output):
    decided = [e for e in expects
               if not e.get("queued") and not ("queued_until" in e and e["queued_until"] is None)]
    still = [e["expect"] for e in expects if "queued_until" in e and e["queued_until"] is None]
    answers = [o for o in output if o.get("verdict") != "queued"]
    for want, got in zip(decided, answers):
        check_outcome(want, got)
        when = want.get("queued_until", want["t"])
        if abs(got["t"] - when) > TIME_TOLERANCE:
            raise Mismatch(f"{want['expect']}: decided at t={got['t']}, wanted {when}")
    if len(decided) > len(answers):
        raise Mismatch(f"missing: {decided[len(answers)]['expect']}")
    if len(answers) > len(decided):
        raise Mismatch(f"unexpected: {answers[len(decided)]}")
    queued = [o["id"] for o in output if o.get("verdict") == "queued"]
    if queued != still:
        raise Mismatch(f"queued at the end: {queued}, wanted {still}")


def check_failure(run, path, line):
    if run.returncode != 1:
        raise Mismatch(f"exit code {run.returncode}, wanted 1 and {path}:{line}:")
    if not run.stderr.startswith(f"{path}:{line}: "):
        raise Mismatch(f"wanted {path}:{line}:, got {run.stderr.strip()!r}")
    if '"queued"' in run.stdout:
        raise Mismatch("went on after the malformed line")


def run_one(binary, path):
    head, expects = read_scenario(path)
    run = replay(binary, head, path)
    if "fails_at" in head:
        check_failure(run, path, head["fails_at"])
    elif run.returncode != 0:
        raise Mismatch(f"exit code {run.returncode}: {run.stderr.strip()}")
    check_decisions(expects, [json.loads(line) for line in run.stdout.splitlines()])


def main(argv):
    if len(argv) < 3:
        print(__doc__, file=sys.stderr)
        return 2
    passed = failed = 0
    for path in scenario_files(argv[2:]):
        try:
            run_one(argv[1], path)
            passed += 1
        except (Mismatch, OSError, ValueError, subprocess.TimeoutExpired) as why:
            print(f"{path}: {why}")
            failed += 1
    print(f"scenarios: {passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
