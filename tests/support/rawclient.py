"""A raw HTTP/1.1 client on asyncio: one connection a request, able to leave at a chosen moment."""
import asyncio
import dataclasses
import json
import socket
import struct
import time

MODEL = "llama2-7b"


@dataclasses.dataclass
class Leave:
    """When and how a client aborts. `after` seconds from the last byte of its request, or, with
    `events`, after so many events of a stream, however many come in one piece."""
    how: str  # "fin" or "rst"
    after: float = None
    events: int = None


@dataclasses.dataclass
class Answer:
    began: float = 0.0
    status: int = 0
    headers: dict = dataclasses.field(default_factory=dict)
    pieces: int = 0  # of the body, as they came
    first: float = 0.0  # when the first of them came
    body: bytes = b""
    complete: bool = False
    left: bool = False
    error: str = ""
    ended: float = 0.0

    @property
    def verdict(self):
        return self.headers.get("x-slo-verdict", "")

    @property
    def good(self):
        return self.complete and self.status == 200

    def __str__(self):
        return f"status {self.status} complete={self.complete} {self.error} {self.headers}"


class Short(Exception):
    """The answer ended before its end."""


class Leaving(Exception):
    """The client has seen enough."""


async def _line(reader):
    line = await reader.readline()
    if not line.endswith(b"\n"):
        raise Short("in a line")
    return line.rstrip(b"\r\n")


async def _head(reader, answer):
    first = await _line(reader)
    answer.status = int(first.split()[1])
    while True:
        line = await _line(reader)
        if not line:
            return
        name, _, value = line.decode("latin-1").partition(":")
        answer.headers[name.strip().lower()] = value.strip()


async def _piece(reader, n):
    try:
        return await reader.readexactly(n)
    except asyncio.IncompleteReadError:
        raise Short("in the body") from None


async def _body(reader, answer, leave):
    def add(data):
        answer.body += data
        answer.first = answer.first or time.monotonic()
        answer.pieces += 1
        if leave and leave.events is not None and answer.body.count(b"\n\n") >= leave.events:
            raise Leaving

    if "chunked" in answer.headers.get("transfer-encoding", ""):
        while True:
            n = int(await _line(reader), 16)
            if n == 0:
                await _line(reader)
                return
            data = await _piece(reader, n + 2)
            add(data[:-2])
    length = int(answer.headers.get("content-length", "0"))
    if length:
        add(await _piece(reader, length))


def request(tag="", tokens=8, stream=False, prompt_tokens=16, headers=None, model=MODEL):
    """The bytes of a completion request whose answer takes `tokens` steps of the demo server."""
    body = json.dumps({"model": model, "prompt": f"say {tag}", "stream": stream,
                       "max_tokens": tokens}).encode()
    lines = ["POST /v1/completions HTTP/1.1", "Host: test", "Content-Type: application/json",
             f"Content-Length: {len(body)}", f"x-demo-output-tokens: {tokens}",
             f"x-demo-prompt-tokens: {prompt_tokens}", f"x-slo-max-tokens: {tokens}",
             "Connection: close"]
    if tag:
        lines.append(f"x-demo-tag: {tag}")
    lines += [f"{k}: {v}" for k, v in (headers or {}).items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def _reset(writer):
    s = writer.get_extra_info("socket")
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def ask(port, data, leave=None, seconds=300.0):
    """Sends data and reads the answer, or leaves as told. Never raises for what the peer does."""
    answer = Answer(began=time.monotonic())
    writer = None
    try:
        reader, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), seconds)
        writer.write(data)
        await writer.drain()

        async def read():
            await _head(reader, answer)
            await _body(reader, answer, leave)
            answer.complete = True

        limit = leave.after if leave and leave.after is not None else seconds
        await asyncio.wait_for(read(), limit)
    except Leaving:
        answer.left = True
    except asyncio.TimeoutError:
        answer.left = leave is not None and leave.after is not None
        answer.error = "" if answer.left else "no end in time"
    except (OSError, Short, ValueError, IndexError) as e:
        answer.error = repr(e)
    finally:
        answer.ended = time.monotonic()
        if writer:
            if answer.left and leave.how == "rst":
                _reset(writer)
                writer.transport.abort()
            else:
                writer.close()
    return answer


async def ask_all(port, requests, seconds=300.0):
    return await asyncio.gather(*(ask(port, r, seconds=seconds) for r in requests))
