"""What a tired hand gets wrong: the sample, with one thing broken, and the sentence that the operator
reads. Here `slo-spoa -c --haproxy` says it, before anything runs; test_misconfigured_live.py shows
what is said where only traffic can tell. haproxy-conf/README.md lists both."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "haproxy-conf"
PAIR, ACTIVE, PAIR_JSON = "haproxy-pair.cfg", "haproxy-active.cfg", "slo-spoa-pair.json"
CFG, STATIC, SPOE, JSON = "haproxy.cfg", "haproxy-static.cfg", "spoe-slo.cfg", "slo-spoa.json"
USE_SERVER = "use-server %[var(txn.slo.server)] if { var(txn.slo.server) -m len gt 0 }\n    server a10-1"
SEND = re.search(r"    http-request send-spoe-group .*\n", (SAMPLES / CFG).read_text())[0]
RETURNS = re.findall(r"    http-request return status (?:429|503) .*\n", (SAMPLES / CFG).read_text())
DENY = re.search(r"    http-request deny deny_status 503 .*\n", (SAMPLES / CFG).read_text())[0]
BEHIND = (SAMPLES / CFG).read_text().split(SEND)[1].split(RETURNS[1])[0] + RETURNS[1]
HINTS = re.search(r"(?:    http-request set-var\(txn\.slo_req_.*\n)+", (SAMPLES / CFG).read_text())[0]
BEFORE = HINTS + (SAMPLES / CFG).read_text().split(HINTS)[1].split(SEND)[0] + SEND
L20_1, L20_2 = re.findall(r"    server l20-[12] .*\n", (SAMPLES / CFG).read_text())
UDP = '    log "${SLO_EVENTS-127.0.0.1:9902}" format raw local0\n    # If others'
RING = "    log ring@slo_events format raw local0\n    log \"${SLO_EVENTS-127.0.0.1:9902}\" format raw local0\n    # If others"

# (what was done, file, text, in its place, code, the line that is named or None, the sentence)
ALERT, WARNING = 1, 0
CASES = [
    # names
    ("the backend has another name", CFG, "backend llama2-7b from", "backend llama-7b from", "backend-absent",
     None, r"HAProxy has no backend llama2-7b, that of model llama2-7b: its requests go to default_backend "
           r"\(did you mean llama-7b\?\)", ALERT),
    ("a server has another name", CFG, "server l20-4 ", "server l20-04 ", "server-absent",
     "backend llama2-7b from", r"has no server l20-4, which models\.llama2-7b\.deployments\.l20 names: it gets "
                               r"no request \(did you mean l20-04\?\)", ALERT),
    ("a server's name in capitals", CFG, "server a10-1 ", "server A10-1 ", "server-absent",
     "backend llama2-7b from", r"no server a10-1.*did you mean A10-1\?", ALERT),
    ("a new server in HAProxy only", CFG, "    server l20-4 ", "    server l20-5 10.0.0.25:8000\n    server l20-4 ",
     "server-unlisted", "server l20-5", r"server llama2-7b/l20-5 is in no deployment .* never sends a request "
                                        r"there", WARNING),
    ("two names of one server", CFG, "SLO_L20_2-10.0.0.22:8000", "SLO_L20_2-10.0.0.21:8000", "server-doubled",
     "server l20-2", r"server llama2-7b/l20-2 has the address of l20-1, 10\.0\.0\.21:8000: the agent fills one engine "
                     r"as if it were two", WARNING),
    *((f"one address twice, {what}", CFG, '"${SLO_L20_2-10.0.0.22:8000}"', f"10.0.0.21:8000 {what}", None, None, None, None)
      for what in ("backup", "disabled", "resolvers dns")),
    ("one address in two branches", CFG, L20_1 + L20_2, "    .if feature(LUA)\n" + L20_1 + L20_2.replace("L20_2", "X") + "    .else\n"
     "    server l20-1 10.0.0.22:8000\n    server l20-2 10.0.0.21:8000\n    .endif\n", None, None, None, None),
    ("two names of one server in a branch", CFG, L20_1 + L20_2, "    .if feature(LUA)\n    server l20-1 10.0.0.21:8000\n"
     "    server l20-2 10.0.0.21:8000\n    .endif\n", "server-doubled", "server l20-2", r"llama2-7b/l20-2 has the address of l20-1",
     WARNING),
    # ports
    ("SPOP and events ports swapped", CFG, '"${SLO_SPOP-127.0.0.1:9901}"', "127.0.0.1:9902", "ports-swapped",
     "server agent 127.0.0.1:9902", r"127\.0\.0\.1:9902 is events\.listen, which takes end lines: no question is "
                                    r"answered there", ALERT),
    ("the agent's port mistyped", CFG, '"${SLO_SPOP-127.0.0.1:9901}"', "127.0.0.1:9910", "never-asked",
     "server agent 127.0.0.1:9910", r"the agent does not listen on 127\.0\.0\.1:9910: HAProxy cannot ask it", ALERT),
    ("end lines to a wrong port", CFG, "${SLO_EVENTS-127.0.0.1:9902}", "127.0.0.1:9912", "no-end-lines",
     "log 127.0.0.1:9912", r"no \"log\" line of frontend llm leads to the agent: it hears of no end.* "
                           r"events\.listen is 127\.0\.0\.1:9902, udp:127\.0\.0\.1:9902", ALERT),
    ("end lines to the SPOP port", CFG, "${SLO_EVENTS-127.0.0.1:9902}", "127.0.0.1:9901", "ports-swapped",
     "log 127.0.0.1:9901", r"end lines go to 127\.0\.0\.1:9901, which is another listener of the agent", ALERT),
    # asking
    ("no filter", CFG, '    filter spoe engine slo config "${SLO_SPOE_CFG-spoe-slo.cfg}"\n', "", "never-asked",
     None, r"no frontend has \"filter spoe\": HAProxy asks the agent nothing", ALERT),
    ("another engine", CFG, "filter spoe engine slo ", "filter spoe engine slo2 ", "never-asked",
     "filter spoe", r"there is no \"spoe-agent\" for engine \"slo2\"", ALERT),
    ("no send-spoe-group", CFG, SEND, "", "never-asked", "frontend llm",
     r"frontend llm has no \"http-request send-spoe-group slo slo-route\": HAProxy never asks", ALERT),
    ("another message", SPOE, "spoe-message slo-route\n", "spoe-message route\n", "never-asked",
     "spoe-agent", r"engine slo has no \"spoe-message slo-route\": .* passes everything", ALERT),
    ("the agent's backend in mode http", CFG, "    mode tcp ", "    mode http ", "never-asked", "backend spoa",
     r"backend spoa is in mode http: SPOP is none, so no question arrives", ALERT),
    ("a plain check", CFG, "    option spop-check", "    option tcp-check", "agent-unchecked", "backend spoa",
     r"lacks \"option spop-check\": a port that is open but does not answer counts as an agent", WARNING),
    ("two agents that are balanced", CFG, "retries 0 ", "server two 10.0.0.2:9901 check\n    retries 0 ",
     "agents-balanced", "backend spoa", r"balances between 2 agents: each sees a part of the queue", WARNING),
    ("an agent in reserve that hears of nothing", CFG, "retries 0 ", "server two 10.0.0.2:9901 check backup\n    retries 0 ",
     "bypassed", "backend spoa", r"leads to 2 agents, and \"cluster\" is not set: the one in reserve takes over without "
                                 r"knowing what runs", WARNING),
    ("a condition that never holds", CFG, SEND, "    http-request send-spoe-group slo slo-route if FALSE\n", "never-asked",
     "http-request", r"the rule's condition never holds: HAProxy never asks the agent", ALERT),
    ("turned off the other way", CFG, SEND, "    http-request send-spoe-group slo slo-route unless TRUE\n", "never-asked",
     "http-request", r"the rule's condition never holds", ALERT),
    *((f"asking {rule}", CFG, SEND, "".join(f"    http-request send-spoe-group slo slo-route {r}\n" for r in rule.split("|")),
       None, None, None, None) for rule in ("if METH_POST", "unless METH_GET", "if FALSE or METH_POST", "if FALSE|if METH_POST",
                                            "if METH_POST|if FALSE", "if { always_false } or METH_POST", "if !TRUE or METH_POST",
                                            "unless TRUE METH_GET")),
    ("an acl of one's own", CFG, SEND, "    acl llm_post method POST\n    http-request send-spoe-group slo slo-route if llm_post\n",
     None, None, None, None),
    ("no rule of two ever holds", CFG, SEND, "".join(SEND.split(" if ")[0] + f" {c}\n" for c in ("if { always_false }", "unless TRUE")),
     "never-asked", "http-request", r"the rule's condition never holds", ALERT),
    ("a second way to one agent", CFG, "retries 0 ", "server two unix@/run/slo/spop.sock check backup\n    retries 0 ",
     None, None, None, None),
    ("another agent that is turned off", CFG, "retries 0 ", "server two 10.0.0.2:9901 check disabled\n    retries 0 ",
     None, None, None, None),
    # what is asked
    ("no unique-id-format", CFG, "    unique-id-format %{+X}o\\ %ci:%cp_%fi:%fp_%Ts_%rt:%pid\n", "", "id-missing",
     "frontend llm", r"frontend llm has no unique-id-format, so requests have no id and the agent passes all", ALERT),
    ("the client's id as unique-id", CFG, "%{+X}o\\ %ci:%cp_%fi:%fp_%Ts_%rt:%pid", "%[req.hdr(x-request-id)]",
     "id-repeated", "unique-id-format", r"text of the client in it: clients can repeat or forge ids", ALERT),
    ("no http-buffer-request", CFG, "    option http-buffer-request\n", "", "body-empty", "frontend llm",
     r"lacks \"option http-buffer-request\": HAProxy asks before the body is there", ALERT),
    ("the whole body is sent", SPOE, "body=req.body,bytes(0,14336)", "body=req.body", "frame-too-big", "args",
     r"body= may be longer than a frame .*HAProxy then does not ask", ALERT),
    ("frames too small for the body", SPOE, "    option var-prefix", "    max-frame-size 8192\n    option var-prefix",
     "frame-too-big", "max-frame-size", r"max-frame-size \(8192\) is too small for 14336 bytes of body .*make it 16136", ALERT),
    ("frames that are large enough", SPOE, "    option var-prefix", "    max-frame-size 16380\n    option var-prefix",
     None, None, None, None),
    ("the body under another name", SPOE, "body=req.body", "bdy=req.body", "args", "args",
     r"the agent knows no argument bdy \(did you mean body\?\): it ignores it", WARNING),
    ("priorities that are set and not sent", CFG, "    # http-request set-var(txn.slo_req_priority)",
     "    http-request set-var(txn.slo_req_priority)", "args", "http-request",
     r"no argument of slo-route sends what this rule keeps for the agent, so it is ignored; add one with "
     r"var\(txn\.slo_req_priority\) to \"args\" in \S*spoe-slo\.cfg", WARNING),
    ("no id among the arguments", SPOE, "args id=unique-id ", "args ", "id-missing", "args",
     r"id= is not sent: the agent cannot tell which request an end line ends", ALERT),
    # the answer
    ("no use-server", CFG, USE_SERVER, "server a10-1", "answer-unused", "backend llama2-7b from",
     r"backend llama2-7b has no use-server rule with txn\.slo\.server: HAProxy balances by itself", ALERT),
    ("a server without its rule", STATIC, "    use-server l20-3 if { var(txn.slo.server) -m str l20-3 }\n", "",
     "answer-unused", "server l20-3", r"no use-server rule leads to llama2-7b/l20-3", ALERT),
    ("another var-prefix", SPOE, "option var-prefix slo ", "option var-prefix llm ", "answer-unused",
     "backend llama2-7b from", r"no use-server rule with txn\.llm\.server, the variable that var-prefix makes", ALERT),
    ("no rule to the model's backend", CFG, "    use_backend %[var(txn.slo.backend)] if { var(txn.slo.backend) -m len "
     "gt 0 }\n    default_backend llama2-7b", "    default_backend spoa", "answer-unused", "frontend llm",
     r"no rule of frontend llm leads to backend llama2-7b", ALERT),
    ("rejects are not answered", CFG, "".join(RETURNS), "", "answer-unused", "http-request send-spoe-group",
     r"no rule of frontend llm answers a reject \(txn\.slo\.verdict\): HAProxy sends to servers what the agent refuses", ALERT),
    ("only some rejects are answered", CFG, RETURNS[1], "", "answer-unused", "http-request send-spoe-group",
     r"no rule of frontend llm answers a reject of status 503", ALERT),
    ("the question behind the rules for rejects", CFG, SEND + BEHIND, BEHIND + SEND, "answer-unused",
     "http-request return", r"this rule is for rejects of the agent and stands above send-spoe-group \(.*haproxy\.cfg:\d+\), "
                            r"where there is no answer yet.*put it below", ALERT),
    ("rejects by an acl", CFG, RETURNS[1], "    acl refused var(txn.slo.verdict) -m str reject\n"
     "    http-request deny deny_status 503 if refused\n", None, None, None, None),
    ("rejects by a variable", CFG, "".join(RETURNS), "    http-request set-var(txn.no) bool(true) if { var(txn.slo.verdict) -m str "
     "reject }\n    http-request deny deny_status 429 if { var(txn.no) -m bool }\n", None, None, None, None),
    ("rejects by an acl of a variable", CFG, "".join(RETURNS), "    http-request set-var(txn.no) var(txn.slo.verdict)\n"
     "    acl refused var(txn.no) -m str reject\n    http-request deny deny_status 429 if METH_POST refused\n", None, None, None, None),
    ("rejects by a header", CFG, "".join(RETURNS), "    http-request set-header x-verdict %[var(txn.slo.verdict)]\n"
     "    http-request deny deny_status 429 if { req.hdr(x-verdict) reject }\n", None, None, None, None),
    ("rejects by all but a status", CFG, RETURNS[1], "    http-request deny deny_status 503 if { var(txn.slo.verdict) -m str reject } "
     "!{ var(txn.slo.status) -m int 429 }\n", None, None, None, None),
    ("rejects by all reasons", CFG, "".join(RETURNS), "    http-request deny deny_status 429 if { var(txn.slo.reason) -m str queue-full "
     "queue-timeout slo-failure no-server bad-request }\n", None, None, None, None),
    ("rejects by the lack of a server", CFG, "".join(RETURNS), "    http-request deny deny_status 429 unless { var(txn.slo.server) "
     "-m found }\n", None, None, None, None),
    ("a second question that never comes", CFG, RETURNS[1], RETURNS[1] + SEND.split(" if ")[0] + " if FALSE\n", None, None, None, None),
    ("a hint that is set again", CFG, RETURNS[1], RETURNS[1] + "    http-request set-var(txn.slo_req_e2e) int(0)\n",
     None, None, None, None),
    ("a backend that is not needed is thrown away", CFG, "    use_backend %[var(txn.slo.backend)] if { var(txn.slo.backend) -m len "
     "gt 0 }\n", "    http-request unset-var(txn.slo.backend)\n", None, None, None, None),
    ("both names of the error are read", CFG, DENY, DENY + DENY.replace("slo.error", "slo.err"), None, None, None, None),
    ("the question above the hints", CFG, BEFORE, SEND + BEFORE.replace(SEND, ""), "args", "http-request send-spoe-group",
     r"HAProxy asks here, and only then sets txn\.slo_req_path \(.*haproxy\.cfg:\d+\) and 9 more that the message sends", WARNING),
    ("no rule for clients that left", CFG, DENY, "", "abort", "http-request send-spoe-group",
     r"no rule below this one ends a request whose client left while the agent held it \(txn\.slo\.error is 4 or 5\)", WARNING),
    ("another name of the error", SPOE, "option set-on-error error", "option set-on-error err", "errors-untold", "option",
     r"HAProxy keeps errors in txn\.slo\.err, and .*haproxy\.cfg:\d+ reads txn\.slo\.error: ", WARNING),
    ("no set-on-error", SPOE, "    option set-on-error error ", "    # ", "errors-untold", "spoe-agent",
     r"no \"option set-on-error error\": neither HAProxy's rules nor the agent learn", WARNING),
    ("the answer is thrown away", CFG, "    use_backend %[var(txn.slo.backend)]", "    http-request unset-var(txn.slo.server)\n"
     "    use_backend %[var(txn.slo.backend)]", "answer-unused", "http-request",
     r"this rule throws the agent's answer away before use-server reads it", ALERT),
    ("an answer from before is thrown away", CFG, SEND, "    http-request unset-var(txn.slo.server)\n" + SEND,
     None, None, None, None),
    # end lines
    ("the ring leads elsewhere", CFG, 'server agent "${SLO_EVENTS-127.0.0.1:9902}"', "server agent 127.0.0.1:9912",
     "lines-lost", "server agent", r"127\.0\.0\.1:9912 is no address of events\.listen: frontend llm sends end lines over UDP "
                                   r"only", WARNING),
    ("the datagrams lead elsewhere", CFG, UDP, UDP.replace("${SLO_EVENTS-127.0.0.1:9902}", "127.0.0.1:9912"),
     "no-datagrams", "log", r"log 127\.0\.0\.1:9912 is no address of events\.listen: frontend llm sends end lines over a ring "
                            r"only", WARNING),
    ("a log of one's own", CFG, UDP, '    log 127.0.0.1:514 local0\n' + UDP, None, None, None, None),
    ("option httplog", CFG, "    option http-no-delay", "    option httplog\n    option http-no-delay", None, None, None, None),
    ("option httplog behind log-format", CFG, "    acl slo_path path_dir v1", "    option httplog\n    acl slo_path path_dir v1",
     "no-end-lines", "option httplog", r"option httplog writes other lines than the agent reads", ALERT),
    ("no log-format", CFG, "    log-format \"slo1", "    # log-format \"slo1", "no-end-lines", "frontend llm",
     r"there is no log-format: the agent understands none of frontend llm's lines", ALERT),
    ("log-format without slo1", CFG, 'log-format "slo1 id', 'log-format "id', "no-end-lines", "log-format",
     r"log-format does not begin with slo1", ALERT),
    ("no id in the line", CFG, "slo1 id=%ID be", "slo1 be", "log-format", "log-format",
     r"the end line has no id=: the agent cannot tell which request has ended; add id=%ID", ALERT),
    ("total time of the connection", CFG, "ta=%Ta ", "ta=%Tt ", "log-format", "log-format",
     r"ta=%Tt should be ta=%Ta", ALERT),
    ("the client's header in the line", CFG, " rc=%rc", " ua=%[req.hdr(user-agent)] rc=%rc", "log-format", "log-format",
     r"the end line has %\[req\., which clients or servers write: they can forge", WARNING),
    ("only good requests are not logged", CFG, "    option http-no-delay", "    option dontlog-normal\n    option http-no-delay",
     "no-end-lines", "option dontlog-normal", r"good requests write no end line", ALERT),
    ("a level in the log lines", CFG, "format raw local0", "format raw local0 notice", "no-end-lines", "log ",
     r"this target gets no line of level info, or a sample of them", ALERT),
    ("a sample of the lines", CFG, "format raw local0", "format raw sample 1:10 local0", "no-end-lines", "log ",
     r"this target gets no line of level info, or a sample of them", ALERT),
    ("a level that lets all through", CFG, "format raw local0", "format raw local0 debug", None, None, None, None),
    ("no datagrams", CFG, UDP, "    # If others", "no-datagrams", "frontend llm",
     r"sends end lines over a ring only: a process that a reload replaces", WARNING),
    ("lines are cut", CFG, "    maxlen 1024", "    maxlen 100", "lines-cut", "maxlen 100",
     r"lines are cut at less than 512 bytes", ALERT),
    # times
    ("timeout processing below queue_timeout", SPOE, "timeout processing 65s", "timeout processing 20s", "times",
     "timeout processing", r"timeout processing \(20s\) is not longer than routing\.queue_timeout_max \(60s\): HAProxy "
                           r"gives up on requests that the agent still holds", ALERT),
    ("a time without a unit", SPOE, "timeout processing 65s", "timeout processing 65", "times", "timeout processing",
     r"timeout processing \(65ms\) is not longer", ALERT),
    ("no timeout processing", SPOE, "    timeout processing 65s", "    # timeout processing", "times", "spoe-agent",
     r"no \"timeout processing\": a request whose answer is lost waits for ever; set 65s, a little more than "
     r"routing\.queue_timeout_max", ALERT),
    ("timeout http-request below it", CFG, "timeout http-request 75s", "timeout http-request 10s", "times",
     "timeout http-request", r"timeout http-request \(10s\) is not longer than timeout processing \(65s\)", ALERT),
    ("timeout client below it", CFG, "timeout client 90s", "timeout client 30s", "times", "timeout client",
     r"timeout client \(30s\) is not longer than timeout processing \(65s\)", ALERT),
    ("timeout server of the agent's backend", CFG, "    timeout server 90s ", "    timeout server 5s ", "times",
     "timeout server 5s", r"timeout server \(5s\) is not longer than timeout processing \(65s\): HAProxy ends the "
                          r"agent's connection while it holds requests", ALERT),
    ("queue_timeout without a unit", JSON, '"queue_timeout": "auto"', '"queue_timeout": 30', "times", None,
     r"routing\.queue_timeout is 30ms: requests are refused that could have waited; a number without a unit", WARNING),
    ("a promise without a unit", JSON, '"backend": "llama2-7b",', '"backend": "llama2-7b", "slo": {"e2e": 30},', "times",
     None, r"models\.llama2-7b\.slo\.e2e is 30ms: hardly a request is so fast, so all are late; a number without", WARNING),
    ("a strategy that foretells nothing", JSON, '"profiles": { "dir": "profiles" },\n  "routing":  { "strategy": "slo-adaptive"',
     '"routing": { "strategy": "least-request"', None, None, None, None),
    ("neither promise nor profiles", JSON, '"profiles": { "dir": "profiles" },', "", "profile-missing", None,
     r"models\.llama2-7b has no \"slo\", and neither profiles\.dir nor profiles\.redis is set: its requests go by "
     r"routing\.fallback", WARNING),
    ("a plain queue_timeout", JSON, '"queue_timeout": "auto"', '"queue_timeout": "70s"', "times",
     "timeout processing", r"timeout processing \(65s\) is not longer than routing\.queue_timeout \(70s\)", ALERT),
    # the process
    ("maxconn like the frontend's", CFG, "SLO_GLOBAL_MAXCONN-3000", "SLO_GLOBAL_MAXCONN-1000", "maxconn",
     "maxconn 1000", r"global maxconn \(1000\) is less than three times that of frontend llm \(1000\)", WARNING),
    ("another path of the stats socket", CFG, "/run/haproxy/admin.sock}", "/var/run/haproxy.stat}", "runtime-api",
     "stats socket", r"HAProxy has no stats socket at unix:/run/haproxy/admin\.sock, where haproxy\.runtime_api looks "
                     r"for it; it has /var/run/haproxy\.stat", ALERT),
    ("two sockets, and another path", CFG, '    stats socket "${SLO_STATS-/run/haproxy/admin.sock}"',
     '    stats socket /run/hap/admin.sock\n    stats socket ipv4@127.0.0.1:9999\n    stats socket /run/other', "runtime-api",
     "stats socket /run/hap", r"HAProxy has no stats socket at .*; it has /run/hap/admin\.sock", ALERT),
    ("the stats socket for HAProxy only", CFG, "mode 660 level user", "mode 600 level user", "runtime-api",
     "stats socket", r"only HAProxy's own user may open /run/haproxy/admin\.sock", WARNING),
    ("no runtime API", JSON, '"haproxy":  { "runtime_api": ["unix:/run/haproxy/admin.sock"] },', "", "runtime-api",
     None, r"haproxy\.runtime_api is not set: a lost end line keeps its load", WARNING),
    ("servers are not checked", CFG, "default-server check inter", "default-server inter", "server-unchecked",
     "server a10-1", r"server llama2-7b/a10-1 has no \"check\": the agent goes on choosing it when it is dead", WARNING),
    ("a frontend past the agent", CFG, "# The agent. A second", "frontend old from slo\n    bind :8081\n    default_backend "
     "llama2-7b\n# The agent. A second", "bypassed", "frontend old",
     r"frontend old sends requests to backend llama2-7b without asking the agent", WARNING),
    ("the page for all", JSON, '"http":     { "listen": "127.0.0.1:9903" }', '"http": { "listen": "0.0.0.0:9903" }',
     "http-open", None, r"http\.listen is on all addresses: whoever reaches this machine", WARNING),
    ("questions from everywhere", JSON, '"127.0.0.1:9901"', '"0.0.0.0:9901"', "ports-open", None,
     r"spop\.listen is on all addresses without a secret: whoever reaches this machine can fill the ledger", WARNING),
    ("end lines from everywhere", JSON, '"127.0.0.1:9902", "udp:127.0.0.1:9902"', '"0.0.0.0:9902", "udp:0.0.0.0:9902"',
     "ports-open", None, r"events\.listen is on all addresses without a secret: .* can end requests", WARNING),
    ("no http-no-delay", CFG, "    option http-no-delay", "    # option http-no-delay", "stream-delay", "frontend llm",
     r"tokens of streams come in steps of 200 ms", WARNING),
    ("connections to servers are kept", CFG, "    option http-server-close\n", "", "lines-lost", "backend llama2-7b from",
     r"backend llama2-7b lacks \"option http-server-close\": when a server closes a connection that HAProxy uses again, "
     r"HAProxy writes no end line", WARNING),
    ("no idle connections are kept", CFG, "    option http-server-close\n    balance", "    default-server pool-max-conn 0\n    balance",
     None, None, None, None),
    ("compressed requests", CFG, "    option http-no-delay", "    compression direction request\n    compression algo-req gzip\n"
     "    compression algo gzip\n    option http-no-delay", None, None, None, None),
    ("compressed text of all kinds", CFG, "    option http-no-delay", "    compression algo gzip\n    compression type text/\n"
     "    compression type text/html\n    option http-no-delay", "answers-compressed", "compression algo", r"HAProxy compresses", WARNING),
    ("compressed answers", CFG, "    option http-no-delay", "    compression algo gzip\n    option http-no-delay",
     "answers-compressed", "compression algo", r"HAProxy compresses answers: their bytes no longer tell how many tokens", WARNING),
    ("compressed pages", CFG, "    option http-no-delay", "    compression algo gzip\n    compression type text/html\n"
     "    option http-no-delay", None, None, None, None),
    ("a secret that HAProxy does not tell", JSON, '"spop":     {', '"spop": { "secret": "0123456789abcdef", ', "secret",
     "args", r"secret= is not sent, but spop\.secret is set", ALERT),
]


class Checked(unittest.TestCase):
    """slo-spoa -c -f slo-spoa.json --haproxy haproxy.cfg"""

    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="slo-misconfigured-"))
        self.addCleanup(shutil.rmtree, self.dir)
        for name in (CFG, STATIC, SPOE, JSON, PAIR, ACTIVE, PAIR_JSON):
            shutil.copy(SAMPLES / name, self.dir)

    def check(self, *files, config=JSON, **variables):
        build = pathlib.Path(os.environ.get("BUILD_DIR", ROOT / "build/release"))
        env = {k: v for k, v in os.environ.items() if not k.startswith("SLO_")} | variables
        p = subprocess.run([build / "slo-spoa", "-c", "-f", self.dir / config, "--haproxy",
                            *(self.dir / f for f in files)], env=env, capture_output=True, text=True, check=False)
        return p.returncode, re.sub(r" \(\d+\) : ", " ", p.stderr).replace(f"{self.dir}/", "")

    def broken(self, name, text, in_its_place):
        good = (self.dir / name).read_text()
        self.assertIn(text, good)
        (self.dir / name).write_text(good.replace(text, in_its_place))

    def test_the_samples_have_no_fault(self):
        for cfg in (CFG, STATIC):
            self.assertEqual((0, ""), self.check(cfg))
        for cfg in (PAIR, ACTIVE):
            self.assertEqual((0, ""), self.check(cfg, config=PAIR_JSON), cfg)
        self.assertEqual((0, ""), self.check(CFG, SPOE), "a file that is named twice is read once")

    def test_the_samples_keep_what_they_learn(self):
        """Where the package's configuration keeps it, below the folder that its unit makes."""
        packaged = json.loads((ROOT / "agent/debian/slo-spoa.json").read_text())["snapshot"]
        for name in (JSON, PAIR_JSON):
            self.assertEqual(packaged, json.loads((SAMPLES / name).read_text()).get("snapshot"), name)

    def test_a_relative_socket_is_that_beside_the_configuration(self):
        self.broken(JSON, "unix:/run/haproxy/admin.sock", "unix:admin.sock")
        self.broken(CFG, "/run/haproxy/admin.sock", f"{self.dir}/admin.sock")
        build = pathlib.Path(os.environ.get("BUILD_DIR", ROOT / "build/release")).resolve()
        for path in (self.dir / JSON, JSON, f"./{JSON}"):
            p = subprocess.run([build / "slo-spoa", "-c", "-f", path, "--haproxy", CFG], cwd=self.dir,
                               capture_output=True, text=True, check=False)
            self.assertEqual((0, ""), (p.returncode, p.stderr), path)
        self.broken(JSON, "unix:admin.sock", "unix:dmin.sock")
        self.assertEqual(1, self.check(CFG)[0])

    def test_sections_that_share_a_line_tell_of_it_once(self):
        self.broken(JSON, '"models": {', '"models": { "b": { "backend": "b", "deployments": { "d": { "servers": ["s"] } } },')
        self.broken(CFG, "# The agent. A second", "backend b from slo-model\n    " + USE_SERVER.split("\n")[0]
                    + "\n    server s 10.0.0.9:8000\n\n# The agent. A second")
        self.broken(CFG, "timeout server 600s", "timeout server 30s")
        self.assertEqual(1, self.check(CFG)[1].count("the wait for the body"))

    def test_each_fault_has_its_sentence(self):
        for what, name, text, put, code, line, sentence, severity in CASES:
            with self.subTest(what):
                self.setUp()
                self.broken(name, text, put)
                status, said = self.check(STATIC if name == STATIC else CFG)
                if code is None:
                    self.assertEqual((0, ""), (status, said))
                    continue
                self.assertEqual(severity, status, said)
                found = [s for s in said.splitlines() if s.endswith(f"[{code}]") and re.search(sentence, s)]
                self.assertTrue(found, f"{code}: {sentence}\nin:\n{said}")
                self.assertTrue(found[0].startswith("[ALERT] " if severity == ALERT else "[WARNING] "), found[0])
                if line:
                    place = re.match(r"\[\w+\] ([\w.-]+):(\d+): ", found[0])
                    shown = (self.dir / place[1]).read_text().splitlines()[int(place[2]) - 1]
                    self.assertIn(line.split()[0], shown)
                # One fault, one alert: a list of consequences would hide its cause.
                self.assertLessEqual(len(said.splitlines()), 3, said)

    def test_files_come_in_haproxys_order_and_may_be_many(self):
        more = self.dir / "more.cfg"
        more.write_text("backend mistral-7b from slo-model\n    server h100-1 10.0.0.31:8000\n")
        config = json.loads((self.dir / JSON).read_text())
        config["models"]["mistral-7b"] = {"deployments": {"h100": {"servers": ["h100-1"]}}}
        (self.dir / JSON).write_text(json.dumps(config))
        status, said = self.check(CFG, "more.cfg")
        self.assertEqual(1, status)
        self.assertRegex(said, r"\A\[ALERT\] more\.cfg:1: backend mistral-7b has no use-server rule .*\n\Z")

    def test_the_asking_frontend_may_close_connections(self):
        self.broken(CFG, "    option http-server-close\n", "")
        self.broken(CFG, "    option http-no-delay", "    option httpclose\n    option http-no-delay")
        self.assertEqual((0, ""), self.check(CFG))

    def test_another_agents_filter_is_none_of_ours(self):
        (self.dir / "waf.cfg").write_text(
            "[waf]\nspoe-agent waf-agent\n    messages check\n    option var-prefix waf\n    use-backend waf\n"
            "spoe-message check\n    args method\n    event on-frontend-http-request\n")
        self.broken(CFG, "    # One line per request when it ends",
                    "    filter spoe engine waf config waf.cfg\n    # One line per request when it ends")
        self.broken(CFG, "# The agent. A second", "backend waf from slo\n    mode tcp\n    server waf 127.0.0.1:9000\n"
                    "# The agent. A second")
        self.assertEqual((0, ""), self.check(CFG))

    def test_variables_of_the_environment_count(self):
        status, said = self.check(CFG, SLO_SPOP="127.0.0.1:9910")
        self.assertEqual(1, status)
        self.assertIn("the agent does not listen on 127.0.0.1:9910", said)

    def test_a_file_that_cannot_be_read_is_an_error(self):
        status, said = self.check("none.cfg")
        self.assertEqual(1, status)
        self.assertIn("none.cfg: cannot read: No such file or directory", said)
        (self.dir / SPOE).unlink()
        status, said = self.check(CFG)
        self.assertEqual(1, status)
        self.assertIn("spoe-slo.cfg: cannot read: No such file", said)
        (self.dir / "binary.cfg").write_bytes(b"\0" * 100)
        self.assertIn("it is no text", self.check("binary.cfg")[1])


if __name__ == "__main__":
    unittest.main()
