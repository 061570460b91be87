"""One connection of Sluice RPC without its socket: bytes in, bytes out, and the requests that run on it.

Whoever owns a session calls it from one thread at a time, sends what `take_output` gives, and looks at its calls when
they are woken. The sync and the async client share it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any, Callable, Deque, Dict, List, Mapping, Optional, Tuple

from . import _frames as frames
from .errors import (
    AuthenticationError,
    ProtocolError,
    RequestCancelledError,
    SluiceError,
    TransportError,
    UnavailableError,
    connection_lost,
    from_rpc,
    protocol_broken,
)

# Until the server has introduced itself it has nothing large to say.
FRAME_BYTES_BEFORE_WELCOME = 64 << 10
FRAME_BYTES_MAX = 16 << 20
ID_MAX = 2**32 - 1
STREAM_CREDIT_MAX = 2**31
# What a server may send ahead of the client. Wide, because streams share it: what somebody does not read must not hold
# up the others, and nearly always their items' own credit stops them before.
WINDOW_AT_FIRST = 1 << 20
WINDOW_BYTES = 16 << 20
PONG_SECONDS = 10.0
HANDSHAKE_SECONDS = 10.0
TICK_SECONDS = 5.0  # between two calls of `tick`
WRITE_SECONDS = 30.0  # in which the server must take what is sent


@dataclass(frozen=True)
class HelloOptions:
    """What a client says of itself. Raises ValueError."""

    client: str
    api_key: Optional[str] = field(default=None, repr=False)
    stream_credit: int = 64  # items of each stream that may wait for their reader
    crc32c: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.stream_credit <= STREAM_CREDIT_MAX:
            raise ValueError(f"stream_credit must be between 1 and {STREAM_CREDIT_MAX}, got {self.stream_credit}")


@dataclass(frozen=True)
class Welcome:
    server: str
    features: Tuple[str, ...]
    max_frame: int
    max_inflight: int
    ping_seconds: float


class NotUsable(Exception):
    """The connection was given up between being chosen and being used."""


class Call:
    """One request. `error`, `result` and `about` are known once `ended`; items may be left then.

    on_change  called when there is something new
    """

    def __init__(self, number: int, is_stream: bool, credit: int, on_change: Callable[[], None]) -> None:
        self.id = number
        self.is_stream = is_stream
        self.on_change = on_change
        self.items: Deque[Tuple[Dict[str, Any], int]] = deque()  # and the bytes of its frame; bounded by `credit`
        self.ended = False
        self.error: Optional[SluiceError] = None
        self.result: Any = None  # of a RESPONSE, or the trailer of an END
        self.about: Any = None
        self.begun = False  # something of it has arrived
        # Kept by the session.
        self.credit = credit  # items that the server may still send
        self.taken = 0  # items that were read since credit was given back
        self.next_seq = 0
        self.left = False  # nobody waits for it any more

    def fail(self, error: SluiceError) -> None:
        if not self.ended:
            self.ended = True
            self.error = error
            self.on_change()


class Session:
    """States: no `welcome` yet; open; `going_away`, which takes no new requests; `closed`, with its `error`."""

    def __init__(self, options: HelloOptions, now: float) -> None:
        self.welcome: Optional[Welcome] = None
        self.going_away = False
        self.closed = False
        self.error: Optional[SluiceError] = None
        self.calls: Dict[int, Call] = {}
        self._options = options
        self._reader = frames.FrameReader(FRAME_BYTES_BEFORE_WELCOME)
        self._preface = b""
        self._crc = False
        self._next_id = 1
        self._bytes_taken = 0
        self._frame_bytes = 0  # of the frame that is being read, its prefix included
        self._heard = now
        self._ping_sent: Optional[float] = None
        self._pings = 0
        hello: Dict[str, Any] = {"client": options.client}
        if options.api_key is not None:
            hello["auth"] = {"scheme": "bearer", "token": options.api_key}
        hello["features"] = ["crc32c"] if options.crc32c else []
        hello["max_frame"] = FRAME_BYTES_MAX
        hello["stream_credit"] = options.stream_credit
        self._output = bytearray(frames.PREFACE + frames.encode([frames.HELLO, hello]))

    # --- for the owner ---

    @property
    def usable(self) -> bool:
        """Whether a new request may be started here, now or when others have ended."""
        return self.welcome is not None and not self.going_away and not self.closed and self._next_id <= ID_MAX

    @property
    def is_full(self) -> bool:
        """As many requests as the server takes at once are in flight."""
        return self.welcome is not None and len(self.calls) >= self.welcome.max_inflight

    @property
    def has_output(self) -> bool:
        return bool(self._output)

    @property
    def is_done(self) -> bool:
        """It takes no new requests, and nobody waits for one."""
        return self.going_away and all(call.ended for call in self.calls.values())

    def take_output(self) -> bytes:
        """What is to be sent, in order."""
        output = bytes(self._output)
        self._output.clear()
        return output

    def start(
        self,
        method: str,
        params: Mapping[str, Any],
        meta: Mapping[str, Any],
        on_change: Callable[[], None],
    ) -> Call:
        """Sends a request; the session must be usable and not full. Raises ValueError for one that cannot be sent."""
        assert self.usable and not self.is_full and self.welcome is not None
        message: List[Any] = [frames.REQUEST, self._next_id, method, params]
        if meta:
            message.append(meta)
        frame = frames.encode(message, crc=self._crc)
        size = len(frame) - frames.PREFIX_BYTES - (frames.CRC_BYTES if self._crc else 0)
        if size > self.welcome.max_frame:
            raise ValueError(f"the request has {size} bytes, the server takes {self.welcome.max_frame}")
        call = Call(self._next_id, params.get("stream") is True, self._options.stream_credit, on_change)
        self._next_id += 1
        self.calls[call.id] = call
        self._output += frame
        return call

    def take_item(self, call: Call) -> Dict[str, Any]:
        """The next item, which must be there. Its reader has consumed it: the server may send another."""
        item, size = call.items.popleft()
        self._give_back(size)
        call.taken += 1
        if not call.ended and call.taken >= max(1, self._options.stream_credit // 2):
            call.credit += call.taken
            self._send(frames.CREDIT, call.id, call.taken)
            call.taken = 0
        return item

    def cancel(self, call: Call, reason: str = "client") -> None:
        """Nobody waits for the call any more. The server is told, and its last word awaited, unless it was that."""
        self._drop_items(call)
        if call.left or call.ended:
            return
        call.left = True
        # Another thread may wait for it, and has to know.
        call.fail(RequestCancelledError("The request was cancelled here.", code="cancelled", http_status=499))
        if not self.closed:
            self._send(frames.CANCEL, call.id, reason)

    def feed(self, data: bytes, now: float) -> None:
        """Bytes have arrived."""
        if self.closed:
            return
        self._heard = now
        self._ping_sent = None
        try:
            data = self._read_preface(data)
            for payload in self._reader.feed(data):
                self._frame_bytes = frames.PREFIX_BYTES + len(payload)
                self._on_message(frames.decode(payload, crc=self._crc))
                if self.closed:
                    return
        except ProtocolError as broken:
            # The server is told with a code of its own list; it may be another program altogether.
            if len(self._preface) == len(frames.PREFACE):
                self._send(frames.FATAL, broken.code, broken.message[:400])
            self.close(broken)

    def feed_eof(self) -> None:
        """The other side has closed the connection."""
        before = " before it had said hello" if self.welcome is None else ""
        self.close(connection_lost(f"The server closed the connection{before}.", retryable=True))

    def close(self, error: SluiceError) -> None:
        """Nothing more comes. Every call that has not ended fails with this; a stream that has begun is final."""
        if self.closed:
            return
        self.closed = True
        self.error = error
        calls = list(self.calls.values())
        self.calls.clear()
        for call in calls:
            mine = error.again()
            if call.begun:
                mine.retryable = False
            call.fail(mine)

    def tick(self, now: float) -> None:
        """To be called every few seconds. Asks a silent server for which requests wait whether it is there, and gives
        it up where it does not answer."""
        if self.closed or self.welcome is None or not self.calls:
            return
        if self._ping_sent is not None:
            if now - self._ping_sent >= PONG_SECONDS:
                self.close(connection_lost("The server has been silent, also to a PING.", retryable=True))
        elif now - self._heard >= self.welcome.ping_seconds:
            self._pings += 1
            self._ping_sent = now
            self._send(frames.PING, self._pings)

    # --- messages ---

    def _send(self, *message: Any) -> None:
        self._output += frames.encode(list(message), crc=self._crc)

    def _read_preface(self, data: bytes) -> bytes:
        missing = len(frames.PREFACE) - len(self._preface)
        if missing == 0:
            return data
        self._preface += data[:missing]
        if not frames.PREFACE.startswith(self._preface[:4]):
            hint = " It speaks HTTP: use http://." if self._preface.startswith(b"HTTP") else ""
            self._preface = b""
            raise protocol_broken(f"What answers there does not speak Sluice RPC.{hint}", "bad_preface")
        if len(self._preface) > 4 and self._preface[4] != frames.PREFACE[4]:
            major, self._preface = self._preface[4], b""
            raise protocol_broken(f"The server speaks version {major} of the protocol, this client 1.", "bad_preface")
        return data[missing:]

    def _on_message(self, message: List[Any]) -> None:
        kind = message[0] if message else None
        if not isinstance(kind, int) or isinstance(kind, bool):
            raise protocol_broken("a message without a type", "bad_message")
        if kind >= frames.LATER_TYPES:
            return
        if self.welcome is None and kind not in (frames.WELCOME, frames.FATAL, frames.GOAWAY):
            raise protocol_broken(f"a message of type {kind} before WELCOME", "bad_message")
        handler = _HANDLERS.get(kind)
        if handler is None or (kind == frames.WELCOME and self.welcome is not None):
            raise protocol_broken(f"a message of type {kind} is not for a client", "bad_message")
        handler(self, message)

    def _on_welcome(self, message: List[Any]) -> None:
        (told,) = _elements(message, dict)
        features = told.get("features", [])
        max_frame = told.get("max_frame")
        max_inflight = told.get("max_inflight")
        ping_ms = told.get("ping_ms", 15000)
        if not isinstance(features, list) or not all(map(_is_count, (max_frame, max_inflight, ping_ms))):
            raise protocol_broken("WELCOME lacks what every connection needs", "bad_message")
        if not 1 <= max_frame <= FRAME_BYTES_MAX or max_inflight < 1:
            raise protocol_broken("WELCOME has limits that nobody can keep", "bad_message")
        if "crc32c" in features and not self._options.crc32c:
            raise protocol_broken("WELCOME agrees to crc32c, which this client did not offer", "bad_message")
        self._crc = "crc32c" in features
        self.welcome = Welcome(
            server=str(told.get("server", "")),
            features=tuple(map(str, features)),
            max_frame=max_frame,
            max_inflight=max_inflight,
            ping_seconds=max(1.0, ping_ms / 1000),
        )
        self._reader.limit(max_frame + (frames.CRC_BYTES if self._crc else 0))
        self._send(frames.CREDIT, 0, WINDOW_BYTES - WINDOW_AT_FIRST)

    def _on_response(self, message: List[Any]) -> None:
        number, error, result = _elements(message, int, (dict, type(None)), object)
        call = self._in_flight(number)
        # A stream that was refused before the server had read its parameters is answered like any other request.
        if error is None and call.is_stream:
            raise protocol_broken(f"RESPONSE for the stream {number}", "bad_message")
        call.about = message[4] if len(message) > 4 else None
        self._finish(call, error, result)

    def _on_end(self, message: List[Any]) -> None:
        number, error, trailer = _elements(message, int, (dict, type(None)), (dict, type(None)))
        call = self._in_flight(number)
        if error is None and not call.is_stream:
            raise protocol_broken(f"END for {number}, which is no stream", "bad_message")
        call.about = trailer
        self._finish(call, error, trailer or {})

    def _in_flight(self, number: int) -> Call:
        call = self.calls.get(number)
        if call is None:
            raise protocol_broken(f"an answer for {number}, which is not in flight", "bad_message")
        return call

    def _finish(self, call: Call, error: Optional[Dict[str, Any]], result: Any) -> None:
        del self.calls[call.id]
        if call.ended:
            return  # nobody waits for it any more
        call.ended = True
        call.result = result
        if error is not None:
            call.error = from_rpc(error)
        call.on_change()

    def _on_item(self, message: List[Any]) -> None:
        number, seq, item = _elements(message, int, int, dict)
        call = self.calls.get(number)
        if call is None or not call.is_stream:
            raise protocol_broken(f"ITEM for {number}, which is no stream in flight", "bad_message")
        if seq != call.next_seq:
            raise protocol_broken(f"ITEM {seq} of {number}, {call.next_seq} was next", "bad_message")
        call.next_seq += 1
        if call.credit == 0:
            raise protocol_broken(f"ITEM {seq} of {number} comes without credit", "flow_control")
        call.credit -= 1
        if call.ended:
            self._give_back(self._frame_bytes)
            return
        call.begun = True
        call.items.append((item, self._frame_bytes))
        call.on_change()

    def _on_ping(self, message: List[Any]) -> None:
        (token,) = _elements(message, int)
        self._send(frames.PONG, token)

    def _on_pong(self, message: List[Any]) -> None:
        _elements(message, int)  # that something came is what counts

    def _on_notify(self, message: List[Any]) -> None:
        _elements(message, str, dict)  # none of them asks a client for anything

    def _on_go_away(self, message: List[Any]) -> None:
        last_id, code, _ = _elements(message, int, str, int)
        self.going_away = True
        reason = UnavailableError(
            f"The server takes no more requests on this connection: {code}.",
            code=code,
            type="server_error",
            http_status=503,
            retryable=True,
        )
        if self.welcome is None:
            self.close(reason)
            return
        for call in list(self.calls.values()):
            if call.id > last_id and not call.ended:
                # It was not accepted, which the server says, too, if it has read it at all.
                call.left = True
                call.fail(reason.again())

    def _on_fatal(self, message: List[Any]) -> None:
        code, text = _elements(message, str, str)
        if code == "invalid_api_key":
            self.close(AuthenticationError(text, code=code, type="invalid_request_error", http_status=401))
        elif code in ("handshake_timeout", "idle_timeout", "ping_timeout"):
            # The connection was too slow or too quiet. That says nothing about the requests.
            self.close(TransportError(text, code=code, type="connection_error", retryable=True))
        else:
            self.close(protocol_broken(text, code))

    # --- credit ---

    def _drop_items(self, call: Call) -> None:
        while call.items:
            self._give_back(call.items.popleft()[1])

    def _give_back(self, size: int) -> None:
        self._bytes_taken += size
        if self._bytes_taken >= WINDOW_BYTES // 16 and not self.closed:
            self._send(frames.CREDIT, 0, self._bytes_taken)
            self._bytes_taken = 0


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _elements(message: List[Any], *types: Any) -> List[Any]:
    """The elements behind the type, as many as there are `types`; more are of a later version."""
    elements = message[1 : 1 + len(types)]
    if len(elements) < len(types):
        raise protocol_broken(f"a message of type {message[0]} with {len(message)} elements", "bad_message")
    for element, wanted in zip(elements, types):
        if not isinstance(element, wanted) or (wanted is int and not _is_count(element)):
            raise protocol_broken(f"a message of type {message[0]} with {element!r:.60}", "bad_message")
    return elements


_HANDLERS: Dict[int, Callable[[Session, List[Any]], None]] = {
    frames.RESPONSE: Session._on_response,
    frames.NOTIFY: Session._on_notify,
    frames.ITEM: Session._on_item,
    frames.END: Session._on_end,
    frames.PING: Session._on_ping,
    frames.PONG: Session._on_pong,
    frames.GOAWAY: Session._on_go_away,
    frames.WELCOME: Session._on_welcome,
    frames.FATAL: Session._on_fatal,
}
