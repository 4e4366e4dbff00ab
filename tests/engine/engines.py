"""Real LLM engines for tests and the demo: llama.cpp's server with two tiny models.

    if not engines.available(): ...         (engines.WHY_NOT says why)
    with engines.EngineStack() as stack:    the whole stack in front of a fast and a slow one
        stack.engines["fast-1"].metrics()["tokens_predicted_total"]

get-llama.sh fetches the server; LLAMA_DIR says where to.
"""
import fcntl
import json
import os
import pathlib
import re
import signal
import socket
import sys
import urllib.error
import zlib

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support")]
import model
import stack as harness
from stack import Process, get, wait_for

DIR = pathlib.Path(os.environ.get("LLAMA_DIR", harness.ROOT / "build/llama"))
SERVER = DIR / "llama-server"
WHY_NOT = f"no llama-server in {DIR}: sh tests/engine/get-llama.sh gets it, where Debian's mirror has it"
MODEL = "tiny-chat"
KINDS = {"fast": model.FAST, "slow": model.SLOW}
FLEET = {"fast-1": "fast", "slow-1": "slow"}
SLOTS = 8  # requests that an engine computes at once; the rest waits inside
CONTEXT = 4096  # tokens of one slot
START_LIMIT_S = 300


def available():
    return SERVER.exists()


def weights(kind):
    """The model's file, written once by each state of model.py."""
    state = zlib.crc32(pathlib.Path(model.__file__).read_bytes())
    path = DIR / f"{kind}-{state:08x}.gguf"
    with open(DIR / ".models.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            model.write(path, KINDS[kind])
    return path


class Engine:
    def __init__(self, kind, port, folder, slots=SLOTS, context=CONTEXT, args=(), core=None):
        self.kind, self.port = kind, port
        self.log = pathlib.Path(folder) / f"engine-{kind}-{port}.log"
        self.argv = [SERVER, "-m", weights(kind), "--host", "127.0.0.1", "--port", port,
                     "--alias", MODEL, "-np", slots, "-c", slots * context, "-t", 1, "-tb", 1,
                     "--threads-http", 32, "--metrics", "--no-webui",
                     "--embeddings", "--pooling", "mean", *args]
        self.core = core  # the processor that it stays on
        self.process = None

    def start(self, wait=True):
        pin = {} if self.core is None else {
            "preexec_fn": lambda: os.sched_setaffinity(0, {self.core})}
        self.process = Process(self.argv, self.log, **pin)
        if wait:
            self.wait()
        return self

    def wait(self):
        wait_for(lambda: self.healthy() or not self.process.alive(), "an engine", START_LIMIT_S)
        if not self.process.alive():
            raise RuntimeError("llama-server: " + self.process.text()[-2000:])

    def healthy(self):
        try:
            return json.loads(get(f"{self.url}/health", 5))["status"] == "ok"
        except (OSError, urllib.error.HTTPError, ValueError):
            return False

    def listens(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 5).close()
        except OSError:
            return False
        return True

    def stop(self):
        if self.process:
            self.process.send(signal.SIGCONT)
            self.process.stop()

    def kill(self):
        self.process.stop(signal.SIGKILL)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def metrics(self):
        """What the engine counts, by names without their prefix."""
        text = get(f"{self.url}/metrics").decode()
        return {name: float(value) for name, value in
                re.findall(r"^llamacpp:(\w+) (\S+)$", text, re.MULTILINE)}

    def busy(self):
        """Requests that it has, those too that wait for a slot."""
        m = self.metrics()
        return int(m["requests_processing"] + m["requests_deferred"])


class Engines:
    """All of a stack, as one process to it."""

    def __init__(self, engines):
        self.all = engines

    def alive(self):
        return all(e.process.alive() for e in self.all)

    def ended(self):
        return next((e.process for e in self.all if not e.process.alive()), self.all[0].process)

    @property
    def child(self):
        return self.ended().child

    def text(self):
        return self.ended().text()

    def stop(self):
        for e in self.all:
            e.stop()


BACKENDS = """
# The model of the engines. A second way to them asks no agent.
backend {model} from slo-model
    use-server %[var(txn.slo.server)] if {{ var(txn.slo.server) -m len gt 0 }}
{servers}

frontend plain from slo
    bind 127.0.0.1:{plain}
    option http-no-delay
    default_backend plain

backend plain from slo-model
{tracking}
"""


class EngineStack(harness.Stack):
    """fleet: server -> kind; context: tokens of a slot, by kind if need be. The sample's own backend has the same engines behind two of its names,
    for requests that the agent has nothing to say about."""

    model = MODEL

    def __init__(self, fleet=None, config=None, slots=SLOTS, context=CONTEXT, pin=False, **kw):
        self.slots, self.context, self.pin, self.change = slots, context, pin, config
        self.engines = {}
        super().__init__(fleet=fleet or FLEET, config=self.models, extra_cfg=self.backends, **kw)
        self.plain = self.ports.take()

    def models(self, conf):
        deployments = conf["models"].pop(harness.MODEL)["deployments"]
        conf["models"] = {MODEL: {"backend": MODEL, "deployments": deployments}}
        conf["routing"]["default_model"] = MODEL
        if self.change:
            self.change(conf)

    def backends(self, _):
        servers = [f"    server {name} 127.0.0.1:{port}" for name, port in self.server_port.items()]
        tracking = [f"    server {name} 127.0.0.1:{port} no-check track {MODEL}/{name}"
                    for name, port in self.server_port.items()]
        return BACKENDS.format(model=MODEL, plain=self.plain, servers="\n".join(servers),
                               tracking="\n".join(tracking))

    def env(self):
        by_kind = {kind: self.server_port[name] for name, kind in self.fleet.items()}
        return dict(super().env(), **{"SLO_A10_1": f"127.0.0.1:{by_kind.get('slow', 1)}",
                                      "SLO_L20_1": f"127.0.0.1:{by_kind.get('fast', 1)}"})

    def start_servers(self):
        cores = sorted(os.sched_getaffinity(0))
        context = self.context if isinstance(self.context, dict) else dict.fromkeys(KINDS, self.context)
        for i, (name, kind) in enumerate(self.fleet.items()):
            port = self.server_port[name] = self.ports.take()
            core = cores[-1 - i % len(cores)] if self.pin else None
            self.engines[name] = Engine(kind, port, self.dir, self.slots, context[kind],
                                        core=core)
        self.ports.release()
        self.servers = Engines([e.start(wait=False) for e in self.engines.values()])
        for e in self.engines.values():
            e.wait()
