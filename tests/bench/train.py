"""The load by which `make pgo` has the compiler see what is usual: requests of some sizes with
their end lines, as many as a server holds and more. BUILD_DIR is the daemon that takes notes of
itself, which it writes as it ends; BENCH_DIR has the load generator."""
import os
import pathlib
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from lab import AgentAlone  # noqa: E402

GENERATOR = pathlib.Path(os.environ["BENCH_DIR"]).resolve() / "spop_load"
ROOM = 100


def load(lab, seed, size, window, events):
    argv = [GENERATOR, "--spop", lab.spop, "--events", f"{events}:{lab.events}", "--pid",
            lab.agent.child.pid, "--seed", seed, "--size", size, "--connections", 8, "--window",
            window, "--strategy", "slo", "--seconds", 0.7]
    subprocess.run([str(a) for a in argv], stdout=subprocess.DEVNULL, check=True, timeout=60)


def main():
    lab = AgentAlone(room=ROOM)
    try:
        lab.start()
        for seed, size in enumerate((90, 600, 2048, 12288), 1):
            load(lab, seed, size, 16, "tcp")
            load(lab, seed + 10, size, 1, "udp")
        load(lab, 20, 90, 128, "tcp")  # more than there is room for: they wait
        lab.metrics()
    finally:
        lab.stop()
        shutil.rmtree(lab.dir)


if __name__ == "__main__":
    main()
