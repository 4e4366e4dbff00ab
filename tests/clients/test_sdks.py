"""The SDKs that people use, through HAProxy and the agent to real engines: whole answers, streams,
tools, signals of abort, and what their users see of a refusal or a failure."""
import asyncio
import json
import pathlib
import sys
import unittest

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "support"), str(TESTS / "engine"), str(TESTS / "clients")]

import engines  # noqa: E402
import sdks  # noqa: E402
from engine_case import LONG, SAY, TOOLS, EngineCase  # noqa: E402

CHAT = {"model": engines.MODEL, "messages": SAY, "max_tokens": 6}
ENDLESS = {**CHAT, "max_tokens": 8000}
# Vercel's SDK speaks both protocols.
ALL = (("openai", {}), ("anthropic", {}), ("vercel", {}), ("vercel", {"provider": "anthropic"}))
REFUSED = {"openai": "RateLimitError", "anthropic": "RateLimitError", "vercel": "APICallError"}
FAILED = {"openai": "InternalServerError", "anthropic": "InternalServerError", "vercel": "APICallError"}
UNAVAILABLE = {**FAILED, "anthropic": "ServiceUnavailableError"}
ABORTED = {"openai": "APIUserAbortError", "anthropic": "APIUserAbortError", "vercel": "DOMException"}


