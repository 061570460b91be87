"""The async client over Sluice RPC: one connection for all tasks, read by a task of its own."""

from __future__ import annotations

import asyncio
from typing import Any, Dict, List, Optional, Tuple, Union

from . import _requests, types
from ._async_http import connect
from ._clock import Clock, Deadline, within
from ._http import RECEIVE_BYTES
from ._requests import Request
from ._session import HANDSHAKE_SECONDS, TICK_SECONDS, WRITE_SECONDS, Call, HelloOptions, NotUsable, Session
from .errors import SluiceError, client_closed, connection_lost


class AsyncSrpConnection:
    """Everything runs on the event loop, so the session needs no lock."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, options: HelloOptions, clock: Clock
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._place = asyncio.Event()  # set when a request has ended, for whoever waits for its place
        self._session = Session(options, clock.now())
        self._reading: Optional[asyncio.Task[None]] = None

    @property
    def usable(self) -> bool:
        return self._session.usable

    @property
    def is_closed(self) -> bool:
        return self._session.closed

    async def open(self, deadline: Deadline) -> None:
        """The handshake. Raises SluiceError."""
        try:
            self._flush()
            while self._session.welcome is None and not self._session.closed:
                left = deadline.left_at_most(HANDSHAKE_SECONDS)
                self._feed(await within(left, self._reader.read(RECEIVE_BYTES)))
            self._flush()
            if self._session.error is not None:
                raise self._session.error
        except asyncio.TimeoutError:
            self._writer.close()
            deadline.left()
            raise connection_lost("The server did not say hello in time.", retryable=True) from None
        except OSError as failed:
            self._writer.close()
            raise connection_lost(f"The connection broke: {failed}", retryable=True) from failed
        except BaseException:
            self._writer.close()
            raise
        self._reading = asyncio.create_task(self._read())

    async def start(self, request: Request, deadline: Deadline) -> Tuple[Call, asyncio.Event]:
        """Raises NotUsable; ValueError for a request that cannot be sent."""
        while self._session.usable and self._session.is_full:
            self._place.clear()
            await self._clock.wait_async(self._place, deadline.left())
        if not self._session.usable:
            raise NotUsable
        changed = asyncio.Event()
        meta = _requests.rpc_meta(request.options, deadline.left())
        call = self._session.start(request.method.rpc, request.params, meta, changed.set)
        self._flush()
        try:
            await within(deadline.left_at_most(WRITE_SECONDS), self._writer.drain())
        except asyncio.TimeoutError:
            if not deadline.allows(0):
                self.cancel(call)
                raise deadline.exceeded() from None
            self.close(connection_lost("The server has taken nothing for too long.", retryable=True))
        except OSError as failed:
            self.close(connection_lost(f"The connection broke: {failed}", retryable=True))
        except BaseException:
            self.cancel(call)
            raise
        return call, changed

    async def wait(self, call: Call, changed: asyncio.Event, deadline: Deadline) -> None:
        """Until the call has an item or has ended. Cancels it when that does not come in time."""
        try:
            while not call.items and not call.ended:
                changed.clear()
                await self._clock.wait_async(changed, deadline.left())
        except BaseException:
            self.cancel(call)
            raise

    def take_item(self, call: Call) -> Dict[str, Any]:
        item = self._session.take_item(call)
        self._flush()
        return item

    def cancel(self, call: Call) -> None:
        self._session.cancel(call)
        self._flush()

    def abandon(self, call: Call) -> None:
        """As cancel, when the loop comes to it: the garbage collector may run in the middle of anything."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.cancel, call)

    def close(self, error: SluiceError) -> None:
        self._session.close(error)
        self._place.set()
        if self._reading is not None:
            self._reading.cancel()
        self._writer.close()

    async def closed(self) -> None:
        """Until nothing of it runs any more."""
        if self._reading is not None:
            await asyncio.gather(self._reading, return_exceptions=True)

    def _feed(self, data: bytes) -> None:
        if data:
            self._session.feed(data, self._clock.now())
        else:
            self._session.feed_eof()

    async def _read(self) -> None:
        ticking = asyncio.create_task(self._tick())
        try:
            while not self._session.closed and not self._session.is_done:
                self._feed(await self._reader.read(RECEIVE_BYTES))
                self._flush()
                self._place.set()
        except OSError as failed:
            self._session.close(connection_lost(f"The connection broke: {failed}", retryable=True))
        finally:
            ticking.cancel()
            await asyncio.gather(ticking, return_exceptions=True)
            self._session.close(
                connection_lost("The server takes no more requests on this connection.", retryable=True)
            )
            self._place.set()
            self._writer.close()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self._session.tick(self._clock.now())
            self._flush()
            if self._session.closed:
                self._writer.close()  # wakes the reader
                return

    def _flush(self) -> None:
        """What is written here is bounded by what the server allows: requests in flight, and answers to it."""
        data = self._session.take_output()
        if data and not self._writer.is_closing():
            self._writer.write(data)


