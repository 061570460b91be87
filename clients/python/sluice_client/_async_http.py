"""The async client over HTTP: a connection for each request that runs, and a few kept for the next ones."""

from __future__ import annotations

import asyncio
from typing import Any, Coroutine, List, Mapping, Optional, Tuple, TypeVar

from . import _http, _requests, types
from ._clock import Deadline, within
from ._http_stream import HttpPieces
from ._requests import Request
from .errors import SluiceError, client_closed, connection_lost, from_http, not_connected, protocol_broken

T = TypeVar("T")
Connection = Tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def connect(address: Tuple[str, int], deadline: Deadline) -> Connection:
    """Raises TransportError, DeadlineExceededError."""
    try:
        return await within(deadline.left_at_most(_http.CONNECT_SECONDS), asyncio.open_connection(*address))
    except (OSError, asyncio.TimeoutError) as failed:
        reason = str(failed) or "timed out"
        raise not_connected(f"Could not connect to {_http.host_header(address)}: {reason}") from failed


class _Exchange:
    """One request and its response on a connection. Closes it unless the response is read to its end."""

    def __init__(self, transport: AsyncHttpTransport, connection: Connection, deadline: Deadline) -> None:
        self.parser = _http.ResponseParser()
        self._transport = transport
        self._connection = connection
        self._deadline = deadline

    async def send(self, data: bytes) -> bytes:
        """Sends the request and reads to the end of the response's head; the body's bytes that came with it."""
        _, writer = self._connection
        try:
            writer.write(data)
            await self._in_time(writer.drain())
        except OSError:
            pass  # a server that refuses a request before it has read it may have said why
        body = b""
        while not self.parser.has_head:
            body = await self.receive()
        return body

    async def receive(self) -> bytes:
        """Some of the body. Only before the response is done."""
        reader, _ = self._connection
        try:
            data = await self._in_time(reader.read(_http.RECEIVE_BYTES))
            if data:
                return self.parser.feed(data)
            self.parser.feed_eof()
            return b""
        except OSError as failed:
            self.close()
            raise connection_lost(f"The connection broke: {failed}", retryable=not self.parser.received) from failed
        except SluiceError:
            self.close()
            raise

    async def _in_time(self, what: Coroutine[Any, Any, T]) -> T:
        try:
            left = self._deadline.left()
        except SluiceError:
            what.close()
            raise
        try:
            return await within(left, what)
        except asyncio.TimeoutError:
            raise self._deadline.exceeded() from None

    def finish(self) -> None:
        """The response is done: its connection may carry another one."""
        if self.parser.done and self.parser.reusable:
            self._transport.keep(self._connection)
        else:
            self.close()

    def close(self) -> None:
        self._connection[1].close()


class AsyncHttpSource:
    """A stream; see AsyncStream."""

    def __init__(self, exchange: _Exchange, first: bytes) -> None:
        self._exchange = exchange
        self._pieces = HttpPieces(exchange.parser.headers)
        self._first = first
        self._closed = False
        self._loop = asyncio.get_running_loop()

    @property
    def request_id(self) -> Optional[str]:
        return self._pieces.about.request_id

    @property
    def trailer(self) -> Optional[types.Trailer]:
        return self._pieces.trailer if self._closed and not self._pieces.deltas else None

    async def next(self) -> Optional[types.Delta]:
        try:
            while not self._pieces.deltas:
                if self._closed:
                    return None
                if self._pieces.error is not None:
                    raise self._pieces.error
                await self._read()
            return self._pieces.deltas.popleft()
        except BaseException:
            self.close()
            raise

    async def _read(self) -> None:
        parser = self._exchange.parser
        body, self._first = self._first, b""
        if not body and not parser.done:
            body = await self._exchange.receive()
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

    def abandon(self) -> None:
        if not self._closed and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.close)


class AsyncHttpTransport:
    """For one event loop."""

    def __init__(self, address: Tuple[str, int], api_key: Optional[str]) -> None:
        self._address = address
        self._api_key = api_key
        self._host = _http.host_header(address)
        self._idle: List[Connection] = []
        self._closed = False

    async def call(self, request: Request, deadline: Deadline) -> Tuple[Any, types.About]:
        status, headers, body = await self._exchange(request, deadline)
        if status != 200:
            raise from_http(status, headers, body)
        return body, types.about_from_headers(headers)

    async def stream(self, request: Request, deadline: Deadline) -> AsyncHttpSource:
        exchange, first = await self._begin(request, deadline)
        if exchange.parser.status == 200:
            if not exchange.parser.headers.get("content-type", "").startswith("text/event-stream"):
                exchange.close()
                raise protocol_broken("The server answered a stream with something else.")
            return AsyncHttpSource(exchange, first)
        body = await self._read_body(exchange, first)
        raise from_http(exchange.parser.status, exchange.parser.headers, body)

    async def status(self, options: Optional[types.RequestOptions], deadline: Deadline) -> types.Status:
        ready, version, models = _requests.requests_of_http_status(options)
        # /ready says by 503 why it is not.
        status, headers, readiness = await self._exchange(ready, deadline)
        if status not in (200, 503) or not isinstance(readiness, dict):
            raise from_http(status, headers, readiness)
        told = await self.call(version, deadline), await self.call(models, deadline)
        return types.status_from_http(readiness, told[0][0], told[1][0])

    def keep(self, connection: Connection) -> None:
        """For another request."""
        if not self._closed and len(self._idle) < _http.IDLE_CONNECTIONS_MAX:
            self._idle.append(connection)
        else:
            connection[1].close()

    async def close(self) -> None:
        self._closed = True
        idle, self._idle = self._idle, []
        for _, writer in idle:
            writer.close()

    async def _exchange(self, request: Request, deadline: Deadline) -> Tuple[int, Mapping[str, str], Any]:
        exchange, first = await self._begin(request, deadline)
        body = await self._read_body(exchange, first)
        return exchange.parser.status, exchange.parser.headers, body

    async def _begin(self, request: Request, deadline: Deadline) -> Tuple[_Exchange, bytes]:
        data = _requests.http_bytes(request, self._host, self._api_key, deadline.left())
        exchange = _Exchange(self, self._take() or await connect(self._address, deadline), deadline)
        try:
            return exchange, await exchange.send(data)
        except BaseException:
            exchange.close()
            raise

    async def _read_body(self, exchange: _Exchange, first: bytes) -> Any:
        try:
            pieces = [first]
            size = len(first)
            while not exchange.parser.done:
                pieces.append(await exchange.receive())
                size += len(pieces[-1])
                if size > _http.ANSWER_BYTES_MAX:
                    raise protocol_broken(f"The answer has more than {_http.ANSWER_BYTES_MAX} bytes.")
            body = _http.parsed_body(b"".join(pieces))
            exchange.finish()
            return body
        except BaseException:
            exchange.close()
            raise

    def _take(self) -> Optional[Connection]:
        """A connection that was kept and is still open."""
        if self._closed:
            raise client_closed()
        while self._idle:
            reader, writer = self._idle.pop()
            # Between two answers nothing comes, but the end.
            if not reader.at_eof() and not writer.is_closing():
                return reader, writer
            writer.close()
        return None
