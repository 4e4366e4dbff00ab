"""What a tired hand gets wrong, where only traffic can tell or nobody asked `slo-spoa -c`: real HAProxy
with the sample, one thing broken, and the warning that the agent shows in its log, /state.json and
/metrics. Some are mended, and the warning goes. The cases run side by side, each with a stack of its
own; test_misconfigured.py has those that are found before anything runs."""
import concurrent.futures
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import sys
import time
import traceback
import unittest
from subprocess import run

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from lab import PATIENCE, Lab  # noqa: E402
from stack import CONF, MODEL, wait_for  # noqa: E402

LOG_LINES = re.search(r"    log ring@slo_events.*\n(?:.*\n)*?    log \"\$\{SLO_EVENTS.*\n", (CONF / "haproxy.cfg").read_text())[0]
LONG = 10000  # tokens of an answer that lasts until lab.hurry()
SEND = re.search(r"    http-request send-spoe-group .*\n", (CONF / "haproxy.cfg").read_text())[0]
USE_SERVER = "    use-server %[var(txn.slo.server)] if { var(txn.slo.server) -m len gt 0 }\n    server a10-1"


class Broken(Lab):
    """The stack with HAProxy's files changed: edits is [(file, text, in its place)]. env: other
    values for the variables of haproxy.cfg."""

    def __init__(self, edits=(), env=None, agent_up=True, **kw):
        super().__init__(**{"speed": 2000, **kw})
        self.edits, self.other_env, self.agent_up = list(edits), env or {}, agent_up
        self.config["control"] = {"listen": f"unix:{self.dir}/ctl.sock"}
        self.config_file.write_text(json.dumps(self.config))
        self.write_files(self.edits)

    def write_files(self, edits):
        for name in ("haproxy.cfg", "spoe-slo.cfg"):
            shutil.copy(CONF / name, self.dir)
        for name, text, put in edits:
            good = (self.dir / name).read_text()
            assert text in good, (name, text)
            (self.dir / name).write_text(good.replace(text, put))

    def proxy_argv(self):
        return [self.dir / "haproxy.cfg" if a == CONF / "haproxy.cfg" else a for a in super().proxy_argv()]

    def env(self):
        return super().env() | {k: v(self) if callable(v) else v for k, v in self.other_env.items()}

    def proxy_ready(self):
        try:
            up = {r["svname"] for r in self.stat() if r["status"].startswith(("UP", "no check"))}
        except OSError:
            return False
        return set(self.fleet) <= up and ("agent" in up or not self.agent_up)

    # requests

    def post(self, model=MODEL, headers=(), prompt="Say it.", late=False, **more):
        """One completion; late: its body comes in a later packet than its headers."""
        body = json.dumps({"model": model, "prompt": prompt} | more).encode()
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        c.putrequest("POST", "/v1/completions")
        for k, v in {"content-type": "application/json", "content-length": len(body), **dict(headers)}.items():
            c.putheader(k, str(v))
        if late:
            c.sock or c.connect()
            c.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            c.endheaders()
            time.sleep(0.02)  # so that HAProxy has the headers alone
            c.send(body)
        else:
            c.endheaders(body)
        r = c.getresponse()
        r.read()
        c.close()
        return r.status, {k.lower(): v for k, v in r.getheaders()}

    def start_posts(self, n, **kw):
        pool = concurrent.futures.ThreadPoolExecutor(n)
        return [pool.submit(self.post, **kw) for _ in range(n)]

    # what is told

    def warning(self, code, subject=None):
        for w in self.state()["warnings"]:
            if w["code"] == code and subject in (None, w["subject"]):
                return w["text"]
        return None

    def told(self, code, sentence, act=None, seconds=40, log=None):
        """Waits until all say it, and does act() until then. log: a line of the log is of the moment at
        which the warning came up, so it may know less."""
        missing = [""]

        def look():
            if act:
                act()
            missing[0] = self.not_told(code, sentence, log or sentence)
            return not missing[0]
        try:
            wait_for(look, f"{code}: {sentence}", seconds * PATIENCE, step=0.1)
        except TimeoutError as e:
            raise AssertionError(f"{e}; {missing[0]}") from None

    def not_told(self, code, sentence, log):
        """Who does not tell it, if any."""
        if not re.search(sentence, self.warning(code) or ""):
            return f"the state says {self.warning(code)}"
        if not re.search(rf"\[WARNING\] .* {code}: .*{log}", self.agent.text()):
            return "the log lacks it: " + self.agent.text()[-3000:]
        if not self.counter("warnings", code=code) >= 1:
            return "the metric lacks it"
        told = run([self.build / "slo-ctl", "-s", self.dir / "ctl.sock", "doctor"], capture_output=True, text=True)
        if told.returncode != 3 or not re.search(rf"{code}.*{sentence}", told.stdout, re.S):
            return f"slo-ctl doctor ends with {told.returncode} and says {told.stdout}"
        return ""

    def gone(self, code, act=None, seconds=40):
        def look():
            if act:
                act()
            return self.warning(code) is None
        wait_for(look, f"{code} goes", seconds * PATIENCE, step=0.1)
        wait_for(lambda: re.search(rf"\[NOTICE\] .* {code}: this warning is over", self.agent.text()), "a line of the log")


