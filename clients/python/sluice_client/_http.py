"""HTTP/1.1 without sockets: a request as bytes, a response out of bytes, server-sent events.

The sync and the async client share it.
"""

from __future__ import annotations

import json
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

from .errors import connection_lost, protocol_broken

CONNECT_SECONDS = 10.0
IDLE_CONNECTIONS_MAX = 16
RECEIVE_BYTES = 64 << 10
HEAD_BYTES_MAX = 64 << 10
LINE_BYTES_MAX = 4 << 10  # of a chunk's size, or a trailer field
ANSWER_BYTES_MAX = 64 << 20  # of a whole body
EVENT_BYTES_MAX = 16 << 20


def request_bytes(verb: str, path: str, headers: Mapping[str, str], body: Optional[bytes]) -> bytes:
    """Raises ValueError for a header that would not stay one."""
    lines = [f"{verb} {path} HTTP/1.1"]
    for name, value in headers.items():
        if not (value.isascii() and value.isprintable()):
            raise ValueError(f"the header {name} must be printable ASCII text")
        lines.append(f"{name}: {value}")
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")


class ResponseParser:
    """Reads one response. `feed` it what arrives; it gives back what of that is body.

    status, headers  once `has_head`; names in lower case, values of a repeated field joined by commas
    done             the response is complete
    reusable         then: the connection may carry another request
    """

    def __init__(self) -> None:
        self.status = 0
        self.headers: Dict[str, str] = {}
        self.has_head = False
        self.done = False
        self.reusable = False
        self.received = False  # anything at all
        self._buffer = bytearray()
        self._chunked = False
        self._left: Optional[int] = None  # of the body or the chunk; None: until the connection ends
        self._in_trailer = False
        self._chunk_ends = False  # the line end behind a chunk's data is next

    def feed(self, data: bytes) -> bytes:
        """Raises ProtocolError."""
        self.received = self.received or bool(data)
        self._buffer += data
        while not self.has_head:
            if not self._read_head():
                return b""
        return self._read_body()

    def feed_eof(self) -> None:
        """The connection has ended. Raises TransportError if that is not where the response does."""
        if self.has_head and not self.done and self._left is None and not self._chunked:
            self.done = True
        if not self.done:
            # Without a byte of an answer the request may be sent again; the server may not even have seen it.
            raise connection_lost("The server closed the connection.", retryable=not self.received)

    def _read_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0 or end > HEAD_BYTES_MAX:
            if len(self._buffer) > HEAD_BYTES_MAX:
                raise protocol_broken(f"The head of the response has more than {HEAD_BYTES_MAX} bytes.")
            return False
        lines = bytes(self._buffer[:end]).decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        version, _, rest = lines[0].partition(" ")
        status = rest[:3]
        if not version.startswith("HTTP/1.") or not status.isdecimal():
            raise protocol_broken(f"What answers there does not speak HTTP: {lines[0]!r:.100}")
        self.status = int(status)
        self.headers = {}
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon:
                raise protocol_broken(f"A header of the response is none: {line!r:.100}")
            name, value = name.strip().lower(), value.strip()
            self.headers[name] = f"{self.headers[name]}, {value}" if name in self.headers else value
        if 100 <= self.status < 200:
            return True  # an interim response: the real one follows
        self.has_head = True
        self._find_length(version)
        return True

    def _find_length(self, version: str) -> None:
        length = self.headers.get("content-length")
        if self.status in (204, 304):
            self._left = 0
        elif "transfer-encoding" in self.headers:
            if self.headers["transfer-encoding"].lower() != "chunked":
                raise protocol_broken(
                    f"A transfer coding that was not asked for: {self.headers['transfer-encoding']:.60}"
                )
            self._chunked = True
        elif length is not None:
            if not length.isdecimal():
                raise protocol_broken(f"Content-Length is no number: {length!r:.60}")
            self._left = int(length)
        keeps = self.headers.get("connection", "").lower()
        framed = self._chunked or self._left is not None
        self.reusable = framed and "close" not in keeps and (version == "HTTP/1.1" or "keep-alive" in keeps)

    def _read_body(self) -> bytes:
        if not self._chunked:
            if self._left is None:
                body = bytes(self._buffer)
                self._buffer.clear()
                return body
            body = bytes(self._buffer[: self._left])
            del self._buffer[: self._left]
            self._left -= len(body)
            self._finish_if(self._left == 0)
            return body
        pieces: List[bytes] = []
        while not self.done:
            if self._left:
                piece = bytes(self._buffer[: self._left])
                del self._buffer[: self._left]
                self._left -= len(piece)
                pieces.append(piece)
                if self._left:
                    break
                self._chunk_ends = True
            line = self._take_line()
            if line is None:
                break
            if self._chunk_ends:
                if line:
                    raise protocol_broken("A chunk is longer than it says.")
                self._chunk_ends = False
            elif self._in_trailer:
                self._finish_if(not line)
            else:
                self._left = self._chunk_size(line)
                self._in_trailer = self._left == 0
        return b"".join(pieces)

    def _chunk_size(self, line: bytes) -> int:
        size = line.partition(b";")[0].strip()
        if not size or len(size) > 15 or not all(byte in b"0123456789abcdefABCDEF" for byte in size):
            raise protocol_broken(f"The size of a chunk is no number: {size!r:.60}")
        return int(size, 16)

    def _take_line(self) -> Optional[bytes]:
        end = self._buffer.find(b"\r\n")
        if end < 0:
            if len(self._buffer) > LINE_BYTES_MAX:
                raise protocol_broken("A line between chunks does not end.")
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    def _finish_if(self, finished: bool) -> None:
        if not finished:
            return
        self.done = True
        # Bytes behind the answer are nobody's: whoever sent them is not to be asked again on this connection.
        self.reusable = self.reusable and not self._buffer


class EventParser:
    """Cuts a stream of server-sent events into the data of each. Comments, which keep connections alive, are none."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._data: List[bytes] = []

    def feed(self, data: bytes) -> Iterator[bytes]:
        """To be iterated to the end before the next call. Raises ProtocolError."""
        buffer = self._buffer
        buffer += data
        while True:
            end = buffer.find(b"\n")
            if end < 0:
                if len(buffer) > EVENT_BYTES_MAX:
                    raise protocol_broken(f"An event has more than {EVENT_BYTES_MAX} bytes.")
                return
            line = bytes(buffer[:end]).rstrip(b"\r")
            del buffer[: end + 1]
            if line.startswith(b"data:"):
                value = line[5:]
                self._data.append(value[1:] if value.startswith(b" ") else value)
                if sum(map(len, self._data)) > EVENT_BYTES_MAX:
                    raise protocol_broken(f"An event has more than {EVENT_BYTES_MAX} bytes.")
            elif not line and self._data:
                event = b"\n".join(self._data)
                self._data = []
                yield event


def parsed_body(body: bytes) -> Any:
    """JSON as its value, anything else as text."""
    try:
        return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")


def host_header(address: Tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
