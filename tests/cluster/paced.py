#!/usr/bin/python3
"""paced.py SPOP EVENTS RATE COUNT NAME - so many requests a second to one agent, each with its end
0.2 s later."""
import pathlib
import socket
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from lab import end_line  # noqa: E402
from spop import Peer  # noqa: E402
from stack import MODEL  # noqa: E402


def main():
    spop, events, rate, count, name = sys.argv[1:]
    ids = []
    lines = socket.create_connection(("127.0.0.1", int(events)))

    def ends():
        for i in range(int(count)):
            while len(ids) <= i:
                time.sleep(0.005)
            time.sleep(max(0, ids[i][0] + 0.2 - time.monotonic()))
            lines.sendall(end_line(ids[i][1], srv=ids[i][2]))
    thread = threading.Thread(target=ends)
    thread.start()
    began = time.monotonic()
    with Peer(int(spop)) as p:
        p.hello()
        for i in range(int(count)):
            time.sleep(max(0, began + i / float(rate) - time.monotonic()))
            answer = p.route(f"{name}-{i}", model=MODEL)
            ids.append((time.monotonic(), f"{name}-{i}", answer.get("server")))
    thread.join()
    lines.close()


main()
