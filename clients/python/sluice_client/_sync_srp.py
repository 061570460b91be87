"""The sync client over Sluice RPC: one connection for all threads, read by a thread of its own."""

from __future__ import annotations

import socket
import threading
from collections import deque
from typing import Any, Deque, Dict, List, Optional, Tuple

from . import _requests, types
from ._clock import Clock, Deadline
from ._http import RECEIVE_BYTES
from ._requests import Request
from ._session import HANDSHAKE_SECONDS, TICK_SECONDS, WRITE_SECONDS, Call, HelloOptions, NotUsable, Session
from ._sync_http import connect
from .errors import SluiceError, client_closed, connection_lost


class SrpConnection:
    """`_lock` guards the session. Whoever has made it say something sends what it says, or leaves that to the thread
    which is sending already."""

    def __init__(self, address: Tuple[str, int], options: HelloOptions, clock: Clock, deadline: Deadline) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._place = threading.Condition(self._lock)  # whoever waits for another request to end
        self._sending = False
        self._sent = threading.Condition(self._lock)  # whoever waits for the end of that
        # Streams that were dropped without being closed. Their end may run anywhere, also in a thread that holds the
        # lock, so it only puts them here.
        self._abandoned: Deque[Call] = deque()
        self._socket = connect(address, deadline)
        self._session = Session(options, clock.now())
        try:
            self._shake_hands(deadline)
            # The same connection with a time-out of its own: one thread may send while another reads.
            self._outgoing = self._socket.dup()
            self._outgoing.settimeout(WRITE_SECONDS)
        except BaseException:
            self._socket.close()
            raise
        self._socket.settimeout(TICK_SECONDS)
        threading.Thread(target=self._read, name="sluice-client", daemon=True).start()

    @property
    def usable(self) -> bool:
        with self._lock:
            return self._session.usable

    @property
    def is_closed(self) -> bool:
        with self._lock:
            return self._session.closed

    def start(self, request: Request, deadline: Deadline) -> Tuple[Call, threading.Condition]:
        """Raises NotUsable; ValueError for a request that cannot be sent."""
        changed = threading.Condition(self._lock)
        with self._lock:
            self._cancel_abandoned()
            while self._session.usable and self._session.is_full:
                self._clock.wait(self._place, deadline.left())
            if not self._session.usable:
                raise NotUsable
            meta = _requests.rpc_meta(request.options, deadline.left())
            call = self._session.start(request.method.rpc, request.params, meta, changed.notify_all)
        self._flush()
        return call, changed

    def wait(self, call: Call, changed: threading.Condition, deadline: Deadline) -> None:
        """Until the call has an item or has ended. Cancels it when that does not come in time."""
        try:
            with self._lock:
                while not call.items and not call.ended:
                    self._clock.wait(changed, deadline.left())
        except BaseException:
            self.cancel(call)
            raise

    def take_item(self, call: Call) -> Optional[Dict[str, Any]]:
        """The next item; None if there is none, perhaps because another thread has closed the stream just now."""
        with self._lock:
            item = self._session.take_item(call) if call.items else None
            has_output = self._session.has_output
        if has_output:
            self._flush()
        return item

    def cancel(self, call: Call) -> None:
        with self._lock:
            self._session.cancel(call)
        self._flush()

    def abandon(self, call: Call) -> None:
        """As cancel, but by whoever has the lock next; the reader looks every few seconds."""
        self._abandoned.append(call)

    def close(self, error: SluiceError) -> None:
        with self._lock:
            if self._session.closed:
                return  # the reader knows, and may have something to send before it closes the socket
            self._session.close(error)
            self._place.notify_all()
        self._shut_down()

    def _shake_hands(self, deadline: Deadline) -> None:
        try:
            self._socket.settimeout(deadline.left_at_most(HANDSHAKE_SECONDS))
            self._socket.sendall(self._session.take_output())
            while self._session.welcome is None and not self._session.closed:
                self._socket.settimeout(deadline.left_at_most(HANDSHAKE_SECONDS))
                data = self._socket.recv(RECEIVE_BYTES)
                self._session.feed(data, self._clock.now()) if data else self._session.feed_eof()
            if self._session.has_output:
                self._socket.sendall(self._session.take_output())
        except socket.timeout:
            deadline.left()
            raise connection_lost("The server did not say hello in time.", retryable=True) from None
        except OSError as failed:
            if self._session.error is None:
                raise connection_lost(f"The connection broke: {failed}", retryable=True) from failed
        if self._session.error is not None:
            raise self._session.error

    def _read(self) -> None:
        try:
            self._read_until_finished()
        finally:
            self.close(connection_lost("The server takes no more requests on this connection.", retryable=True))
            with self._lock:
                while self._sending:  # the last word, perhaps; that has its own time-out
                    self._sent.wait()
            self._shut_down()
            self._socket.close()
            self._outgoing.close()

    def _read_until_finished(self) -> None:
        finished = False
        while not finished:
            data: Optional[bytes] = None
            failure: Optional[OSError] = None
            try:
                data = self._socket.recv(RECEIVE_BYTES)
            except socket.timeout:
                pass
            except OSError as failed:
                failure = failed
            with self._lock:
                session = self._session
                if failure is not None:
                    session.close(connection_lost(f"The connection broke: {failure}", retryable=True))
                elif data is None:
                    session.tick(self._clock.now())
                elif data:
                    session.feed(data, self._clock.now())
                else:
                    session.feed_eof()
                self._cancel_abandoned()
                finished = session.closed or session.is_done
                self._place.notify_all()
            self._flush()

    def _cancel_abandoned(self) -> None:
        while self._abandoned:
            self._session.cancel(self._abandoned.popleft())

    def _flush(self) -> None:
        with self._lock:
            if self._sending:
                return  # whoever sends looks again before he stops
            self._sending = True
        try:
            while True:
                with self._lock:
                    data = self._session.take_output()
                    if not data:
                        self._stop_sending()
                        return
                self._outgoing.sendall(data)
        except OSError as failed:
            self._give_up(connection_lost(f"The connection broke: {failed}", retryable=True))
        except BaseException:
            # Interrupted in the middle of a frame: nobody could send another behind it.
            self._give_up(connection_lost("The connection was interrupted while sending.", retryable=True))
            raise

    def _give_up(self, error: SluiceError) -> None:
        with self._lock:
            self._stop_sending()
        self.close(error)

    def _stop_sending(self) -> None:
        self._sending = False
        self._sent.notify_all()

    def _shut_down(self) -> None:
        """Wakes the reader, which then closes the socket."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it is closed already


class SrpSource:
    """A stream; see Stream. Has its first item, or its end, when it is made."""

    def __init__(self, connection: SrpConnection, call: Call, changed: threading.Condition, deadline: Deadline) -> None:
        self.trailer: Optional[types.Trailer] = None
        self.request_id: Optional[str] = None
        self._connection = connection
        self._call = call
        self._changed = changed
        self._deadline = deadline
        self._closed = False

    def next(self) -> Optional[types.Delta]:
        if self._closed:
            return None
        try:
            self._connection.wait(self._call, self._changed, self._deadline)
            item = self._connection.take_item(self._call)
            if item is not None:
                return types.delta_from_item(item)
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


class SrpTransport:
    """Thread-safe. Connects when it is first used, and again after the connection was lost or the server has said
    goodbye; what still runs on an old one goes on there."""

    def __init__(self, address: Tuple[str, int], options: HelloOptions, clock: Clock) -> None:
        self._address = address
        self._options = options
        self._clock = clock
        self._lock = threading.Lock()
        self._connecting = threading.Lock()
        self._connection: Optional[SrpConnection] = None
        self._leaving: List[SrpConnection] = []  # which the server has said goodbye to, with requests that go on
        self._closed = False

    def call(self, request: Request, deadline: Deadline) -> Tuple[Any, types.About]:
        connection, call, changed = self._start(request, deadline)
        connection.wait(call, changed, deadline)
        if call.error is not None:
            raise call.error
        return call.result, types.about_from_rpc(call.about)

    def stream(self, request: Request, deadline: Deadline) -> SrpSource:
        connection, call, changed = self._start(request, deadline)
        connection.wait(call, changed, deadline)
        if call.error is not None and not call.items:
            raise call.error
        return SrpSource(connection, call, changed, deadline)

    def status(self, options: Optional[types.RequestOptions], deadline: Deadline) -> types.Status:
        body, _ = self.call(Request(_requests.STATUS, {}, options or types.RequestOptions()), deadline)
        return types.status_from_rpc(body)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            connections = self._leaving + ([self._connection] if self._connection else [])
            self._connection = None
            self._leaving = []
        for connection in connections:
            connection.close(client_closed())

    def _start(self, request: Request, deadline: Deadline) -> Tuple[SrpConnection, Call, threading.Condition]:
        while True:
            connection = self._usable(deadline)
            try:
                return (connection, *connection.start(request, deadline))
            except NotUsable:
                continue

    def _usable(self, deadline: Deadline) -> SrpConnection:
        found = self._current()
        if found is not None:
            return found
        # One thread connects, the others wait for it. It gives up in time, and so do they.
        left = deadline.left()
        if not self._connecting.acquire(timeout=-1 if left is None else left):
            raise deadline.exceeded()
        try:
            found = self._current()
            if found is None:
                found = SrpConnection(self._address, self._options, self._clock, deadline)
                self._replace(found)
            return found
        finally:
            self._connecting.release()

    def _current(self) -> Optional[SrpConnection]:
        with self._lock:
            if self._closed:
                raise client_closed()
            connection = self._connection
        return connection if connection is not None and connection.usable else None

    def _replace(self, connection: SrpConnection) -> None:
        with self._lock:
            if not self._closed:
                if self._connection is not None:
                    self._leaving.append(self._connection)
                self._leaving = [old for old in self._leaving if not old.is_closed]
                self._connection = connection
                return
        connection.close(client_closed())
        raise client_closed()
