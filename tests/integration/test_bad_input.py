"""What hostile or broken peers and files do to the agent: nothing to anybody else.

Tests speak SPOP and end lines straight to the agent; there is no HAProxy here. Every test has a
second, well-behaved connection that must be served before and after, and looks at what an
operator would see in the log.
"""
import contextlib
import pathlib
import random
import re
import socket
import struct
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import spop  # noqa: E402
from lab import PATIENCE, AgentAlone, dumps, end_line, failed, room_for, scaled  # noqa: E402
from stack import MODEL, get  # noqa: E402

# What AGENT-DISCONNECT says.
TOO_BIG, INVALID, NO_VERSION, NO_MAX_FRAME, NO_CAPABILITIES = 3, 4, 5, 6, 7
BAD_VERSION, BAD_MAX_FRAME, NO_FRAGMENTATION = 8, 9, 10


SILENT = 0.1  # seconds after which a connection that says nothing may have to make room


def limits(**values):
    return lambda conf: conf.setdefault("limits", {}).update(values)


class WithAgent(unittest.TestCase):
    """An agent of its own for every test: the log passes only some lines of a kind."""

    config = None

    def setUp(self):
        self.start(config=type(self).config)

    def start(self, **kw):
        self.agent = AgentAlone(**kw)
        self.served = 0
        with contextlib.ExitStack() as undo:
            undo.push(self.agent.__exit__)
            self.agent.start()
            self.good = self.agent.peer()
            undo.pop_all()
        self.addCleanup(self.finish)
        self.assert_serves()

    def finish(self):
        try:
            if not failed(self):
                self.assertTrue(self.agent.agent.alive(), self.agent.agent.text())
                self.assert_serves()
                self.agent.until(self.agent.idle, "an empty ledger")
        finally:
            self.good.close()
            bad = failed(self) or sys.exc_info()[0]
            self.agent.__exit__(Exception if bad else None)

    def assert_serves(self):
        """The good connection is routed, and its request is closed by its end line."""
        self.served += 1
        name = f"good-{self.served}"
        before = self.agent.dispatched()
        answer = self.good.route(name)
        self.assertEqual("route", answer["verdict"])
        self.assertIn(answer["server"], self.agent.fleet)
        self.agent.ends(name, srv=answer["server"])  # read in its own time: what is counted later must not depend on it
        self.agent.until(lambda: self.agent.dispatched() <= before, f"{name} is closed")

    def assert_disconnected(self, peer, status, text):
        """The peer is told so, the connection ends and the log names it."""
        f = peer.receive()
        self.assertIsNotNone(f, "closed without a word")
        self.assertEqual(spop.AGENT_DISCONNECT, f.type)
        said = spop.parse_pairs(f.payload)
        self.assertEqual((status, text), (said["status-code"], said["message"]))
        self.assertIsNone(peer.receive())
        self.agent.logged(rf"\[WARNING\] .* spop: connection from {re.escape(peer.name)} closed: "
                          rf"{re.escape(text)} \(status {status}\)\n")

    def broken(self, data, status, text, greet=True, **hello):
        with self.agent.peer(greet=False) as p:
            if greet:
                p.hello(**hello)
            p.send(data)
            self.assert_disconnected(p, status, text)
        self.assert_serves()


class Hello(WithAgent):
    def test_it_arrives_in_one_segment(self):
        for _ in range(scaled(20)):
            with self.agent.peer(greet=False) as p:
                p.send(spop.hello())
                data = p.socket.recv(65536)
                self.assertEqual(len(data), 4 + struct.unpack(">I", data[:4])[0])
                self.assertEqual(spop.AGENT_HELLO, spop.parse(data[4:]).type)

    def test_what_was_agreed(self):
        with self.agent.peer(greet=False) as p:
            said = spop.parse_pairs(p.hello(max_frame_size=1024).payload)
            self.assertEqual({"version": "2.0", "max-frame-size": 1024,
                              "capabilities": "pipelining"}, said)

    def test_byte_by_byte(self):
        with self.agent.peer(greet=False) as p:
            for b in spop.hello():
                p.send(bytes([b]))
            self.assertEqual(spop.AGENT_HELLO, p.receive().type)
            answer = p.route("after-a-slow-hello")
            self.assertEqual("route", answer["verdict"])
        self.agent.ends("after-a-slow-hello")

    def test_health_check_is_answered_and_closed(self):
        with self.agent.peer(greet=False) as p:
            self.assertEqual(spop.AGENT_HELLO, p.hello(healthcheck=True, capabilities="").type)
            self.assertIsNone(p.receive())
        self.assertEqual(1, self.agent.counter("spop_frames_total", type="healthcheck"))
        self.assertNotIn("WARNING", self.agent.agent.text())

    def test_wrong_version(self):
        self.broken(spop.hello(supported_versions="1.0, 3"), BAD_VERSION, "unsupported version",
                    greet=False)

    def test_no_version(self):
        self.broken(spop.hello(supported_versions=None), NO_VERSION, "no version in HELLO",
                    greet=False)

    def test_no_max_frame_size(self):
        self.broken(spop.hello(max_frame_size=None), NO_MAX_FRAME, "no max-frame-size in HELLO",
                    greet=False)

    def test_small_max_frame_size(self):
        self.broken(spop.hello(max_frame_size=255), BAD_MAX_FRAME,
                    "max-frame-size too big or too small", greet=False)

    def test_no_capabilities(self):
        self.broken(spop.hello(capabilities=None), NO_CAPABILITIES, "no capabilities in HELLO",
                    greet=False)

    def test_value_of_the_wrong_type(self):
        self.broken(spop.hello(max_frame_size="16380"), INVALID, "invalid frame", greet=False)

    def test_twice(self):
        self.broken(spop.hello(), INVALID, "invalid frame")
        self.assertEqual(1, self.agent.counter("spop_frames_total", type="hello", result="error"))

    def test_notify_before_it(self):
        self.broken(spop.notify(1, 1, {"id": "early"}), INVALID, "invalid frame", greet=False)


