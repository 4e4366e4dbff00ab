"""What a service manager does: it opens the sockets, so that nothing is refused while the agent is not
there, and hears from the agent how it is."""
import json
import os
import pathlib
import signal
import socket
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from lab import PATIENCE, AgentAlone, end_line  # noqa: E402

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


class Notified(unittest.TestCase):
    """The datagrams at NOTIFY_SOCKET."""

    def manager(self, lab, name=None):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(s.close)
        s.settimeout(60 * PATIENCE)
        address = name or str(lab.dir / "notify")
        s.bind(address.replace("@", "\0"))
        lab.popen = {"env": dict(os.environ, NOTIFY_SOCKET=address)}
        self.addCleanup(lab.__exit__, None)
        return s

    def hears(self, manager, pattern):
        text = manager.recv(4096).decode()
        self.assertRegex(text, pattern)
        return text

    def test_it_tells_when_it_serves_reloads_hands_over_and_stops(self):
        lab = AgentAlone()
        lab.config["routing"]["drain_timeout"] = "40s"
        lab.config_file.write_text(json.dumps(lab.config))
        manager = self.manager(lab)
        lab.start()
        self.hears(manager, r"\AREADY=1\n")
        lab.agent.send(signal.SIGHUP)
        self.hears(manager, r"\ARELOADING=1\nMONOTONIC_USEC=\d+\n")
        self.hears(manager, r"\AREADY=1\n")

        old = lab.agent
        old.send(signal.SIGUSR2)
        told = {self.hears(manager, r"\A(READY=1\n|MAINPID=\d+)") for _ in range(2)}
        pid = int(lab.logged(r"upgrade: started \S+ as pid (\d+)")[1])
        self.addCleanup(lab.until, lambda: not pathlib.Path(f"/proc/{pid}").exists(), "its end")
        self.assertIn(f"MAINPID={pid}", told)
        lab.until(lambda: not old.alive(), "the old process ends")
        os.kill(pid, signal.SIGTERM)
        self.hears(manager, r"\ASTOPPING=1\nEXTEND_TIMEOUT_USEC=50000000\n")

    def test_a_reload_of_one_that_stops_is_not_told_as_serving(self):
        lab = AgentAlone(room=1, fleet={"l20-1": "l20"})
        manager = self.manager(lab)
        lab.start()
        self.hears(manager, r"\AREADY=1\n")
        peer = lab.peer()
        self.addCleanup(peer.close)
        self.assertEqual("route", peer.route("r1")["verdict"])
        peer.ask("r2")
        lab.until(lambda: lab.queued() == 1, "r2 waits")
        lab.agent.send(signal.SIGTERM)
        self.hears(manager, r"\ASTOPPING=1\n")
        lab.agent.send(signal.SIGHUP)
        lab.logged("reload: .* is in force")
        lab.ends("r1")
        self.assertEqual("route", peer.answer()["verdict"])
        lab.until(lambda: not lab.agent.alive(), "its end")
        manager.setblocking(False)
        self.assertRaises(BlockingIOError, manager.recv, 4096)

    def test_the_managers_socket_may_have_no_file(self):
        lab = AgentAlone()
        manager = self.manager(lab, f"@slo-spoa-test-{os.getpid()}")
        lab.start()
        self.hears(manager, r"\AREADY=1\n")

    def test_a_manager_that_is_gone_stops_nothing(self):
        lab = AgentAlone()
        self.manager(lab).close()
        lab.start()
        lab.agent.send(signal.SIGHUP)
        lab.logged("reload: .* is in force")


if __name__ == "__main__":
    unittest.main()
