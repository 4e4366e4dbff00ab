"""Requests, answers and ends that are seldom seen but real, through HAProxy."""
import asyncio
import base64
import json
import pathlib
import socket
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from case import CHAT, PATIENCE, StackCase, body_of, text_of  # noqa: E402
from lab import AgentAlone  # noqa: E402
from nameserver import NameServer  # noqa: E402
from rawclient import ask as raw_ask  # noqa: E402
from stack import MODEL, get, wait_for  # noqa: E402
from wayward import WaywardLab  # noqa: E402

TARGET = {"x-slo-e2e-ms": 60000}


def http(status, headers, body, version="HTTP/1.1"):
    lines = [f"{version} {status}", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def whole(body, kind="application/json", **headers):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return http("200 OK", {"Content-Type": kind, "Content-Length": len(data), **headers}, data)


def chunks(*parts, end=b"0\r\n\r\n", kind="text/event-stream"):
    data = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in parts)
    return http("200 OK", {"Content-Type": kind, "Transfer-Encoding": "chunked"}, data + end)


class Ends(unittest.TestCase):
    """Servers that answer with the bytes that the test gives them."""

    def setUp(self):
        self.lab = self.enterContext(WaywardLab())
        self.ends = 0

    def post(self, answer, path=CHAT, stream=False, **headers):
        body = {"model": MODEL, "messages": [{"role": "user", "content": text_of(300)}], "stream": stream}
        headers = {"Connection": "close", "x-do": "raw", "x-raw": base64.b64encode(answer).decode(), **TARGET, **headers}
        data = json.dumps(body).encode()
        lines = [f"POST {path} HTTP/1.1", "Host: test", f"Content-Length: {len(data)}",
                 *(f"{k}: {v}" for k, v in headers.items())]
        got = asyncio.run(raw_ask(self.lab.port, "\r\n".join(lines).encode() + b"\r\n\r\n" + data))
        self.ends += 1
        wait_for(lambda: self.lab.end_lines("closed") == self.ends, "its end line")
        return got

    def tokens(self):
        return self.lab.ledger()["a10-1"]["tokens"]

    def test_usage_is_read_under_the_names_of_all_engines(self):
        told = {"prompt_tokens": 24, "completion_tokens": 10}
        for what, answer, path in (
                ("llama.cpp", whole({"content": "x", "tokens_predicted": 10, "tokens_evaluated": 24,
                                     "generation_settings": {"stop": [], "samplers": ["a"]}}), "/completion"),
                ("Ollama", whole({"message": {}, "prompt_eval_count": 24, "eval_count": 10}), "/api/chat"),
                ("Gemini", whole({"candidates": [], "usageMetadata": {
                    "promptTokenCount": 24, "candidatesTokenCount": 10}}), "/v1beta/models/x:generateContent"),
                ("Gemini that thinks", whole({"usageMetadata": {
                    "promptTokenCount": 24, "candidatesTokenCount": 3, "thoughtsTokenCount": 7}}), CHAT),
                ("Bedrock", whole({"usage": {"inputTokens": 24, "outputTokens": 10, "totalTokens": 34}}), "/model/x/converse"),
                ("Cohere", whole({"usage": {"billed_units": {"input_tokens": 5}, "tokens": {
                    "input_tokens": 24, "output_tokens": 10}}}), "/v2/chat"),
                ("Cohere's old one", whole({"meta": {"tokens": {"input_tokens": 24, "output_tokens": 10}}}), "/v1/chat"),
                ("watsonx", whole({"results": [{"generated_text": "x", "generated_token_count": 10,
                                                "input_token_count": 24}]}), "/ml/v1/text/generation"),
                ("SGLang", whole({"text": "x", "meta_info": told}), "/generate"),
                ("TGI", whole({"generated_text": "x"}, **{"x-prompt-tokens": 24, "x-generated-tokens": 10}),
                 "/generate"),
                ("Anthropic", whole({"usage": {"input_tokens": 24, "output_tokens": 10}}), "/v1/messages"),
                ("a list of it", whole({"usage": told, "usage_list": [{"prompt_tokens": 1}]}), CHAT),
                ("upper case", whole({"usage": told}, "Application/JSON"), CHAT),
                ("charset", whole({"usage": told}, "application/json;charset=UTF-8"), CHAT),
                ("white space", whole(json.dumps({"usage": told}, indent=4).encode()), CHAT),
                ("behind the text", whole({"choices": [{"text": "w " * 5000}], "usage": told}), CHAT),
                ("text that looks like it", whole({"choices": [{"text": '"usage":{"prompt_tokens":9}'}],
                                                   "usage": told}), CHAT)):
            with self.subTest(what):
                before = self.tokens()
                self.assertTrue(self.post(answer, path).good)
                self.assertEqual(self.tokens() - before, 34)

    def test_numbers_of_any_length_are_read(self):
        """HAProxy's json_query reads them: its own defence is tried here, too."""
        for number in (b"1e1000000000", b"-1e-1000000000", b"1" * 9000, b"0." + b"0" * 9000 + b"1", b"1e400", b"12.5e0",
                       b"-3", b"[[" * 4000):
            with self.subTest(number[:20]):
                self.assertEqual(self.post(whole(b'{"usage":{"prompt_tokens":' + number + b"}}")).status, 200)
        self.assertEqual(self.lab.ledger()["a10-1"]["inflight"], 0)

    def test_the_first_event_of_a_stream_tells_its_bytes_per_token(self):
        events = [f'data: {{"id":"c","choices":[{{"index":0,"delta":{{{part}}}}}]}}\n\n'.encode()
                  for part in ('"role":"assistant","content":""', *['"content":" tok"'] * 40)]
        blanks = [e.replace(b'":', b'": ').replace(b",", b", ") for e in events]
        line = b'{"message":{"role":"assistant","content":" tok"},"done":false}\n'
        size = len(events[1]) - 2 - len(" tok")

        def told():
            return self.lab.state()["models"][MODEL]["estimator"]["stream_bytes_per_token"]
        guess, seen = told(), []
        for what, parts, kind, event in (
                ("types of event", [b"event: message_start\n" + events[0], *events[1:]], "text/event-stream", None),
                ("a comment", [b": here\n\n", *events], "text/event-stream", None),
                ("an error", events[:1], "text/event-stream", None),
                ("a role", events, "text/event-stream", size),
                ("a role beside text", [events[1].replace(b'"content"', b'"role":"assistant","content"')] * 40,
                 "text/event-stream", size + len('"role":"assistant", tok')),
                ("no text yet", [events[0].replace(b'""', b"null"), *events[1:]], "text/event-stream", size),
                ("no role", events[1:], "text/event-stream", size + len(" tok")),
                ("blanks", blanks, "text/event-stream", size + 6),
                ("lines", [line] * 40, "application/x-ndjson", len(line) - 1)):
            with self.subTest(what):
                seen += [event] if event else []
                self.assertTrue(self.post(chunks(*parts, kind=kind), stream=True).good)
                self.assertAlmostEqual(9 + 4.5 + sum(seen) / len(seen) if seen else guess, told())

    def test_ends_that_say_nothing_teach_and_meet_nothing(self):
        before = self.lab.state()["models"][MODEL]
        cases = (
            ("nothing", http("200 OK", {"Content-Length": 0}, b""), 200, "empty"),
            ("null", whole(b"null"), 200, "empty"),
            ("an error", whole({"error": {"message": "out of memory"}}), 200, "empty"),
            ("no content", http("204 No Content", {}, b""), 204, "refused"),
            ("a part", http("206 Partial Content", {"Content-Length": 2, "Content-Range": "bytes 0-1/9"}, b"{}"),
             206, "refused"),
            ("not modified", http("304 Not Modified", {}, b""), 304, "refused"),
            ("continue", http("100 Continue", {}, b"") + http("200 OK", {"Content-Length": 0}, b""), 200, "empty"),
            ("hints", http("103 Early Hints", {"Link": "</x>"}, b"") + whole(b"{}"), 200, "empty"),
            ("until it closes", http("200 OK", {"Content-Type": "application/json"}, b"{}", "HTTP/1.0"), 200,
             "empty"),
            ("only comments", chunks(*[b": keep-alive\n\n"] * 9), 200, "empty"),
            ("only the end", chunks(b"data: [DONE]\n\n"), 200, "empty"),
            ("no event", chunks(), 200, "empty"),
            ("a line without an end", chunks(b"data: x", end=b""), 200, "failed"),
            ("a chunk without an end", http("200 OK", {"Transfer-Encoding": "chunked"}, b"ff\r\nabc"), 200, "failed"),
            ("less than told", http("200 OK", {"Content-Length": 99}, b"{}"), 200, "failed"),
            ("no HTTP", b"SSH-2.0-OpenSSH_9.2\r\n", 502, "failed"),
            ("no head", b"HTTP/1.1 200 OK\r\nContent-", 502, "failed"),
            ("teapot", http("418 I'm a teapot", {"Content-Length": 0}, b""), 418, "refused"),
        )
        for what, answer, status, outcome in cases:
            for stream in (False, True):
                with self.subTest(what, stream=stream):
                    ends = self.lab.state()["models"][MODEL]["ends"][outcome]
                    got = self.post(answer, stream=stream)
                    self.assertEqual(got.status if got.status != 100 and got.status != 103 else status, status)
                    after = self.lab.state()["models"][MODEL]
                    self.assertEqual(after["ends"][outcome] - ends, 1, after["ends"])
                    self.assertEqual(after["predictor_samples"], before["predictor_samples"])
                    self.assertEqual(after["estimator"], before["estimator"])
        self.assertEqual(self.lab.counter("slo_total", met="true"), 0)
        self.assertEqual(self.lab.ledger()["a10-1"]["inflight"], 0)

    def test_a_server_that_changes_the_protocol_has_not_failed(self):
        """HAProxy 2.6 does not let a request with a body ask for that, so there it is a 502."""
        upgrade = {"Connection": "Upgrade", "Upgrade": "other"}
        got = self.post(http("101 Switching Protocols", upgrade, b"hello"), **upgrade)
        ends = self.lab.state()["models"][MODEL]["ends"]
        self.assertIn(got.status, (101, 502))
        self.assertEqual((ends["failed"], ends["answered"]), (got.status == 502, 0), ends)


