"""What Prometheus and Grafana ask for exists in the /metrics of a running agent, with the labels that
they ask for; promtool has nothing to say about that text."""
import json
import pathlib
import re
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from case import Metrics  # noqa: E402
from clusterlab import ClusterCase  # noqa: E402

MONITORING = pathlib.Path(__file__).resolve().parents[2] / "haproxy-conf/monitoring"
RULES = (MONITORING / "slo-spoa.rules.yml").read_text()
DASHBOARD = json.loads((MONITORING / "grafana-dashboard.json").read_text())


def expressions():
    """PromQL of the rules and of the dashboard, a text for each."""
    for block in re.findall(r"^ *expr: (\|\n(?:(?: {10}.*)?\n)+|.*\n)", RULES, re.M):
        yield block
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"]


def asked(expression):
    """(metric, labels that it is to have) of an expression; names with a colon are recorded ones."""
    for m in re.finditer(r"(?<![:\w])(slo_spoa_\w+)(?![:\w])(?:\{([^}]*)\})?", expression):
        yield m[1], set(re.findall(r"(\w+)\s*(?:=|!=|=~|!~)\s*\"", m[2] or ""))


class Monitoring(ClusterCase, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.recorded = set(re.findall(r"^ *- record: (\S+)", RULES, re.M))

    def agents(self):
        """One of two agents in a cluster, of which most can be said."""
        def change(conf):
            conf["haproxy"] = {"runtime_api": ["unix:nobody.sock"]}
        redis = self.redis()
        a, b = self.node("a", redis, change=change), self.node("b", redis)
        a.hears("b")
        with a.peer() as p:
            p.route("r1")
            p.route("r2")
        a.ends("r1")
        a.until(lambda: a.end_lines("closed") == 1, "an end line")
        return a

    def test_every_metric_and_label_that_is_asked_for_exists(self):
        text = self.agents().metrics()
        metrics = Metrics(text)
        labels = {}
        for name, has, _ in metrics.samples:
            labels.setdefault(name, set()).update(has)
        missing, seen = [], set()
        for expression in expressions():
            for name, wants in asked(expression):
                seen.add(name)
                wants -= {"job", "instance"}  # Prometheus adds these
                family = re.sub(r"_(bucket|sum|count)$", "", name)
                if name not in metrics.types and family not in metrics.types:
                    missing.append(f"{name} in {expression}")
                elif name in labels and not wants <= labels[name]:
                    missing.append(f"{name} has no {wants - labels[name]} in {expression}")
        self.assertEqual([], missing)
        self.assertGreater(len(seen), 30)
        panels = sum(len(p.get("targets", ())) for p in DASHBOARD["panels"])
        self.assertEqual(RULES.count("expr:") + panels, len(list(expressions())))

    def test_every_recorded_series_that_is_asked_for_is_recorded(self):
        for expression in expressions():
            for name in re.findall(r"\b\w+:slo_spoa_\w+(?::\w+)?", expression):
                self.assertIn(name, self.recorded)

    def test_promtool_has_nothing_to_say(self):
        text = self.agents().metrics()
        for argv, stdin in ((["check", "metrics"], text),
                            (["check", "rules", MONITORING / "slo-spoa.rules.yml"], None)):
            said = subprocess.run(["promtool", *argv], input=stdin, capture_output=True, text=True, check=False)
            self.assertEqual((0, ""), (said.returncode, said.stderr), said.stdout)

    def test_each_panel_of_the_dashboard_has_a_place_and_a_question(self):
        places = set()
        for panel in DASHBOARD["panels"]:
            at = (panel["gridPos"]["x"], panel["gridPos"]["y"])
            self.assertNotIn(at, places)
            places.add(at)
            self.assertTrue(panel["type"] == "row" or panel["targets"], panel["title"])
        self.assertEqual(len(DASHBOARD["panels"]), len({p["id"] for p in DASHBOARD["panels"]}))


if __name__ == "__main__":
    unittest.main()