class LateHello(WithAgent):
    # Our own good connection has to be faster, on any machine.
    config = staticmethod(limits(hello_timeout="3s"))

    def test_none_in_time(self):
        with self.agent.peer(greet=False) as silent, self.agent.peer(greet=False) as slow:
            slow.send(spop.hello()[:20])
            for p in (silent, slow):
                self.assertIsNone(p.receive())
                self.agent.logged(rf"spop: connection from {re.escape(p.name)} closed: "
                                  r"no HELLO in time\n")


class Frames(WithAgent):
    def test_endless_varint(self):
        head = bytes([spop.NOTIFY]) + struct.pack(">I", spop.FIN)
        content = head + b"\xff" * 12 + b"\x00" * 4
        self.broken(struct.pack(">I", len(content)) + content, INVALID, "invalid frame")
        self.broken(spop.frame(spop.NOTIFY, b"\xff" * 12, 1, 1), INVALID, "invalid frame")

    def test_frame_too_short_to_be_one(self):
        self.broken(struct.pack(">I", 3) + b"abc", INVALID, "invalid frame")
        self.broken(struct.pack(">I", 0), INVALID, "invalid frame")

    def test_lengths_that_point_behind_the_frame(self):
        long = spop.varint(2 ** 64 - 4)
        for payload in (long + b"x", spop.string("slo-route") + b"\x01" + long,
                        spop.string("slo-route") + b"\x01" + spop.string("id") + b"\x08" + long,
                        spop.string("slo-route") + b"\x09" + spop.string("id") + b"\x00",
                        spop.string("slo-route")):
            with self.subTest(payload=payload.hex()):
                self.broken(spop.frame(spop.NOTIFY, payload, 1, 1), INVALID, "invalid frame")

    def test_value_of_an_unknown_type(self):
        self.broken(spop.notify(1, 1, {"id": "typed", "x": spop.Raw(b"\x0f")}), INVALID,
                    "invalid frame")

    def test_truncated_then_closed(self):
        whole = spop.notify(1, 1, {"id": "cut", "body": b"x" * 100})
        with self.agent.peer() as p:
            p.send(whole[:-50])
            p.close()
            self.agent.logged(rf"\[INFO\] .* spop: {re.escape(p.name)} left in the middle of a "
                              r"frame\n")
        with self.agent.peer() as p:
            p.send(whole[:-50])
            p.reset()
            self.agent.logged(rf"\[INFO\] .* spop: read from {re.escape(p.name)}: Connection reset by peer\n")
        self.agent.until(lambda: self.agent.state()["spop_connections"] == 1, "both are gone")

    def test_a_reset_with_nothing_under_way_is_worth_no_line(self):
        with self.agent.peer() as p:
            p.send(spop.notify(1, 1, {"id": "answered", "prompt_tokens": 1}))
            self.agent.ends("answered", srv=p.answer()["server"])
            p.reset()
            self.agent.until(lambda: self.agent.state()["spop_connections"] == 1, "it is gone")
            self.assertNotRegex(self.agent.agent.text(), rf"\[INFO\] .*{re.escape(p.name)}")

    def test_larger_than_agreed(self):
        self.broken(struct.pack(">I", 1025), TOO_BIG, "frame too big", max_frame_size=1024)

    def test_larger_than_our_own_limit_before_hello(self):
        self.broken(struct.pack(">I", 16381), TOO_BIG, "frame too big", greet=False)
        self.broken(b"GET / HTTP/1.1\r\n\r\n", TOO_BIG, "frame too big", greet=False)

    def test_as_large_as_agreed(self):
        with self.agent.peer() as p:
            n = 16380
            while len(data := spop.notify(1, 1, {"id": "large", "prompt_tokens": 1,
                                                 "other": b"x" * n})) > 16384:
                n -= 1
            self.assertEqual(16384, len(data))
            p.send(data)
            self.assertEqual("route", p.answer()["verdict"])
        self.agent.ends("large")

    def test_fragments(self):
        part = spop.message("slo-route", {"id": "parted"})
        text = "fragmentation not supported"
        self.broken(spop.frame(spop.NOTIFY, part, 1, 1, flags=0), NO_FRAGMENTATION, text)
        self.broken(spop.frame(spop.UNSET, part, 1, 1), NO_FRAGMENTATION, text)
        self.broken(spop.frame(spop.NOTIFY, part, 1, 1, flags=spop.FIN | spop.ABORT),
                    NO_FRAGMENTATION, text)
        self.assertEqual(0, self.agent.dispatched())

    def test_frame_of_a_later_version_is_skipped(self):
        with self.agent.peer() as p:
            p.send(spop.frame(77, b"whatever", 5, 5))
            self.assertEqual("route", p.route("after-77")["verdict"])
        self.agent.ends("after-77")

    def test_disconnect_with_a_reason_is_answered_and_logged(self):
        with self.agent.peer() as p:
            p.send(spop.frame(spop.HAPROXY_DISCONNECT,
                              spop.pairs({"status-code": 1, "message": "I/O error"})))
            self.assertEqual(spop.AGENT_DISCONNECT, p.receive().type)
            self.assertIsNone(p.receive())
            self.agent.logged(rf"spop: {re.escape(p.name)} disconnects: status 1, I/O error\n")

    def test_notify_split_at_every_byte(self):
        with self.agent.peer() as p:
            size = len(spop.notify(1, 1, {"id": "split-000"}))
            for cut in range(1, size):
                data = spop.notify(cut, 1, {"id": f"split-{cut:03}"})
                p.send(data[:cut])
                time.sleep(0.0005)  # so that it is mostly read in two parts
                p.send(data[cut:])
                self.assertEqual("route", p.answer()["verdict"])
            for b in spop.notify(999, 1, {"id": "split-all"}):
                p.send(bytes([b]))
            self.assertEqual("route", p.answer()["verdict"])
        self.assertEqual(size, self.agent.dispatched())
        self.agent.ends("split-all", *(f"split-{cut:03}" for cut in range(1, size)))

    def test_two_in_one_segment(self):
        with self.agent.peer() as p:
            p.send(spop.notify(7, 1, {"id": "first"}) + spop.notify(8, 2, {"id": "second"}))
            frames = [p.receive(), p.receive()]
            self.assertEqual({(spop.ACK, 7, 1), (spop.ACK, 8, 2)},
                             {(f.type, f.stream_id, f.frame_id) for f in frames})
        self.agent.ends("first", "second")

    def test_several_messages_in_one(self):
        with self.agent.peer() as p:
            p.send(spop.frame(spop.NOTIFY, spop.message("before", {"id": "no", "n": 5}) +
                              spop.message("slo-route", {"id": "yes"}) +
                              spop.message("after", {"id": "no", "flag": True}), 3, 4))
            f = p.receive()
            self.assertEqual((3, 4), (f.stream_id, f.frame_id))
            self.assertEqual("route", spop.parse_actions(f.payload)["verdict"])
        self.agent.ends("yes")
        self.agent.until(lambda: self.agent.end_lines("closed") == 2, "both of them closed")

    def test_unknown_message_gets_an_empty_answer(self):
        with self.agent.peer() as p:
            p.send(spop.notify(9, 1, {"id": "other"}, name="check-client-ip"))
            f = p.receive()
            self.assertEqual((spop.ACK, 9, 1, b""), (f.type, f.stream_id, f.frame_id, f.payload))
        self.assertEqual(0, self.agent.dispatched())

    def test_unknown_arguments_are_skipped(self):
        others = {"nothing": None, "yes": True, "text": "x" * 300, "bytes": b"\0\xff",
                  "i32": spop.Raw(bytes([spop.INT32]) + spop.varint(2 ** 64 - 5)),
                  "u32": spop.Raw(bytes([spop.UINT32]) + spop.varint(2 ** 32 - 1)),
                  "i64": -1, "u64": spop.Raw(bytes([spop.UINT64]) + spop.varint(2 ** 64 - 1)),
                  "v4": spop.Raw(bytes([spop.IPV4]) + b"\x7f\0\0\1"),
                  "v6": spop.Raw(bytes([spop.IPV6]) + b"\0" * 16), "": 5}
        with self.agent.peer() as p:
            p.send(spop.notify(1, 1, {**others, "id": "many", "strategy": "random"}))
            answer = p.answer()
            self.assertEqual(("route", "random"), (answer["verdict"], answer["strategy"]))
        self.agent.ends("many")

    def test_arguments_of_the_wrong_type_count_as_absent(self):
        with self.agent.peer() as p:
            answer = p.route("odd", model=7, strategy=b"random", body=3, max_tokens=-2,
                             prompt_tokens="many", slo_e2e_ms=None)
            self.assertEqual(("route", "slo"), (answer["verdict"], answer["strategy"]))
            p.send(spop.notify(1, 1, {"id": 17}))
            self.assertEqual("bad-request", p.answer()["reason"])
            p.send(spop.notify(1, 1, {"id": "x" * 256}))
            self.assertEqual("bad-request", p.answer()["reason"])
            p.send(spop.notify(1, 1, {}))
            self.assertEqual("bad-request", p.answer()["reason"])
        self.agent.ends("odd")

    def test_an_id_that_is_in_use(self):
        with self.agent.peer() as p:
            self.assertEqual("route", p.route("same")["verdict"])
            answer = p.route("same")
            self.assertEqual(("pass", "bad-request"), (answer["verdict"], answer["reason"]))
        self.assertEqual(1, self.agent.dispatched())
        self.agent.logged(r"\[WARNING\] .* unique-id same is in use already: is unique-id-format "
                          r"unique\?\n")
        self.agent.ends("same")

    def test_pipelined_frames_are_all_answered(self):
        n = scaled(500)
        asked = {(s, s * 1000003 % 65521) for s in range(1, n + 1)}
        with self.agent.peer() as p:
            p.send(b"".join(spop.notify(s, f, {"id": f"piped-{s}"}) for s, f in sorted(asked)))
            answered = [p.receive() for _ in range(n)]
            self.assertEqual(sorted(asked), sorted((f.stream_id, f.frame_id) for f in answered))
            self.assertEqual({"route"}, {spop.parse_actions(f.payload)["verdict"]
                                         for f in answered})
            self.assertTrue(p.quiet(0.05))
        self.agent.ends(*(f"piped-{s}" for s, _ in asked))


