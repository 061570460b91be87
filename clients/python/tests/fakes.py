"""Servers that follow a script, over both protocols, and time and blocking faces for the tests. START HERE.

A script is a function that gets the server's side of one connection: it says what it expects and what it answers. What
it does not find as expected fails the test. A server takes as many connections as it has scripts, in their order.
"""

import asyncio
import contextlib
import inspect
import json
import queue
import socket
import struct
import threading

import msgpack

from sluice_client import AsyncClient, Client, Clock

# No test waits for this; it ends those that would hang.
GUARD_SECONDS = 60

PREFACE = b"\xc1SRP\x01\x00\x00\x00"
REQUEST, RESPONSE, NOTIFY, ITEM, END, CANCEL, CREDIT, PING, PONG, GOAWAY, HELLO, WELCOME, FATAL = range(13)
WELCOMING = {
    "server": "fake/1",
    "version": "1.0",
    "session": "s1",
    "features": [],
    "max_frame": 1 << 20,
    "max_inflight": 256,
    "ping_ms": 15000,
    "models": ["m"],
    "time_ms": 0,
}
USAGE = {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}
TRAILER = {"usage": USAGE, "id": "cmpl-1", "model": "m", "system_fingerprint": "fp_1", "request_id": "req-1"}
COMPLETION = {
    "id": "cmpl-1",
    "object": "text_completion",
    "created": 1700000000,
    "model": "m",
    "system_fingerprint": "fp_1",
    "choices": [{"index": 0, "text": "abc", "logprobs": None, "finish_reason": "length", "stop_reason": None}],
    "usage": USAGE,
}
OVERLOADED = {
    "code": "overloaded",
    "type": "rate_limit_error",
    "message": "Too much is waiting.",
    "param": None,
    "http": 429,
    "retryable": True,
    "retry_after_ms": 1500,
    "request_id": "req-7",
}


class Closed(Exception):
    """The client has closed the connection."""


class Peer:
    """The server's side of one connection."""

    def __init__(self, connection):
        self.connection = connection
        self.connection.settimeout(GUARD_SECONDS)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def read(self, size):
        while len(self.buffer) < size:
            self._receive()
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def read_until(self, end):
        while end not in self.buffer:
            self._receive()
        data, _, self.buffer = self.buffer.partition(end)
        return data + end

    def _receive(self):
        try:
            data = self.connection.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            raise Closed
        self.buffer += data

    def send(self, data):
        self.connection.sendall(data)

    def expect_close(self):
        """The client leaves, and says nothing more."""
        with contextlib.suppress(Closed):
            self._receive()
            raise AssertionError(f"the client says {self.buffer!r} instead of leaving")

    def reset(self):
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        self.connection.close()


class RpcPeer(Peer):
    """Strict: it keeps account of the credit it was given and of the requests that run."""

    def __init__(self, connection):
        super().__init__(connection)
        self.hello = None
        self.window = 1 << 20
        self.credit = {}
        self.next_seq = {}
        self.last_id = 0

    # --- what the client says ---

    def handshake(self, **welcome):
        assert self.read(8) == PREFACE
        self.send(PREFACE)
        self.hello = self.message(HELLO)[1]
        assert self.hello["max_frame"] >= 4096
        self.say(WELCOME, dict(WELCOMING, **welcome))
        return self

    def message(self, *kinds):
        """The next message, which must be of one of the kinds. Credit is taken in on the way."""
        while True:
            (length,) = struct.unpack(">I", self.read(4))
            payload = self.read(length)
            message = msgpack.unpackb(payload, strict_map_key=True)
            assert msgpack.packb(message) == payload, "not the shortest form"
            if message[0] == CREDIT:
                self._take_credit(message)
                if CREDIT not in kinds:
                    continue
            assert message[0] in kinds, f"expected one of {kinds}, got {message}"
            return message

    def _take_credit(self, message):
        kind, number, more = message
        assert more > 0
        if number == 0:
            self.window += more
            assert self.window <= 2**31
        elif number in self.credit:
            self.credit[number] += more
            assert self.credit[number] <= self.hello["stream_credit"], "more credit than was consumed"

    def request(self):
        """The next request, as its five elements."""
        message = self.message(REQUEST)
        assert len(message) in (4, 5)
        kind, number, method, params = message[:4]
        assert number > self.last_id, "ids ascend"
        self.last_id = number
        self.credit[number] = self.hello["stream_credit"]
        self.next_seq[number] = 0
        return number, method, params, message[4] if len(message) == 5 else {}

    def wait_for_credit(self, number):
        while self.credit[number] == 0:
            self.message(CREDIT)

    def expect_close(self):
        with contextlib.suppress(Closed):
            self.message()

    # --- what the server says ---

    def say(self, *message):
        payload = msgpack.packb(list(message))
        self.send(struct.pack(">I", len(payload)) + payload)

    def item(self, number, text, **more):
        assert self.credit[number] > 0, "no credit: a server would wait"
        assert self.window > 0
        message = [ITEM, number, self.next_seq[number], {"c": 0, "t": text, "k": [ord(each) for each in text], **more}]
        self.credit[number] -= 1
        self.window -= 4 + len(msgpack.packb(message))
        self.next_seq[number] += 1
        self.say(*message)

    def end(self, number, error=None, trailer=TRAILER):
        del self.credit[number]
        self.say(END, number, error, {} if error else trailer)

    def respond(self, number, result=COMPLETION, error=None, **about):
        del self.credit[number]
        about = {"request_id": "req-1", **about}
        self.say(RESPONSE, number, error, None if error else result, *([] if error else [about]))

    def stream(self, number, text):
        """A whole answer, a character an item."""
        for index, character in enumerate(text):
            last = {"f": "length"} if index == len(text) - 1 else {}
            self.wait_for_credit(number)
            self.item(number, character, **last)
        self.end(number)


