"""What API clients get when something fails: the errors that HAProxy itself makes, in the sample's
words, and when refused clients are told to come back."""
import asyncio
import json
import pathlib
import socket
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from case import body_of  # noqa: E402
from client import Http1  # noqa: E402
from lab import AgentAlone, room_for  # noqa: E402
from stack import FLEET, Stack  # noqa: E402

# Ways to fail, below the sample's own defaults: path -> what a server does, or HAProxy itself. Short
# times only where something takes too long: everybody else may be slow.
PROBES = """
frontend impatient from slo
    bind 127.0.0.1:{impatient}
    timeout http-request 300ms
    option http-buffer-request
    default_backend bad

frontend probe from slo
    bind 127.0.0.1:{port}
    option http-buffer-request
    http-request deny deny_status 400 if {{ path_end /malformed }}
    http-request deny deny_status 413 if {{ path_end /large }}
    http-request deny deny_status 429 if {{ path_end /many }}
    http-request deny deny_status 500 if {{ path_end /broken }}
    use_backend absent if {{ path_end /absent }}
    use_backend silent if {{ path_end /silent }}
    default_backend bad

backend bad from slo
    server bad 127.0.0.1:{server}

backend silent from slo
    timeout server 300ms
    server silent 127.0.0.1:{server}

backend absent from slo
    retries 0
    server absent 127.0.0.1:{absent}
"""
FAILURES = {"/malformed": (400, "invalid_request_error"), "/large": (413, "request_too_large"),
            "/many": (429, "rate_limit_error"), "/broken": (500, "api_error"),
            "/closes": (502, "api_error"), "/garbage": (502, "api_error"),
            "/absent": (503, "service_unavailable_error"), "/silent": (504, "timeout_error")}


class BadServer:
    """Closes, talks garbage or says nothing, as the path wants it."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.silent = []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                conn = self.listener.accept()[0]
            except OSError:
                return
            head = conn.recv(65536)
            if b"/silent " in head:
                self.silent.append(conn)
                continue
            if b"/garbage " in head:
                conn.sendall(b"HTTP/7 what\r\n\r\n")
            conn.close()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for conn in self.silent:
            conn.close()


class Proxy(unittest.IsolatedAsyncioTestCase):
    """HAProxy and the sample; no agent is up."""

    @classmethod
    def setUpClass(cls):
        cls.bad = BadServer()
        cls.addClassCleanup(cls.bad.close)
        stack = cls.stack = Stack(extra_cfg=cls.probes)
        cls.addClassCleanup(stack.stop)
        cls.port = stack.ports.take()
        cls.absent = stack.ports.take()
        cls.impatient = stack.ports.take()
        stack.start_servers()
        stack.start_proxy()

    @classmethod
    def probes(cls, _):
        return PROBES.format(port=cls.port, server=cls.bad.port, absent=cls.absent, impatient=cls.impatient)

    def assert_error(self, answer, status, kind):
        """What the SDKs of OpenAI and of Anthropic look for."""
        self.assertEqual(status, answer.status, answer)
        self.assertEqual("application/json", answer.headers["content-type"])
        said = answer.json()
        self.assertEqual("error", said["type"])
        self.assertEqual(kind, said["error"]["type"])
        self.assertRegex(said["error"]["message"], r"^[A-Z].*\.$")
        self.assertIn("code", said["error"])

    async def test_haproxys_own_errors_are_json_that_sdks_read(self):
        for path, (status, kind) in FAILURES.items():
            with self.subTest(path):
                async with Http1("127.0.0.1", self.port) as http:
                    answer = await asyncio.wait_for(http.request("POST", "/v1" + path, {}, b"{}"), 60)
                self.assert_error(answer, status, kind)
                self.assertEqual(status in (429, 503), "retry-after" in answer.headers)

    async def test_a_body_that_does_not_come_is_told_too(self):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.impatient)
        writer.write(b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{")
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
        self.assertIn(b" 408 ", head.splitlines()[0])
        said = json.loads(await asyncio.wait_for(reader.readuntil(b"}}"), 60))
        self.assertEqual(("error", "timeout_error"), (said["type"], said["error"]["type"]))
        writer.close()


class ComeBack(unittest.TestCase):
    """What the agent says of retry_after, seen from HAProxy's side."""

    def start(self, **kw):
        self.lab = self.enterContext(AgentAlone(room=1, **kw))
        return self.enterContext(self.lab.peer())

    def fill(self, peer):
        for i in range(len(FLEET)):
            self.assertEqual("route", peer.route(f"runs-{i}", body=body_of())["verdict"])

    def refused(self, limit):
        """As many wait as may; what one more is told."""
        peer = self.start(config=lambda c: c["routing"].update(queue_limit=limit))
        self.fill(peer)
        for i in range(limit):
            peer.ask(f"waits-{i}", body=body_of())
        self.lab.until(lambda: self.lab.queued() == limit, "a full queue")
        says = peer.route("one-more", body=body_of())
        self.assertEqual(("reject", "queue-full", 429),
                         (says["verdict"], says["reason"], says["status"]))
        return says["retry_after"]

    def test_the_longer_the_queue_the_later(self):
        # Five have left it in the last ten seconds: two more would take four seconds.
        short = self.refused(2)
        self.assertGreaterEqual(short, 4)
        self.assertGreater(self.refused(20), short)

    def test_a_target_that_no_server_can_meet_is_not_worth_another_try(self):
        peer = self.start(config=lambda c: c["routing"].update(late="reject"))
        says = peer.route("hopeless", body=body_of(), slo_e2e_ms=1)
        self.assertEqual(("reject", "slo-failure", 0),
                         (says["verdict"], says["reason"], says["retry_after"]))

    def test_a_size_that_no_server_can_serve_is_not_worth_another_try(self):
        peer = self.start()
        for gpu in set(FLEET.values()):
            self.lab.profile(gpu, dict(room_for(1, created=1.9e9), gpu=gpu, tputs=[[0.0]]))
        self.lab.agent.send(1)
        self.lab.until(lambda: self.lab.agent.text().count("is in force") > 0, "the profiles")
        says = peer.route("too-big", body=body_of())
        self.assertEqual(("reject", "slo-failure", 0),
                         (says["verdict"], says["reason"], says["retry_after"]))

    def test_who_is_served_is_told_nothing_of_it(self):
        self.assertNotIn("retry_after", self.start().route("served", body=body_of()))


if __name__ == "__main__":
    unittest.main()
