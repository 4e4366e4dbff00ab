"""Traffic for an agent that records, and what has to be true of the recordings."""
import json
import pathlib
import random
import re
import signal
import subprocess
import threading

from lab import PATIENCE, AgentAlone, end_line, room_for
from spop import ACK, notify, parse_actions
from stack import MODEL, wait_for

OTHER = "other"  # a model on a part of the servers of the first
BARE = "bare"  # one without a profile
SERVERS = {"a10-1": "a10", "l20-1": "l20", "l20-2": "l20", "l20-3": "l20"}
STRATEGIES = ["slo", "slo-pack-load", "slo-least-load", "least-request", "random",
              "slo-least-load-pulling"]
ROOM = 6


def recorded(conf, max_size="64k", keep=1000):
    conf["recorder"] = {"file": "decisions.rec", "max_size": max_size, "keep": keep}
    conf["models"][OTHER] = {"backend": MODEL,
                             "deployments": {"l20": {"servers": ["l20-2", "l20-3"]}}}
    conf["models"][BARE] = {"backend": MODEL, "deployments": {"any": {"servers": list(SERVERS)}}}
    conf["routing"]["queue_timeout"] = "2s"
    conf["routing"]["queue_limit"] = 60


class Traffic:
    """Asks and ends requests as fast as the agent answers, in random bursts, with more of them than
    there is room for. `seconds` of load are told to the servers' profiles, not slept."""

    def __init__(self, lab, seed=1, strategies=STRATEGIES, prefix="r"):
        self.lab, self.rng, self.strategies, self.prefix = lab, random.Random(seed), strategies, prefix
        self.peer = lab.peer()
        self.events = lab.event_connection()
        self.lock = threading.Lock()
        self.asked, self.running, self.answered = {}, [], 0
        self.sent = 0
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        while (frame := self.peer.receive()) is not None:
            if frame.type != ACK:
                continue
            verdict = parse_actions(frame.payload)
            with self.lock:
                request_id = self.asked.pop(frame.stream_id)
                self.answered += 1
                if "server" in verdict:
                    self.running.append(request_id)

    def arguments(self):
        args = {"model": self.rng.choice([MODEL, MODEL, MODEL, OTHER, OTHER, BARE]),
                "strategy": self.rng.choice(self.strategies),
                "prompt_tokens": self.rng.choice([0, 8, 100, 500, 3000]),
                "max_tokens": self.rng.choice([1, 64, 500])}
        if self.rng.random() < 0.1:
            args["slo_e2e_ms"] = self.rng.choice([1, 50, 100000])
        if self.rng.random() < 0.02:
            args["model"] = "nobody"
        return args

    def burst(self):
        with self.lock:
            frames = b""
            for _ in range(self.rng.randint(1, 12)):
                self.sent += 1
                request_id = self.asked[self.sent] = f"{self.prefix}{self.sent}"
                frames += notify(self.sent, 1, {"id": request_id, "path": "/v1/completions",
                                                **self.arguments()})
        self.peer.send(frames)

    def end(self, share=0.5, leavers=0.2):
        """Of those that run. leavers: how often a client leaves that is held."""
        lines = b""
        with self.lock:
            self.rng.shuffle(self.running)
            ended = [self.running.pop() for _ in range(int(len(self.running) * share + 1))
                     if self.running]
            held = list(self.asked.values())
            if held and self.rng.random() < leavers:
                ended.append(self.rng.choice(held))  # its client leaves
        for request_id in ended:
            lines += end_line(request_id, out=self.rng.choice([1, 20, 300]))
            if self.rng.random() < 0.05:
                lines += end_line(request_id)  # once more
        self.events.sendall(lines)

    def turn(self):
        """One burst more; the agent may lag behind by some hundred requests."""
        self.burst()
        self.end()
        # The slower the agent, the more often it is looked: that makes nobody leave.
        wait_for(lambda: self.sent - self.answered < 150 or self.end(leavers=0), "answers", 120 * PATIENCE,
                 0.002)

    def settle(self):
        """All that it asked for is over."""
        def over():
            self.end(1)
            return not self.asked and not self.running
        wait_for(over, "the last answers", 120 * PATIENCE)
        self.peer.socket.shutdown(1)
        self.events.close()

    def close(self):
        self.reader.join(60 * PATIENCE)  # until the agent has closed its side, too
        self.peer.close()

    def finish(self):
        self.settle()
        self.lab.until(self.lab.idle, "an empty ledger")
        self.close()


