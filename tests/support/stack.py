"""The whole stack on free loopback ports: demo LLM servers, slo-spoa, real HAProxy.

Everything lives in a directory of its own and is ended by pid. The HAProxy files are those of
haproxy-conf/; what differs from site to site is passed in their environment variables. Only HAProxy's
patience is longer than shipped, see PATIENT.
"""
import contextlib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONF = ROOT / "haproxy-conf"
FLEET = {"a10-1": "a10", "l20-1": "l20", "l20-2": "l20", "l20-3": "l20", "l20-4": "l20"}
MODEL = "llama2-7b"
# How a program ends that nobody ended: a signal of its own, run_tests.py's sanitizers, valgrind.
CRASHES = {-signal.SIGILL, -signal.SIGABRT, -signal.SIGBUS, -signal.SIGFPE, -signal.SIGSEGV, 97, 99}
# A deadline ends a test that hangs. It says nothing of how fast a machine is, so none is shorter.
DEADLINE_LEAST = 120.0
# HAProxy takes for down who is late by a second. A busy machine makes anybody late, so in tests only who
# refuses a connection or says that he is ill is down. (pattern, in its place)
PATIENT = ((r"^    (?=option (?:spop-check|httpchk)\b)", "    timeout check 30s\n    "),
           (r"^    (?=option spop-check\b)", "    timeout connect 30s\n    "),  # HAProxy 3: to a HELLO, too
           (r"^    timeout hello \S+", "    timeout hello 30s"))
SCALES = {"tputs": 1, "e2e": -1, "ttft": -1, "tpot": -1}  # powers of the compression


def wait_for(condition, what, seconds=60.0, step=0.01):
    """Returns the first true value of condition(); a test never sleeps for luck."""
    seconds = max(seconds, DEADLINE_LEAST)
    deadline = time.monotonic() + seconds
    while True:
        late = time.monotonic() > deadline  # a machine that stood still deserves a last look
        value = condition()
        if value:
            return value
        if late:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(step)


def quiet_ports():
    """Ports that the kernel gives to nobody by itself: a process that is ended and started anew
    finds its port still free. All of them where there are none such."""
    low, high = map(int, pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    every = range(10000, 65000)
    return [p for p in every if not low <= p <= high] or list(every)


class Ports:
    """Free ports, kept bound (not listening) until they are handed out. Also after
    that no other stack takes them: as long as this one lives it owns an abstract unix socket named
    for each."""

    def __init__(self):
        self.held, self.owned = {}, []

    def take(self):
        for port in random.sample(quiet_ports(), 100):
            with contextlib.ExitStack() as undo:
                owner, tcp, udp = (undo.enter_context(socket.socket(*kind)) for kind in (
                    (socket.AF_UNIX,), (socket.AF_INET,), (socket.AF_INET, socket.SOCK_DGRAM)))
                try:
                    owner.bind(f"\0slo-spoa-test-port-{port}")
                    tcp.bind(("127.0.0.1", port))
                    udp.bind(("127.0.0.1", port))
                except OSError:
                    continue
                undo.pop_all()
            self.owned.append(owner)
            self.held[port] = (tcp, udp)
            return port
        raise RuntimeError("no free port")

    def release(self):
        for tcp, udp in self.held.values():
            tcp.close()
            udp.close()
        self.held.clear()

    def disown(self):
        self.release()
        while self.owned:
            self.owned.pop().close()


class Process:
    """A child with its output in a file; ended by pid."""

    def __init__(self, argv, log, env=None, cwd=None, **popen):
        self.log = pathlib.Path(log)
        with open(self.log, "ab") as out:
            self.child = subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL,
                                          stdout=out, stderr=out, env=env, cwd=cwd, **popen)

    def alive(self):
        return self.child.poll() is None

    def crashed(self):
        return self.child.poll() in CRASHES

    def text(self):
        return self.log.read_text(errors="replace")

    def send(self, number):
        self.child.send_signal(number)

    def stop(self, number=signal.SIGTERM, seconds=60):
        if self.alive():
            self.child.send_signal(number)
            try:
                self.child.wait(seconds)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait(DEADLINE_LEAST)
        return self.child.returncode


def get(url, seconds=60):
    with urllib.request.urlopen(url, timeout=seconds) as r:
        return r.read()