class BareCompletions(unittest.TestCase):
    """vLLM answers 16 tokens to who sets no limit, llama.cpp as many as there are."""

    def test_the_default_limit_holds_until_an_engine_shows_that_it_has_none(self):
        with AgentAlone() as lab:
            with lab.peer() as peer:
                body = json.dumps({"model": MODEL, "prompt": text_of(100)}).encode()

                def asked(name, told):
                    self.assertEqual("route", peer.route(name, path="/v1/completions", body=body)["verdict"])
                    got = json.loads(get(f"http://127.0.0.1:{lab.http}/decisions?id={name}"))["decisions"][0]["output_tokens"]
                    lab.ends(name, out=told)
                    lab.until(lambda: lab.dispatched() == 0, "its end")
                    return got
                self.assertLessEqual([asked(f"short-{i}", 16) for i in range(3)], [16, 16, 16])
                for i in range(30):
                    asked(f"long-{i}", 512)
                self.assertGreater(max(asked(f"then-{i}", 512) for i in range(20)), 16)


NAMES = ("default", "BACKEND", "GLOBAL", "FRONTEND", "0", "a.b:c_d-1")


def named_oddly(conf):
    for name in NAMES:
        conf["models"][name] = {"deployments": {"x": {"servers": ["l20-1"]}}}


