"""Requests as clients of all kinds send them, through HAProxy: which the agent is asked for, what it
says, and what it counts."""
import asyncio
import gzip
import json
import pathlib
import re
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from case import CHAT, TEXT, StackCase, body_of, text_of  # noqa: E402
from client import Http1, Http2  # noqa: E402
from rawclient import ask as raw_ask  # noqa: E402
from stack import CONF, MODEL, Stack, wait_for  # noqa: E402
from wayward import WaywardLab  # noqa: E402

ASK = "slo_spoa_spop_frames_total"
FORM = {"content-type": "multipart/form-data; boundary=XyZ"}


def aliases(conf):
    conf["models"][MODEL]["aliases"] = ["llama2-7b-*", "base:*", "[Ll]lama2"]


def post(headers, path, body):
    lines = [f"POST {path} HTTP/1.1", "Host: test", f"Content-Length: {len(body)}", "Connection: close",
             *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def form(*fields):
    text = "".join(f'--XyZ\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in fields)
    file = ('--XyZ\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n'
            'Content-Type: audio/wav\r\n\r\n')
    return text.encode() + file.encode() + bytes(range(256)) * 40 + b"\r\n--XyZ--\r\n"


class Traffic(StackCase):
    options = {"config": aliases}

    def decided(self, answer):
        got = answer.headers
        return got.get("x-slo-verdict"), got.get("x-slo-reason")

    async def test_only_what_may_be_work_is_asked_for_and_what_is_none_passes(self):
        idle = ["/v1/messages/count_tokens", "/v1/responses/input_tokens", "/v1/tokenize", "/v1/files",
                "/v1/load_lora_adapter", "/v1/responses/resp_1/cancel", "/gate/v1/chat/completions/render",
                "/v1/messages/count_tokens/?beta=true"]
        for kind in (Http1, Http2):
            for path in idle:
                with self.subTest(kind=kind.__name__, path=path):
                    answer = await self.post(body=body_of(CHAT), path=path, client=self.client(kind))
                    self.assertEqual(self.decided(answer), ("pass", "no-work"))
                    self.assertIn(answer.headers["x-demo-server"], self.stack.fleet)  # its backend's
        before = (await self.metrics()).sum(ASK, type="notify")
        for path in ("/other", "/metrics", "/v10/chats", "/V1/CHAT/COMPLETIONS"):
            answer = await self.post(body=body_of(CHAT), path=path)
            self.assertEqual(self.decided(answer), (None, None))
        self.assertEqual((await self.metrics()).sum(ASK, type="notify"), before)

    async def test_any_base_path_may_stand_before_the_work(self):
        """The demo servers know no such paths: what counts is that the agent decided."""
        for path in ("/gate/eu/v1/chat/completions", "/openai/deployments/x/chat/completions/",
                     "/llm/generate_stream", "/v1/rerank", "/rerank", "/base/score", "/api/generate"):
            with self.subTest(path=path):
                answer = await self.post(body=body_of(CHAT), path=path)
                self.assertEqual(self.decided(answer), ("route", None), answer)

    async def test_a_disguised_path_does_not_get_past_the_queue(self):
        """Engines and the demo servers decode %XX, so the first three are served. url_dec of HAProxy 3.2
        gives up at %00."""
        for path in ("/%76%31/%63hat/%63ompletions", "/v1/chat/%63ompletions", "/v1/%63hat%2Fcompletions",
                     "/v1/chat/completions/x/../../completions/%2e", "/v1/chat/completions/%2E%2e/files",
                     "/%76%31/%00", "/%zz/%63hat/%"):
            for kind in (Http1, Http2):
                with self.subTest(path=path, kind=kind.__name__):
                    answer = await self.post(body=body_of(CHAT), path=path, client=self.client(kind))
                    self.assertEqual(self.decided(answer), ("route", None), answer)

    async def test_reading_teaches_no_output(self):
        samples = (await self.state())["models"][MODEL]["predictor_samples"]
        for path in ("/v1/embeddings", "/v1/score", "/v1/classify"):
            await self.post(body=json.dumps({"model": MODEL, "input": "a b c", "text_1": "d"}).encode(), path=path)
        await self.all_idle()
        self.assertEqual((await self.state())["models"][MODEL]["predictor_samples"], samples)

    async def test_what_engines_take_for_json_is_routed(self):
        plain = body_of(TEXT, max_tokens=4)
        for body in (b"\xef\xbb\xbf" + plain, plain.replace(b"0.7", b"NaN"), plain.replace(b"0.7", b"-Infinity"),
                     plain.replace(b'"max_tokens": 4', b'"max_tokens": "4"'),
                     plain.replace(b'{"model"', b'{"model": "none", "model"')):
            with self.subTest(body=body):
                answer = await self.post(body=body)
                self.assertEqual(self.decided(answer), ("route", None), answer)

    async def test_a_body_that_only_the_server_can_read_goes_by_its_header(self):
        packed = gzip.compress(body_of(CHAT, text=text_of(3000)))
        before = (await self.metrics()).sum("slo_spoa_bodies_total", form="compressed")
        for headers in ({"content-encoding": "gzip"}, {}):
            answer = await self.post(headers, packed, CHAT)
            self.assertEqual(self.decided(answer), ("pass", "bad-request"))
            answer = await self.post({"model": MODEL, **headers}, packed, CHAT)
            self.assertEqual(self.decided(answer), ("route", None))
        brotli = {"content-encoding": "br", "model": MODEL}
        self.assertEqual(self.decided(await self.post(brotli, b"\x0b\x02\x80{}\x03", CHAT)), ("route", None))
        self.assertEqual(self.decided(await self.post({"model": MODEL}, "{}".encode("utf-16"), CHAT)),
                         ("route", None))
        after = (await self.metrics()).sum("slo_spoa_bodies_total", form="compressed")
        self.assertEqual(after - before, 5)

    async def test_a_binary_body_goes_by_its_header(self):
        path = "/v1/audio/transcriptions"
        for kind, body in (("audio/wav", b"RIFF....WAVEfmt "), ("application/cbor", b"\xa1\x65model"),
                           ("application/octet-stream", b'{"inputs":[]}\x01\x02')):
            answer = await self.post({"content-type": kind}, body, path)
            self.assertEqual(self.decided(answer), ("pass", "bad-request"), kind)
            answer = await self.post({"content-type": kind, "model": MODEL}, body, path)
            self.assertEqual(self.decided(answer), ("route", None), kind)
        self.assertEqual((await self.metrics()).sum("slo_spoa_bodies_total", form="binary"), 6)

    async def test_of_paths_with_two_meanings_the_body_decides(self):
        """A conversation of Mistral's API answers, one of OpenAI's is only kept."""
        kept = {"model": MODEL, "items": [{"type": "message", "role": "user", "content": "hello"}]}
        for path in ("/v1/conversations", "/v1/conversations/conv_1"):
            answer = await self.post(body=json.dumps({"model": MODEL, "inputs": "hello"}).encode(), path=path)
            self.assertEqual(self.decided(answer), ("route", None), path)
            answer = await self.post(body=json.dumps(kept).encode(), path=path)
            self.assertEqual(self.decided(answer), ("pass", "no-work"), path)

    async def test_who_has_ollama_load_a_model_waits_for_no_gpu(self):
        for path, body, decided in (("/api/generate", {}, "pass"), ("/api/generate", {"keep_alive": 0}, "pass"),
                                    ("/api/chat", {"messages": []}, "pass"), ("/api/generate", {"prompt": "x"}, "route"),
                                    ("/api/chat", {"messages": [{"role": "user", "content": "x"}]}, "route"),
                                    ("/v1/completions", {}, "route")):
            answer = await self.post(body=json.dumps({"model": MODEL, **body}).encode(), path=path)
            self.assertEqual(self.decided(answer)[0], decided, (path, body))

    async def test_a_form_goes_by_its_field_or_header(self):
        path = "/v1/audio/transcriptions"
        for headers, body, decided in (
                (FORM, form(("model", MODEL)), ("route", None)),
                (FORM, form(("language", "en"), ("model", "base:x")), ("route", None)),
                ({"model": MODEL, **FORM}, form(), ("route", None)),
                (FORM, form(("model", "whisper")), ("pass", "unknown-model")),
                (FORM, form(), ("pass", "bad-request"))):
            answer = await self.post(headers, body, path)
            self.assertEqual(self.decided(answer), decided, body[:100])

    async def test_aliases_wait_in_the_models_queue_and_other_names_are_told(self):
        for name in ("llama2-7b-lora", "base:adapter/x", "Llama2"):
            answer = await self.post(body=body_of(model=name))
            self.assert_routed(answer)
            self.assertEqual(answer.json()["model"], name)
        for name in ("LLAMA2-7B", "evil\nslo1 id=x", "LLAMA2-7B"):
            answer = await self.post(body=body_of(model=name))
            self.assertEqual(self.decided(answer), ("pass", "unknown-model"))
        told = {m["model"]: m["requests"] for m in (await self.state())["unknown_models"]}
        self.assertEqual(told["LLAMA2-7B"], 2)
        self.assertEqual(told["evil?slo1?id=x"], 1)
        await self.until(lambda: 'model "LLAMA2-7B" is asked for' in self.stack.agent.text(), "a word in the log")

    async def test_a_target_that_is_no_number_is_told(self):
        answer = await self.post({"x-slo-ttft-ms": "5s", "x-slo-e2e-ms": "1.5"})
        self.assert_routed(answer)
        self.assertEqual((await self.metrics()).sum("slo_spoa_bad_arguments_total"), 2)
        await self.until(lambda: "which is no whole number" in self.stack.agent.text(), "a word in the log")

    async def test_what_clients_send_fits_into_a_frame(self):
        """Headers of the body, too: long ones are cut, not the question left out."""
        headers = {"content-type": "application/json; x=" + "y" * 2000, "content-encoding": "identity" + " " * 900}
        answer = await self.post(headers, body_of(CHAT, text=text_of(20000)), CHAT)
        self.assertEqual(answer.headers.get("x-slo-verdict"), "route", answer)


class Strict(Stack):
    """With the line of haproxy.cfg that refuses what the agent cannot account for."""

    def env(self):
        return {**super().env(), "SLO_SPOE_CFG": str(CONF / "spoe-slo.cfg")}

    def proxy_argv(self):
        text = (CONF / self.conf_name).read_text()
        text, n = re.subn(r"^    # (http-request return status 400 )", r"    \1", text, flags=re.M)
        if n != 1:
            raise ValueError("where is the line of haproxy.cfg?")
        path = self.dir / "haproxy.cfg"
        path.write_text(text)
        return [path if a == CONF / self.conf_name else a for a in super().proxy_argv()]


class Strangers(StackCase):
    stack_type = Strict

    async def test_nobody_gets_past_the_queue(self):
        chat = body_of(CHAT)
        for headers, body in (({"model": "none"}, chat), ({}, body_of(CHAT, model="none")),
                              ({}, chat.decode().encode("utf-16")), ({}, gzip.compress(chat)), ({}, b"[]"),
                              ({}, b'{"model":"none","pad":"' + b"p" * 15000 + b'",' + chat[1:])):
            with self.subTest(headers=headers, body=body[:40]):
                answer = await self.post(headers, body, CHAT)
                self.assertEqual((answer.status, answer.headers.get("x-slo-verdict")), (400, "pass"), answer)
                self.assertEqual(answer.json()["error"]["code"], "bad-request")
                self.assertNotIn("x-demo-server", answer.headers)
        for headers, body, path in (({}, chat, CHAT), ({}, chat, "/v1/messages/count_tokens")):
            self.assertIn("x-demo-server", (await self.post(headers, body, path)).headers)

    async def test_white_space_before_a_body_hides_nothing(self):
        for blank in (b" " * 15000, b"\r\n\t" * 20000, b"{" + b" " * 15000):
            answer = await self.post(body=blank + body_of(CHAT)[blank[:1] == b"{":], path=CHAT)
            self.assert_routed(answer)


class Lessons(unittest.TestCase):
    """What ends teach the agent, with servers that answer as they are told."""

    def setUp(self):
        self.lab = self.enterContext(WaywardLab())
        self.ends = 0

    def ask(self, headers, **body):
        ask = {"model": MODEL, "messages": [{"role": "user", "content": text_of(300)}], **body}
        answer = asyncio.run(raw_ask(self.lab.port, post(headers, path=CHAT, body=json.dumps(ask).encode())))
        self.ends += 1
        wait_for(lambda: self.lab.end_lines("closed") == self.ends, "its end line")
        return answer

    def model(self):
        return self.lab.state()["models"][MODEL]

    def usage(self, usage, encoding=None):
        headers = {"x-usage": json.dumps(usage), **({"x-encoding": encoding} if encoding else {})}
        before = self.lab.ledger()["a10-1"]["tokens"]
        self.assertTrue(self.ask(headers).good)
        return self.lab.ledger()["a10-1"]["tokens"] - before

    def test_errors_inside_streams_teach_and_meet_nothing(self):
        target = {"x-slo-e2e-ms": 60000}
        for _ in range(3):
            self.ask({"x-do": "stream", **target}, stream=True)
        learned = self.model()["predictor_samples"]
        self.assertEqual(learned, 3)
        for _ in range(12):
            self.ask({"x-do": "error", **target}, stream=True)
        self.assertEqual(self.model()["predictor_samples"], learned)
        self.assertEqual(self.lab.counter("slo_total", met="true"), 3)
        self.assertEqual((self.model()["ends"]["answered"], self.model()["ends"]["empty"]), (3, 12))
        self.lab.agent_said("a10-1: its last 10 answers had status 200 and nothing in them")

    def test_cached_prompt_tokens_are_counted_once_in_all_shapes_of_usage(self):
        for usage in ({"prompt_tokens": 24, "completion_tokens": 10},
                      {"prompt_tokens": 24, "completion_tokens": 10, "prompt_tokens_details": {"cached_tokens": 10}},
                      {"input_tokens": 14, "output_tokens": 10, "cache_read_input_tokens": 10},
                      {"input_tokens": 4, "output_tokens": 10, "cache_read_input_tokens": 10,
                       "cache_creation_input_tokens": 10},
                      {"input_tokens": 24, "output_tokens": 10, "input_tokens_details": {"cached_tokens": 10}},
                      {"prompt_tokens": 24, "completion_tokens": 10, "cache_read_input_tokens": 10,
                       "prompt_tokens_details": {"cached_tokens": 10}},
                      {"prompt_tokens": 24, "completion_tokens": 10, "cache_read_input_tokens": 10,
                       "cache_creation_input_tokens": 5}):
            with self.subTest(usage=usage):
                self.assertEqual(self.usage(usage), 34)

    def test_usage_that_makes_no_sense_teaches_nothing(self):
        for _ in range(3):
            self.usage({"prompt_tokens": 75, "completion_tokens": 100})
        before = self.model()["estimator"]
        for usage in ({"prompt_tokens": 9, "completion_tokens": 10 ** 12}, {"prompt_tokens": 0, "completion_tokens": 0},
                      {"prompt_tokens": 10 ** 9, "completion_tokens": 0}, {"prompt_tokens": "many"}, {}):
            self.usage(usage)
        self.assertEqual(self.model()["estimator"], before)
        self.assertEqual(self.model()["predictor_samples"], 3)

    def test_a_compressed_answer_has_no_size(self):
        before = self.model()["estimator"]
        self.usage({}, "gzip")
        self.ask({"x-do": "stream", "x-encoding": "br"}, stream=True)
        self.assertEqual(self.model()["estimator"], before)
        self.assertEqual(self.model()["predictor_samples"], 0)


if __name__ == "__main__":
    unittest.main()
