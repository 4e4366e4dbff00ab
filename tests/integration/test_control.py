"""The control socket and slo-ctl: a complaint is solved in two commands, from the header that the
client got; and nobody who speaks to the socket can stop the agent's work."""
import asyncio
import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import unittest
import urllib.error

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from case import PATIENCE, StackCase  # noqa: E402
from lab import AgentAlone, failed, scaled  # noqa: E402
from stack import MODEL, get  # noqa: E402

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SERVERS = scaled(10000, 500)


def with_control(conf):
    conf["control"] = {"listen": ["unix:ctl.sock",
                                  {"address": "unix:look.sock", "level": "user", "mode": "666"}]}
    conf["routing"]["queue_timeout"] = "300ms"


def ask(path, line, seconds=PATIENCE):
    """All that the socket says to that line."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(seconds)
        s.connect(str(path))
        s.sendall(line.encode() if isinstance(line, str) else line)
        s.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: s.recv(65536), b"")).decode()


def slo_ctl(stack, *words, status=0):
    done = subprocess.run([stack.build / "slo-ctl", "-s", stack.dir / "ctl.sock", *words],
                          capture_output=True, text=True, timeout=PATIENCE, check=False)
    if done.returncode != status:
        raise AssertionError(f"slo-ctl {words}: {done}")
    return done.stdout


class Complaints(StackCase):
    """One server that holds two requests."""

    options = {"fleet": {"a10-1": "a10"}, "config": with_control}
    profiles = {"a10": {"tputs": [[2.0]], "e2e": [[1.0]], "indexes": [[16], [64]],
                        "created": 1767225600.0, "slos": {"e2e": 600}}}

    def ctl(self, *words, status=0):
        return slo_ctl(self.stack, *words, status=status)

    async def test_a_slow_answer_is_explained_by_the_header_that_its_client_got(self):
        answer = await self.post({"traceparent": TRACE, "x-slo-e2e-ms": 1})
        self.assert_routed(answer, "a10-1")
        request = answer.headers["x-request-id"]
        await self.until(lambda: "End: " in self.ctl("explain", request), "the end line")
        why = self.ctl("explain", request)
        self.assertIn(f"Request:    {request}\n", why)
        self.assertIn("Target:     e2e, 0.001 s, its own\n", why)
        self.assertIn(f"Trace:      {TRACE}\n", why)
        self.assertRegex(why, r"chose a10-1\. a10 \((0\.9\d+|1|1\.\d+) s too late\)")
        self.assertRegex(why, r"End:        llama2-7b/a10-1, status 200, in all .* target missed")
        typed = self.ctl("explain", request, "typed")
        self.assertIn(f"0.id:str:{request}\n", typed)
        self.assertIn("0.target_s:real:0.001", typed)
        told = json.loads(self.ctl("explain", request, "json"))
        self.assertEqual((request, MODEL, "ended", TRACE),
                         (told["id"], told["model"], told["state"], told["trace"]))
        self.assertFalse(told["end"]["met"])
        self.assertEqual(["e2e"], told["end"]["missed"])
        shown = json.loads(await asyncio.to_thread(
            get, f"http://127.0.0.1:{self.stack.http}/decisions?id={request}"))["decisions"]
        self.assertEqual([told["why"]], [d["why"] for d in shown])

    async def test_a_refusal_carries_its_id_and_its_reason_is_found(self):
        await self.hold(2)
        answer = await self.post()
        self.assert_refused(answer, "queue-timeout")
        request = answer.headers["x-request-id"]
        why = self.ctl("explain", request)
        self.assertIn("No server had room within routing.queue_timeout.", why)
        self.assertIn("has no room for 0.5: its emptiest server is at 1.", why)
        held = float(re.search(r"held for (\d+(?:\.\d+)?) s", why)[1])
        self.assertGreaterEqual(held, 0.3)
        self.assertAlmostEqual(int(answer.headers["x-slo-wait-ms"]) / 1e3, held, delta=0.002 + held / 100)
        self.assertIn(request, self.ctl("show", "decisions", "reason=queue-timeout"))
        self.assertNotIn(request, self.ctl("show", "decisions", "server=a10-1"))

    async def test_what_haproxy_answers_by_itself_has_an_id_too(self):
        answer = await self.client().request("GET", "/nowhere")
        self.assertTrue(answer.headers["x-request-id"])

    async def test_every_answer_says_why_it_was_passed(self):
        answer = await self.post(body=b'{"model":"gpt-6","prompt":"x"}')
        why = self.ctl("explain", answer.headers["x-request-id"])
        self.assertIn('asked for "gpt-6"', why)
        self.assertIn("Its model is not configured.", why)

    async def test_over_http_decisions_are_narrowed_down(self):
        def ask(query, status=200):
            url = f"http://127.0.0.1:{self.stack.http}/decisions?{query}"
            try:
                return json.loads(get(url))["decisions"]
            except urllib.error.HTTPError as e:
                self.assertEqual(status, e.code)
                return e.read().decode()

        for _ in range(3):
            await self.post()
        await self.post(body=b'{"model":"gpt-6","prompt":"x"}')
        self.assertEqual(2, len(ask("server=a10-1&limit=2")))
        # Whom it was chosen for, and whom it answered without that.
        self.assertEqual({"a10-1"}, {d["server"] or d["end"]["server"]
                                     for d in ask("server=llama2-7b/a10-1")})
        self.assertEqual({"gpt-6"}, {d["asked_model"] for d in ask("reason=unknown-model")})
        self.assertEqual([], ask("server=nowhere"))
        self.assertEqual([], ask("id=never-seen"))
        numbers = [d["number"] for d in ask("limit=1000")]
        self.assertEqual(sorted(numbers, reverse=True), numbers)
        for bad in ("limit=0", "limit=1001", "reason=luck", "state=asleep", "colour=red",
                    "id=" + 300 * "x"):
            self.assertIn("arguments: ", ask(bad, 400))

    async def test_strategy_and_promise_change_until_a_reload(self):
        self.ctl("set", "strategy", MODEL, "random")
        self.assertIn(" promises ttft=0.5s e2e=2s now. ", self.ctl("set", "slo", MODEL, "e2e=2s", "ttft=500ms"))
        self.ctl("set", "headroom", MODEL, "0.7")
        answer = await self.post()
        self.assertEqual("random", answer.headers["x-slo-strategy"])
        model = (await self.state())["models"][MODEL]
        self.assertEqual(("random", "ttft"), (model["strategy"], model["target"]["kind"]))
        self.assertEqual(0.7, model["learned"]["a10"]["rates"]["headroom"])
        self.assertIn("is in force", self.ctl("reload"))
        model = (await self.state())["models"][MODEL]
        self.assertEqual(("slo", "e2e", 600.0), (model["strategy"], model["target"]["kind"],
                                                 model["target"]["seconds"]))
        self.assertNotEqual(0.7, model["learned"]["a10"]["rates"]["headroom"])
        self.assertIn("says: set strategy llama2-7b random", self.stack.agent.text())


class Control(unittest.TestCase):
    """The socket of an agent without HAProxy."""

    def agent(self, change=lambda conf: None, **kw):
        def both(conf):
            with_control(conf)
            change(conf)

        lab = AgentAlone(config=both, **kw)
        self.addCleanup(lambda: lab.__exit__(Exception if failed(self) else None))
        return lab.start()

    def test_every_command_answers_in_every_format(self):
        lab = self.agent()
        for what in ("info", "models", "servers", "queue", "decisions", "profiles", "peers",
                     "errors", "env"):
            text = slo_ctl(lab, "show", what)
            self.assertFalse(text.startswith("error"), text)
            value = json.loads(slo_ctl(lab, "show", what, "json"))
            self.assertIsInstance(value, dict if what in ("info", "env") else list)
            for line in slo_ctl(lab, "show", what, "typed").split("\n"):
                self.assertRegex(line, r"^$|^\d+\.[\w/]+:(str|int|real|bool):")
        rows = json.loads(slo_ctl(lab, "show", "servers", MODEL, "json"))
        self.assertEqual(sorted(lab.fleet), sorted(row["server"] for row in rows))
        state = lab.state()
        self.assertEqual(json.loads(slo_ctl(lab, "show", "info", "json"))["Pid"], state["pid"])
        self.assertIn("show servers [MODEL]", slo_ctl(lab, "help"))

    def test_columns_stay_in_line_below_long_names_of_models(self):
        name = "meta-llama/Llama-3.1-70B-Instruct-with-a-suffix"

        def long_name(conf):
            conf["models"][name] = dict(conf["models"][MODEL])

        lab = self.agent(long_name)
        for what, column in (("models", "backend"), ("servers", "deployment"), ("profiles", "deployment"),
                             ("queue", "waiting")):
            head, *rows = slo_ctl(lab, "show", what).splitlines()
            rows = [row for row in rows if row]
            self.assertTrue(any(row.startswith(name + " ") for row in rows), rows)
            # Numbers end where their column's name does, texts begin there.
            at = head.index(column) + (len(column) - 1 if column == "waiting" else 0)
            for row in rows:
                self.assertNotEqual(" ", row[at], f"{head}\n{row}")
                near = row[at + 1] if column == "waiting" else row[at - 1]
                self.assertEqual(" ", near, f"{head}\n{row}")

    def test_of_a_request_that_waits_is_told_what_it_waits_for(self):
        lab = self.agent(lambda conf: conf["routing"].update(queue_timeout="60s"), room=1,
                         fleet={"a10-1": "a10"})
        with lab.peer() as p:
            self.assertEqual("route", p.route("runs", model=MODEL)["verdict"])
            p.ask("waits", model=MODEL, slo_e2e_ms=1000000)
            lab.until(lambda: lab.queued() == 1, "it waits")
            row = json.loads(slo_ctl(lab, "show", "queue", MODEL, "json"))[0]
            self.assertEqual((1, "waits"), (row["waiting"], row["most_urgent"]))
            why = slo_ctl(lab, "explain", "waits")
            self.assertIn("It waits for room; 1 of its model wait in all.", why)
            self.assertIn(" a10 ", why)
            lab.ends("runs")
            self.assertEqual("route", p.answer()["verdict"])
        lab.ends("waits")

    def test_the_doctor_tells_of_promises_that_are_not_kept(self):
        lab = self.agent(room=1, fleet={"a10-1": "a10"})
        with lab.peer() as p:
            for i in range(20):
                self.assertNotIn("Promises of", ask(lab.dir / "ctl.sock", "doctor\n"))
                answer = p.route(f"late{i}", model=MODEL, slo_e2e_ms=1000000)
                self.assertEqual("route", answer["verdict"])
                lab.ends(f"late{i}", srv=answer["server"], ta=2000000)
                lab.until(lambda: lab.end_lines("closed") == i + 1, "its end")
        self.assertIn(f"Promises of {MODEL} are not kept: of 20 requests of the last 5 minutes 0 kept theirs (0.0 %, 99 % "
                      "are promised), 20 missed it", ask(lab.dir / "ctl.sock", "doctor\n"))
        self.assertIn(" Its servers are nearly empty now (0 % in use): look at kv_tokens and at the section engines; ",
                      ask(lab.dir / "ctl.sock", "doctor\n"))
        with lab.peer() as p:
            self.assertEqual("route", p.route("fills", model=MODEL)["verdict"])
            told = ask(lab.dir / "ctl.sock", "doctor\n")
            self.assertIn(" were refused. Is there more load than servers?", told)
            self.assertNotIn("nearly empty", told)
        lab.ends("fills")

    def test_the_doctor_tells_that_no_runtime_api_is_set(self):
        lab = self.agent()
        self.assertIn("haproxy.runtime_api is not set: ", ask(lab.dir / "ctl.sock", "doctor\n"))
        lab.config["haproxy"] = {"runtime_api": ["unix:stats.sock"]}
        lab.config_file.write_text(json.dumps(lab.config))
        lab.agent.send(signal.SIGHUP)
        lab.until(lambda: "is not set" not in ask(lab.dir / "ctl.sock", "doctor\n"), "the doctor knows of it")

    def test_exit_codes_say_what_happened(self):
        lab = self.agent()

        def doctor():
            """Warnings may come and go in between."""
            before = [w["code"] for w in lab.state()["warnings"]]
            done = subprocess.run([lab.build / "slo-ctl", "-s", lab.dir / "ctl.sock", "doctor", "json"],
                                  capture_output=True, text=True, timeout=PATIENCE, check=False)
            after = [w["code"] for w in lab.state()["warnings"]]
            told = [w["code"] for w in json.loads(done.stdout)]
            return before == after and ((done.returncode, told) == (3 if before else 0, before) or
                                        self.fail(f"{before}, but {done}"))
        lab.until(doctor, "the same warnings three times")
        for words in (["nothing"], ["show"], ["show", "all"], ["show", "models", "none-such"],
                      ["explain"], ["explain", "never-seen"], ["set", "slo", MODEL, "e2e=soon"],
                      ["set", "slo", MODEL, "tpot=50ms", "e2e=30"],
                      ["set", "strategy", MODEL, "best"], ["set", "headroom", MODEL, "2"],
                      ["export", "profiles"], ["clear", "counters"], ["show", "decisions", "limit=0"],
                      ["show", "decisions", "reason=bad-luck"]):
            self.assertTrue(slo_ctl(lab, *words, status=1).startswith("error: "), words)
        self.assertEqual(slo_ctl(lab, "set", "slo", MODEL, "e2e=30", status=1).strip(),
                         "error: e2e=30 has no unit: write e2e=30s or e2e=30ms")
        slo_ctl(lab, status=2)
        slo_ctl(lab, *[""] * 9000, status=2)
        self.assertEqual(2, subprocess.run([lab.build / "slo-ctl", "-s", lab.dir / "none", "help"],
                                           capture_output=True, check=False).returncode)

    def test_several_commands_and_the_prompt_work_as_in_haproxy(self):
        lab = self.agent()
        sock = lab.dir / "ctl.sock"
        self.assertEqual(2, ask(sock, "show models; show queue\n").count(f"\n{MODEL}"))
        said = ask(sock, "prompt\nclear peaks\n\nshow queue\nquit\nshow queue\n")
        self.assertEqual(1, said.count(f"\n{MODEL}"), said)
        self.assertEqual(4, said.count("> "), said)

    def test_a_bad_configuration_is_told_to_who_reloads(self):
        lab = self.agent()
        good = lab.config_file.read_text()
        lab.config_file.write_text(good.replace('"routing"', '"rooting"'))
        said = slo_ctl(lab, "reload", status=1)
        self.assertIn('"rooting"', said)
        self.assertIn("the old configuration stays", said)
        lab.config_file.write_text(good)
        slo_ctl(lab, "reload")

    @unittest.skipUnless(os.geteuid() == 0, "only root can be somebody else")
    def test_levels_hold_for_whom_is_not_root(self):
        lab = self.agent()
        os.chmod(lab.dir, 0o755)
        who = {"user": 65534, "group": 65534, "extra_groups": []}

        def say(path, *words):
            return subprocess.run([lab.build / "slo-ctl", "-s", lab.dir / path, *words], **who,
                                  capture_output=True, text=True, check=False)

        self.assertEqual(0, say("look.sock", "show", "info").returncode)
        for words in (["reload"], ["drain"], ["clear", "decisions"], ["set", "log", "debug"]):
            done = say("look.sock", *words)
            self.assertEqual(1, done.returncode)
            self.assertIn("and this socket has user", done.stdout)
        self.assertNotIn("reload", say("look.sock", "help").stdout)
        self.assertIn("drain", slo_ctl(lab, "help"))

    def test_what_clients_say_does_not_steer_a_terminal(self):
        lab = self.agent()
        with lab.peer() as p:
            p.route("i\x1b[31m1", model=MODEL)
            p.route("id2", model=MODEL)
            p.route("id3", model="\x1b[2J\x07\nDecision: all is well")
        said = slo_ctl(lab, "explain", "id3")
        self.assertIn('asked for "?[2J??Decision: all is well"\n', said)
        said += slo_ctl(lab, "explain", "id2") + slo_ctl(lab, "show", "decisions")
        self.assertEqual([], [c for c in said if c < " " and c != "\n" or c > "~"])

    def test_lines_that_make_no_sense_are_refused_and_the_agent_goes_on(self):
        lab = self.agent()
        sock = lab.dir / "ctl.sock"
        for line in (b"\x00\xff\xfe\n", b"show " + b"x" * 5000 + b"\n", b"a " * 40 + b"\n",
                     b"x" * 70000, b";" * 4000 + b"\n", b"explain " + b"i" * 300 + b"\n"):
            said = ask(sock, line)
            self.assertTrue("error: " in said or not said.strip(), (line[:20], said[:200]))
        self.assertLess(len(ask(sock, b"help;" * 800 + b"\n")), 800 * 4096)
        self.assertEqual(0, lab.agent.child.poll() or 0)

    def test_who_does_not_read_stops_only_itself(self):
        def large(conf):
            conf["models"][MODEL]["deployments"]["a10"]["servers"] = \
                [f"s{i}" for i in range(SERVERS)]

        lab = self.agent(large)
        slow = []
        for _ in range(20):
            s = socket.socket(socket.AF_UNIX)
            self.addCleanup(s.close)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.settimeout(PATIENCE)
            s.connect(str(lab.dir / "ctl.sock"))
            s.sendall(b"show servers json\n")
            slow.append(s)
        rows = json.loads(ask(lab.dir / "ctl.sock", "show servers json\n"))
        self.assertEqual(SERVERS + 4, len(rows))
        for s in slow:
            whole = b"".join(iter(lambda s=s: s.recv(65536), b""))
            self.assertEqual(SERVERS + 4, len(json.loads(whole)))

    def test_when_all_connections_are_in_use_the_most_silent_makes_room(self):
        lab = self.agent()
        idle = []
        for _ in range(32):
            s = socket.socket(socket.AF_UNIX)
            self.addCleanup(s.close)
            s.connect(str(lab.dir / "ctl.sock"))
            idle.append(s)
        lab.until(lambda: self.answer_or_none(lab), "an answer")
        idle[0].settimeout(PATIENCE)
        self.assertEqual(b"", idle[0].recv(1))

    def answer_or_none(self, lab):
        """Not before somebody is silent for long enough to be closed."""
        with contextlib.suppress(OSError):
            return ask(lab.dir / "ctl.sock", "show info\n")
        return None

    def test_drain_ends_the_agent(self):
        lab = self.agent()
        self.assertIn("0 requests are held", slo_ctl(lab, "drain"))
        self.assertEqual(0, lab.agent.child.wait(PATIENCE))


if __name__ == "__main__":
    unittest.main()
