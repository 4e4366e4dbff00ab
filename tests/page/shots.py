#!/usr/bin/python3
"""Pictures of the page in a headless Chromium, to be looked at by people: build/page/shots/*.png.

usage: shots.py OUT [NAME...]        (make page-shots; BUILD_DIR holds slo-spoa)

Each is of an agent alone, which is told of requests and ends as HAProxy would tell it.
"""
import json
import pathlib
import random
import select
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from browser import Browser  # noqa: E402
from lab import AgentAlone, end_line, room_for  # noqa: E402
from spop import parse_actions  # noqa: E402

DESK, PHONE = (1280, 900), (390, 844)
SECONDS = 40  # of traffic


class Traffic:
    """Requests that arrive at random and stay for a while; a share of them stays too long."""

    def __init__(self, lab, rate, stay, slow=0.0, seed=1, models=("llama2-7b",), target_ms=3000):
        self.lab, self.rate, self.stay, self.slow = lab, rate, stay, slow
        self.models, self.target_ms = models, target_ms
        self.rng = random.Random(seed)
        self.peer, self.events = lab.peer(), lab.event_connection()
        self.number, self.open, self.asked = 0, [], {}

    def frames(self):
        """The answers that are there already."""
        while self.peer.data or select.select([self.peer.socket], [], [], 0)[0]:
            yield self.peer.receive()

    def take_answers(self):
        for frame in self.frames():
            got = parse_actions(frame.payload)
            request_id = self.asked.pop(frame.stream_id)
            if got["verdict"] not in ("route", "fallback"):
                continue
            stay = self.stay * self.rng.uniform(0.4, 1.3)
            if self.rng.random() < self.slow:
                stay *= 8
            self.open.append((time.monotonic() + stay, request_id, got, stay))

    def ask(self):
        self.number += 1
        args = {"model": self.rng.choice(self.models), "prompt_tokens": self.rng.choice((128, 512, 2048)),
                "max_tokens": self.rng.choice((64, 256)), "slo_e2e_ms": self.target_ms}
        if self.rng.random() < 0.2:
            args["strategy"] = "slo-least-load"
        args["body"] = json.dumps({"model": args["model"], "prompt": "Say it."})
        self.asked[self.peer.ask(f"req-{self.number:06d}", **args)] = f"req-{self.number:06d}"

    def end(self, request_id, got, stay):
        self.events.sendall(end_line(request_id, be=got["backend"], srv=got["server"], tr=40,
                                     ta=int(stay * 1000), **{"in": 512, "out": 200}))

    def run(self, seconds):
        until = time.monotonic() + seconds
        next_ask = time.monotonic()
        while time.monotonic() < until:
            if time.monotonic() >= next_ask:
                self.ask()
                next_ask += self.rng.expovariate(self.rate)
            self.take_answers()
            due = [o for o in self.open if o[0] <= time.monotonic()]
            self.open = [o for o in self.open if o[0] > time.monotonic()]
            for _, request_id, got, stay in due:
                self.end(request_id, got, stay)
            time.sleep(0.002)


class Shots:
    def __init__(self, out, browser):
        self.out, self.browser = out, browser

    def take(self, lab, name, scheme="light", size=DESK, mobile=False, fragment="", before=None):
        b = self.browser
        b.size(*size, mobile=mobile)
        b.scheme(scheme)
        b.open("about:blank")
        b.open(f"http://127.0.0.1:{lab.http}/{fragment}")
        b.until("document.documentElement.dataset.turns >= 2")
        if before:
            before(b)
        b.screenshot(self.out / f"{name}.png")
        print(self.out / f"{name}.png", *b.console, flush=True)
        b.console.clear()
        b.open("about:blank")


def one_model(conf, servers):
    model = next(iter(conf["models"].values()))
    model["deployments"] = {"a10": {"servers": servers[: len(servers) // 5 + 1]},
                            "l20": {"servers": servers[len(servers) // 5 + 1:]}}


def started(change=None, room=8, target=3.0):
    lab = AgentAlone(config=change)
    for name, model in lab.config["models"].items():
        for deployment in model["deployments"]:
            lab.profile(deployment, dict(room_for(room, e2e_target=target), gpu=deployment), name)
    return lab.start()


def usual(shots):
    lab = started()
    traffic = Traffic(lab, rate=8, stay=1.6, slow=0.004)
    traffic.run(SECONDS)
    for name, scheme in (("light", "light"), ("dark", "dark")):
        shots.take(lab, name, scheme, before=lambda b: traffic.run(6))
    shots.take(lab, "decision", before=lambda b: (traffic.run(3), b.click("#decisions tr:nth-child(9)"), traffic.run(3)))
    shots.take(lab, "server", before=lambda b: (traffic.run(3), b.click("#servers tr:nth-child(2)"), traffic.run(3)))
    shots.take(lab, "phone", "light", PHONE, True)
    shots.take(lab, "phone-dark", "dark", PHONE, True)
    return lab


def broken(shots):
    lab = started(room=4)
    traffic = Traffic(lab, rate=14, stay=1.8, slow=0.12)
    traffic.run(SECONDS)
    shots.take(lab, "broken", before=lambda b: traffic.run(6))
    shots.take(lab, "broken-phone", "dark", PHONE, True)
    return lab


def thousand(shots):
    lab = started(lambda conf: one_model(conf, [f"gpu-{i:04d}" for i in range(1000)]))
    traffic = Traffic(lab, rate=250, stay=1.6, slow=0.002)
    traffic.run(SECONDS / 2)

    def order(b):
        b.run("document.getElementById('servers-order').value = 'load';"
              "document.getElementById('servers-order').dispatchEvent(new Event('change'))")
        traffic.run(6)
    shots.take(lab, "thousand", before=order)
    return lab


def alone(shots):
    lab = started()
    shots.take(lab, "alone")
    shots.take(lab, "alone-dark", "dark", PHONE, True)
    return lab


def many_models(shots):
    names = [f"org/model-{c}-{n}b" for c in "abcd" for n in (7, 13, 70)]

    def change(conf):
        servers = {name: [f"gpu{i}-{k}" for k in range(1 + i % 4)] for i, name in enumerate(names)}
        conf["routing"]["default_model"] = names[0]
        conf["models"] = {name: {"backend": f"b{i}", "deployments": {"l20": {"servers": servers[name]}}}
                          for i, name in enumerate(names)}
    lab = started(change, room=3)
    traffic = Traffic(lab, rate=30, stay=1.6, slow=0.02, models=[*names, *names[:2] * 4, "gpt-5"])
    traffic.run(SECONDS / 2)
    shots.take(lab, "models", before=lambda b: traffic.run(6))
    return lab


SCENES = {f.__name__: f for f in (usual, broken, thousand, alone, many_models)}


def main():
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    with Browser() as browser:
        for name in sys.argv[2:] or SCENES:
            SCENES[name](Shots(out, browser)).stop()


if __name__ == "__main__":
    main()
