"""Requests to real LLM engines through HAProxy and the agent: all kinds of answers, errors, clients
that leave, engines that die. After each test the ledger is exactly 0 and the engines are idle."""
import asyncio
import itertools
import json
import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "support"), str(HERE)]

import engines  # noqa: E402
from client import Broken, Http1, Http2  # noqa: E402
from engine_case import (CHAT, CONTEXT, JSON, LONG, PATIENCE_S, SAY, SLOTS, TEXT,  # noqa: E402
                         TOOLS, EngineCase)

MESSAGES, RESPONSES, EMBEDDINGS = "/v1/messages", "/v1/responses", "/v1/embeddings"
USAGE = {"stream": True, "stream_options": {"include_usage": True}}


def events(answer):
    """The data of a stream, which has to be whole."""
    pieces = answer.body.decode().split("\n\n")
    assert pieces.pop() == "", "the stream ends within an event"
    data = [line[len("data: "):] for p in pieces for line in p.split("\n") if line.startswith("data: ")]
    return data


def chunks(answer):
    """The JSON of OpenAI's events; [DONE] is the last."""
    data = events(answer)
    assert data.pop() == "[DONE]", data
    return [json.loads(d) for d in data]


class Answers(EngineCase):
    async def test_chats_whole_and_streamed(self):
        whole = (await self.good(CHAT, {"messages": SAY, "max_tokens": 8})).json()
        self.assertEqual(8, whole["usage"]["completion_tokens"])
        self.assertTrue(whole["choices"][0]["message"]["content"])
        for kind in (Http1, Http2):
            client = self.client(kind)
            told = chunks(await self.good(CHAT, {"messages": SAY, "max_tokens": 8, **USAGE},
                                          client=client))
            self.assertEqual(8, told[-1]["usage"]["completion_tokens"])
            text = [c["choices"][0]["delta"].get("content") for c in told if c["choices"]]
            self.assertEqual(8, len([t for t in text if t]))
            silent = chunks(await self.good(CHAT, {"messages": SAY, "max_tokens": 8, "stream": True},
                                            client=client))
            self.assertFalse([c for c in silent if "usage" in c])

    async def test_completions_of_text_and_of_tokens(self):
        for prompt, tokens, choices in (("babe bido", 2 + 1, 1), ([500, 501, 502], 3, 1),
                                        ([[500, 501], [502, 503]], 2, 2), (["babe", "bido"], 2, 2)):
            with self.subTest(prompt):
                got = (await self.good(TEXT, {"prompt": prompt, "max_tokens": 4})).json()
                self.assertEqual(choices, len(got["choices"]))
                self.assertEqual((tokens, 4), (got["usage"]["prompt_tokens"],
                                               got["usage"]["completion_tokens"]))
                self.assertGreaterEqual(len(chunks(await self.good(
                    TEXT, {"prompt": prompt, "max_tokens": 4, **USAGE}))), 4 * choices)

    async def test_several_choices_and_stop_words(self):
        got = (await self.good(CHAT, {"messages": SAY, "max_tokens": 4, "n": 3})).json()
        self.assertEqual([0, 1, 2], sorted(c["index"] for c in got["choices"]))
        told = chunks(await self.good(TEXT, {"prompt": "babe", "max_tokens": 4, "n": 3, **USAGE}))
        self.assertEqual({0, 1, 2}, {c["choices"][0]["index"] for c in told})
        got = (await self.good(TEXT, {"prompt": "babe", "max_tokens": 500, "stop": ["a"]})).json()
        self.assertEqual("stop", got["choices"][0]["finish_reason"])
        self.assertLess(got["usage"]["completion_tokens"], 500)

    async def test_tools_whole_and_streamed(self):
        got = (await self.good(CHAT, {"messages": SAY, **TOOLS})).json()["choices"][0]
        self.assertEqual("tool_calls", got["finish_reason"])
        call = got["message"]["tool_calls"][0]
        self.assertEqual("weather", call["function"]["name"])
        self.assertIn(json.loads(call["function"]["arguments"])["unit"], "cf")
        told = chunks(await self.good(CHAT, {"messages": SAY, **TOOLS, **USAGE}))
        deltas = [d["function"] for c in told if c["choices"]
                  for d in c["choices"][0]["delta"].get("tool_calls", ())]
        self.assertIn(json.loads("".join(d["arguments"] for d in deltas))["unit"], "cf")
        after = [*SAY, {"role": "assistant", "content": None, "tool_calls": [call]},
                 {"role": "tool", "tool_call_id": call["id"], "content": "20"}]
        await self.good(CHAT, {"messages": after, "tools": TOOLS["tools"], "max_tokens": 4})

    async def test_responses_messages_and_embeddings(self):
        got = (await self.good(RESPONSES, {"input": "babe", "max_output_tokens": 4})).json()
        self.assertEqual(4, got["usage"]["output_tokens"])
        got = (await self.good(MESSAGES, {"messages": SAY, "max_tokens": 4})).json()
        self.assertEqual(("message", 4), (got["type"], got["usage"]["output_tokens"]))
        told = [json.loads(e) for e in events(await self.good(
            MESSAGES, {"messages": SAY, "max_tokens": 4, "stream": True}))]
        self.assertEqual(("message_start", "message_stop"), (told[0]["type"], told[-1]["type"]))
        got = (await self.good(EMBEDDINGS, {"input": ["babe", "bido"]})).json()
        self.assertEqual(2, len(got["data"]))

    async def test_more_than_the_engine_has_slots_for(self):
        """Half of them come past the agent, so that what it sends has to wait inside too."""
        server = "slow-1"
        engine = self.lab.engines[server]
        asked = [self.spawn(self.ask(CHAT, {"messages": SAY, "max_tokens": 60, "ignore_eos": True},
                                     client=self.client(port=self.lab.plain)))
                 for _ in range(3 * SLOTS * len(self.lab.fleet))]
        asked += [self.spawn(self.good(CHAT, {"messages": SAY, "max_tokens": 60}))
                  for _ in range(3 * SLOTS * len(self.lab.fleet))]
        await self.until(lambda: engine.metrics()["requests_deferred"] > 0, "requests wait inside")
        for answer in await asyncio.gather(*asked):
            self.assertEqual(200, answer.status, answer)

    async def test_a_connection_that_the_engine_closes_after_a_hundred_requests(self):
        client = self.client()
        for _ in range(250):
            await self.good(TEXT, {"prompt": "babe", "max_tokens": 1}, client=client)
        self.assertEqual(1, client.connections)

    async def test_an_idle_connection_that_the_engine_closes(self):
        """Its keep-alive ends after five seconds; HAProxy keeps the connection of its client."""
        def idle_connections():
            return sum(int(r["srv_icur"] or 0) for r in self.lab.stat()
                       if r["pxname"] == engines.MODEL and r["svname"] in self.lab.fleet)
        client = self.client()
        await self.good(TEXT, {"prompt": "babe", "max_tokens": 1}, client=client)
        await self.until(lambda: idle_connections() == 0, "no idle connection to an engine")
        for _ in range(4):
            await self.good(TEXT, {"prompt": "babe", "max_tokens": 1}, client=client)