class Names(StackCase):
    """Models called as HAProxy calls things of its own: HAProxy 3.3 has a proxy "default"."""

    options = {"config": named_oddly, "extra_cfg": lambda stack: "".join(f"""
backend {name} from slo-model
    use-server %[var(txn.slo.server)] if {{ var(txn.slo.server) -m len gt 0 }}
    server l20-1 127.0.0.1:{stack.server_port["l20-1"]}
""" for name in NAMES)}

    async def test_each_leads_to_its_own_backend(self):
        for name in NAMES:
            with self.subTest(name):
                answer = await self.post(body=body_of(model=name))
                self.assertEqual((answer.status, answer.headers.get("x-demo-server"), answer.headers.get("x-slo-server")),
                                 (200, "l20-1", "l20-1"), answer)
        await self.all_idle()
        ends = (await self.state())["models"]
        self.assertEqual({n: ends[n]["ends"]["answered"] for n in NAMES}, dict.fromkeys(NAMES, 1))


NAMES_OF_SERVERS = NameServer()
RESOLVED = "resolved"


def with_resolved(conf):
    conf["models"][RESOLVED] = {"deployments": {"x": {"servers": ["l20-1"]}}}


class Resolved(StackCase):
    """A server whose address comes from DNS. Without the runtime API HAProxy's messages are all that
    the agent hears of it."""

    options = {"config": with_resolved, "extra_cfg": lambda stack: f"""
backend {RESOLVED} from slo-model
    use-server %[var(txn.slo.server)] if {{ var(txn.slo.server) -m len gt 0 }}
    server l20-1 llm.example:{stack.server_port["l20-1"]} resolvers names resolve-prefer ipv4 init-addr none
resolvers names
    nameserver test 127.0.0.1:{NAMES_OF_SERVERS.port}
    resolve_retries 1
    timeout resolve 200ms
    timeout retry 200ms
    hold valid 200ms
    hold nx 200ms
    hold obsolete 200ms
"""}

    def usable(self):
        return self.stack.state()["models"][RESOLVED]["servers"]["l20-1"]["usable"]

    def resolved(self):
        """HAProxy tells nobody that a server has had no address since the start: the agent takes it
        for usable before HAProxy does."""
        return any(r["status"].startswith("UP") for r in self.stack.stat()
                   if (r["pxname"], r["svname"]) == (RESOLVED, "l20-1"))

    async def is_used(self):
        """Not if the name server did not answer in time, or HAProxy asked it before it knew again."""
        answer = await self.post(body=body_of(model=RESOLVED))
        return (answer.status, answer.headers.get("x-slo-server")) == (200, "l20-1")

    async def test_what_dns_took_away_is_used_again_when_it_is_back(self):
        for _ in range(2):
            await self.until(lambda: self.resolved() and self.usable(), "a server with an address")
            async with asyncio.timeout(PATIENCE):
                while not await self.is_used():
                    await asyncio.sleep(0.1)
            NAMES_OF_SERVERS.knows = False
            await self.until(lambda: not self.usable(), "a server without one")
            NAMES_OF_SERVERS.knows = True