class AsyncSrpSource:
    """A stream; see AsyncStream. Has its first item, or its end, when it is made."""

    def __init__(self, connection: AsyncSrpConnection, call: Call, changed: asyncio.Event, deadline: Deadline) -> None:
        self.trailer: Optional[types.Trailer] = None
        self.request_id: Optional[str] = None
        self._connection = connection
        self._call = call
        self._changed = changed
        self._deadline = deadline
        self._closed = False

    async def next(self) -> Optional[types.Delta]:
        if self._closed:
            return None
        try:
            await self._connection.wait(self._call, self._changed, self._deadline)
            if self._call.items:
                return types.delta_from_item(self._connection.take_item(self._call))
            self._closed = True
            if self._call.error is not None:
                self.request_id = self._call.error.request_id
                raise self._call.error
            self.trailer = types.trailer_from(self._call.result, types.about_from_rpc(self._call.about))
            self.request_id = self.trailer.about.request_id
            return None
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._closed = True
        self._connection.cancel(self._call)

    def abandon(self) -> None:
        if not self._closed:
            self._connection.abandon(self._call)


class AsyncSrpTransport:
    """For one event loop. Connects when it is first used, and again after the connection was lost or the server has
    said goodbye; what still runs on an old one goes on there."""

    def __init__(self, address: Tuple[str, int], options: HelloOptions, clock: Clock) -> None:
        self._address = address
        self._options = options
        self._clock = clock
        self._connecting: Optional[asyncio.Task[Union[AsyncSrpConnection, SluiceError]]] = None
        self._connection: Optional[AsyncSrpConnection] = None
        self._leaving: List[AsyncSrpConnection] = []  # which the server has said goodbye to, with requests that go on
        self._closed = False

    async def call(self, request: Request, deadline: Deadline) -> Tuple[Any, types.About]:
        connection, call, changed = await self._start(request, deadline)
        await connection.wait(call, changed, deadline)
        if call.error is not None:
            raise call.error
        return call.result, types.about_from_rpc(call.about)

    async def stream(self, request: Request, deadline: Deadline) -> AsyncSrpSource:
        connection, call, changed = await self._start(request, deadline)
        await connection.wait(call, changed, deadline)
        if call.error is not None and not call.items:
            raise call.error
        return AsyncSrpSource(connection, call, changed, deadline)

    async def status(self, options: Optional[types.RequestOptions], deadline: Deadline) -> types.Status:
        body, _ = await self.call(Request(_requests.STATUS, {}, options or types.RequestOptions()), deadline)
        return types.status_from_rpc(body)

    async def close(self) -> None:
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        connections = self._leaving + ([self._connection] if self._connection else [])
        self._connection = None
        self._leaving = []
        for connection in connections:
            connection.close(client_closed())
            await connection.closed()

    async def _start(self, request: Request, deadline: Deadline) -> Tuple[AsyncSrpConnection, Call, asyncio.Event]:
        while True:
            connection = await self._usable(deadline)
            try:
                return (connection, *await connection.start(request, deadline))
            except NotUsable:
                continue

    async def _usable(self, deadline: Deadline) -> AsyncSrpConnection:
        found = self._current()
        if found is not None:
            return found
        # One task connects for all who wait, and goes on if the one that has begun it gives up.
        if self._connecting is None or self._connecting.done():
            self._connecting = asyncio.create_task(self._connect())
        connecting = self._connecting
        await asyncio.wait({connecting}, timeout=deadline.left())
        if not connecting.done():
            raise deadline.exceeded()
        if connecting.cancelled():
            raise client_closed()
        made = connecting.result()
        if isinstance(made, SluiceError):
            raise made.again()
        return made

    async def _connect(self) -> Union[AsyncSrpConnection, SluiceError]:
        own = Deadline(self._clock, None)  # connecting has limits of its own
        try:
            made = AsyncSrpConnection(*await connect(self._address, own), self._options, self._clock)
            await made.open(own)
        except SluiceError as error:
            return error
        if self._connection is not None:
            self._leaving.append(self._connection)
        self._leaving = [old for old in self._leaving if not old.is_closed]
        self._connection = made
        return made

    def _current(self) -> Optional[AsyncSrpConnection]:
        if self._closed:
            raise client_closed()
        return self._connection if self._connection is not None and self._connection.usable else None