class Limits(WithAgent):
    def setUp(self):
        """Each test has limits of its own."""

    def test_a_peer_that_never_reads_is_dropped(self):
        self.start(config=limits(output_buffer="4k", spop_frame_size="2k"))
        data = b"".join(spop.notify(i, 1, {"id": f"deaf-{i}", "model": "nobody"})
                        for i in range(1, 201))
        sent = 0
        with self.agent.peer(receive_buffer=4096) as p:
            with self.assertRaises((ConnectionResetError, BrokenPipeError)):
                while sent < 256 << 20:
                    p.send(data)
                    sent += len(data)
            self.agent.logged(rf"\[WARNING\] .* spop: connection from {re.escape(p.name)} closed: "
                              r"it does not read what it is sent\n")

    def test_frames_in_flight(self):
        self.start(config=limits(frames_in_flight=4), room=1, fleet={"l20-1": "l20"})
        with self.agent.peer() as p:
            self.assertEqual("route", p.route("running")["verdict"])
            numbers = [p.ask(f"held-{i}") for i in range(6)]
            for number in numbers[4:]:  # at once: HAProxy balances
                f = p.receive()
                self.assertEqual(number, f.stream_id)
                says = spop.parse_actions(f.payload)
                self.assertEqual(("pass", "queue-full"), (says["verdict"], says["reason"]))
            self.assertEqual(4, self.agent.queued())
            for number, ended in zip(numbers[:4], ["running", "held-0", "held-1", "held-2"]):
                self.agent.ends(ended)
                f = p.receive()
                self.assertEqual(number, f.stream_id)
                self.assertEqual("route", spop.parse_actions(f.payload)["verdict"])
            self.agent.ends("held-3")

    def test_spop_connections(self):
        self.start(config=limits(spop_connections=3))
        with self.agent.peer() as a, self.agent.peer():
            with self.agent.peer(greet=False) as p:
                self.assertIsNone(p.receive())
            self.agent.logged(rf"\[WARNING\] .* 127\.0\.0\.1:{self.agent.spop}: all 3 connections "
                              r"of limits\.spop_connections are in use, a new one from 127\.0\.0\.1:\d+ is refused\n")
            a.close()
            self.agent.until(lambda: self.agent.state()["spop_connections"] == 2, "a is gone")
            with self.agent.peer() as p:
                self.assertEqual("route", p.route("room-again")["verdict"])
        self.agent.ends("room-again")

    def event_connections(self, n):
        self.agent.until(lambda: self.agent.state()["event_connections"] == n, f"{n} are left")

    def test_event_connections(self):
        self.start(config=limits(event_connections=1))
        self.event_connections(0)
        with self.agent.event_connection() as first:
            first.sendall(end_line("known"))
            self.agent.until(lambda: self.agent.end_lines("unknown") == 1, "it sent a good line")
            with self.agent.event_connection() as second:
                self.assertEqual(b"", second.recv(1))
            self.agent.logged(rf"127\.0\.0\.1:{self.agent.events}: all 1 connections of "
                              r"limits\.event_connections are in use, a "
                              r"new one from 127\.0\.0\.1:\d+ is refused\n")
        self.event_connections(0)

    def test_silent_event_connections_make_room(self):
        self.start(config=limits(event_connections=3))
        self.event_connections(0)
        with self.agent.event_connection() as known, self.agent.event_connection() as silent, \
                self.agent.event_connection() as garbled:
            known.sendall(end_line("known"))
            self.agent.until(lambda: self.agent.end_lines("unknown") == 1, "it sent a good line")
            garbled.sendall(b"garbage\n")
            self.agent.until(lambda: self.agent.end_lines("malformed") == 1, "it sent a bad one")
            time.sleep(SILENT)
            with self.agent.event_connection() as ring:
                self.assertEqual(b"", silent.recv(1))  # the longest silent one
                ring.sendall(end_line("ring"))
                self.agent.until(lambda: self.agent.end_lines("unknown") == 2, "it is heard")
                with self.agent.event_connection() as another:
                    self.assertEqual(b"", garbled.recv(1))
                    known.sendall(end_line("still"))
                    another.sendall(end_line("another"))
                    self.agent.until(lambda: self.agent.end_lines("unknown") == 4, "both are")
            self.agent.logged(r"\[WARNING\] .* events: connection from 127\.0\.0\.1:\d+ closed: it "
                              r"is silent and all connections are in use")
        self.event_connections(0)

    def test_spop_connections_without_hello_make_room(self):
        self.start(config=limits(spop_connections=3, hello_timeout="5m"))  # one is self.peer
        with self.agent.peer() as known, self.agent.peer(greet=False) as silent:
            self.agent.until(lambda: self.agent.state()["spop_connections"] == 3, "both are there")
            time.sleep(SILENT)
            with self.agent.peer() as third:
                self.assertIsNone(silent.receive())
                self.assertEqual("route", third.route("three")["verdict"])
                self.assertEqual("route", known.route("one")["verdict"])
                with self.agent.peer(greet=False) as fourth:
                    self.assertIsNone(fourth.receive())  # refused: nobody is silent
        self.agent.ends("one", "three")