@unittest.skipUnless(sdks.available(), sdks.WHY_NOT)
class SdkCase(EngineCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.sdks = sdks.Sdks(cls.lab.dir)
        cls.addClassCleanup(cls.sdks.stop)

    def call(self, sdk, what="chat", body=None, url=None, **more):
        body = {"model": engines.MODEL, **(body or CHAT)}
        return self.sdks.call(sdk, url or self.lab.url, what, body=body, **more)

    async def result(self, call):
        return await asyncio.to_thread(call.result)

    async def value(self, *args, **kw):
        said = await self.result(self.call(*args, **kw))
        self.assertIn("value", said)
        return said["value"]

    async def results(self, calls):
        return [(sdk, await self.result(call)) for sdk, call in calls]

    def assert_error(self, sdk, said, names, status, message):
        """A typed error of the SDK with words that a person understands."""
        error = said.get("error")
        self.assertTrue(error, said)
        self.assertIn(names[sdk], error["names"])
        self.assertEqual(status, error["status"])
        self.assertIn(message, error["message"])

    def assert_patient(self, said):
        """Each try came no sooner than the answer before it had allowed."""
        for one, other in zip(said["tries"], said["tries"][1:]):
            self.assertGreaterEqual(other["began"] - one["ended"], 1000 * int(one["after"]) - 5, said)


class Answers(SdkCase):
    async def test_openai(self):
        whole = await self.value("openai")
        self.assertTrue(whole["text"])
        self.assertEqual(6, whole["usage"]["completion_tokens"])
        stream = await self.value("openai", "stream")
        self.assertEqual(6, stream["usage"]["completion_tokens"])
        self.assertGreater(stream["pieces"], 6)
        text = await self.value("openai", "text", {"prompt": [500, 501], "max_tokens": 4})
        self.assertEqual(2, text["usage"]["prompt_tokens"])
        got = await self.value("openai", "responses", {"input": "babe", "max_output_tokens": 4})
        self.assertEqual(4, got["usage"]["output_tokens"])
        got = await self.value("openai", "embeddings", {"input": ["babe", "bido"]})
        self.assertEqual(2, got["count"])
        self.assertEqual([engines.MODEL], (await self.value("openai", "models"))["ids"])

    async def test_tools(self):
        body = {**CHAT, **TOOLS}
        call = (await self.value("openai", "chat", body))["calls"][0]["function"]
        self.assertEqual("weather", call["name"])
        streamed = (await self.value("openai", "stream", body))["arguments"]
        for arguments in (call["arguments"], streamed):
            self.assertIn(json.loads(arguments)["unit"], "cf")
        more = {k: TOOLS[k] for k in ("logit_bias", "parallel_tool_calls")}
        call = (await self.value("vercel", "chat", body, more=more))["calls"][0]
        self.assertEqual("weather", call["name"])
        self.assertIn(call["input"]["unit"], "cf")

    async def test_anthropic(self):
        whole = await self.value("anthropic")
        self.assertEqual(6, whole["usage"]["output_tokens"])
        stream = await self.value("anthropic", "stream")
        self.assertTrue(stream["text"])
        self.assertEqual(6, stream["usage"]["output_tokens"])
        count = await self.value("anthropic", "count", {"messages": SAY})
        self.assertGreater(count["input_tokens"], 3)

    async def test_vercel(self):
        for more in ({}, {"provider": "anthropic"}):
            for what in ("chat", "stream"):
                got = await self.value("vercel", what, **more)
                self.assertTrue(got["text"])
                self.assertEqual(6, got["usage"]["outputTokens"])


class Refusals(SdkCase):
    options = {"context": LONG,
               "config": lambda c: c["routing"].update(queue_timeout="300ms", late="reject")}

    async def test_refused_clients_come_back_when_they_were_told_to(self):
        streams = await self.fill()
        # More tries than usual: all of them are refused once before anybody is served.
        calls = [(sdk, self.call(sdk, what, retries=30, **more)) for sdk, more in ALL for what in ("chat", "stream")]
        await self.until(lambda: self.lab.counter("requests_total", reason="queue-timeout") >= len(calls),
                         "all are refused once")
        for stream in streams:
            await stream.drop()
        for sdk, said in await self.results(calls):
            self.assertIn("value", said, sdk)
            self.assertEqual([429] * (len(said["tries"]) - 1) + [200],
                             [t["status"] for t in said["tries"]])
            self.assert_patient(said)

    async def test_who_gives_up_says_why(self):
        streams = await self.fill()
        calls = [(sdk, self.call(sdk, retries=0, **more)) for sdk, more in ALL]
        for sdk, said in await self.results(calls):
            self.assert_error(sdk, said, REFUSED, 429, "No server had room for this request in time.")
            self.assertEqual(1, len(said["tries"]))
        for stream in streams:
            await stream.drop()

    async def test_hopeless_requests_are_not_tried_again(self):
        """But by Vercel's, which looks at the status only: two and four seconds later."""
        headers = {"x-slo-e2e-ms": "1"}
        calls = [(sdk, self.call(sdk, what, headers=headers, **more))
                 for sdk, more in ALL for what in ("chat", "stream")]
        for sdk, said in await self.results(calls):
            self.assert_error(sdk, said, REFUSED, 429,
                              "No server can meet the latency target of this request.")
            self.assertEqual(3 if sdk == "vercel" else 1, len(said["tries"]), said)

    async def test_no_server(self):
        """Told by the agent, and by HAProxy itself on the way that asks no agent."""
        ways = ((None, "No server of this model is available."),
                (f"http://127.0.0.1:{self.lab.plain}", "No server is available."))

        def switch(state, usable):
            for name in self.lab.fleet:
                self.lab.runtime(f"set server {engines.MODEL}/{name} state {state}")
            return self.until(lambda: all(s["usable"] == usable for s in self.lab.ledger().values()),
                              f"all are {state}")
        await switch("maint", False)
        try:
            for url, message in ways:
                calls = [(sdk, self.call(sdk, url=url, retries=0, **more)) for sdk, more in ALL]
                for sdk, said in await self.results(calls):
                    self.assert_error(sdk, said, UNAVAILABLE, 503, message)
                    self.assertEqual("5", said["tries"][0]["after"])
        finally:
            await switch("ready", True)


class Aborts(SdkCase):
    options = {"context": LONG}

    async def all_aborted(self, calls):
        for _, call in calls:
            call.abort()
        for sdk, said in await self.results(calls):
            # OpenAI's ends a stream that was aborted like any other.
            if not (sdk == "openai" and said.get("value", {}).get("pieces")):
                self.assertIn(ABORTED[sdk], said["error"]["names"])
            self.assertEqual(1, len(said["tries"]))

    async def test_streams(self):
        calls = [(sdk, self.call(sdk, "stream", ENDLESS, **more)) for sdk, more in ALL]
        for _, call in calls:
            self.assertTrue(await asyncio.to_thread(call.began))
        await self.all_aborted(calls)

    async def test_whole_answers(self):
        """Their books are closed at once. llama.cpp does not hear of it, and computes them to their
        end, so that has to be near."""
        body = {**CHAT, "max_tokens": 1000}
        calls = [(sdk, self.call(sdk, "chat", body, **more)) for sdk, more in ALL]
        await self.until(lambda: sum(self.inflight().values()) == len(calls), "all in flight")
        await self.all_aborted(calls)

    async def test_held_requests(self):
        streams = await self.fill()
        calls = [(sdk, self.call(sdk, what, **more)) for sdk, more in ALL for what in ("chat", "stream")]
        await self.until(lambda: self.lab.queued() == len(calls), "all are held")
        await self.all_aborted(calls)
        # HAProxy 3 tells of them when they would go to a server, so room for one shall be enough.
        await streams.pop().drop()
        await self.until(lambda: self.lab.queued() == 0, "nobody is held")
        for stream in streams:
            await stream.drop()


class Deaths(SdkCase):
    """The engines die, and stay so: the last test."""

    options = {"context": LONG}

    async def asyncTearDown(self):
        await self.books_closed()

    async def test_engines_die_before_and_within_their_answers(self):
        whole = [(sdk, self.call(sdk, "chat", ENDLESS, retries=0, **more)) for sdk, more in ALL]
        streams = [(sdk, self.call(sdk, "stream", ENDLESS, retries=0, **more)) for sdk, more in ALL]
        for _, call in streams:
            self.assertTrue(await asyncio.to_thread(call.began))
        await self.until(lambda: sum(self.inflight().values()) == len(ALL) * 2, "all in flight")
        for engine in self.lab.engines.values():
            engine.kill()
        for sdk, said in await self.results(whole):
            self.assert_error(sdk, said, FAILED, 502, "The server failed before it answered.")
        for sdk, said in await self.results(streams):
            self.assertTrue(said.get("error"), f"{sdk}: a quiet end: {said}")


if __name__ == "__main__":
    unittest.main()
