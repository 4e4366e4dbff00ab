"""Between HAProxy's log lines and the agent: loses, doubles and reorders them on command.

Listens on one port for both copies of the end lines, TCP and UDP, and passes them on to the same
kind of listener of the agent. What happens to a line depends on its id, so both copies of it share
their fate.
"""
import heapq
import random
import re
import selectors
import socket
import threading
import time

ID = re.compile(rb"\bid=(\S+)")


class Relay(threading.Thread):
    """drop, double: shares of the lines, 0 to 1. late: seconds that each copy is held back at most,
    so that they come in another order."""

    def __init__(self, port, to_port, seed=1):
        super().__init__(daemon=True)
        self.to = ("127.0.0.1", to_port)
        self.drop = self.double = self.late = 0.0
        self.seed, self.rng = seed, random.Random(seed)
        self.lines = self.dropped = self.doubled = 0
        self.waiting, self.order = [], 0  # heap of (when, order, send, line)
        self.stopped = threading.Event()
        self.selector = selectors.DefaultSelector()
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.udp.bind(("127.0.0.1", port))
        self.tcp = socket.create_server(("127.0.0.1", port))
        self.out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.out.connect(self.to)
        self.selector.register(self.udp, selectors.EVENT_READ, self.datagram)
        self.selector.register(self.tcp, selectors.EVENT_READ, self.accept)

    def stop(self):
        self.stopped.set()
        self.join(10)
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()
        self.selector.close()
        self.out.close()

    def run(self):
        while not self.stopped.is_set():
            wait = 0.05
            if self.waiting:
                wait = min(wait, max(0.0, self.waiting[0][0] - time.monotonic()))
            for key, _ in self.selector.select(wait):
                key.data(key.fileobj)
            while self.waiting and self.waiting[0][0] <= time.monotonic():
                _, _, send, line = heapq.heappop(self.waiting)
                send(line)

    def fate(self, line, what):
        """The same for both copies of a line."""
        found = ID.search(line)
        return random.Random(f"{self.seed} {what} {found[1] if found else line}").random()

    def line(self, send, line):
        self.lines += 1
        if self.fate(line, "drop") < self.drop:
            self.dropped += 1
            return
        twice = self.fate(line, "double") < self.double
        self.doubled += twice
        for _ in range(1 + twice):
            when = time.monotonic() + self.rng.random() * self.late if self.late else 0
            self.order += 1
            heapq.heappush(self.waiting, (when, self.order, send, line))

    def datagram(self, udp):
        self.line(self.tell, udp.recv(65536))

    def tell(self, line):
        try:
            self.out.send(line)
        except OSError:
            pass  # no agent

    def accept(self, tcp):
        conn = tcp.accept()[0]
        try:
            up = socket.create_connection(self.to, 5)
        except OSError:
            conn.close()
            return
        left = b""

        def send(line):
            try:
                up.sendall(line)
            except OSError:
                pass

        def readable(conn):
            nonlocal left
            try:
                data = conn.recv(65536)
            except OSError:
                data = b""
            if not data:
                self.selector.unregister(conn)
                conn.close()
                up.close()
                return
            *lines, left = (left + data).split(b"\n")
            for line in lines:
                self.line(send, line + b"\n")

        self.selector.register(conn, selectors.EVENT_READ, readable)