class LongLines(WithAgent):
    config = limits(end_line_length=65535)

    def test_a_datagram_has_a_limit_of_its_own(self):
        name = re.escape(self.agent.udp(b"slo1 id=long x=" + b"y" * 9000))
        self.agent.logged(rf"events: {name} sent a line longer than a datagram may be \(8192 bytes\)\n")


class EndLines(WithAgent):
    def malformed(self, n):
        self.agent.until(lambda: self.agent.end_lines("malformed") == n, f"{n} are malformed")

    def test_without_id(self):
        with self.agent.event_connection() as s:
            s.sendall(b"slo1 be=x srv=y st=200\nslo1 id=- be=z\n")
            self.malformed(2)
            name = re.escape("%s:%d" % s.getsockname())
            self.agent.logged(rf"\[WARNING\] .* events: {name} sent an end line without a valid "
                              r"id: slo1 be=x srv=y st=200\n")
            self.agent.logged(rf"events: {name} .* id: slo1 id=- be=z\n")
        for i, line in enumerate((b"slo1 be=udp\n", b"slo1 id=- be=udp\n", b"slo1 id= be=udp\n")):
            name = re.escape(self.agent.udp(line))
            self.malformed(3 + i)
            self.agent.logged(rf"events: {name} sent an end line without a valid id: "
                              + re.escape(line.decode().strip()))

    def test_too_long(self):
        long = b"slo1 id=long x=" + b"y" * 20000
        with self.agent.event_connection() as s:
            self.good.route("behind-a-long-one")
            s.sendall(long + b"\n" + end_line("behind-a-long-one"))
            self.malformed(1)
            self.agent.until(lambda: self.agent.dispatched() == 0, "the line behind it counts")
            name = re.escape("%s:%d" % s.getsockname())
            self.agent.logged(rf"\[WARNING\] .* events: {name} sent a line longer than "
                              r"limits\.end_line_length \(8192 bytes\)\n")
        for i, size in enumerate((8193, 20000)):
            name = re.escape(self.agent.udp(long[:size]))
            self.malformed(2 + i)
            self.agent.logged(rf"events: {name} sent a line longer than")

    def test_a_long_line_in_many_pieces_is_one(self):
        with self.agent.event_connection() as s:
            for _ in range(100):
                s.sendall(b"z" * 1000)
            s.sendall(b"\n")
            self.malformed(1)
            self.good.route("after-the-pieces")
            s.sendall(end_line("after-the-pieces"))
            self.agent.until(lambda: self.agent.dispatched() == 0, "it counts")
        self.assertEqual(1, self.agent.end_lines("malformed"))

    def test_several_lines_in_a_datagram_are_several(self):
        """As a relay of syslog may send them. What begins otherwise belongs to the line before it."""
        for name in ("one", "two", "three"):
            self.good.route(name)
        self.agent.udp(end_line("one") + end_line("two") + b"\n" + end_line("three").rstrip())
        self.agent.until(lambda: self.agent.dispatched() == 0, "all three are closed")
        self.agent.udp(end_line("one") + end_line("two").rstrip() + b"\r\n")
        self.agent.until(lambda: self.agent.end_lines("duplicate") == 2, "two duplicates")
        self.good.route("four")
        self.agent.udp(b"\n" + end_line("four").rstrip() + b"\nServer llama2-7b/l20-1 is DOWN\n")
        self.agent.until(lambda: self.agent.dispatched() == 0, "the fourth is closed")
        self.assertNotIn("down", {s["state"] for s in self.agent.ledger().values()})
        self.assertEqual(0, self.agent.end_lines("malformed"))

    def test_garbage(self):
        garbage = b"\x00\x01\x1b[31mred\x7f \xff\xfe=="
        with self.agent.event_connection() as s:
            self.good.route("after-garbage")
            s.sendall(garbage + b"\n\n\r\n" + end_line("after-garbage"))
            self.agent.until(lambda: self.agent.dispatched() == 0, "the good line counts")
            name = re.escape("%s:%d" % s.getsockname())
            self.agent.logged(rf"\[INFO\] .* events: {name} sent a line that is no end line: ")
        before = self.agent.end_lines("malformed")
        name = re.escape(self.agent.udp(b"tell \x1b[2Jme\r\n"))
        self.malformed(before + 1)
        self.agent.logged(rf"events: {name} sent a line that is no end line: tell \?\[2Jme")
        log = self.agent.agent.log.read_bytes()
        self.assertEqual(b"", re.sub(rb"[^\x00-\x09\x0b-\x1f\x7f]", b"", log))

    def test_nul_bytes(self):
        """They end a line of HAProxy's ring sometimes; anywhere else they are data."""
        with self.agent.event_connection() as s:
            self.good.route("nul")
            s.sendall(end_line("nul").rstrip() + b"\0\n")
            self.agent.until(lambda: self.agent.dispatched() == 0, "closed")
            s.sendall(b"\0\0\0slo1 id=nul-before\n" + b"slo1\0id=nul-within\n")
            self.malformed(2)
        self.agent.udp(end_line("nul").rstrip() + b"\0")
        self.agent.until(lambda: self.agent.end_lines("duplicate") == 1, "a duplicate")

    def test_dropped_is_counted_by_its_number(self):
        with self.agent.event_connection() as s:
            s.sendall(b"3 events dropped\n1 event dropped\0\n<134>Nov 1 h: 40 event(s) dropped\n")
            self.agent.until(lambda: self.agent.end_lines("dropped") == 44, "all counted")
            name = re.escape("%s:%d" % s.getsockname())
        for n in (3, 1, 40):
            self.agent.logged(rf"\[WARNING\] .* events: the ring of {name} overflowed, {n} lines "
                              r"were lost\n")
        self.assertEqual(0, self.agent.end_lines("malformed"))

    def test_a_peer_that_leaves_in_the_middle_of_a_line(self):
        self.good.route("unfinished")
        with self.agent.event_connection() as s:
            s.sendall(end_line("unfinished")[:-20])
            name = re.escape("%s:%d" % s.getsockname())
        self.agent.logged(rf"\[INFO\] .* events: {name} left in the middle of a line\n")
        self.assertEqual(1, self.agent.dispatched())
        self.agent.ends("unfinished")

    def test_a_flood_of_nonsense_does_not_flood_the_log(self):
        with self.agent.event_connection() as s:
            s.sendall(b"nonsense\n" * 5000)
            self.malformed(5000)
        self.assertLess(self.agent.agent.text().count("nonsense"), 100)