class Requests(StackCase):
    async def raw(self, data):
        answer = await raw_ask(self.stack.port, data)
        return answer.status, answer.headers.get("x-slo-verdict"), answer.headers.get("x-slo-reason")

    async def test_bodies_may_come_in_any_pieces(self):
        body = body_of(max_tokens=2)
        head = f"POST /v1/completions HTTP/1.1\r\nHost: t\r\nConnection: close\r\n".encode()
        sized = head + b"Content-Length: %d\r\n" % len(body)
        chunked = head + b"Transfer-Encoding: chunked\r\n"
        for what, data in (
                ("100-continue", sized + b"Expect: 100-continue\r\n\r\n" + body),
                ("a byte each", chunked + b"\r\n" + b"".join(b"1\r\n%c\r\n" % b for b in body) + b"0\r\n\r\n"),
                ("extensions", chunked + b"\r\n%x;a=b;c=\"d\"\r\n%s\r\n0;e\r\n\r\n" % (len(body), body)),
                ("trailers", chunked + b"Trailer: model\r\n\r\n%X\r\n%s\r\n00\r\nmodel: none\r\n\r\n" % (len(body), body)),
                ("zeros", chunked + b"\r\n0000%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)),
                ("whole URI", sized.replace(b" /v1", b" http://t/v1") + b"\r\n" + body)):
            with self.subTest(what):
                got = await self.raw(data)
                self.assertEqual(got[1:] if got[0] != 100 else ("route", None), ("route", None), got)
        await self.all_idle()

    async def test_paths_are_read_as_the_most_generous_server_would(self):
        for path in ("//v1//chat//completions", "/v1;x=1/chat/completions", "/x;/responses;y",
                     "/llm\\completions", "/x/%2e%2e/completions;a?b=c", "/completions?;", "/", "/?x=/v1/files",
                     "/v1/chat/completions/batch", "/v1/chat/completions/;/files", "/generative_scoring",
                     "/vertex_generate", "/v1/models/m:rawPredict"):
            with self.subTest(path):
                answer = await self.post(body=body_of(CHAT), path=path)
                self.assertEqual((answer.headers.get("x-slo-verdict"), answer.headers.get("x-slo-reason")),
                                 ("route", None), answer)

    async def test_what_is_no_http_says_nothing_of_the_configuration(self):
        def lines(result):
            return self.stack.metrics().split(f'end_lines_total{{result="{result}"}} ')[1].split()[0]

        before, malformed = int(lines("unknown")), lines("malformed")
        for garbage in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n\n", b"hello\r\n\r\n", b"SSH-2.0-Go\r\n\r\n",
                        b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n"):
            await raw_ask(self.stack.port, garbage)
        await self.until(lambda: int(lines("unknown")) >= before + 4, "four lines of no request")
        self.assertEqual(malformed, lines("malformed"))

    async def test_what_is_no_whole_number_is_no_target(self):
        metric = "slo_spoa_bad_arguments_total"
        for value, bad in (("0x10", 1), ("1e3", 1), ("-5", 1), ("NaN", 1), ("Infinity", 1), ("5 000", 1), ("5,5s", 1),
                           ("9" * 20, 1), ("1_000", 1), ("+60000", 1), ("'60000'", 1), ("\u0666".encode().decode("latin-1"), 1),
                           ("0", 0), ("60000", 0), ("0060000", 0), ("1, 60000", 0), ("9223372036854775807", 0)):
            with self.subTest(value):
                before = (await self.metrics()).sum(metric)
                answer = await self.post({"x-slo-ttft-ms": value})
                self.assert_routed(answer)
                self.assertEqual((await self.metrics()).sum(metric) - before, bad)

    async def test_of_headers_sent_twice_one_counts(self):
        body = body_of(max_tokens=2)
        head = b"POST /v1/completions HTTP/1.1\r\nHost: t\r\nConnection: close\r\nContent-Length: %d\r\n" % len(body)
        for headers, want in (
                (b"model: none\r\nmodel: %s\r\n" % MODEL.encode(), ("route", None)),
                (b"model: %s\r\nMODEL: none\r\n" % MODEL.encode(), ("pass", "unknown-model")),
                (b"model: %s, none\r\n" % MODEL.encode(), ("pass", "unknown-model")),
                (b"model:\r\n", ("route", None)),
                (b"model: \t \r\n", ("route", None)),
                (b"x-slo-e2e-ms: 1\r\nx-slo-e2e-ms: 60000\r\n", ("route", None)),
                (b"content-encoding: gzip\r\ncontent-encoding: br\r\n", ("route", None)),
                (b"content-type: multipart/form-data; boundary=x\r\n", ("route", None))):
            with self.subTest(headers):
                self.assertEqual((await self.raw(head + headers + b"\r\n" + body))[1:], want)

    async def test_who_has_said_all_may_close_that_side(self):
        def half_closed(port, data):
            with socket.create_connection(("127.0.0.1", port), PATIENCE) as s:
                s.sendall(data)
                s.shutdown(socket.SHUT_WR)
                return b"".join(iter(lambda: s.recv(65536), b""))
        for _ in range(3):
            text = half_closed(self.stack.http, b"GET /state.json HTTP/1.0\r\n\r\n")
            self.assertIn(b'"models"', text)
        before = await self.unknown()
        half_closed(self.stack.events, b"slo1 id=nobody st=200\n")
        half_closed(self.stack.events, b"slo1 id=another st=200")  # a line without an end is none
        async with asyncio.timeout(PATIENCE):
            while await self.unknown() == before:
                await asyncio.sleep(0.01)
        self.assertEqual(await self.unknown(), before + 1)

    async def test_who_leaves_while_the_agent_is_asked_is_no_server_s_failure(self):
        """HAProxy 2.6 denies most of these itself (503, PR, no server), later versions a few."""
        body = body_of(max_tokens=2)
        data = b"".join((b"POST /v1/completions HTTP/1.1\r\nHost: t\r\nx-slo-e2e-ms: 60000\r\n",
                         b"Content-Length: %d\r\n\r\n" % len(body), body))

        def leave(half):
            with socket.create_connection(("127.0.0.1", self.stack.port), PATIENCE) as s:
                s.sendall(data)
                if half:
                    s.shutdown(socket.SHUT_WR)
                    while s.recv(65536):
                        pass

        async def counts():
            metrics, ends = await self.metrics(), (await self.state())["models"][MODEL]["ends"]
            return ends, {what: metrics.sum(f"slo_spoa_{name}", **labels) for what, name, labels in (
                ("failures", "missed_total", {"target": "failure"}), ("5xx", "responses_total", {"class": "5xx"}))}

        ends, before = await counts()
        for i in range(100):
            await asyncio.to_thread(leave, i % 2)
        await self.all_idle()
        await self.until(lambda: self.stack.state()["models"][MODEL]["ends"]["left"] > ends["left"], "one that left")
        after, now = await counts()
        self.assertEqual((now, after["failed"]), (before, ends["failed"]), after)

    async def unknown(self):
        return (await self.metrics()).sum("slo_spoa_end_lines_total", result="unknown")


if __name__ == "__main__":
    unittest.main()