class Counted(EngineCase):
    def tokens(self):
        """Of prompts and answers: by the agent's books, by the engines' own."""
        ledger = self.lab.ledger()
        ours = {name: s["tokens"] for name, s in ledger.items()}
        theirs = {name: sum(e.metrics()[k] for k in ("prompt_tokens_total", "prompt_tokens_cached_total",
                                                     "tokens_predicted_total"))
                  for name, e in self.lab.engines.items()}
        return ours, theirs

    async def compare(self, requests, delta):
        """Asks all of them of all slots at once, and holds both counts of it against each other."""
        ours, theirs = self.tokens()
        for path, body in requests:
            await asyncio.gather(*(self.good(path, body)
                                   for _ in range(SLOTS * len(self.lab.fleet))))
        await self.until(self.lab.idle, "the end lines")
        ours_now, theirs_now = self.tokens()
        for name in self.lab.fleet:
            counted = theirs_now[name] - theirs[name]
            self.assertGreater(counted, 1000)
            self.assertAlmostEqual(1, (ours_now[name] - ours[name]) / counted, delta=delta, msg=name)

    async def test_tokens_are_learned_as_the_engine_counts_them(self):
        def requests():
            for i, (path, cached) in enumerate(itertools.product((CHAT, TEXT, RESPONSES), (True, False))):
                words = " ".join(["babe", "bido", "bola", "buri"][(i + j) % 4] for j in range(20 + 60 * i))
                body = {CHAT: {"messages": [{"role": "user", "content": words}], "max_tokens": 20 + 9 * i},
                        TEXT: {"prompt": words, "max_tokens": 10 + 7 * i},
                        RESPONSES: {"input": words, "max_output_tokens": 30 + i}}[path]
                yield path, {**body, "cache_prompt": cached}
        await self.compare(requests(), 0.02)


class Errors(EngineCase):
    async def test_the_engines_own_errors_arrive_unchanged(self):
        long = {"messages": [{"role": "user", "content": "babe " * (CONTEXT + 100)}], "max_tokens": 4}
        for stream in (False, True):
            answer = await self.ask(CHAT, {**long, "stream": stream})
            self.assertEqual(400, answer.status, answer)
            self.assertEqual("exceed_context_size_error", answer.json()["error"]["type"])
            self.assertEqual("route", answer.headers["x-slo-verdict"])
        answer = await self.ask(CHAT, b'{"model": "tiny-chat", "messages": [')
        self.assertEqual(400, answer.status, answer)
        self.assertIn("parse error", answer.json()["error"]["message"])
        answer = await self.ask("/v1/nothing", {})
        self.assertEqual(404, answer.status, answer)

    async def test_an_answer_that_fills_the_context_ends(self):
        body = {"prompt": "babe " * (CONTEXT - 60), "max_tokens": 500, "ignore_eos": True}
        got = (await self.good(TEXT, body)).json()
        self.assertLess(got["usage"]["completion_tokens"], 60)


