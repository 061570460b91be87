"""What is no frame, and what cannot become one."""

import struct

import msgpack
import pytest

from sluice_client import ProtocolError, _frames


def nested(depth):
    value = []
    for _ in range(depth - 1):
        value = [value]
    return value


BAD = {
    "an extension": msgpack.packb([1, msgpack.ExtType(5, b"x")]),
    "a key that is no string": msgpack.packb([1, {1: 2}]),
    "a key of bytes": msgpack.packb([1, {b"a": 2}]),
    "an array as a key": b"\x92\x01\x81\x90\x01",
    "a key twice": b"\x92\x01\x82\xa1a\x01\xa1a\x02",
    "no array": msgpack.packb({"a": 1}),
    "bytes behind the array": msgpack.packb([1]) + b"\x00",
    "half an array": msgpack.packb([1, 2])[:-1],
    "text that is not UTF-8": b"\x92\x01\xa1\xff",
    "the byte nothing starts with": b"\x91\xc1",
    "an array that would need more bytes": b"\xdd\xff\xff\xff\xff\x01",
    "33 arrays in each other": msgpack.packb(nested(33)),
    "5000 arrays in each other": b"\x91" * 5000 + b"\x00",
}


@pytest.mark.parametrize("payload", BAD.values(), ids=BAD.keys())
def test_what_is_no_frame_is_refused(payload):
    with pytest.raises(_frames.BadFrame) as caught:
        _frames.decode(payload)

    assert caught.value.code == "bad_frame"


def test_depth_is_allowed_up_to_its_limit():
    assert _frames.decode(_frames.encode(nested(32))[4:]) == nested(32)
    with pytest.raises(ValueError, match="deeper"):
        _frames.encode(nested(33))


def test_a_timestamp_is_the_one_extension():
    stamp = msgpack.Timestamp(5, 0)

    assert _frames.decode(msgpack.packb([1, stamp])) == [1, stamp]


@pytest.mark.parametrize("value", [[1 << 64], [{1: 2}], [[0] * 1_000_001]], ids=["number", "key", "elements"])
def test_what_the_server_would_refuse_is_not_sent(value):
    with pytest.raises(ValueError):
        _frames.encode(value)


def test_every_damaged_byte_is_noticed_by_the_checksum():
    payload = _frames.encode([3, 1, 0, {"t": "a"}], crc=True)[4:]

    for at in range(len(payload)):
        damaged = bytearray(payload)
        damaged[at] ^= 0x10
        with pytest.raises(_frames.BadFrame):
            _frames.decode(bytes(damaged), crc=True)
    with pytest.raises(_frames.BadFrame, match="no room"):
        _frames.decode(b"\x91\x07\x01\x01", crc=True)


def test_the_checksum_is_castagnolis():
    assert _frames.crc32c(b"123456789") == 0xE3069283


@pytest.mark.parametrize("length", [0, 101, 2**32 - 1])
def test_a_length_beyond_the_limit_is_refused_before_its_bytes_come(length):
    reader = _frames.FrameReader(100)

    with pytest.raises(ProtocolError) as caught:
        list(reader.feed(struct.pack(">I", length)))

    assert caught.value.code == "frame_too_large"
