"""HTTP clients for tests: HTTP/1.1 with keep-alive, HTTP/2 with prior knowledge; same to use.

    async with Http1(host, port) as http:           # or Http2; connects when first needed
        answer = await http.request("POST", "/v1/completions", {"x-a": "b"}, body)
        answer.status, answer.headers["content-type"], answer.body

        answer = await http.start(...)              # returns with the headers
        async for piece in answer:                  # as it comes; or await answer.read()
            ...

Header names are in lower case both ways; of repeated ones the last counts. One Http1 carries one
request at a time, one Http2 many at once.
"""
import asyncio
import json

try:
    import h2.config
    import h2.connection
    import h2.events
    import h2.exceptions
    import h2.settings
except ImportError:  # the demo does without Http2
    pass

PIECE = 65536
WINDOW = 1 << 20  # bytes that the server may send ahead, per stream


class Broken(ConnectionError):
    """The connection or the stream ended before the answer did."""


class Answer:
    def __init__(self, status, headers, pieces, drop):
        self.status, self.headers = status, headers
        self.body = b""  # what was read so far
        self._pieces, self._drop = pieces, drop

    def __aiter__(self):
        return self

    async def __anext__(self):
        piece = await self._pieces.__anext__()
        self.body += piece
        return piece

    async def read(self):
        parts = [self.body]
        async for piece in self._pieces:
            parts.append(piece)
        self.body = b"".join(parts)
        return self.body

    async def drop(self):
        """Leaves the rest unread: closes the connection, or resets the stream."""
        await self._drop()

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body[:300]!r}>"


class Client:
    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.close()

    async def request(self, method, path, headers=None, body=b""):
        answer = await self.start(method, path, headers, body)
        await answer.read()
        return answer


class Http1(Client):
    def __init__(self, host, port):
        self.host, self.port = host, port
        self.reader = self.writer = None
        self.connections = 0  # how many it took so far

    async def close(self):
        writer, self.reader, self.writer = self.writer, None, None
        if writer:
            writer.close()
            try:
                await writer.wait_closed()
            except OSError:
                pass

    async def start(self, method, path, headers=None, body=b""):
        if not self.writer:
            self.reader, self.writer = await asyncio.open_connection(self.host, self.port)
            self.connections += 1
        head = {"host": f"{self.host}:{self.port}", **(headers or {})}
        if body or method not in ("GET", "HEAD"):
            head["content-length"] = str(len(body))
        lines = [f"{method} {path} HTTP/1.1", *(f"{k}: {v}" for k, v in head.items()), "", ""]
        try:
            self.writer.write("\r\n".join(lines).encode("latin-1") + body)
            await self.writer.drain()
            status, got = await self._head()
            while status < 200:  # 100, 103: not the answer
                status, got = await self._head()
        except BaseException:  # cancelled in the middle, too: the connection is of no more use
            await self.close()
            raise
        return Answer(status, got, self._body(method, status, got), self.close)

    async def _line(self):
        line = await self.reader.readline()
        if not line.endswith(b"\n"):
            raise Broken("closed in the middle of an answer" if line else "closed without answer")
        return line.rstrip(b"\r\n").decode("latin-1")

    async def _head(self):
        version, status = (await self._line()).split(" ", 2)[:2]
        if not version.startswith("HTTP/1."):
            raise Broken(f"not HTTP/1: {version!r}")
        headers = {}
        while line := await self._line():
            name, value = line.split(":", 1)
            headers[name.strip().lower()] = value.strip()
        return int(status), headers

    async def _body(self, method, status, headers):
        """Yields the body; the connection is free for the next request at its end only."""
        whole = False
        try:
            if method == "HEAD" or status in (204, 304):
                pass
            elif headers.get("transfer-encoding", "").lower() == "chunked":
                async for piece in self._chunks():
                    yield piece
            elif "content-length" in headers:
                async for piece in self._counted(int(headers["content-length"])):
                    yield piece
            else:
                while piece := await self.reader.read(PIECE):
                    yield piece
                return
            whole = True
        finally:
            if not whole or headers.get("connection", "").lower() == "close":
                await self.close()

    async def _counted(self, left):
        while left:
            piece = await self.reader.read(min(left, PIECE))
            if not piece:
                raise Broken(f"closed {left} bytes before the end of the body")
            left -= len(piece)
            yield piece

    async def _chunks(self):
        while size := int((await self._line()).split(";")[0], 16):
            async for piece in self._counted(size):
                yield piece
            await self._line()
        while await self._line():  # trailers
            pass


