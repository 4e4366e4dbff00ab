"""SPOP 2.0 from HAProxy's side: an encoder, a decoder and a blocking peer.

Written from the protocol, not from the agent, so that both are held against each other. The
encoder makes wrong bytes as willingly as right ones.
"""
import collections
import itertools
import socket
import struct

UNSET, HAPROXY_HELLO, HAPROXY_DISCONNECT, NOTIFY = 0, 1, 2, 3
AGENT_HELLO, AGENT_DISCONNECT, ACK = 101, 102, 103
FIN, ABORT = 1, 2
NULL, BOOL, INT32, UINT32, INT64, UINT64, IPV4, IPV6, STR, BIN = range(10)
BOOL_TRUE = 0x10

Frame = collections.namedtuple("Frame", "type flags stream_id frame_id payload")


class Raw(bytes):
    """A value that is encoded already, type and all."""


# Encoding


def varint(n):
    if n < 240:
        return bytes([n])
    out = bytearray([(n & 0x0F) | 0xF0])
    n = (n - 240) >> 4
    while n >= 128:
        out.append((n & 0x7F) | 0x80)
        n = (n - 128) >> 7
    out.append(n)
    return bytes(out)


def string(text):
    data = text.encode() if isinstance(text, str) else bytes(text)
    return varint(len(data)) + data


def value(v):
    if isinstance(v, Raw):
        return bytes(v)
    if v is None:
        return bytes([NULL])
    if isinstance(v, bool):
        return bytes([BOOL | (BOOL_TRUE if v else 0)])
    if isinstance(v, int):
        return bytes([INT64]) + varint(v & (2 ** 64 - 1))
    if isinstance(v, str):
        return bytes([STR]) + string(v)
    return bytes([BIN]) + string(v)


def pairs(values):
    return b"".join(string(name) + value(v) for name, v in values.items())


def message(name, args):
    return string(name) + bytes([len(args)]) + pairs(args)


def frame(kind, payload=b"", stream_id=0, frame_id=0, flags=FIN):
    content = (bytes([kind]) + struct.pack(">I", flags) + varint(stream_id) + varint(frame_id)
               + payload)
    return struct.pack(">I", len(content)) + content


def hello(**changes):
    """HAPROXY-HELLO; a change to None leaves the value out."""
    values = {"supported-versions": "2.0", "max-frame-size": Raw(bytes([UINT32]) + varint(16380)),
              "capabilities": "pipelining,async", "engine-id": "test"}
    values.update({k.replace("_", "-"): v for k, v in changes.items()})
    return frame(HAPROXY_HELLO, pairs({k: v for k, v in values.items() if v is not None}))


def notify(stream_id, frame_id, args, name="slo-route"):
    return frame(NOTIFY, message(name, args), stream_id, frame_id)


# Decoding


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def more(self):
        return self.at < len(self.data)

    def take(self, n):
        if n > len(self.data) - self.at:
            raise ValueError("the frame is too short")
        out = self.data[self.at:self.at + n]
        self.at += n
        return out

    def byte(self):
        return self.take(1)[0]

    def varint(self):
        n = self.byte()
        if n < 240:
            return n
        shift = 4
        while True:
            b = self.byte()
            n += b << shift
            shift += 7
            if b < 128:
                return n

    def string(self):
        return self.take(self.varint())

    def value(self):
        head = self.byte()
        kind = head & 0x0F
        if kind == NULL:
            return None
        if kind == BOOL:
            return bool(head & BOOL_TRUE)
        if kind in (INT32, UINT32, INT64, UINT64):
            return self.varint()
        if kind in (IPV4, IPV6):
            return self.take(4 if kind == IPV4 else 16)
        if kind == STR:
            return self.string().decode()
        if kind == BIN:
            return self.string()
        raise ValueError(f"value type {kind}")


def parse(content):
    """A frame without its length."""
    r = Reader(content)
    kind, flags = r.byte(), struct.unpack(">I", r.take(4))[0]
    stream_id, frame_id = r.varint(), r.varint()
    return Frame(kind, flags, stream_id, frame_id, content[r.at:])


def parse_pairs(payload):
    r, out = Reader(payload), {}
    while r.more():
        name = r.string().decode()
        out[name] = r.value()
    return out


def parse_actions(payload):
    """The variables of an ACK, all of which have to be of scope txn."""
    r, out = Reader(payload), {}
    while r.more():
        action, count, scope = r.byte(), r.byte(), r.byte()
        if (action, count, scope) != (1, 3, 2):
            raise ValueError(f"action {action} with {count} arguments, scope {scope}")
        name = r.string().decode()
        out[name] = r.value()
    return out


class Peer:
    """One connection to the agent. Nothing is sent but what a test asks for."""

    numbers = itertools.count(1)

    def __init__(self, port, seconds=120, receive_buffer=None):
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(seconds)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.name = "%s:%d" % self.socket.getsockname()
        self.data = b""

    def send(self, data):
        self.socket.sendall(data)

    def receive(self):
        """The next frame, or None when the agent has closed the connection."""
        while len(self.data) < 4 or len(self.data) < 4 + struct.unpack(">I", self.data[:4])[0]:
            try:
                more = self.socket.recv(65536)
            except ConnectionResetError:
                more = b""
            if not more:
                if self.data:
                    raise ValueError(f"the agent left {len(self.data)} bytes of a frame")
                return None
            self.data += more
        size = 4 + struct.unpack(">I", self.data[:4])[0]
        content, self.data = self.data[4:size], self.data[size:]
        return parse(content)

    def quiet(self, seconds):
        """Whether the agent sends nothing and closes nothing for so long."""
        before = self.socket.gettimeout()
        self.socket.settimeout(seconds)
        try:
            self.socket.recv(1, socket.MSG_PEEK)
            return False
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(before)

    def hello(self, **changes):
        self.send(hello(**changes))
        return self.receive()

    def ask(self, request_id, **args):
        """A NOTIFY, unanswered; its stream-id."""
        number = next(Peer.numbers)
        self.send(notify(number, 1, {"id": request_id, "path": "/v1/completions", **args}))
        return number

    def answer(self):
        """The variables of the next frame, which has to be an ACK."""
        f = self.receive()
        if f is None or f.type != ACK:
            raise ValueError(f"no ACK but {f}")
        return parse_actions(f.payload)

    def route(self, request_id, **args):
        self.ask(request_id, **args)
        return self.answer()

    def close(self):
        self.socket.close()

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