class Files(unittest.TestCase):
    """What a broken configuration or profile says, with -c and at start."""

    def setUp(self):
        self.lab = AgentAlone()
        self.addCleanup(self.lab.__exit__, None)

    def run_agent(self, *args, code):
        argv = [*self.lab.wrap, str(self.lab.build / "slo-spoa"), *map(str, args)]
        p = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, timeout=60 * PATIENCE, text=True)
        self.assertEqual(code, p.returncode, p.stderr)
        return p.stdout, p.stderr

    def assert_refused(self, text, *expected):
        """With -c and at start: exit 1 and one line that says all of this."""
        self.lab.config_file.write_text(text)
        for args in (["-c"], []):
            _, err = self.run_agent(*args, "-f", self.lab.config_file, code=1)
            self.assertRegex(err, r"^\[ALERT\] \(\d+\) : [^\n]+\n$")
            for e in expected:
                self.assertIn(e, err)

    def place(self, text, needle):
        """FILE:LINE:COLUMN of a piece of the configuration."""
        before = text[:text.index(needle)]
        return (f"{self.lab.config_file}:{before.count(chr(10)) + 1}:"
                f"{len(before) - before.rfind(chr(10))}:")

    def test_a_good_one(self):
        self.lab.ports.release()
        out, err = self.run_agent("-c", "-f", self.lab.config_file, code=0)
        self.assertEqual((f"{self.lab.config_file}: configuration is valid\n", ""), (out, err))

    def test_unknown_key(self):
        text = dumps(dict(self.lab.config, routing={"queu_limit": 5}))
        self.assert_refused(text, self.place(text, '"queu_limit"'),
                            'key "routing.queu_limit": unknown key (did you mean "queue_limit"?)')

    def test_a_key_in_another_section_than_its_own(self):
        promise = dict(self.lab.config, slo={"e2e": "30s"})
        text = dumps(promise)
        self.assert_refused(text, self.place(text, '"slo": {\n    "e2e"'), 'key "slo": unknown key here, it belongs to models.M')
        text = dumps(dict(self.lab.config, routing={"runtime_api": []}))
        self.assert_refused(text, 'key "routing.runtime_api": unknown key here, it belongs to haproxy')
        text = dumps(dict(self.lab.config, strategy="slo"))
        self.assert_refused(text, 'key "strategy": unknown key here, it belongs to routing or models.M')

    def test_folders_that_are_not_there(self):
        self.lab.ports.release()
        gone = {"profiles": {"dir": "none"}, "snapshot": {"file": "no/state"}, "recorder": {"file": "nor/log"},
                "control": {"listen": "unix:never/ctl"}}
        self.lab.config_file.write_text(dumps(dict(self.lab.config, **gone)))
        out, err = self.run_agent("-c", "-f", self.lab.config_file, code=0)
        self.assertEqual("", err)
        for key, folder in (("profiles.dir", "none"), ("snapshot.file", "no"), ("recorder.file", "nor"),
                            ("control.listen", "never")):
            self.assertRegex(out, rf"(?m)^\[NOTICE\] \(\d+\) : {key}: there is no folder \S+/{folder} on this machine: ")

    def test_a_folder_that_cannot_be_looked_at_may_be_there(self):
        self.lab.ports.release()
        (self.lab.dir / "loop").symlink_to("loop")  # fails for root too, as a closed folder does for others
        self.lab.config_file.write_text(dumps(dict(self.lab.config, snapshot={"file": "loop/state"})))
        out, _ = self.run_agent("-c", "-f", self.lab.config_file, code=0)
        self.assertNotIn("there is no folder", out)

    def test_accounts_and_promises_that_cannot_be_meant(self):
        self.lab.ports.release()
        config = dict(self.lab.config, control={"listen": "unix:ctl", "mode": "660", "group": "no-such-group"},
                      models={"m": {"slo": {"ttft": "30s", "e2e": "2s"}, "deployments": {"d": {"servers": ["s"], "kv_tokens": 1023}}}})
        config["events"] = dict(config["events"], listen=[*config["events"]["listen"], "unix:ev"], peers=["no-such-user"],
                                mode="660", group="no-such-group")
        config.pop("routing", None)
        self.lab.config_file.write_text(dumps(config))
        out, err = self.run_agent("-c", "-f", self.lab.config_file, code=0)
        self.assertEqual("", err)
        for said in (": events: there is no group no-such-group on this machine: the agent will not start",
                     ": control: there is no group no-such-group on this machine: the agent will not start",
                     ": events: there is no user no-such-user on this machine: the agent will not start",
                     r": models\.m\.slo: ttft \(30 s\) is longer than e2e \(2 s\), which holds for the whole answer",
                     r": models\.m\.deployments\.d\.kv_tokens is 1023: hardly a request fits into so small a cache.*"):
            self.assertRegex(out, r"(?m)^\[NOTICE\] \(\d+\) " + said + "$")

    def test_a_cache_that_nobody_tells_is_told(self):
        self.lab.ports.release()
        config = dict(self.lab.config, models={"m": {"deployments": {
            "silent": {"servers": ["s1"]}, "told": {"servers": ["s2"], "kv_tokens": 50000},
            "unread": {"servers": ["s3"], "profile": "learned"}, "file": {"servers": ["s4"]},
            "given": {"servers": ["s5"], "profile": "given"}}}})
        config.pop("routing", None)
        for name in "unread", "file":
            self.lab.profile(name, room_for(5), model="m")
        for engines, told in ({}, ["silent", "unread"]), ({"engines": {"metrics": "http://{address}:{port}/metrics"}, "haproxy": {"runtime_api": ["unix:stats.sock"]}}, []), ({"profiles": {"redis": {"url": "redis://127.0.0.1:1"}}}, []):
            self.lab.config_file.write_text(dumps(dict(config, **engines)))
            out, err = self.run_agent("-c", "-f", self.lab.config_file, code=0)
            self.assertEqual((told, ""), (re.findall(r"models\.m\.deployments\.(\w+) has neither kv_tokens nor a profile", out), err))

    def test_times_without_a_unit_are_told_with_what_they_are(self):
        self.lab.ports.release()
        config = dict(self.lab.config, limits={"lease_max_age": 7200, "remember_limit": 5, "idle_timeout": 0,
                                                      "remember_ended": 600000},
                      snapshot={"file": "state", "every": 2000, "max_age": "10m"})
        config["models"] = {"m": {"slo": {"e2e": 30, "tpot": "1"}, "deployments": {"d": {"servers": ["s"]}}}}
        config.pop("routing", None)
        self.lab.config_file.write_text(dumps(config))
        out, err = self.run_agent("-c", "-f", self.lab.config_file, code=0)
        told = re.findall(r"(?m)^\[NOTICE\] \(\d+\) : (.*): a number without a unit counts milliseconds$", out)
        self.assertEqual((sorted(told), err), (["limits.lease_max_age is 7200 ms", "models.m.slo.e2e is 30 ms",
                                                "models.m.slo.tpot is 1 ms"], ""))

    def test_wrong_type(self):
        text = dumps(dict(self.lab.config, routing={"queue_limit": "many"}))
        self.assert_refused(text, self.place(text, '"many"'), 'key "routing.queue_limit": ',
                            "is a string, must be ")

    def test_value_out_of_range(self):
        text = dumps(dict(self.lab.config, limits={"event_connections": 0}))
        self.assert_refused(text, self.place(text, '0\n'), 'key "limits.event_connections": ')

    def test_not_json(self):
        text = dumps(self.lab.config).replace('"models": {', '"models" {')
        self.assert_refused(text, self.place(text, '{\n    "llama2-7b"'))

    def test_missing_section(self):
        text = dumps({k: v for k, v in self.lab.config.items() if k != "events"})
        self.assert_refused(text, 'key "events": is missing')

    def test_missing_file(self):
        missing = self.lab.dir / "missing.json"
        for args in (["-c"], []):
            _, err = self.run_agent(*args, "-f", missing, code=1)
            self.assertIn(f"{missing}: cannot read: No such file or directory\n", err)

    def test_missing_f(self):
        for args, why in (([], "-f FILE is missing"), (["-c"], "-f FILE is missing"), (["-x"], "invalid option"),
                          (["-f", self.lab.config_file, "more"], '"more" is no option'),
                          (["-f", self.lab.config_file, "--haproxy", "f"], "--haproxy needs -c")):
            _, err = self.run_agent(*args, code=1)
            self.assertTrue(err.startswith("slo-spoa: ") or err.startswith(str(self.lab.build)), err)
            self.assertIn(why, err.splitlines()[0])
            self.assertIn("Usage: slo-spoa -f FILE", err)

    def test_long_options(self):
        out, _ = self.run_agent("--check", "--config", self.lab.config_file, code=0)
        self.assertEqual(out, f"{self.lab.config_file}: configuration is valid\n")
        self.assertEqual(self.run_agent("--version", code=0), self.run_agent("-v", code=0))
        out, _ = self.run_agent("--help", code=0)
        for flag in ("--config FILE", "--check", "--syslog", "--version", "--help"):
            self.assertIn(flag, out)

    def test_port_in_use(self):
        self.lab.ports.release()
        for kind, port, name in ((socket.SOCK_STREAM, self.lab.spop, "spop.listen"),
                                 (socket.SOCK_STREAM, self.lab.events, "events.listen"),
                                 (socket.SOCK_DGRAM, self.lab.events, "events.listen"),
                                 (socket.SOCK_STREAM, self.lab.http, "http.listen")):
            with self.subTest(name=name, kind=kind), socket.socket(type=kind) as s:
                s.bind(("127.0.0.1", port))
                if kind == socket.SOCK_STREAM:
                    s.listen()
                _, err = self.run_agent("-f", self.lab.config_file, code=1)
                udp = "udp:" if kind == socket.SOCK_DGRAM else ""
                self.assertRegex(err, rf"\[ALERT\] \(\d+\) : {name}: cannot listen on {udp}"
                                      rf"127\.0\.0\.1:{port}: bind: Address already in use\n")
                self.assertNotIn("is ready", err)