class _Stream:
    def __init__(self):
        self.head = asyncio.get_running_loop().create_future()
        self.pieces = asyncio.Queue()  # bytes, None at the end, or an exception
        self.window = asyncio.Event()

    def fail(self, error):
        if not self.head.done():
            self.head.set_exception(error)
            self.head.exception()  # it is raised where it is awaited, if anywhere
        self.pieces.put_nowait(error)
        self.window.set()


class Http2(Client):
    def __init__(self, host, port):
        self.host, self.port = host, port
        self.conn = self.reader = self.writer = self.task = None
        self.opening = asyncio.Lock()
        self.streams = {}
        self.connections = 0

    async def close(self):
        task, self.task = self.task, None
        if task:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _open(self):
        if self.task and not self.task.done():
            return
        self.conn = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=True, header_encoding="utf-8"))
        self.conn.local_settings = h2.settings.Settings(client=True, initial_values={
            h2.settings.SettingCodes.ENABLE_PUSH: 0,
            h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: WINDOW,
        })
        self.reader, self.writer = await asyncio.open_connection(self.host, self.port)
        self.connections += 1
        self.conn.initiate_connection()
        self.conn.increment_flow_control_window(64 * WINDOW)
        self._flush()
        self.task = asyncio.create_task(self._read())

    def _flush(self):
        data = self.conn.data_to_send()
        if data and self.writer:
            self.writer.write(data)

    async def _read(self):
        why = "the connection was closed"
        try:
            while data := await self.reader.read(PIECE):
                for event in self.conn.receive_data(data):
                    self._event(event)
                self._flush()
        except (OSError, h2.exceptions.ProtocolError) as e:
            why = repr(e)
        finally:
            self.writer.close()
            self.writer = None
            for stream in self.streams.values():
                stream.fail(Broken(why))
            self.streams.clear()

    def _event(self, event):
        stream = self.streams.get(getattr(event, "stream_id", None))
        if isinstance(event, h2.events.DataReceived):
            # At once: the tests read all they ask for, and the buffer is our own memory.
            self.conn.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            if stream and event.data:
                stream.pieces.put_nowait(event.data)
        elif isinstance(event, h2.events.ResponseReceived):
            if stream:
                headers = dict(event.headers)
                stream.head.set_result((int(headers.pop(":status")), headers))
        elif isinstance(event, h2.events.StreamEnded):
            if stream:
                stream.pieces.put_nowait(None)
                stream.window.set()
                del self.streams[event.stream_id]
        elif isinstance(event, h2.events.StreamReset):
            if stream:
                stream.fail(Broken(f"the stream was reset, code {event.error_code}"))
                del self.streams[event.stream_id]
        elif isinstance(event, (h2.events.WindowUpdated, h2.events.RemoteSettingsChanged)):
            for waiting in self.streams.values():
                waiting.window.set()

    async def start(self, method, path, headers=None, body=b""):
        async with self.opening:
            await self._open()
        head = [(":method", method), (":scheme", "http"), (":path", path),
                (":authority", f"{self.host}:{self.port}")]
        head += [(k.lower(), str(v)) for k, v in (headers or {}).items()]
        if body or method not in ("GET", "HEAD"):
            head.append(("content-length", str(len(body))))
        stream_id = self.conn.get_next_available_stream_id()
        stream = self.streams[stream_id] = _Stream()
        self.conn.send_headers(stream_id, head, end_stream=not body)
        self._flush()
        try:
            await self._send(stream_id, stream, body)
            status, got = await stream.head
        except asyncio.CancelledError:
            await self._reset(stream_id)
            raise
        return Answer(status, got, self._body(stream), lambda: self._reset(stream_id))

    async def _send(self, stream_id, stream, body):
        sent = 0
        while sent < len(body) and stream_id in self.streams:
            room = min(self.conn.local_flow_control_window(stream_id),
                       self.conn.max_outbound_frame_size, len(body) - sent)
            if room <= 0:  # the server may take back what it allowed
                stream.window.clear()
                await stream.window.wait()
                continue
            self.conn.send_data(stream_id, body[sent:sent + room],
                                end_stream=sent + room == len(body))
            sent += room
            self._flush()

    async def _body(self, stream):
        while (piece := await stream.pieces.get()) is not None:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    async def _reset(self, stream_id):
        stream = self.streams.pop(stream_id, None)
        if stream and self.writer:
            self.conn.reset_stream(stream_id, 8)  # CANCEL
            self._flush()
            stream.fail(Broken("reset by ourselves"))