def with_runtime_api(conf):
    conf["haproxy"] = {"runtime_api": ["unix:stats.sock"], "poll": "100ms"}


def impatient(conf):
    with_runtime_api(conf)
    conf.setdefault("limits", {})["silence"] = "1s"


# Each is a stack and what is done with it. Its name is what the operator did.

def use_server_is_missing():
    edits = [("haproxy.cfg", USE_SERVER, "    server a10-1")]
    with Broken(edits) as lab:
        lab.told("answer-unused", r"requests went to another server than the agent chose \(.* was chosen, .*\): "
                                  r"HAProxy takes the chosen one for down, its use-server rule is missing", lab.post)
        lab.write_files([])
        lab.reload_proxy()
        lab.gone("answer-unused", lab.post)


def var_prefix_is_another():
    with Broken([("spoe-slo.cfg", "option var-prefix slo ", "option var-prefix llm ")]) as lab:
        lab.told("answer-unused", r"or var-prefix in the SPOE file is not that of the rules", lab.post)


def nobody_is_asked():
    with Broken([("haproxy.cfg", SEND, "")]) as lab:
        lab.told("bypassed", r"completions ended that the agent was not asked about \(the last one on "
                             rf"{MODEL}/[al0-9-]+\): .*a frontend without the filter", lab.post)


def streams_are_not_asked_about():
    with Broken([("haproxy.cfg", SEND, "")]) as lab:
        lab.told("bypassed", r"completions ended that the agent was not asked about \(the last one on ",
                 lambda: lab.post(stream=True))


def the_message_has_another_name():
    edits = [("spoe-slo.cfg", "spoe-message slo-route", "spoe-message route"),
             ("spoe-slo.cfg", "messages slo-route", "messages route")]
    with Broken(edits) as lab:
        lab.told("never-asked", r"questions of HAProxy have no message slo-route: .*name the message slo-route", lab.post)


def there_is_no_unique_id():
    with Broken([("haproxy.cfg", "    unique-id-format", "    # unique-id-format")]) as lab:
        lab.told("id-missing", r"requests have no unique-id, or one that is too long \(the last one has none\): "
                               r"the agent passes them", lab.post)


def ids_repeat():
    edits = [("haproxy.cfg", "unique-id-format %{+X}o\\ %ci:%cp_%fi:%fp_%Ts_%rt:%pid", "unique-id-format %ci:%fp")]
    with Broken(edits) as lab:
        lab.told("id-repeated", r"requests have the unique-id of another",
                 lambda: [p.result() for p in lab.start_posts(4, headers={"x-demo-output-tokens": 400})])


def the_body_comes_too_late():
    with Broken([("haproxy.cfg", "    option http-buffer-request", "    # option http-buffer-request")]) as lab:
        lab.told("body-empty", r"requests for completions come without a body: .*http-buffer-request",
                 lambda: lab.post(late=True))


def the_body_is_larger_than_a_frame():
    with Broken([("spoe-slo.cfg", "body=req.body,bytes(0,14336)", "body=req.body")]) as lab:
        lab.told("frame-too-big", r"requests were too big for a frame, so HAProxy did not ask \(error (3|259)\).*"
                                  r"take max-frame-size out of the SPOE file",
                 lambda: lab.post(prompt="word " * 8000))