class Profiles(unittest.TestCase):
    def start(self, **profiles):
        self.lab = AgentAlone()
        self.addCleanup(self.lab.__exit__, None)
        for gpu, profile in profiles.items():
            self.lab.profile(gpu, profile)
        self.lab.start()

    def answer(self, name):
        with self.lab.peer() as p:
            answer = p.route(name)
        self.lab.ends(name)
        self.lab.until(self.lab.idle, "an empty ledger")
        return answer

    def test_wrong_shapes_at_start_leave_the_fallback(self):
        text = dumps(dict(room_for(5), tputs=[[1, 2]]))
        self.start(a10=text, l20=text)
        before = text[:text.index("[\n      1,\n")]
        place = f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"
        for gpu in ("a10", "l20"):
            path = self.lab.dir / "profiles" / MODEL / f"{gpu}.json"
            self.lab.logged(rf"\[ALERT\] .* {re.escape(str(path))}:{place}: "
                            r"key \"tputs\[0\]\": has 2 columns, must have 1 like indexes\[1\]\n")
        answer = self.answer("without-profile")
        self.assertEqual(("fallback", "no-profile", "least-request"),
                         (answer["verdict"], answer["reason"], answer["strategy"]))

    def test_one_bad_profile_does_not_spoil_the_other(self):
        self.start(a10="{", l20=room_for(5))
        self.lab.logged(r"\[ALERT\] .*a10\.json:1:\d+: ")
        for i in range(5):
            answer = self.answer(f"l20-only-{i}")
            self.assertEqual("route", answer["verdict"])
            self.assertTrue(answer["server"].startswith("l20"))