class HttpPeer(Peer):
    def request(self):
        """(verb, path, headers, parsed body)"""
        lines = self.read_until(b"\r\n\r\n").decode("ascii").split("\r\n")
        verb, path, version = lines[0].split(" ")
        assert version == "HTTP/1.1"
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:-2])}
        assert headers["host"] == "%s:%d" % self.connection.getsockname()
        body = self.read(int(headers.get("content-length", 0)))
        return verb, path, headers, json.loads(body) if body else None

    def respond(self, body=COMPLETION, status=200, **headers):
        data = json.dumps(body).encode()
        lines = [f"HTTP/1.1 {status} Because", "Content-Type: application/json", f"Content-Length: {len(data)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in {"X_Request_Id": "req-1", **headers}.items()]
        self.send("\r\n".join([*lines, "", ""]).encode() + data)

    def begin_stream(self, **headers):
        lines = ["HTTP/1.1 200 OK", "Content-Type: text/event-stream; charset=utf-8", "Transfer-Encoding: chunked"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in {"X_Request_Id": "req-1", **headers}.items()]
        self.send("\r\n".join([*lines, "", ""]).encode())

    def event(self, event):
        data = b"data: " + (event if isinstance(event, bytes) else json.dumps(event).encode()) + b"\n\n"
        self.send(b"%x\r\n%s\r\n" % (len(data), data))

    def item(self, text, finish_reason=None):
        choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish_reason, "stop_reason": None}
        self.event({"id": "cmpl-1", "model": "m", "system_fingerprint": "fp_1", "choices": [choice], "usage": None})

    def end_stream(self):
        self.event(b"[DONE]")
        self.send(b"0\r\n\r\n")

    def stream(self, text):
        """A whole answer, a character an event."""
        self.begin_stream()
        for index, character in enumerate(text):
            self.item(character, "length" if index == len(text) - 1 else None)
        self.event({"id": "cmpl-1", "model": "m", "system_fingerprint": "fp_1", "choices": [], "usage": USAGE})
        self.end_stream()


class Server:
    """Listens on a port of the system's choice. `join` waits for the scripts, and fails if one of them did."""

    def __init__(self, scheme, *scripts):
        self.failures = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"{scheme}://127.0.0.1:{self.listener.getsockname()[1]}"
        self.peer_class = {"http": HttpPeer, "srp": RpcPeer}[scheme]
        self.threads = []
        self.scripts = queue.Queue()
        for script in scripts:
            self.scripts.put(script)
        self.accepting = threading.Thread(target=self._accept, daemon=True)
        self.accepting.start()

    def _accept(self):
        while not self.scripts.empty():
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return  # the test is over, and did not need all scripts; join says so
            script = self.scripts.get()
            thread = threading.Thread(target=self._run, args=(script, connection), daemon=True)
            self.threads.append(thread)
            thread.start()
        self.listener.close()

    def _run(self, script, connection):
        try:
            with connection:
                script(self.peer_class(connection))
                # What was said last must arrive: a socket that is closed with unread bytes takes it back.
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(65536):
                        pass
        except Exception as failure:  # it has to reach the test
            self.failures.append(failure)

    def join(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.accepting.join(GUARD_SECONDS)
        for thread in self.threads:
            thread.join(GUARD_SECONDS)
            assert not thread.is_alive(), "a script did not come to its end"
        if self.failures:
            raise self.failures[0]
        assert self.scripts.empty(), "not every script had its connection"


class FakeClock(Clock):
    """Time stands still, but for sleeps, which take no time, and for `advance`.

    sleeps   how long each sleep was
    expires  whoever waits, waits until his deadline
    """

    def __init__(self):
        self.time = 1000.0
        self.sleeps = []
        self.expires = False

    def now(self):
        return self.time

    def advance(self, seconds):
        self.time += seconds

    def sleep(self, seconds):
        self.sleeps.append(seconds)
        self.time += seconds

    async def sleep_async(self, seconds):
        self.sleep(seconds)

    def wait(self, condition, seconds):
        if self.expires:
            self.time += seconds
        else:
            assert condition.wait(GUARD_SECONDS), "nothing happened"

    async def wait_async(self, event, seconds):
        if self.expires:
            self.time += seconds
        else:
            await asyncio.wait_for(event.wait(), GUARD_SECONDS)


class Blocking:
    """An AsyncClient, or what it has given, as if it were the other kind: the same tests serve both."""

    def __init__(self, target, loop):
        self._target = target
        self._loop = loop

    def __getattr__(self, name):
        value = getattr(self._target, name)
        if inspect.iscoroutinefunction(value):
            return lambda *args, **more: self._wrap(self._loop.run_until_complete(value(*args, **more)))
        return self._wrap(value)

    def _wrap(self, value):
        own = type(value).__module__ == "sluice_client.async_client"
        return Blocking(value, self._loop) if own else value

    def __iter__(self):
        return self

    def __next__(self):
        try:
            return self._loop.run_until_complete(self._target.__anext__())
        except StopAsyncIteration:
            raise StopIteration from None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


@contextlib.contextmanager
def blocking_client(kind, url, **options):
    """A client of the kind "sync" or "async"."""
    if kind == "sync":
        with Client(url, **options) as client:
            yield client
        return
    loop = asyncio.new_event_loop()
    try:

        async def make():
            return AsyncClient(url, **options)

        with Blocking(loop.run_until_complete(make()), loop) as client:
            yield client
        assert not asyncio.all_tasks(loop), "a client that is closed leaves nothing behind"
    finally:
        loop.close()