def haproxy_does_not_wait_long_enough():
    with Broken([("spoe-slo.cfg", "timeout processing 65s", "timeout processing 300ms")], room=1,
                speed=2) as lab:
        long = []

        def full():
            """HAProxy may have stopped waiting for the agent's word of some of them, too."""
            long.extend(lab.start_posts(1, headers={"x-demo-output-tokens": LONG}))
            return lab.dispatched() >= len(lab.fleet)
        wait_for(full, "the servers are full", step=0.1)
        lab.told("times", r"because it had stopped waiting for the agent \(the last one after \d+ ms\): timeout "
                          r"processing in the SPOE file must be longer than routing\.queue_timeout",
                 lambda: [p.result() for p in lab.start_posts(3)])
        lab.hurry(1000000)
        for p in long:
            p.result()


def the_log_is_for_people():
    with Broken([("haproxy.cfg", '    log-format "slo1 ', '    option httplog\n    # log-format "slo1 ')]) as lab:
        lab.told("log-format", r"lines of HAProxy are no end lines, or have no valid id \(127\.0\.0\.1:.*\): requests then "
                               r"never end for the agent", lab.post)


def the_ports_are_swapped():
    env = {"SLO_SPOP": lambda lab: f"127.0.0.1:{lab.events}"}
    with Broken(env=env, agent_up=False) as lab:
        lab.told("ports-swapped", r"127\.0\.0\.1:\d+ speaks SPOP to events\.listen\): the agent's backend must name "
                                  r"spop\.listen")


def end_lines_go_to_the_spop_port():
    env = {"SLO_EVENTS": lambda lab: f"127.0.0.1:{lab.spop}"}
    with Broken(env=env) as lab:
        lab.told("ports-swapped", r"127\.0\.0\.1:\d+ sent text to spop\.listen", lab.post)


def end_lines_never_come():
    edits = [("haproxy.cfg", LOG_LINES, "")]
    with Broken(edits, config=impatient) as lab:
        lab.told("no-end-lines", r"\d+ requests went to servers since \d+ s ago, and HAProxy sent no end line: their load "
                                 r"stays", lab.post)
        assert lab.counter("end_lines_total") == 0
        lab.write_files([])
        lab.reload_proxy()
        lab.gone("no-end-lines", lab.post)


def haproxy_never_connects():
    closed = socket.socket()  # nobody listens there, and nobody else gets it
    closed.bind(("127.0.0.1", 0))
    env = {"SLO_SPOP": lambda lab: "127.0.0.1:%d" % closed.getsockname()[1]}
    with closed, Broken(env=env, agent_up=False, config=impatient) as lab:
        lab.told("never-asked", r"HAProxy runs and has not connected to spop\.listen for \d+ s: it balances by itself")
        del lab.other_env["SLO_SPOP"]
        lab.proxy.stop()
        lab.agent_up = True
        lab.start_proxy()
        lab.gone("never-asked")


def nobody_is_asked_while_servers_work():
    with Broken([("haproxy.cfg", SEND, "")], config=impatient, speed=2) as lab:
        long = lab.start_posts(3, headers={"x-demo-output-tokens": LONG})
        lab.told("bypassed", r"HAProxy has 3 requests on our servers and asked about none for \d+ s",
                 log=r"HAProxy has [1-3] requests on our servers")
        lab.hurry(1000000)
        for p in long:
            p.result()


def an_id_is_too_long():
    def short(conf):
        conf.setdefault("limits", {})["id_length"] = 20
    with Broken(config=short) as lab:
        lab.told("id-missing", r"requests have no unique-id, or one that is too long \(the last one has [2-9]\d bytes, more "
                               r"than 20\)", lab.post)


def haproxy_cuts_the_id():
    edits = [("haproxy.cfg", "unique-id-format %{+X}o", f"unique-id-format {'x' * 127}%{{+X}}o")]
    with Broken(edits) as lab:
        lab.told("id-repeated", r"requests have the unique-id of another \(x+\): .*must have a counter "
                                r"\(%rt\) within its first 127 bytes",
                 lambda: [p.result() for p in lab.start_posts(4, headers={"x-demo-output-tokens": 400})])


