"""A real redis-server on a free port, in a directory of its own, and a client that is enough."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile

from stack import ROOT, Ports, Process, wait_for


class Redis:
    """password: of the default user. tls: only TLS on the port, plain on the unix socket only."""

    program = "redis-server"

    def __init__(self, password=None, tls=False, args=()):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="slo-spoa-redis-"))
        self.ports = Ports()
        self.port = self.ports.take()
        self.path = self.dir / "redis.sock"
        self.password, self.tls, self.args = password, tls, list(args)
        self.process = None

    def start(self):
        argv = [self.program, "--bind", "127.0.0.1", "--unixsocket", self.path,
                "--save", "", "--appendonly", "no", "--dir", self.dir]
        argv += ["--requirepass", self.password] if self.password else []
        if self.tls:
            self.certificates()
            argv += ["--port", 0, "--tls-port", self.port, "--tls-auth-clients", "no"]
            argv += ["--tls-cert-file", self.dir / "server.pem", "--tls-key-file",
                     self.dir / "server.key", "--tls-ca-cert-file", self.dir / "ca.pem"]
        else:
            argv += ["--port", self.port]
        self.ports.release()
        self.process = Process(argv + self.args, self.dir / "redis.log")
        wait_for(lambda: self.answers() or not self.process.alive(), "redis-server", 60)
        if not self.process.alive():
            raise RuntimeError("redis-server: " + self.process.text())
        return self

    def certificates(self):
        """An authority, and a certificate of it for 127.0.0.1 and redis.test."""
        def openssl(*args):
            subprocess.run(["openssl", *map(str, args)], cwd=self.dir, check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if (self.dir / "ca.pem").exists():
            return
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", 2,
                "-subj", "/CN=an authority of tests")
        openssl("req", *key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=redis")
        (self.dir / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:redis.test\n")
        openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-out",
                "server.pem", "-days", 2, "-extfile", "names")

    def stop(self):
        """It does nothing for a while; go() ends that."""
        self.process.send(signal.SIGSTOP)

    def go(self):
        self.process.send(signal.SIGCONT)

    def kill(self):
        self.process.stop(9)
        with contextlib.suppress(OSError):
            self.path.unlink()

    def close(self):
        if self.process:
            self.process.send(signal.SIGCONT)
            self.process.stop()
        self.ports.disown()
        shutil.rmtree(self.dir, ignore_errors=True)

    def answers(self):
        try:
            return self("PING") == b"PONG"
        except (OSError, RuntimeError):
            return False

    def connection(self):
        with socket.socket(socket.AF_UNIX) as s:  # the file keeps it
            s.settimeout(30)
            s.connect(str(self.path))
            return s.makefile("rwb")

    def __call__(self, *command, db=0):
        """One command and its reply."""
        return self.pipeline([command], db)[0]

    def pipeline(self, commands, db=0):
        with self.connection() as f:
            first = [("AUTH", self.password)] if self.password else []
            first += [("SELECT", db)] if db else []
            for command in first + list(commands):
                parts = [p if isinstance(p, bytes) else str(p).encode() for p in command]
                f.write(b"*%d\r\n" % len(parts))
                f.writelines(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)
            f.flush()
            return [reply(f) for _ in first + list(commands)][len(first):]

    def put(self, deployment, profile, model="llama2-7b", db=0):
        text = profile if isinstance(profile, (str, bytes)) else json.dumps(profile)
        self("SET", f"aibrix:profile_{model}_{deployment}", text, db=db)

    def drop(self, deployment, model="llama2-7b"):
        self("DEL", f"aibrix:profile_{model}_{deployment}")

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}/0"


VALKEY = pathlib.Path(os.environ.get("VALKEY_DIR", ROOT / "build/valkey")) / "valkey-server"


class Valkey(Redis):
    """Where get-valkey.sh found one: VALKEY.exists()."""

    program = VALKEY


class Sentinel(Redis):
    """Watches a server under the name `service`."""

    def __init__(self, server, service="llm", program=None, **kw):
        super().__init__(**kw)
        self.program = program or server.program
        self.path = None
        conf = self.dir / "sentinel.conf"
        conf.write_text(f"sentinel monitor {service} 127.0.0.1 {server.port} 1\n"
                        f"sentinel down-after-milliseconds {service} 500\n"
                        f"sentinel failover-timeout {service} 3000\n")
        self.conf = conf

    def start(self):
        self.ports.release()
        self.process = Process([self.program, self.conf, "--sentinel", "--bind", "127.0.0.1", "--port",
                                self.port, "--dir", self.dir], self.dir / "sentinel.log")
        wait_for(lambda: self.answers() or not self.process.alive(), "sentinel", 60)
        return self

    def connection(self):
        with socket.create_connection(("127.0.0.1", self.port), 30) as s:
            return s.makefile("rwb")


def reply(f):
    line = f.readline()
    kind, rest = line[:1], line[1:-2]
    if not line.endswith(b"\r\n"):
        raise OSError("the connection is closed")
    if kind == b"-":
        raise RuntimeError(rest.decode())
    if kind == b":":
        return int(rest)
    if kind == b"$":
        return f.read(int(rest) + 2)[:-2] if int(rest) >= 0 else None
    if kind == b"*":
        return [reply(f) for _ in range(int(rest))]
    return rest
