"""A relay between agents and Redis. When told it lets nothing pass and closes nothing, as a network
that loses all packets: TCP sends them again when it is whole."""
import selectors
import socket
import threading
import time


class Drop:
    def __init__(self, to):
        self.to, self.on = to, False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.running = True
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while self.running:
            if self.on:
                time.sleep(0.02)
                continue
            for key, _ in self.selector.select(0.05):
                if key.fileobj is self.listener:
                    self.accept()
                else:
                    self.copy(key.fileobj, key.data)

    def accept(self):
        a, _ = self.listener.accept()
        b = socket.create_connection(("127.0.0.1", self.to))
        for s, other in (a, b), (b, a):
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.selector.register(s, selectors.EVENT_READ, other)

    def copy(self, s, other):
        try:
            data = s.recv(65536)
        except OSError:
            data = b""
        try:
            if data:
                other.sendall(data)
                return
        except OSError:
            pass
        for x in (s, other):
            try:
                self.selector.unregister(x)
            except (KeyError, ValueError):
                pass
            x.close()

    def close(self):
        self.running = False
        self.thread.join(5)
        self.listener.close()