class Noise(WithAgent):
    # A good frame with a wrong bit can be a good frame, whose end line never comes.
    config = staticmethod(limits(lease_max_age="1s"))

    def test_random_bytes_on_all_ports(self):
        """Three seconds of seeded noise, while the good connection is routed all the time.

        The HTTP port hears less: libmicrohttpd may keep a connection for its idle time after the
        peer left in the middle of a request, and there are limits.http_connections of them."""
        over = threading.Event()
        sent = [0, 0, 0, 0]
        hello = spop.hello()

        def noise(rng):
            kind = rng.randrange(6)
            data = rng.randbytes(rng.choice((1, 7, 60, 2000, 70000)))
            if kind == 1:  # the frame is well-formed, its content is not
                data = spop.frame(rng.choice((0, 1, 2, 3, 101, rng.randrange(256))), data[:16000],
                                  rng.randrange(5), rng.randrange(5), rng.randrange(4))
            if kind == 2:  # a good frame with a bit turned over
                data = bytearray(spop.notify(1, 1, {"id": "noise", "model": "x", "n": 300}))
                data[rng.randrange(4, len(data))] ^= 1 << rng.randrange(8)
            if kind == 3:
                data = b"slo1 id=" + data.replace(b"\n", b" ") + b"\n"
            return bytes(data)

        def stream(seed, port, first, slot, most=1 << 30):
            rng = random.Random(seed)
            while not over.is_set() and (most := most - 1) >= 0:
                try:
                    with socket.create_connection(("127.0.0.1", port), 30 * PATIENCE) as s:
                        s.settimeout(30 * PATIENCE)
                        if rng.random() < 0.7:
                            s.sendall(first)
                        for _ in range(rng.randrange(1, 5)):
                            s.sendall(noise(rng))
                            sent[slot] += 1
                except (ConnectionError, TimeoutError):
                    pass

        def datagrams(seed):
            rng = random.Random(seed)
            with socket.socket(type=socket.SOCK_DGRAM) as s:
                s.connect(("127.0.0.1", self.agent.events))
                while not over.is_set():
                    s.send(noise(rng)[:20000])
                    sent[3] += 1
                    time.sleep(0.0002)

        jobs = [threading.Thread(target=stream, args=(1, self.agent.spop, hello, 0)),
                threading.Thread(target=stream, args=(2, self.agent.events, b"slo1 id=x\n", 1)),
                threading.Thread(target=stream, args=(3, self.agent.http, b"GET /x HTTP/1.1\r\n", 2,
                                                     40)),
                threading.Thread(target=datagrams, args=(4,))]
        for j in jobs:
            j.start()
        routed, end = 0, time.monotonic() + 3.0
        try:
            while time.monotonic() < end or min(sent) < 5 or routed <= 20:
                name = f"in-noise-{routed}"
                self.assertEqual("route", self.good.route(name)["verdict"])
                self.agent.ends(name)
                routed += 1
        finally:
            over.set()
            for j in jobs:
                j.join()
        self.assertGreater(self.agent.end_lines("malformed"), 0)
        self.assertGreater(self.agent.counter("spop_frames_total", result="error"), 0)
        self.agent.logged(r"spop: connection from \S+ closed: (frame too big|invalid frame)")
        self.agent.logged(r"sent a line that is no end line")
        self.assertEqual(b"ok\n", get(f"http://127.0.0.1:{self.agent.http}/healthz"))


if __name__ == "__main__":
    unittest.main()
