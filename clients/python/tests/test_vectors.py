"""The golden frames that the server's tests read, too: both ways."""

import json
import pathlib
import struct

import pytest

from sluice_client import _frames

FOLDER = pathlib.Path(__file__).resolve().parents[3] / "tests" / "vectors" / "srp1"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))


def value_of(shown):
    """What {"$bin": hex} stands for."""
    if isinstance(shown, dict):
        if shown.keys() == {"$bin"}:
            return bytes.fromhex(shown["$bin"])
        return {key: value_of(element) for key, element in shown.items()}
    return [value_of(element) for element in shown] if isinstance(shown, list) else shown


def vector(name):
    description = json.loads((FOLDER / f"{name}.json").read_text())
    return description, value_of(description["value"]), (FOLDER / f"{name}.bin").read_bytes()


def test_there_are_vectors_for_every_message():
    kinds = {vector(name)[0]["type"] for name in NAMES}

    names = "REQUEST RESPONSE NOTIFY ITEM END CANCEL CREDIT PING PONG GOAWAY HELLO WELCOME FATAL"
    assert kinds == {"PREFACE", *names.split()}


@pytest.mark.parametrize("name", [name for name in NAMES if name != "preface"])
def test_a_frame_is_read_and_written_as_its_vector_says(name):
    description, value, data = vector(name)
    crc = "crc32c" in description["features"]

    (payload,) = _frames.FrameReader(len(data)).feed(data)

    assert _frames.decode(payload, crc=crc) == value
    assert _frames.encode(value, crc=crc) == data
    assert getattr(_frames, description["type"]) == value[0]


def test_the_preface_is_as_its_vector_says():
    _, value, data = vector("preface")

    assert _frames.PREFACE == data == b"\xc1SRP" + struct.pack(">BBH", *value.values())


@pytest.mark.parametrize("name", [name for name in NAMES if name != "preface"])
def test_a_frame_in_pieces_is_the_same_frame(name):
    _, _, data = vector(name)
    reader = _frames.FrameReader(len(data))

    whole = [payload for at in range(len(data)) for payload in reader.feed(data[at : at + 1])]

    assert whole == [data[4:]]