class Leaving(EngineCase):
    options = {"context": LONG}

    async def test_clients_that_leave_in_the_middle_of_a_stream(self):
        for stream in await self.fill():
            await stream.drop()
        # The engine hears of it: the slots are free long before the answers would have ended.
        await self.until(lambda: self.lab.engines["slow-1"].busy() == 0, "free slots")

    async def test_clients_that_leave_before_any_token(self):
        """The prompt alone takes the slow engine a second."""
        body = json.dumps({"model": engines.MODEL, "prompt": "babe " * 1500, "max_tokens": 1000,
                           "ignore_eos": True, "cache_prompt": False}).encode()
        asked = [self.spawn(self.client().request("POST", TEXT, JSON, body)) for _ in range(2 * SLOTS)]
        await self.until(lambda: sum(self.inflight().values()) == 2 * SLOTS, "all in flight")
        for task in asked:
            task.cancel()

    async def test_clients_that_leave_while_they_are_held(self):
        streams = await self.fill()
        held = [self.spawn(self.ask(CHAT, {"messages": SAY, "max_tokens": 4})) for _ in range(3)]
        await self.until(lambda: self.lab.queued() == 3, "three are held")
        held.pop().cancel()
        for stream in streams[1:]:
            await stream.drop()
        for answer in await asyncio.gather(*held):
            self.assertEqual((200, "route"), (answer.status, answer.headers["x-slo-verdict"]))


class Deaths(EngineCase):
    """SIGKILL. HAProxy's checks are on: a dead engine is down within two seconds."""

    options = {"context": LONG}
    server = "slow-1"

    def states(self):
        return {r["svname"]: r["status"].split()[0] for r in self.lab.stat()
                if r["pxname"] == engines.MODEL and r["svname"] in self.lab.fleet}

    async def asyncTearDown(self):
        engine = self.lab.engines[self.server]
        if not engine.process.alive():
            engine.start(wait=False)
        await asyncio.to_thread(engine.wait)
        await self.until(lambda: set(self.states().values()) == {"UP"}, "both are up")
        await self.until(lambda: all(s["usable"] for s in self.lab.ledger().values()), "both are used")
        await super().asyncTearDown()

    async def test_an_engine_dies_in_the_middle_of_its_streams(self):
        streams = await self.fill()
        self.lab.engines[self.server].kill()
        ends = []
        for stream in streams:
            if stream.headers["x-slo-server"] == self.server:
                with self.assertRaises(Broken):  # never a quiet end
                    await asyncio.wait_for(stream.read(), PATIENCE_S)
                ends.append(stream)
            else:
                await stream.drop()
        self.assertEqual(SLOTS, len(ends))
        await self.good(CHAT, {"messages": SAY, "max_tokens": 4})

    async def test_an_engine_dies_while_requests_are_held(self):
        streams = await self.fill()
        held = [self.spawn(self.ask(CHAT, {"messages": SAY, "max_tokens": 4})) for _ in range(6)]
        await self.until(lambda: self.lab.queued() == 6, "six are held")
        self.lab.engines[self.server].kill()
        # The dead one's room is free at once. What goes there is refused and sent to the other, but
        # what its dying system still accepted and then reset is lost, and told.
        await self.until(lambda: self.states()[self.server] == "DOWN", "it is down")
        for stream in streams:
            await stream.drop()
        answers = await asyncio.gather(*held)
        for answer in answers:
            if answer.status != 200:
                self.assertEqual((502, self.server), (answer.status, answer.headers["x-slo-server"]))
                self.assertEqual("server-failed", answer.json()["error"]["code"])
        self.assertIn(200, [a.status for a in answers])

    async def test_an_engine_that_still_loads_its_model(self):
        """Its 503 reaches the client as it is. HAProxy takes it for up all the time."""
        engine = self.lab.engines[self.server]
        others = f"{engines.MODEL}/fast-1", "llama2-7b/l20-1", "llama2-7b/a10-1"
        self.lab.checks(False, f"{engines.MODEL}/{self.server}", *others)
        self.lab.runtime(f"set server {engines.MODEL}/fast-1 state maint")
        try:
            await self.until(lambda: not self.lab.ledger()["fast-1"]["usable"], "one is used")
            answer = await asyncio.wait_for(self.loading(engine), PATIENCE_S)
        finally:
            self.lab.runtime(f"set server {engines.MODEL}/fast-1 state ready")
            self.lab.checks(True, f"{engines.MODEL}/{self.server}", *others)
        self.assertEqual("Loading model", answer.json()["error"]["message"])
        self.assertEqual("route", answer.headers["x-slo-verdict"])

    async def loading(self, engine):
        """It takes a tenth of a second, so it may need some tries. HAProxy is asked only when the
        engine listens: it would try again for a second."""
        while True:
            await asyncio.to_thread(engine.stop)
            engine.start(wait=False)
            await self.until(engine.listens, "its port")
            answer = await self.ask(TEXT, {"prompt": "babe", "max_tokens": 1})
            if answer.status == 503 and answer.headers.get("server") == "llama.cpp":
                return answer


if __name__ == "__main__":
    unittest.main()
