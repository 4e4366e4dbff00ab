"""Sockets that somebody else opened, as systemd does: the agent serves them, and nothing is refused
while it is not there."""
import json
import os
import pathlib
import socket
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from lab import AgentAlone, end_line  # noqa: E402

# Makes descriptors 3, 4, ... of those named in its arguments, and becomes the program.
PASS = r"""
import fcntl, os, sys
fds, argv = [int(n) for n in sys.argv[1].split(",")], sys.argv[2:]
for i, fd in enumerate([fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for fd in fds]):
    os.dup2(fd, 3 + i, inheritable=True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES="a:b")
os.execvp(argv[0], argv)
"""


class Activation(unittest.TestCase):
    def tcp(self, port):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", port))
        s.listen(100)
        self.addCleanup(s.close)
        return s

    def udp(self, port):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind(("127.0.0.1", port))
        self.addCleanup(s.close)
        return s

    def start(self, sockets, lab):
        for s in sockets:
            os.set_inheritable(s.fileno(), True)
        fds = [s.fileno() for s in sockets]
        lab.popen = {"pass_fds": fds}
        lab.wrap = [sys.executable, "-c", PASS, ",".join(map(str, fds))] + lab.wrap
        lab.start()
        self.addCleanup(lab.__exit__, None)

    def test_inherited_sockets_are_served_and_strangers_closed(self):
        lab = AgentAlone(room=1)
        lab.ports.release()
        stranger = self.tcp(0)
        unix = socket.socket(socket.AF_UNIX)
        self.addCleanup(unix.close)
        path = str(lab.dir / "spop.sock")
        unix.bind(path)
        unix.listen(10)
        lab.config["spop"]["listen"].append("unix:" + path)
        lab.config_file.write_text(json.dumps(lab.config))
        sockets = [self.tcp(lab.http), self.udp(lab.events), stranger, unix, self.tcp(lab.events),
                   self.tcp(lab.spop)]
        early = socket.create_connection(("127.0.0.1", lab.spop))  # before the agent is there
        self.addCleanup(early.close)
        lab.udp(end_line("before"))
        self.start(sockets, lab)

        port = stranger.getsockname()[1]
        lab.logged(rf"socket of 127\.0\.0\.1:{port} serves no configured address")
        lab.until(lambda: lab.end_lines("unknown") == 1, "the line that waited in the socket")
        lab.until(lambda: lab.counter("spop_connections") == 1, "the peer that waited")
        peer = lab.peer()
        self.addCleanup(peer.close)
        self.assertEqual("route", peer.route("r1")["verdict"])
        lab.ends("r1")
        lab.until(lambda: lab.end_lines("closed") == 1, "its end")
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(path)
            lab.until(lambda: lab.counter("spop_connections") == 3, "a peer on the unix socket")


if __name__ == "__main__":
    unittest.main()
