"""A fleet that changes under load, with the real HAProxy: SIGHUP, and HAProxy's own messages of
servers that go down and come back."""
import asyncio
import json
import pathlib
import signal
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from lab import room_for  # noqa: E402
from rawclient import ask, ask_all, request  # noqa: E402
from stack import FLEET, MODEL  # noqa: E402
from test_faults import LONG, WithStack as Faults  # noqa: E402

OTHER = "other"


def deployments(**servers):
    return {gpu: {"servers": names} for gpu, names in servers.items()}


class WithStack(Faults):
    async def hup(self, lab, change):
        """The configuration, changed, is in force."""
        before = lab.agent.text().count("is in force")
        change(lab.config)
        lab.config_file.write_text(json.dumps(lab.config))
        lab.agent.send(signal.SIGHUP)
        await lab.until(lambda: lab.agent.text().count("is in force") > before, "the reload")

    async def assert_all_empty(self, lab):
        def idle():
            s = lab.state()
            return not s["leaving"] and s["dispatched"] == 0 and s["queued"] == 0 and all(
                v["load"] == 0 for m in s["models"].values() for v in m["servers"].values())
        await lab.until(idle, "an empty ledger, and nobody leaving")
        self.assertEqual(0, lab.counter("leases_expired_total"))


class Reload(WithStack):
    def test_servers_come_go_and_move_under_load(self):
        def small(conf):
            conf["models"][MODEL]["deployments"] = deployments(a10=["a10-1"],
                                                              l20=["l20-1", "l20-2"])
        lab = self.start(room=4, speed=2, config=small)
        asyncio.run(self.servers(lab))

    async def servers(self, lab):
        lab.checks(False)
        load, loading = [], True

        async def client(i):
            while loading:
                load.append(await ask(lab.port, request(f"load-{i}", tokens=20)))

        streams = lab.start_requests(9, "stream", tokens=LONG, stream=True)
        await lab.until(lambda: lab.dispatched() == 9, "the streams run")
        before = lab.ledger()
        self.assertEqual({"a10-1", "l20-1", "l20-2"}, set(before))
        on = {name: s["inflight"] for name, s in before.items()}
        self.assertGreater(min(on.values()), 0)
        clients = [asyncio.create_task(client(i)) for i in range(6)]
        await lab.until(lambda: len(load) >= 12, "some of the load")

        def change(conf):
            conf["models"][MODEL]["deployments"] = deployments(a10=["a10-1", "l20-2"],
                                                              l20=["l20-3"])
        await self.hup(lab, change)
        after = lab.state()
        servers = after["models"][MODEL]["servers"]
        self.assertEqual({"a10-1": "a10", "l20-2": "a10", "l20-3": "l20"},
                         {n: s["deployment"] for n, s in servers.items()})
        self.assertGreaterEqual(servers["l20-2"]["inflight"], on["l20-2"])
        self.assertGreaterEqual(after["leaving"][f"{MODEL}/l20-1"]["inflight"], on["l20-1"])
        self.assertGreaterEqual(after["models"][MODEL]["decisions"][0]["requests"], 9)
        seen = len(load)
        await lab.until(lambda: len(load) >= seen + 30, "more of the load")
        later = load[seen + len(clients):]  # these came when the reload was over
        self.assertNotIn("l20-1", {a.headers.get("x-demo-server") for a in later})
        self.assertIn("l20-3", {a.headers.get("x-demo-server") for a in later})
        self.assertFalse(any(t.done() for t in streams))
        loading = False
        await asyncio.gather(*clients)
        await lab.until(lambda: lab.dispatched() == 9, "only the streams")
        self.assertEqual(on["l20-1"], lab.state()["leaving"][f"{MODEL}/l20-1"]["inflight"])
        lab.hurry()
        answers = load + await asyncio.gather(*streams)
        self.assert_all_good(answers)
        self.assert_where_chosen(answers)
        await self.assert_all_empty(lab)

    def test_models_come_and_go_with_requests_held(self):
        def two(conf):
            conf["models"][OTHER] = {"backend": MODEL, "deployments": deployments(a10=["a10-1"])}
        lab = self.start(room=1, speed=2, config=two)
        for gpu in set(FLEET.values()):
            for model in (OTHER, "third"):
                lab.profile(gpu, dict(room_for(1), gpu=gpu), model=model)
        lab.agent.send(signal.SIGHUP)
        lab.logged("is in force")
        asyncio.run(self.models(lab))

    async def models(self, lab):
        streams, held = await lab.fill(len(FLEET), 3)
        others = [asyncio.create_task(ask(lab.port, request(f"other-{i}", model=OTHER)))
                  for i in range(4)]
        await lab.until(lambda: lab.queued() == 7, "all of them are held")

        def change(conf):
            del conf["models"][OTHER]
            conf["models"]["third"] = {"backend": MODEL, "deployments": deployments(
                l20=["l20-1", "l20-4"])}
        await self.hup(lab, change)
        answers = await asyncio.gather(*others)
        self.assertEqual({("pass", "unknown-model")},
                         {(a.verdict, a.headers.get("x-slo-reason")) for a in answers})
        self.assertFalse(any(t.done() for t in streams + held))
        self.assertEqual({MODEL, "third"}, set(lab.state()["models"]))
        third = asyncio.create_task(ask(lab.port, request("third", model="third")))
        await lab.until(lambda: lab.queued() == 4, "the new model waits like the others")
        lab.hurry()
        rest = await asyncio.gather(third, *streams, *held)
        self.assert_all_good(answers + rest)
        self.assert_where_chosen(rest)
        self.assertIn(rest[0].headers["x-demo-server"], {"l20-1", "l20-4"})
        gone = await ask(lab.port, request("gone", model=OTHER))
        self.assertEqual(("pass", "unknown-model"), (gone.verdict, gone.headers["x-slo-reason"]))
        await self.assert_all_empty(lab)


