"""The sync client over HTTP: a connection for each request that runs, and a few kept for the next ones."""

from __future__ import annotations

import socket
import threading
from typing import Any, List, Mapping, Optional, Tuple

from . import _http, _requests, types
from ._clock import Deadline
from ._http_stream import HttpPieces
from ._requests import Request
from .errors import SluiceError, client_closed, connection_lost, from_http, not_connected, protocol_broken


def connect(address: Tuple[str, int], deadline: Deadline) -> socket.socket:
    """Raises TransportError, DeadlineExceededError."""
    seconds = deadline.left_at_most(_http.CONNECT_SECONDS)
    try:
        connection = socket.create_connection(address, seconds)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection
    except OSError as failed:
        raise not_connected(f"Could not connect to {_http.host_header(address)}: {failed}") from failed


class _Exchange:
    """One request and its response on a connection. Closes it unless the response is read to its end."""

    def __init__(self, transport: HttpTransport, connection: socket.socket, deadline: Deadline) -> None:
        self.parser = _http.ResponseParser()
        self._transport = transport
        self._connection = connection
        self._deadline = deadline

    def send(self, data: bytes) -> bytes:
        """Sends the request and reads to the end of the response's head; the body's bytes that came with it."""
        try:
            self._connection.settimeout(self._deadline.left())
            self._connection.sendall(data)
        except socket.timeout:
            self.close()
            raise self._deadline.exceeded() from None
        except OSError:
            pass  # a server that refuses a request before it has read it may have said why
        body = b""
        while not self.parser.has_head:
            body = self.receive()
        return body

    def receive(self) -> bytes:
        """Some of the body. Only before the response is done."""
        try:
            self._connection.settimeout(self._deadline.left())
            data = self._connection.recv(_http.RECEIVE_BYTES)
            if data:
                return self.parser.feed(data)
            self.parser.feed_eof()
            return b""
        except socket.timeout:
            self.close()
            raise self._deadline.exceeded() from None
        except OSError as failed:
            self.close()
            raise connection_lost(f"The connection broke: {failed}", retryable=not self.parser.received) from failed
        except SluiceError:
            self.close()
            raise

    def finish(self) -> None:
        """The response is done: its connection may carry another one."""
        if self.parser.done and self.parser.reusable:
            self._transport.keep(self._connection)
        else:
            self.close()

    def close(self) -> None:
        try:
            self._connection.shutdown(socket.SHUT_RDWR)  # wakes a thread that waits for more
        except OSError:
            pass  # it is not connected any more
        self._connection.close()


class HttpSource:
    """A stream; see Stream."""

    def __init__(self, exchange: _Exchange, first: bytes) -> None:
        self._exchange = exchange
        self._pieces = HttpPieces(exchange.parser.headers)
        self._first = first
        self._closed = False

    @property
    def request_id(self) -> Optional[str]:
        return self._pieces.about.request_id

    @property
    def trailer(self) -> Optional[types.Trailer]:
        return self._pieces.trailer if self._closed and not self._pieces.deltas else None

    def next(self) -> Optional[types.Delta]:
        try:
            while not self._pieces.deltas:
                if self._closed:
                    return None
                if self._pieces.error is not None:
                    raise self._pieces.error
                self._read()
            return self._pieces.deltas.popleft()
        except BaseException:
            self.close()
            raise

    def _read(self) -> None:
        parser = self._exchange.parser
        body, self._first = self._first, b""
        if not body and not parser.done:
            body = self._exchange.receive()
        self._pieces.feed(body)
        if parser.done:
            self._pieces.feed_end()
        if parser.done and self._pieces.error is None:
            self._closed = True
            self._exchange.finish()

    def close(self) -> None:
        """The server sees the connection end, and stops."""
        self._pieces.deltas.clear()
        if not self._closed:
            self._closed = True
            self._exchange.close()

    abandon = close


class HttpTransport:
    """Thread-safe."""

    def __init__(self, address: Tuple[str, int], api_key: Optional[str]) -> None:
        self._address = address
        self._api_key = api_key
        self._host = _http.host_header(address)
        self._lock = threading.Lock()
        self._idle: List[socket.socket] = []
        self._closed = False

    def call(self, request: Request, deadline: Deadline) -> Tuple[Any, types.About]:
        status, headers, body = self._exchange(request, deadline)
        if status != 200:
            raise from_http(status, headers, body)
        return body, types.about_from_headers(headers)

    def stream(self, request: Request, deadline: Deadline) -> HttpSource:
        exchange, first = self._begin(request, deadline)
        if exchange.parser.status == 200:
            if not exchange.parser.headers.get("content-type", "").startswith("text/event-stream"):
                exchange.close()
                raise protocol_broken("The server answered a stream with something else.")
            return HttpSource(exchange, first)
        body = self._read_body(exchange, first)
        raise from_http(exchange.parser.status, exchange.parser.headers, body)

    def status(self, options: Optional[types.RequestOptions], deadline: Deadline) -> types.Status:
        ready, version, models = _requests.requests_of_http_status(options)
        # /ready says by 503 why it is not.
        status, headers, readiness = self._exchange(ready, deadline)
        if status not in (200, 503) or not isinstance(readiness, dict):
            raise from_http(status, headers, readiness)
        return types.status_from_http(readiness, self.call(version, deadline)[0], self.call(models, deadline)[0])

    def keep(self, connection: socket.socket) -> None:
        """For another request."""
        with self._lock:
            if not self._closed and len(self._idle) < _http.IDLE_CONNECTIONS_MAX:
                self._idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _exchange(self, request: Request, deadline: Deadline) -> Tuple[int, Mapping[str, str], Any]:
        exchange, first = self._begin(request, deadline)
        body = self._read_body(exchange, first)
        return exchange.parser.status, exchange.parser.headers, body

    def _begin(self, request: Request, deadline: Deadline) -> Tuple[_Exchange, bytes]:
        data = _requests.http_bytes(request, self._host, self._api_key, deadline.left())
        exchange = _Exchange(self, self._take() or connect(self._address, deadline), deadline)
        try:
            return exchange, exchange.send(data)
        except BaseException:
            exchange.close()
            raise

    def _read_body(self, exchange: _Exchange, first: bytes) -> Any:
        try:
            pieces = [first]
            size = len(first)
            while not exchange.parser.done:
                pieces.append(exchange.receive())
                size += len(pieces[-1])
                if size > _http.ANSWER_BYTES_MAX:
                    raise protocol_broken(f"The answer has more than {_http.ANSWER_BYTES_MAX} bytes.")
            body = _http.parsed_body(b"".join(pieces))
            exchange.finish()
            return body
        except BaseException:
            exchange.close()
            raise

    def _take(self) -> Optional[socket.socket]:
        """A connection that was kept and is still open."""
        while True:
            with self._lock:
                if self._closed:
                    raise client_closed()
                if not self._idle:
                    return None
                connection = self._idle.pop()
            # Between two answers nothing comes, but the end.
            try:
                connection.settimeout(0)
                connection.recv(1)
            except (BlockingIOError, InterruptedError):
                return connection
            except OSError:
                pass
            connection.close()
