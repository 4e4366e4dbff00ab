"""What the agent learns from the pages of metrics of LLM engines, with real HAProxy, which tells where
they are."""
import asyncio
import http.server
import json
import pathlib
import signal
import socket
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from heal_lab import SPREAD  # noqa: E402
from lab import AgentAlone, Lab, failed  # noqa: E402
from rawclient import ask, request  # noqa: E402
from stack import MODEL, get, wait_for  # noqa: E402

METRICS = {"metrics": "http://{address}:{port}/metrics", "poll": "100ms"}


class EngineMetrics(unittest.TestCase):
    def start(self, engines=METRICS, change=None, **kw):
        def config(conf):
            conf["engines"] = engines
            conf["haproxy"]["poll"] = "100ms"
            conf["haproxy"]["grace"] = "1s"
            if change:
                change(conf)

        self.lab = Lab(config=config, runtime_api=True, **kw)
        self.addCleanup(lambda: self.lab.__exit__(AssertionError if failed(self) else None))
        self.lab.start()
        return self.lab

    def servers(self):
        return self.lab.state()["models"][MODEL]["servers"]

    def engine(self, name):
        return self.servers()[name]["engine"]

    def demo(self, name):
        return json.loads(get(f"http://127.0.0.1:{self.lab.server_port[name]}/stats"))

    def test_the_size_of_the_cache_comes_from_the_engine(self):
        lab = self.start()
        wait_for(lambda: all(s["engine"] and s["engine"]["kv_tokens"] for s in self.servers().values()),
                 "all engines told their cache")
        for name in lab.fleet:
            limit = self.demo(name)["kv_limit"] // 16 * 16
            engine = self.engine(name)
            self.assertEqual(("vllm", limit, True, ""), (engine["make"], engine["kv_tokens"],
                                                         engine["answers"], engine["error"]))
            self.assertLess(engine["age_seconds"], 30)
        learned = lab.state()["models"][MODEL]["learned"]
        for gpu in set(lab.fleet.values()):
            rates = learned[gpu]["rates"]
            name = next(n for n, g in lab.fleet.items() if g == gpu)
            self.assertEqual((self.demo(name)["kv_limit"] // 16 * 16, "engine"),
                             (rates["kv_tokens"], rates["kv_tokens_from"]))

    def test_an_engine_that_is_away_is_told_once_and_loses_nothing(self):
        lab = self.start({"servers": {f"{MODEL}/a10-1": "http://127.0.0.1:1/metrics",
                                      f"{MODEL}/l20-1": "http://127.0.0.1:1/metrics"}, "poll": "100ms"})
        wait_for(lambda: self.engine("a10-1") and self.engine("a10-1")["failures"] > 5, "questions")
        engine = self.engine("a10-1")
        self.assertEqual((False, None, None), (engine["answers"], engine["age_seconds"], engine["kv_tokens"]))
        self.assertIsNone(self.engine("l20-2"))
        self.assertEqual(1, lab.agent.text().count(f"engine of {MODEL}/a10-1 tells no metrics: "))
        wait_for(lambda: [w["code"] for w in lab.state()["warnings"]].count("engine-silent") == 2, "a warning for each")
        self.assertEqual(0, lab.counter("engine_pages_total", server="a10-1", result="read"))
        answer = asyncio.run(ask(lab.port, request("w1", headers=SPREAD)))
        self.assertEqual((True, "route"), (answer.good, answer.verdict))

    def test_a_reload_without_the_section_asks_nobody(self):
        lab = self.start()
        wait_for(lambda: self.engine("a10-1") and self.engine("a10-1")["pages"], "a page")
        self.assertGreater(lab.counter("engine_kv_tokens", server="a10-1"), 0)
        del lab.config["engines"]
        lab.config_file.write_text(json.dumps(lab.config))
        lab.agent.send(signal.SIGHUP)
        lab.logged("is in force")
        self.assertIsNone(self.engine("a10-1"))
        rates = lab.state()["models"][MODEL]["learned"]["a10"]["rates"]
        self.assertEqual("found", rates["kv_tokens_from"])

    def test_who_waits_inside_an_engine_keeps_others_out(self):
        """The profile says that 16 fit; the engine runs 4."""
        lab = self.start(fleet={"a10-1": "a10"}, room=16, speed=1,
                         server_args=["--max-num-seqs", "4"])

        async def run():
            async def more(n):
                first = len(tasks)
                for i in range(first, first + n):
                    tasks.append(asyncio.create_task(ask(lab.port, request(f"w{i}", tokens=2000))))

            tasks = []
            await more(10)
            # Ten of sixteen are charged, and four of ten run.
            await asyncio.to_thread(wait_for, lambda: self.servers()["a10-1"]["withheld"] == 0.75, "the engine")
            await more(4)
            await asyncio.to_thread(wait_for, lambda: lab.queued() == 4, "requests that are held")
            engine = self.engine("a10-1")
            self.assertEqual((4, 6), (engine["running"], engine["waiting"]))
            self.assertGreater(lab.counter("server_withheld", server="a10-1"), 0.5)
            await asyncio.to_thread(wait_for, lambda: "engine-crowded" in [
                w["code"] for w in lab.state()["warnings"]], "a warning")
            lab.hurry()
            return await asyncio.gather(*tasks)

        answers = asyncio.run(run())
        self.assertEqual([], [str(a) for a in answers if not a.good])
        self.assertEqual({"route"}, {a.verdict for a in answers})

    def crowded(self):
        """An engine in which requests wait, as the page that a test may change says."""
        page = ["vllm:num_requests_running 0\nvllm:num_requests_waiting 9\n"]

        class Engine(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.end_headers()
                self.wfile.write(page[0].encode())

            def log_message(self, *_):
                pass

        engine = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Engine)
        threading.Thread(target=engine.serve_forever, daemon=True).start()
        self.addCleanup(engine.server_close)
        self.addCleanup(engine.shutdown)
        url = f"http://127.0.0.1:{engine.server_port}/metrics"
        self.start({"servers": {f"{MODEL}/a10-1": url}, "poll": "100ms"})
        wait_for(lambda: self.servers()["a10-1"]["withheld"] > 0.9, "requests wait inside")
        return page, url

    def used_again(self):
        wait_for(lambda: self.servers()["a10-1"]["withheld"] == 0, "the server is used again")
        wait_for(lambda: ("engine-crowded", f"{MODEL}/a10-1") not in [
            (w["code"], w["subject"]) for w in self.lab.state()["warnings"]], "its warning is over")

    def test_an_engine_that_tells_its_queue_no_more_keeps_nobody_out(self):
        page, _ = self.crowded()
        page[0] = "# nothing is told any more\n"
        self.used_again()

    def test_an_idle_engine_is_not_called_crowded(self):
        page, _ = self.crowded()

        def warned():
            return "engine-crowded" in [w["code"] for w in self.lab.state()["warnings"]]
        wait_for(warned, "a warning")
        page[0] = "vllm:num_requests_running 0\nvllm:num_requests_waiting 0\n"
        wait_for(lambda: not warned(), "the warning is over")
        self.assertGreater(self.servers()["a10-1"]["withheld"], 0.5)  # which nothing has disproved

    def test_an_engine_that_is_asked_no_more_keeps_nobody_out(self):
        _, url = self.crowded()
        self.lab.config["engines"]["servers"] = {f"{MODEL}/l20-1": url}
        self.lab.config_file.write_text(json.dumps(self.lab.config))
        self.lab.agent.send(signal.SIGHUP)
        self.lab.logged("is in force")
        self.used_again()

    def test_engines_that_never_answer_do_not_keep_others_from_being_asked(self):
        hung = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.addCleanup(hung.close)
        page = {f"{MODEL}/s{i}": f"http://127.0.0.1:{hung.getsockname()[1]}/metrics" for i in range(16)}
        page[f"{MODEL}/away"] = "http://127.0.0.1:1/metrics"
        self.lab = AgentAlone(fleet=dict.fromkeys([p.split("/")[1] for p in page], "a10"),
                              config=lambda conf: conf.update(
                                  engines={"servers": page, "poll": "100ms"}))
        self.addCleanup(lambda: self.lab.__exit__(AssertionError if failed(self) else None))
        self.lab.start()
        wait_for(lambda: (self.engine("away") or {"failures": 0})["failures"], "the others are asked", 30)

    def test_tokens_that_nobody_tells_follow_from_the_engines_counters(self):
        """Streams: HAProxy sees no usage. Their prompts have twice the tokens that they look like."""
        lab = self.start(fleet={"a10-1": "a10"}, speed=200)

        async def run():
            text = "word " * 200
            for part in range(4):
                await asyncio.gather(*(ask(lab.port, request(
                    text, tokens=40, stream=True, prompt_tokens=400)) for i in range(20)))

        wait_for(lambda: self.engine("a10-1") and self.engine("a10-1")["pages"], "the first page")
        before = lab.state()["models"][MODEL]["estimator"]
        asyncio.run(run())
        wait_for(lambda: self.engine("a10-1")["windows"] > 0, "a window of the counters")
        after = lab.state()["models"][MODEL]["estimator"]
        self.assertEqual((1, 0), (before["prompt_factor"], before["prompt_samples"]))
        self.assertGreaterEqual(after["prompt_samples"], 30)
        self.assertGreater(after["prompt_factor"], 1.8)
        self.assertLess(after["prompt_factor"], 2.8)
        self.assertNotEqual(before["stream_bytes_per_token"], after["stream_bytes_per_token"])


if __name__ == "__main__":
    unittest.main()