def the_runtime_api_may_not_be_opened():
    as_others = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    with Broken(config=with_runtime_api, wrap=as_others) as lab:
        wait_for(lambda: lab.counter("haproxy_answers") == 1, "HAProxy answers")
        (lab.dir / "stats.sock").chmod(0)
        lab.told("runtime-api", r"HAProxy at unix:.*stats\.sock gives no answer: Permission denied; the agent does not see "
                                r"which servers are up, .*: what it said last stays; put the agent's user into the group "
                                r"of that socket, with mode 660")
        (lab.dir / "stats.sock").chmod(0o660)
        lab.gone("runtime-api")
        assert lab.agent.text().count("gives no answer: Permission denied") == 1  # one line


def the_secret_is_not_told():
    def secret(conf):
        conf["events"]["secret"] = "0123456789abcdef"
    with Broken(config=secret) as lab:
        lab.told("secret", r"times the secret was not told \(the last one by (127\.0\.0\.1:\d+|udp)\)", lab.post)


def a_model_is_not_configured():
    with Broken() as lab:
        for _ in range(3):
            lab.post("other-13b")
        lab.told("model-unknown", r"requests are for models that are not configured \(\"gpt\?4\", \"other-13b\"\): "
                                  r"HAProxy balances them past the queue", lambda: lab.post("gpt\x014"),
                 log=r"requests are for models that are not configured \(.*\"other-13b\"")
        lab.gone("model-unknown", lab.post)


def headers_have_units():
    with Broken() as lab:
        lab.told("header-ignored", r"requests have a header that is no whole number \(slo_e2e_ms\): it is ignored",
                 lambda: lab.post(headers={"x-slo-e2e-ms": "5s"}))


def names_differ():
    def more(conf):
        with_runtime_api(conf)
        servers = conf["models"][MODEL]["deployments"]["l20"]["servers"]
        servers[servers.index("l20-4")] = "l20-04"
        conf["models"]["other"] = {"deployments": {"x": {"servers": ["x1"]}}}
    with Broken(config=more) as lab:
        lab.told("backend-absent", r"HAProxy at unix:.*stats\.sock has no backend other, which models name")
        lab.told("server-absent", rf"HAProxy's backend {MODEL} lacks 1 servers that models name \(l20-04\)")
        lab.told("server-unlisted", rf"HAProxy's backend {MODEL} has servers that are in no deployment \(l20-4\)")
        lab.told("profile-missing", r"other/x has no profile: its servers get only requests that fall back")
        conf = json.loads(lab.config_file.read_text())
        servers = conf["models"][MODEL]["deployments"]["l20"]["servers"]
        servers[servers.index("l20-04")] = "l20-4"
        del conf["models"]["other"]
        lab.config_file.write_text(json.dumps(conf))
        lab.agent.send(signal.SIGHUP)
        for code in ("backend-absent", "server-absent", "server-unlisted", "profile-missing"):
            lab.gone(code)


def haproxy_gets_the_backend_later():
    def more(conf):
        with_runtime_api(conf)
        conf["models"]["other"] = {"deployments": {"x": {"servers": ["x1"]}}}
    with Broken(config=more) as lab:
        lab.told("backend-absent", r"has no backend other, which models name")
        lab.write_files([("haproxy.cfg", "backend spoa from slo\n",
                          "backend other from slo-model\n    server x1 127.0.0.1:1\nbackend spoa from slo\n")])
        lab.reload_proxy()
        lab.gone("backend-absent")


def the_runtime_api_is_elsewhere():
    def elsewhere(conf):
        conf["haproxy"] = {"runtime_api": ["unix:elsewhere.sock"], "poll": "100ms"}
    with Broken(config=elsewhere) as lab:
        lab.told("runtime-api", r"HAProxy at unix:.*elsewhere\.sock gives no answer: No such file or directory; the "
                                r"agent does not see which servers are up")
        (lab.dir / "elsewhere.sock").symlink_to(lab.dir / "stats.sock")
        lab.gone("runtime-api")


