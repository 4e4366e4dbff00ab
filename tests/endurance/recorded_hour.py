#!/usr/bin/python3
"""An hour of decisions, compressed: as many requests as 10/s make in an hour, with all strategies and
three models, sent as fast as the agent takes them, while its fleet changes. Then each recording is
replayed and has to say the same as was recorded, byte for byte.

    recorded_hour.py [--requests 36000] [--strategy slo-pack-load]

Prints what was recorded, how long the replay takes, and the comparison table of the largest file.
Exit status 0: all of it replays to the same decisions. BUILD_DIR chooses what is run.
"""
import argparse
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from recorder_lab import RecorderLab, drive, played, recorded  # noqa: E402


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--requests", type=int, default=36000)
    args.add_argument("--strategy", default="slo-pack-load")
    args = args.parse_args()
    lab = RecorderLab(config=lambda conf: recorded(conf, max_size="1m"))
    kind = Exception
    try:
        lab.start()
        began = time.monotonic()
        sent = drive(lab, args.requests)
        seconds = time.monotonic() - began
        lab.stop_agent()
        lab.agent = None
        paths = lab.recordings()
        size = sum(p.stat().st_size for p in paths)
        print(f"{sent} requests in {seconds:.1f} s, {len(paths)} recordings, {size} bytes")
        began = time.monotonic()
        decisions = sum(len(played(lab, p)) for p in paths)
        print(f"{decisions} decisions, replayed twice in {time.monotonic() - began:.1f} s: the same")
        largest = max(paths, key=lambda p: p.stat().st_size)
        code, table, said = lab.replay("-s", args.strategy, largest)
        print(table, said, sep="")
        kind = None
        return code
    finally:
        lab.__exit__(kind)


if __name__ == "__main__":
    sys.exit(main())