class RecorderLab(AgentAlone):
    def __init__(self, config=recorded, **kw):
        super().__init__(room=ROOM, fleet=SERVERS, config=config, **kw)
        self.profile("l20", dict(room_for(ROOM), gpu="l20"), model=OTHER)

    def reload(self, change):
        before = self.agent.text().count("is in force")
        change(self.config)
        self.config_file.write_text(json.dumps(self.config))
        self.agent.send(signal.SIGHUP)
        self.until(lambda: self.agent.text().count("is in force") > before, "the reload")

    def recordings(self):
        """The oldest first."""
        names = self.dir.glob("decisions.rec*")
        number = {p: int(p.suffix[1:]) if p.suffix[1:].isdigit() else 0 for p in names}
        return sorted(number, key=number.get, reverse=True)

    def replay(self, *args):
        run = subprocess.run([self.build / "slo-replay", *args], capture_output=True, text=True,
                             timeout=600)
        return run.returncode, run.stdout, run.stderr


def played(lab, path):
    """The decisions of one recording, which replay to the same, byte for byte."""
    code, now, said = lab.replay(path)
    code_then, then, said_then = lab.replay("-e", path)
    same = re.compile(rf"{re.escape(str(path))}: all \d+ decisions are those recorded\n")
    if (code, code_then) != (0, 0) or not same.fullmatch(said) or said != said_then:
        raise AssertionError(f"{path}: {code}, {code_then}: {said}{said_then}")
    if now != then:
        raise AssertionError(f"{path}: other decisions")
    return [json.loads(line) for line in now.splitlines()]


def profile_of(lab, room):
    for gpu in ("l20", "a10"):
        lab.profile(gpu, dict(room_for(room, created=1.8e9 + room), gpu=gpu))


def changes(lab):
    """What happens to the fleet, one after the other, under load."""
    def elsewhere(conf):
        conf["models"][MODEL]["deployments"] = {"l20": {"servers": ["l20-1", "l20-3"]},
                                                "a10": {"servers": ["a10-1", "l20-2"]}}
        conf["routing"]["late"] = "reject"

    def back(conf):
        conf["models"][MODEL]["deployments"] = {"a10": {"servers": ["a10-1"]},
                                                "l20": {"servers": ["l20-1", "l20-2", "l20-3"]}}
        conf["routing"].update(late="serve", infeasible="fallback", fallback="random")

    def without(conf):
        del conf["models"][OTHER]

    yield lambda: lab.udp(b"Server llama2-7b/l20-2 is DOWN, reason: Layer4 timeout.\n")
    yield lambda: lab.reload(elsewhere)
    yield lambda: lab.udp(b"Server llama2-7b/l20-2 is UP, reason: Layer7 check passed.\n")
    yield lambda: (profile_of(lab, 9), lab.reload(lambda conf: None))
    yield lambda: lab.reload(back)
    yield lambda: lab.reload(without)


def drive(lab, requests, seed=1):
    """Sends so many requests while the fleet changes."""
    traffic = Traffic(lab, seed)
    todo = list(changes(lab))
    marks = [requests * (i + 1) // (len(todo) + 1) for i in range(len(todo))]
    while traffic.sent < requests:
        traffic.turn()
        while marks and traffic.sent >= marks[0]:
            marks.pop(0)
            todo.pop(0)()
    traffic.finish()
    return traffic.sent