def a_server_has_a_small_maxconn():
    with Broken([("haproxy.cfg", "default-server check", "default-server maxconn 1 check")],
                config=with_runtime_api, speed=2) as lab:
        posts = lab.start_posts(15, headers={"x-demo-output-tokens": LONG})
        lab.told("maxconn", rf"HAProxy keeps requests waiting for servers of {MODEL} that have room as far as the agent knows "
                            r"\(.*\): their maxconn is smaller than that")
        lab.hurry(10000000)
        for p in posts:
            p.result()
        lab.gone("maxconn")


def the_new_configuration_is_bad():
    with Broken() as lab:
        good = lab.config_file.read_text()
        lab.config_file.write_text(good.replace('"queue_timeout"', '"queu_timeout"'))
        lab.agent.send(signal.SIGHUP)
        lab.told("reload-failed", r"the configuration on disk is not in force: .*did you mean \"queue_timeout\"\?")
        lab.config_file.write_text(good)
        lab.agent.send(signal.SIGHUP)
        lab.gone("reload-failed")


def profiles_are_spoilt():
    name = f"profiles/{MODEL}/l20.json"
    with Broken(config=lambda conf: conf.__setitem__("profiles", {"dir": "own"})) as lab:
        own = lab.dir / "own" / MODEL
        own.mkdir(parents=True)
        good = json.loads((CONF / name).read_text())

        def put(text, file="l20.json"):
            (own / file).write_text(text)
            lab.agent.send(signal.SIGHUP)
        put(json.dumps(good), "L20.json")
        lab.told("profile-misplaced", rf"{MODEL}/L20\.json is read by no deployment.*rename it to {MODEL}/l20\.json")
        (own / "L20.json").rename(own / "l20.json")
        lab.agent.send(signal.SIGHUP)
        lab.gone("profile-misplaced")
        put(json.dumps(good)[:-1])
        lab.told("profile-refused", r"l20\.json:1:.*this profile is refused and the previous one stays")
        put(json.dumps(good, indent=1))
        lab.gone("profile-refused")
        lab.told("profile-stale", r"l20\.json has changed, but its \"created\" is not newer than that in force")
        put(json.dumps(good | {"created": good["created"] + 1}))
        lab.gone("profile-stale")


def all_is_well():
    with Broken(config=with_runtime_api) as lab:
        for i in range(16):  # too few to judge a profile or a cell by: a busy machine is no GPU
            lab.post(late=i % 2)
        wait_for(lambda: lab.counter("end_lines_total", result="closed") >= 16, "end lines", 30 * PATIENCE)
        wait_for(lambda: lab.idle(), "all ended", 30 * PATIENCE)
        assert lab.state()["warnings"] == [], lab.state()["warnings"]


CASES = [use_server_is_missing, var_prefix_is_another, nobody_is_asked, streams_are_not_asked_about, the_message_has_another_name,
         there_is_no_unique_id, ids_repeat, the_body_comes_too_late, the_body_is_larger_than_a_frame,
         haproxy_does_not_wait_long_enough, the_log_is_for_people, the_ports_are_swapped,
         end_lines_go_to_the_spop_port, end_lines_never_come, haproxy_never_connects,
         nobody_is_asked_while_servers_work, an_id_is_too_long, haproxy_cuts_the_id, the_runtime_api_may_not_be_opened, the_secret_is_not_told, a_model_is_not_configured, headers_have_units,
         names_differ, haproxy_gets_the_backend_later, the_runtime_api_is_elsewhere, a_server_has_a_small_maxconn, the_new_configuration_is_bad,
         profiles_are_spoilt, all_is_well]


class Misconfigured(unittest.TestCase):
    maxDiff = None

    def test_each_fault_has_its_warning(self):
        def run(case):
            began = time.monotonic()
            try:
                case()
            except Exception:  # noqa: BLE001  # told below, with its name
                return traceback.format_exc(), time.monotonic() - began
            return "", time.monotonic() - began
        with concurrent.futures.ThreadPoolExecutor(5) as pool:
            for case, (failure, seconds) in zip(CASES, pool.map(run, CASES)):
                with self.subTest(case.__name__):
                    self.assertEqual("", failure, f"after {seconds:.1f} s")


if __name__ == "__main__":
    unittest.main()
