"""The page in a headless Chromium: it shows what /state.json says, its controls work, and nothing
from outside gets into it but as text."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from browser import Browser  # noqa: E402
from lab import AgentAlone, failed  # noqa: E402

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
            for window in ("now", "5m", "1h"):
                p = model["promises"][window]
                self.assertEqual((1200, 30, 0), (p["kept"], p["missed"], p["refused"]))
                tile = f'.tile[data-window="{window}"] '
                self.assertEqual("97.56 %", page.text(tile + ".share"))
                self.assertEqual("1,200 kept, 30 missed, 0 refused", page.text(tile + ".counts"))
            self.assertTrue(page.run("document.querySelector('.tile').classList.contains('bad')"))
            rows = {row[0]: row for row in page.table("#servers")}
            self.assertEqual(set(model["servers"]), set(rows))
            for name, server in model["servers"].items():
                self.assertEqual(
                    [name, server["deployment"], server["state"], f"{server['load']:.2f}",
                     str(server["inflight"])], rows[name][:5])
                self.assertEqual(f"{server['requests']:,}", rows[name][9])
            self.assertEqual("0 %", rows["l20-2"][8])
            self.assertEqual([["slo", *["97.56 %"] * 3, "1,200", "30", "0"],
                              ["e2e", *["97.56 %"] * 3, "1,200", "30", "0"]], page.table("#classes"))
            self.assertTrue(page.run("document.querySelectorAll('.chart canvas').length >= 4"))

    def test_the_page_has_a_policy_that_lets_only_its_own_scripts_run(self):
        lab = self.agent()
        page = self.open(lab)
        self.assertEqual("undefined", page.run(
            "new Promise(r => { const s = document.createElement('script'); s.textContent = 'window.got = 1';"
            "document.body.append(s); setTimeout(() => r(typeof window.got), 50); })"))
        self.assertTrue(any("Content Security Policy" in line for line in page.console))
        page.console.clear()


if __name__ == "__main__":
    unittest.main()