def compressed(profile, factor):
    """The same GPU, so many times as fast, with so short a target."""
    out = dict(profile)
    for name, power in SCALES.items():
        if name in out:
            out[name] = [[v and v * factor ** power for v in row] for row in out[name]]
    out["slos"] = {k: v if k == "percentile" else v / factor for k, v in profile["slos"].items()}
    return out


class Stack:
    """Options: build (directory of binaries), haproxy (binary), speed and other arguments of the
    demo servers, config (a function that changes the agent's configuration), wrap (argv in front
    of the agent's, such as valgrind), runtime_api (whether the agent asks HAProxy), profiles (False: none),
    fleet (server -> gpu), strategy (None: the sample's; a profile of one cell gives a server room for so many by slo alone),
    patient (False: HAProxy's times are those that are shipped)."""

    model = MODEL

    def __init__(self, build=None, haproxy=None, speed=50, config=None, wrap=(), profiles=None,
                 server_args=(), fleet=None, conf="haproxy.cfg", maxconn=1000, extra_cfg=None,
                 runtime_api=False, strategy="slo", patient=True):
        self.build = pathlib.Path(build or os.environ.get("BUILD_DIR", ROOT / "build/release"))
        self.haproxy = haproxy or os.environ.get("HAPROXY", "haproxy")
        self.demo = pathlib.Path(os.environ.get("DEMO_DIR", self.build)) / "tests/llm_server"
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="slo-spoa-"))
        self.fleet = dict(fleet or FLEET)
        self.speed, self.server_args = speed, list(server_args)
        self.wrap = list(wrap) or os.environ.get("SLO_WRAP", "").split()
        self.runtime_api, self.strategy = runtime_api, strategy
        self.conf_name, self.maxconn, self.extra_cfg = conf, maxconn, extra_cfg
        self.patient = patient
        ports = Ports()
        self.port = ports.take()
        self.spop, self.events, self.http = ports.take(), ports.take(), ports.take()
        self.server_port = {}
        self.ports = ports
        self.servers = self.agent = self.proxy = None
        self.popen = {}  # what else subprocess.Popen is told of the agent
        self.write_config(config, profiles)

    # configuration

    def write_config(self, change=None, profiles=None):
        conf = json.loads((CONF / "slo-spoa.json").read_text())
        conf["spop"]["listen"] = [f"127.0.0.1:{self.spop}"]
        conf["events"]["listen"] = [f"127.0.0.1:{self.events}", f"udp:127.0.0.1:{self.events}"]
        conf["http"]["listen"] = f"127.0.0.1:{self.http}"
        # Most tests say themselves what the agent hears of HAProxy.
        del conf["haproxy"]
        del conf["snapshot"]  # the file of the machine's own agent
        if self.strategy:
            conf["routing"]["strategy"] = self.strategy
        if self.runtime_api:
            conf["haproxy"] = {"runtime_api": ["unix:stats.sock"]}
        model = conf["models"][MODEL]
        model["deployments"] = {}
        for server, gpu in self.fleet.items():
            model["deployments"].setdefault(gpu, {"servers": []})["servers"].append(server)
        shutil.copytree(profiles or CONF / "profiles", self.dir / "profiles", dirs_exist_ok=True)
        if change:
            change(conf)
        self.config = conf
        self.config_file = self.dir / "slo-spoa.json"
        self.config_file.write_text(json.dumps(conf, indent=2))

    def profile(self, deployment, text_or_dict, model=None):
        path = self.dir / "profiles" / (model or self.model) / f"{deployment}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        text = text_or_dict if isinstance(text_or_dict, str) else json.dumps(text_or_dict)
        path.write_text(text)

    # processes

    def start_servers(self):
        port_file = self.dir / "ports"
        argv = [self.demo, "--model", MODEL, "--speed", self.speed, "--port-file", port_file]
        for server, gpu in self.fleet.items():
            argv += ["--server", f"{server}:{gpu}:0"]
        self.servers = Process(argv + self.server_args, self.dir / "servers.log")
        wait_for(lambda: port_file.exists() or not self.servers.alive(), "demo servers")
        for line in port_file.read_text().splitlines():
            name, port = line.split()
            self.server_port[name] = int(port)

    def start_agent(self, wait=True):
        self.ports.release()
        argv = self.wrap + [self.build / "slo-spoa", "-f", self.config_file]
        self.agent = Process(argv, self.dir / "agent.log", **self.popen)
        if wait:
            wait_for(lambda: self.agent_ready() or not self.agent.alive(), "agent", 120)
            if not self.agent.alive():
                raise RuntimeError("agent: " + self.agent.text())

    def agent_ready(self):
        try:
            return get(f"http://127.0.0.1:{self.http}/healthz", 5) == b"ok\n"
        except OSError:
            return False

    def env(self):
        env = dict(os.environ)
        env.update({
            "SLO_BIND": f"127.0.0.1:{self.port}",
            "SLO_SPOP": f"127.0.0.1:{self.spop}",
            "SLO_EVENTS": f"127.0.0.1:{self.events}",
            "SLO_STATS": str(self.dir / "stats.sock"),
            "SLO_MAXCONN": str(self.maxconn),
            "SLO_GLOBAL_MAXCONN": str(3 * self.maxconn),
        })
        for name in FLEET:
            port = self.server_port.get(name, 1)
            env["SLO_" + name.upper().replace("-", "_")] = f"127.0.0.1:{port}"
        return env

    def proxy_argv(self):
        # The sample's own socket lets nobody change anything.
        admin = self.dir / "admin.cfg"
        admin.write_text(f"global\n    stats socket {self.dir}/admin.sock mode 600 level admin\n")
        argv = [self.haproxy, "-W", "-S", self.dir / "master.sock", "-f", CONF / self.conf_name,
                "-f", admin]
        if self.extra_cfg:
            path = self.dir / "extra.cfg"
            path.write_text(self.extra_cfg(self) if callable(self.extra_cfg) else self.extra_cfg)
            argv += ["-f", path]
        return argv

    def with_patience(self):
        """HAProxy's argv and environment, with copies of its files that have patience."""
        argv, env = self.proxy_argv(), self.env()
        if not self.patient:
            return argv, env
        main = next(a for a in argv if isinstance(a, pathlib.Path) and a.name == self.conf_name)
        spoe = pathlib.Path(env.get("SLO_SPOE_CFG", main.parent / "spoe-slo.cfg"))
        folder = self.dir / "patient"
        folder.mkdir(exist_ok=True)
        for path in (main, spoe):
            text = path.read_text()
            for pattern, put in PATIENT:
                text = re.sub(pattern, put, text, flags=re.M)
            (folder / path.name).write_text(text)
        env["SLO_SPOE_CFG"] = str(folder / spoe.name)
        return [folder / a.name if a == main else a for a in argv], env

    def start_proxy(self):
        self.ports.release()
        argv, env = self.with_patience()
        self.proxy = Process(argv, self.dir / "haproxy.log", env=env)
        wait_for(lambda: self.proxy_ready() or not self.proxy.alive(), "haproxy")
        if not self.proxy.alive():
            raise RuntimeError("haproxy: " + self.proxy.text())

    def proxy_ready(self):
        """All servers and the agent are UP."""
        try:
            rows = self.stat()
        except OSError:
            return False
        up = {r["svname"] for r in rows if r["status"].startswith("UP")}
        return set(self.fleet) <= up and (self.agent is None or "agent" in up)

    def start(self):
        self.start_servers()
        self.start_agent()
        self.start_proxy()
        return self

    def stop(self):
        """Ends all of it. An agent that was still alive must end well: a sanitizer or valgrind
        speaks through its exit code. One that is gone must not have crashed."""
        try:
            if self.proxy:
                self.proxy.stop()
            if self.agent and self.agent.alive():
                self.stop_agent()
            elif self.agent and self.agent.crashed():
                raise RuntimeError("the agent crashed: " + self.agent.text()[-4000:])
        finally:
            if self.servers:
                self.servers.stop()
            self.ports.disown()

    def stop_agent(self):
        self.agent.send(signal.SIGCONT)
        self.agent.send(signal.SIGTERM)  # drain ...
        wait_for(lambda: "draining" in self.agent.text() or not self.agent.alive(), "drain", 60)
        if self.agent.stop(signal.SIGTERM, 60) != 0:  # ... no: now
            raise RuntimeError("the agent ended badly: " + self.agent.text()[-4000:])

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, kind, *_):
        self.stop()
        self.clear(kind)

    def clear(self, failed):
        if failed is None and not os.environ.get("KEEP"):
            with contextlib.suppress(OSError):
                shutil.rmtree(self.dir)
        else:
            print(f"logs are kept in {self.dir}")

    # looking inside

    def runtime(self, command):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(60)
            s.connect(str(self.dir / "admin.sock"))
            s.sendall(command.encode() + b"\n")
            answer = b"".join(iter(lambda: s.recv(65536), b"")).decode()
        if not answer:  # always an empty line at least, but from a worker that stops
            raise ConnectionError(f"no answer to {command}")
        return answer

    def checks(self, on, *servers):
        """HAProxy's health checks of the agent, or of these servers. While they are off what is up
        stays up: a machine that stood still for half a second would make it down. What is down
        would stay so too, hence they are off only once all of these are up without them."""
        servers = servers or ("spoa/agent",)

        def switch(to):
            for name in servers:
                said = self.runtime(f"{to} health {name}").strip()
                if said:
                    raise ValueError(said)

        def off():
            switch("disable")
            if self.running() >= set(servers):
                return True
            switch("enable")
            return False

        if on:
            switch("enable")
        else:
            wait_for(off, f"{servers} are up", step=0.2)

    def running(self):
        """BACKEND/SERVER of those that HAProxy takes for up, checked or not."""
        rows = [l.split() for l in self.runtime("show servers state").splitlines()]
        return {f"{r[1]}/{r[3]}" for r in rows if len(r) > 5 and r[0] != "#" and r[5] == "2"}

    def worker(self):
        """The process of HAProxy that serves now."""
        return re.search(r"^Pid: (\d+)", self.runtime("show info"), re.M)[1]

    def new_worker(self, than=None):
        """Another one, if it answers already."""
        try:
            pid = self.worker()
        except OSError:
            return None
        return pid if pid != than else None

    def reload_proxy(self):
        """A new process of HAProxy serves. What is told to a master of 2.6 while it starts, by
        SIGUSR2 or by its socket, is lost: one that answers has started."""
        self.with_patience()  # its files may have changed
        old = wait_for(self.new_worker, "HAProxy's process")
        wait_for(lambda: self.master("show proc", 1), "HAProxy's master")
        self.master("reload")  # 2.6 just closes
        wait_for(lambda: self.new_worker(old), "HAProxy's new process")

    def master(self, command, seconds=60):
        """The answer of HAProxy's master, so far as it came."""
        answer = b""
        with socket.socket(socket.AF_UNIX) as s, contextlib.suppress(OSError):
            s.settimeout(seconds)
            s.connect(str(self.dir / "master.sock"))
            s.sendall(command.encode() + b"\n")
            while data := s.recv(65536):
                answer += data
        return answer

    def stat(self):
        lines = [l for l in self.runtime("show stat").splitlines() if l]
        names = lines[0].lstrip("# ").split(",")
        return [dict(zip(names, l.split(","))) for l in lines[1:]]

    def state(self):
        return json.loads(get(f"http://127.0.0.1:{self.http}/state.json"))

    def metrics(self):
        return get(f"http://127.0.0.1:{self.http}/metrics").decode()

    def ledger(self, model=None):
        return self.state()["models"][model or self.model]["servers"]

    def idle(self, model=None):
        """Nothing queued, nothing in flight, every load exactly 0."""
        m = self.state()["models"][model or self.model]
        return m["queued"] == 0 and all(s["load"] == 0 and s["inflight"] == 0
                                        for s in m["servers"].values())

    def server_stats(self, name):
        return json.loads(get(f"http://127.0.0.1:{self.server_port[name]}/stats"))

    def post_server(self, name, path, headers=None):
        url = f"http://127.0.0.1:{self.server_port[name]}{path}"
        request = urllib.request.Request(url, method="POST", headers=headers or {})
        with urllib.request.urlopen(request, timeout=60) as r:
            r.read()

    def hurry(self, speed=20000):
        """The demo servers end what they still have to do, however long it is."""
        for name in self.server_port:
            self.post_server(name, "/speed", {"x-demo-speed": str(speed)})

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"
