"""The page in a headless Chromium: it shows what /state.json says, its controls work, and nothing
from outside gets into it but as text."""
import json
import pathlib
import signal
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from browser import Browser  # noqa: E402
from clusterlab import Node  # noqa: E402
from lab import AgentAlone, failed, in_some, scaled  # noqa: E402
from redislab import Redis  # noqa: E402
from stack import MODEL, get, wait_for  # noqa: E402

SERVERS = scaled(10000, 500)
MATCHING = len([i for i in range(SERVERS) if "0042" in f"s{i:05}"])
NOW = "document.documentElement.dataset.turns"


class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.browser = cls.enterClassContext(Browser())

    def agent(self, change=lambda conf: None):
        lab = AgentAlone(config=change)
        self.addCleanup(lambda: lab.__exit__(Exception if failed(self) else None))
        return lab.start()

    def open(self, lab, fragment=""):
        """The page, shown. At the end it must have logged nothing and asked nobody else."""
        url = f"http://127.0.0.1:{lab.http}/"
        self.browser.console.clear()
        self.browser.requests.clear()
        self.browser.open("about:blank")
        self.browser.open(url + fragment)
        self.addCleanup(self.browser.open, "about:blank")
        self.addCleanup(self.nothing_odd, url)
        self.turn()
        return self.browser

    def nothing_odd(self, url):
        self.assertEqual([], self.browser.console)
        self.assertEqual([], [r for r in self.browser.requests
                              if not r.startswith((url, "data:", "about:"))])

    def turn(self):
        """What is shown now was asked for after this call: the first look may have begun before."""
        for _ in range(2):
            shown = int(self.browser.run(NOW) or 0)
            self.browser.run("window.dispatchEvent(new Event('hashchange'))")
            self.browser.until(f"{NOW} > {shown}", "a new look at /state.json")

    def served(self, lab, *ids, **values):
        """Requests that are routed and end."""
        before = lab.end_lines("closed")
        with lab.peer() as p:
            for i in ids:
                p.route(i)
        lab.ends(*ids, **values)
        lab.until(lambda: lab.end_lines("closed") == before + len(ids), "all end lines")

    def test_numbers_are_those_of_the_state(self):
        lab = self.agent()
        self.served(lab, *(f"a{i}" for i in range(1200)))
        self.served(lab, *(f"b{i}" for i in range(30)), ta=700_000, srv="l20-2")
        with lab.peer() as p:
            for i in range(3):
                p.route(f"c{i}")
            page = self.open(lab)
            state = lab.state()
            model = state["models"]["llama2-7b"]
            self.assertEqual("llama2-7b", page.text("#model-name"))
            facts = page.facts("#facts")
            self.assertEqual("3", facts["in flight"])
            self.assertEqual(str(state["spop_connections"]), facts["HAProxy connections"])
            for window in ("5m", "1h"):
                p = model["promises"][window]
                self.assertEqual((1200, 30, 0), (p["kept"], p["missed"], p["refused"]))
                tile = f'.tile[data-window="{window}"] '
                self.assertEqual("97.56 %", page.text(tile + ".share"))
                self.assertEqual("1,200 kept, 30 missed, 0 refused", page.text(tile + ".counts"))
            self.assertTrue(page.run("""document.querySelector('.tile[data-window="5m"]').classList.contains('bad')"""))
            self.now_is_shown(lab)
            rows = {row[0]: row for row in page.table("#servers")}
            self.assertEqual(set(model["servers"]), set(rows))
            for name, server in model["servers"].items():
                self.assertEqual(
                    [name, server["deployment"], server["state"], f"{server['load']:.2f}",
                     str(server["inflight"])], rows[name][:5])
                self.assertEqual(f"{server['requests']:,}", rows[name][9])
            self.assertEqual("0 %", rows["l20-2"][8])
            rows = page.table("#classes")
            for row in rows:
                row.pop(1)  # now
            self.assertEqual([["slo", *["97.56 %"] * 2, "1,200", "30", "0"],
                              ["e2e", *["97.56 %"] * 2, "1,200", "30", "0"]], rows)
            self.assertTrue(page.run("document.querySelectorAll('.chart canvas').length >= 4"))

    def now_is_shown(self, lab):
        """The shortest window, which the start of all this may leave meanwhile."""
        def shown():
            before = lab.state()["models"][MODEL]["promises"]["now"]
            self.turn()
            counts = self.browser.text('.tile[data-window="now"] .counts')
            after = lab.state()["models"][MODEL]["promises"]["now"]
            if before != after:
                return (before, after)
            self.assertEqual("{kept:,} kept, {missed} missed, {refused} refused".format(**before), counts)
            return True
        in_some(shown, "one moment", 30)

    def test_a_click_on_a_decision_tells_why(self):
        lab = self.agent()
        self.served(lab, "first", "second", "late", ta=1_000_000)
        page = self.open(lab)
        self.assertEqual(["late", "second", "first"], [row[1] for row in page.table("#decisions")])
        self.assertTrue(page.run("document.getElementById('decision').hidden"))
        page.click("#decisions tr:nth-child(2)")
        page.until("!document.getElementById('decision').hidden", "the explanation")
        self.turn()
        told = json.loads(get(f"http://127.0.0.1:{lab.http}/decisions?id=second"))["decisions"][0]
        self.assertIn("second", page.text("#decision-id"))
        self.assertEqual(told["why"], page.text("#decision-why"))
        facts = page.facts("#decision-facts")
        self.assertEqual("missed: e2e", facts["promise"])
        self.assertEqual(told["end"]["server"], facts["answered by"])
        self.assertEqual([o["deployment"] for o in told["options"]],
                         [row[0] for row in page.table("#decision-options")])
        page.click("#decision-close")
        page.until("document.getElementById('decision').hidden", "no explanation")
        page.type("#decisions-id", "first")
        page.until("document.querySelectorAll('#decisions tr').length === 1", "one decision")
        self.assertEqual("first", page.table("#decisions")[0][1])
        page.type("#decisions-id", "-and-more")
        page.until("document.querySelectorAll('#decisions td.empty').length === 1", "none")

    def test_a_click_on_a_server_tells_of_it_and_of_its_decisions(self):
        lab = self.agent()
        with lab.peer() as p:
            on = {f"r{i}": p.route(f"r{i}", strategy="least-request")["server"] for i in range(10)}
            page = self.open(lab)
            page.click("#servers tr:nth-child(2)")
            page.until("!document.getElementById('server').hidden", "the server")
            self.assertEqual("l20-1", page.text("#server-name"))
            self.assertEqual("2, at most 2 so far", page.facts("#server-facts")["in flight"])
            self.turn()
            self.assertEqual(sorted(r for r in on if on[r] == "l20-1"),
                             sorted(row[1] for row in page.table("#decisions")))
            page.click("#server-close")
            page.until("document.getElementById('server').hidden", "no server")
            self.turn()
            self.assertEqual(10, len(page.table("#decisions")))

    def test_other_agents_are_shown(self):
        redis = Redis()
        self.addCleanup(redis.close)
        redis.start()
        a, b = (Node(name, redis.url) for name in "ab")
        for node in (a, b):
            self.addCleanup(lambda n=node: n.__exit__(Exception if failed(self) else None))
            node.start()
        b.hears("a")
        with a.peer() as p:
            p.route("r1")
            b.holds(1, 1)
            page = self.open(b)
            peer = page.table("#peers")[0]
            self.assertEqual(("a", "1"), (peer[0], peer[2]))
            self.assertEqual("this one is b of test", page.text("#peers-state"))
            self.assertEqual("1 (1 of others)", page.table("#servers")[0][4])

    def test_what_waits_and_what_is_refused_is_shown(self):
        def change(conf):
            conf["routing"].update(queue_timeout="600s", late="reject")
        lab = self.agent(change)
        lab.set_room(1, created=1.9e9, e2e_target=600)
        lab.agent.send(signal.SIGHUP)
        lab.until(lambda: lab.state()["models"][MODEL]["profiles"]["l20"]["created"] == 1.9e9, "profiles")
        with lab.peer() as p:
            for i in range(5):
                self.assertEqual("route", p.route(f"runs{i}")["verdict"])
            for i in range(3):
                p.ask(f"waits{i}")
            with lab.peer() as other:
                self.assertEqual("reject", other.route("hopeless", slo_e2e_ms=1)["verdict"])
            lab.until(lambda: lab.queued() == 3, "three wait")
            page = self.open(lab)
            self.assertEqual("3", page.text('.tile[data-window="queue"] .share'))
            self.assertRegex(page.text('.tile[data-window="queue"] .counts'),
                             r"^the most urgent for .*, must start within ([4-9]|10) min$")
            self.assertIn("waits0", page.run("document.querySelector('.tile[data-window=\"queue\"]').title"))
            self.assertEqual([["reject", "slo-failure", "slo", "1", "16.66 %"]], page.table("#reasons"))
            self.assertIn("1 refused", page.text('.tile[data-window="5m"] .counts'))
            page.run("(s => { s.value = 'refused'; s.dispatchEvent(new Event('change')); })"
                     "(document.getElementById('decisions-state'))")
            page.until("document.querySelectorAll('#decisions tr').length === 1", "the refused one")
            self.assertEqual(["hopeless", "reject: slo-failure"], page.table("#decisions")[0][1:3])

    def test_names_from_outside_are_text_and_nothing_else(self):
        attacks = ["<img src=x onerror=window.owned=1>", "\"><script>window.owned=1</script>",
                   "'-window.owned-'", "{{7*7}}", "javascript:window.owned=1", "</style><b>", "__proto__",
                   "constructor"]
        def change(conf):
            model = conf["models"].pop(MODEL)
            model["backend"] = "b"
            conf["models"] = {name: {**model, "backend": f"b{i}"} for i, name in enumerate(attacks)}
            conf["routing"]["default_model"] = attacks[0]
        lab = self.agent(change)
        with lab.peer() as p:
            for i, name in enumerate(attacks):
                p.route(f"{name}{i}", model=name)
                p.route(f"unknown{i}", model="unknown " + name)
        page = self.open(lab)
        self.assertEqual(sorted(attacks), sorted(row[0] for row in page.table("#models-rows")))
        for name in attacks:
            self.pick(name)
            self.assertEqual(name, page.text("#model-name"))
            self.assertEqual(5, len(page.table("#servers")))
            page.click("#decisions tr")
            page.until("!document.getElementById('decision').hidden", "the explanation")
            self.turn()
        self.assertIn("unknown?<img", page.text("#warnings-list"))
        self.assertEqual("undefined", page.run("typeof window.owned"))
        self.assertEqual(0, page.run("document.querySelectorAll('main img, main script, main b:not(.note b)').length"))

    def pick(self, name):
        """Clicks on the model."""
        rows = [row[0] for row in self.browser.table("#models-rows")]
        self.browser.click(f"#models-rows tr:nth-child({rows.index(name) + 1})")
        self.browser.until(f"document.getElementById('model-name').textContent === {json.dumps(name)}", name)

    def test_ten_thousand_servers_are_shown_in_parts(self):
        def change(conf):
            conf["models"][MODEL]["deployments"] = {"l20": {"servers": [f"s{i:05}" for i in range(SERVERS)]}}
        lab = self.agent(change)
        self.served(lab, "r1", srv="s00200")
        with lab.peer() as p:
            busy = p.route("r2")["server"]
            page = self.open(lab)
            self.assertEqual(f"{SERVERS:,}", page.text("#servers-count"))
            self.assertEqual("1–25", page.text("#servers-range"))
            self.assertEqual([f"s{i:05}" for i in range(25)], [row[0] for row in page.table("#servers")])
            page.click("#servers-next")
            page.until("document.getElementById('servers-range').textContent === '26–50'", "the next ones")
            self.assertEqual("s00025", page.table("#servers")[0][0])
            self.order("inflight")
            page.until(f"document.querySelector('#servers td').textContent === '{busy}'", "the busiest first")
            self.order("tokens")
            page.until("document.querySelector('#servers td').textContent === 's00200'", "the fastest first")
            page.type("#servers-match", "0042")
            page.until(f"document.getElementById('servers-count').textContent.startsWith('{MATCHING} of')", "a search")
            self.assertTrue(all("0042" in row[0] for row in page.table("#servers")))
            self.assertLess(page.run("document.querySelectorAll('*').length"), 2000)
            whole = len(get(f"http://127.0.0.1:{lab.http}/state.json"))
            part = len(get(f"http://127.0.0.1:{lab.http}/state.json?model={MODEL}&limit=50"))
            print(f"{SERVERS} servers: {whole} bytes in all, {part} in what the page asks for")
            self.assertLess(part, 60_000)

    def order(self, name):
        self.browser.run(f"(s => {{ s.value = '{name}'; s.dispatchEvent(new Event('change')); }})"
                         "(document.getElementById('servers-order'))")

    def test_nodes_stay_while_numbers_change_and_a_lost_agent_is_told(self):
        lab = self.agent()
        page = self.open(lab)
        page.run("window.nodes = [...document.querySelectorAll('#servers td, .tile, .facts dd, canvas')]")
        self.served(lab, "r1", "r2")
        self.turn()
        self.assertTrue(page.run("window.nodes.every(n => n.isConnected)"))
        self.assertIn("2 kept", page.text('.tile[data-window="5m"] .counts'))
        page.click("#pause")
        page.until("document.getElementById('live').textContent === 'paused'")
        page.click("#pause")
        page.until("document.getElementById('live').textContent === 'live'")
        page.run("window.fetch = () => Promise.reject(new TypeError('lost'))")
        page.until("document.getElementById('live').textContent.startsWith('no answer for')", "that it is lost")
        self.assertTrue(page.run("document.documentElement.classList.contains('stale')"))

    def test_without_haproxy_the_page_says_so(self):
        lab = self.agent()
        page = self.open(lab)
        self.assertIn("HAProxy is not connected", page.text("#warnings-list"))
        self.assertEqual("0", page.facts("#facts")["HAProxy connections"])
        with lab.peer():
            lab.until(lambda: lab.state()["spop_connections"] == 1, "a connection")
            self.turn()
            self.assertNotIn("not connected", page.text("#warnings-list"))

    def test_it_fits_on_a_phone(self):
        lab = self.agent()
        self.served(lab, "r1")
        self.browser.size(390, 844, mobile=True)
        self.addCleanup(self.browser.size, 1280, 900)
        page = self.open(lab)
        self.assertLessEqual(page.run("document.documentElement.scrollWidth"), 390)

    def test_the_page_has_a_policy_that_lets_only_its_own_scripts_run(self):
        lab = self.agent()
        page = self.open(lab)
        self.assertEqual("undefined", page.run(
            "new Promise(r => { const s = document.createElement('script'); s.textContent = 'window.got = 1';"
            "document.body.append(s); setTimeout(() => r(typeof window.got), 50); })"))
        wait_for(lambda: page.run("1") and any("Content Security Policy" in line for line in page.console), "a word of it")
        page.console.clear()


if __name__ == "__main__":
    unittest.main()