class Messages(WithStack):
    """No runtime API: HAProxy's log lines alone."""

    def test_what_haproxy_does_not_use_is_not_chosen(self):
        lab = self.start(room=100, speed=50)
        asyncio.run(self.messages(lab))

    async def used(self, lab, *names):
        await lab.until(lambda: {n for n, s in lab.ledger().items() if s["usable"]} == set(names),
                        f"only {names} are used")

    async def messages(self, lab):
        command = "set server " + MODEL + "/{} state {}"
        lab.runtime(command.format("a10-1", "maint"))
        lab.runtime(command.format("l20-1", "drain"))
        await self.used(lab, "l20-2", "l20-3", "l20-4")
        self.assertEqual(("maint", "drain"),
                         tuple(lab.ledger()[n]["state"] for n in ("a10-1", "l20-1")))
        answers = await ask_all(lab.port, [request(f"q{i}") for i in range(20)])
        self.assert_all_good(answers)
        self.assert_where_chosen(answers)
        self.assertLessEqual({a.headers["x-demo-server"] for a in answers},
                             {"l20-2", "l20-3", "l20-4"})
        for name in ("a10-1", "l20-1"):
            lab.runtime(command.format(name, "ready"))
        await self.used(lab, *FLEET)

        # Nobody is left: the agent says so at once.
        lab.servers.stop()
        await self.used(lab)
        answer = await ask(lab.port, request("nobody"))
        self.assertEqual((503, "reject", "no-server"),
                         (answer.status, answer.verdict, answer.headers.get("x-slo-reason")))
        self.assertEqual(len(FLEET), lab.counter("server_state", state="down"))
        await self.assert_all_empty(lab)

    def test_what_a_process_said_goes_with_it(self):
        """HAProxy 2.6 begins anew with all servers UP after a reload, and says no word of it."""
        lab = self.start(room=100, speed=50)
        asyncio.run(self.reloaded(lab))

    async def reloaded(self, lab):
        lab.checks(False, MODEL + "/l20-1")
        lab.runtime(f"set server {MODEL}/l20-1 health down")
        await self.used(lab, *(set(FLEET) - {"l20-1"}))
        await asyncio.to_thread(lab.reload_proxy)
        await self.used(lab, *FLEET)
        answers = await ask_all(lab.port, [request(f"q{i}") for i in range(5)])
        self.assert_all_good(answers)
        await self.assert_all_empty(lab)


del Faults

if __name__ == "__main__":
    unittest.main()
