"""Model servers that answer as each request's headers want it, in place of the demo's:

    x-do: json | stream | error | 500 | close | half | once | raw
                      (error: 200 and a stream with nothing but an error)
                      (half: the headers and one event, then it closes; once: a whole answer, and
                      what comes next on that connection is closed unanswered)
                      (raw: the bytes of x-raw, in base64, and then it closes)
    x-kind: TYPE      content-type of a stream
    x-first-ms: N     a stream's headers leave at once, its first event N ms later
    x-all-ms: N       milliseconds until the answer is complete
    x-usage: JSON     the "usage" of a whole answer
    x-encoding: NAME  content-encoding

`do` of a server, if set, wins over x-do. /health is 200 all the time.
"""
import base64
import contextlib
import http.server
import json
import re
import socket
import threading
import time

from lab import Lab
from stack import FLEET, MODEL, wait_for

EVENT = b'data: {"choices":[{"delta":{"content":"word "}}]}\n\n'


class Wayward(http.server.ThreadingHTTPServer):
    request_queue_size = 1024
    daemon_threads = True

    def __init__(self, name):
        self.name, self.do = name, None
        self.asked = 0
        self.open = []
        self.left = 0  # clients that were gone before an answer ended
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def port(self):
        return self.server_address[1]

    def handle_error(self, *_):
        self.left += 1

    def process_request(self, request, client_address):
        self.open.append(request)
        super().process_request(request, client_address)

    def stop(self):
        self.shutdown()
        self.server_close()

    def kill(self):
        """As when its process is killed: nobody listens, and what is unanswered stays so."""
        self.stop()
        for conn in self.open:
            with contextlib.suppress(OSError):
                conn.shutdown(socket.SHUT_RDWR)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # HAProxy waits for a whole answer's body for two seconds only
    used = False

    def log_message(self, *_):
        pass

    def head(self, status, kind, length=None):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("x-demo-server", self.server.name)
        if "x-encoding" in self.headers:
            self.send_header("content-encoding", self.headers["x-encoding"])
        if length is None:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def whole(self, status, body):
        data = json.dumps(body).encode()
        self.head(status, "application/json", len(data))
        self.wfile.write(data)

    def wait(self, name):
        time.sleep(int(self.headers.get(name, 0)) / 1e3)

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def stream(self, half):
        self.head(200, self.headers.get("x-kind", "text/event-stream"))
        self.wfile.flush()
        self.wait("x-first-ms")
        self.chunk(EVENT)
        if half:
            self.close_connection = True
            return
        self.wait("x-all-ms")
        for _ in range(60):
            self.chunk(EVENT)
        self.chunk(b"data: [DONE]\n\n")
        self.chunk(b"")

    def error(self):
        self.head(200, "text/event-stream")
        self.chunk(b'data: {"error":{"message":"The engine is dead","code":500}}\n\n')
        self.chunk(b"data: [DONE]\n\n")
        self.chunk(b"")

    def do_GET(self):
        self.whole(200, {})

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked += 1
        do = self.server.do or self.headers.get("x-do", "json")
        if do == "close" or (do == "once" and self.used):
            self.close_connection = True
        elif do == "raw":
            self.wfile.write(base64.b64decode(self.headers["x-raw"]))
            self.close_connection = True
        elif do == "500":
            self.whole(500, {"error": {"message": "out of order"}})
        elif do == "error":
            self.error()
        elif do in ("stream", "half"):
            self.stream(do == "half")
        else:
            self.used = True
            self.wait("x-all-ms")
            self.whole(200, {"usage": json.loads(self.headers.get(
                "x-usage", '{"prompt_tokens":3,"completion_tokens":4}'))})


class WaywardLab(Lab):
    """A stack on such servers, and with model "h2" a door to the first of them that speaks
    HTTP/2 only."""

    def __init__(self, fleet=("a10-1",), **kw):
        self.origins = {}
        super().__init__(fleet={name: name.split("-")[0] for name in fleet},
                         extra_cfg=self.door, **kw)

    def write_config(self, change=None, profiles=None):
        self.h2_port = self.ports.take()

        def with_h2(conf):
            conf["models"]["h2"] = {"deployments": {"h2": {"servers": ["h2-1"]}}}
            if change:
                change(conf)
        super().write_config(with_h2, profiles)

    def set_room(self, room, **kw):
        super().set_room(room, **kw)
        for gpu in set(self.fleet.values()):
            self.profile("h2", (self.dir / "profiles" / MODEL / f"{gpu}.json").read_text(), "h2")

    def door(self, _):
        first = next(iter(self.origins.values()))
        return f"""
backend h2 from slo-model
    use-server %[var(txn.slo.server)] if {{ var(txn.slo.server) -m len gt 0 }}
    server h2-1 127.0.0.1:{self.h2_port} proto h2
defaults door from slo
    timeout client 600s
    no option abortonclose
listen h2-door from door
    bind 127.0.0.1:{self.h2_port} proto h2
    server origin 127.0.0.1:{first.port}
"""

    def proxy_ready(self):
        """And HAProxy has found those of its servers DOWN that are not there."""
        if not super().proxy_ready():
            return False
        down = {r["svname"] for r in self.stat() if r["pxname"] == MODEL and r["status"].startswith("DOWN")}
        return down == set(FLEET) - set(self.fleet)

    def agent_said(self, pattern):
        wait_for(lambda: re.search(pattern, self.agent.text()), f"{pattern!r} in the log")

    def start_servers(self):
        for name in self.fleet:
            self.origins[name] = Wayward(name)
            self.server_port[name] = self.origins[name].port

    def stop(self):
        try:
            super().stop()
        finally:
            for origin in self.origins.values():
                origin.stop()
            self.origins = {}
