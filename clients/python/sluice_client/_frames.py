"""Frames of Sluice RPC: bytes on one side, messages as lists on the other. No sockets here.

A frame is u32 BE length and that many bytes with one MessagePack array, whose first element says what it is. With the
feature crc32c the last four of those bytes are the checksum of the others.
"""

from __future__ import annotations

import struct
from typing import Any, Iterable, Iterator, List, Tuple

try:
    import msgpack
except ImportError as missing:  # pragma: no cover
    raise ImportError("srp:// needs msgpack: pip install msgpack (http:// does not)") from missing

from .errors import ProtocolError, protocol_broken

REQUEST, RESPONSE, NOTIFY, ITEM, END, CANCEL, CREDIT, PING, PONG, GOAWAY, HELLO, WELCOME, FATAL = range(13)
LATER_TYPES = 16  # from here on: of later minor versions, passed over

PREFACE = b"\xc1SRP\x01\x00\x00\x00"
PREFIX_BYTES = 4
CRC_BYTES = 4
DEPTH_MAX = 32
ELEMENTS_MAX = 1_000_000


class BadFrame(ProtocolError):
    """Whoever sent it is told so by FATAL `bad_frame`."""


def _bad_frame(message: str) -> BadFrame:
    return BadFrame(message, code="bad_frame", type="connection_error")


def _crc_table() -> Tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return tuple(table)


_CRC_TABLE = _crc_table()


def crc32c(data: bytes) -> int:
    """The CRC of Castagnoli (RFC 3720). In Python, so some megabytes a second."""
    table = _CRC_TABLE
    value = 0xFFFFFFFF
    for byte in data:
        value = value >> 8 ^ table[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF


def check_value(value: List[Any]) -> None:
    """Whether the other side will take it: depth, number of elements, keys. Raises ValueError."""
    elements = 0
    # By level instead of by recursion: a deep value must not end in a RecursionError.
    level: List[Any] = [value]
    for _ in range(DEPTH_MAX):
        below: List[Any] = []
        for container in level:
            if isinstance(container, dict):
                for key in container:
                    if not isinstance(key, str):
                        raise ValueError(f"a key of a map must be a string, got {key!r:.100}")
                elements += 2 * len(container)
                inner: Iterable[Any] = container.values()
            else:
                elements += len(container)
                inner = container
            below.extend(element for element in inner if isinstance(element, (dict, list, tuple)))
        if elements > ELEMENTS_MAX:
            raise ValueError(f"a message may have {ELEMENTS_MAX} elements, this one has more")
        if not below:
            return
        level = below
    raise ValueError(f"arrays and maps may lie {DEPTH_MAX} deep, these lie deeper")


def encode(message: List[Any], *, crc: bool = False) -> bytes:
    """A whole frame. Raises ValueError or TypeError where the message cannot be one."""
    check_value(message)
    try:
        payload: bytes = msgpack.packb(message)
    except OverflowError as wrong:
        raise ValueError(f"a number is too large for the protocol: {wrong}") from None
    if crc:
        payload += struct.pack(">I", crc32c(payload))
    return struct.pack(">I", len(payload)) + payload


def _pairs(pairs: List[Tuple[Any, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a map has a key twice")
    return made


def _no_extension(code: int, data: bytes) -> Any:
    raise ValueError(f"the extension type {code} is not part of the protocol")


def decode(payload: bytes, *, crc: bool = False) -> List[Any]:
    """The message of a frame without its length. Raises BadFrame."""
    if crc:
        if len(payload) <= CRC_BYTES:
            raise _bad_frame("a frame has no room for its checksum")
        payload, (given,) = payload[:-CRC_BYTES], struct.unpack(">I", payload[-CRC_BYTES:])
        if crc32c(payload) != given:
            raise _bad_frame("a frame's checksum does not fit its bytes")
    try:
        message = msgpack.unpackb(
            payload,
            raw=False,
            strict_map_key=False,  # check_value says it with the key
            object_pairs_hook=_pairs,
            ext_hook=_no_extension,
        )
        if not isinstance(message, list):
            raise ValueError("a frame must hold an array")
        check_value(message)
    except (ValueError, TypeError, RecursionError) as wrong:  # TypeError: an array as a key
        raise _bad_frame(str(wrong)) from None
    except msgpack.exceptions.UnpackException as wrong:
        raise _bad_frame(str(wrong) or type(wrong).__name__) from None
    return message


class FrameReader:
    """Cuts a stream of bytes into frames; holds one incomplete frame at the most."""

    def __init__(self, frame_bytes_max: int) -> None:
        self._buffer = bytearray()
        self._max = frame_bytes_max

    def limit(self, frame_bytes_max: int) -> None:
        self._max = frame_bytes_max

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Each whole frame's payload. To be iterated to the end before the next call. Raises ProtocolError."""
        buffer = self._buffer
        buffer += data
        at = 0
        while len(buffer) - at >= PREFIX_BYTES:
            (length,) = struct.unpack_from(">I", buffer, at)
            if length == 0 or length > self._max:
                raise protocol_broken(f"a frame of {length} bytes, the limit is {self._max}", "frame_too_large")
            end = at + PREFIX_BYTES + length
            if len(buffer) < end:
                break
            payload = bytes(buffer[at + PREFIX_BYTES : end])
            at = end
            yield payload
        del buffer[:at]
