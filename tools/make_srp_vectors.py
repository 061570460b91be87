"""Makes the golden frames of Sluice RPC that the C++ and the Python tests read.

    python tools/make_srp_vectors.py             # writes tests/vectors/srp1
    python tools/make_srp_vectors.py --check     # fails where the files are not what this script makes

Each frame is a pair in tests/vectors/srp1:

NAME.bin     the bytes as they cross the wire, length prefix included (for the preface: its eight bytes)
NAME.json    {"name", "direction": "client" or "server", whoever sends it in this example, "type": PREFACE, HELLO, ...,
             "features": what the connection has agreed on, "value": the message}
             A binary value stands as {"$bin": its bytes in hex}. The value of the preface is {"major", "minor", "flags"}.

Keys of maps stand in the order in which they are packed, so that packing the value gives the same bytes.
"""
import argparse
import json
import pathlib
import struct
import sys

import msgpack

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "tests/vectors/srp1"

TYPES = (
    "REQUEST", "RESPONSE", "NOTIFY", "ITEM", "END", "CANCEL", "CREDIT", "PING", "PONG", "GOAWAY", "HELLO", "WELCOME",
    "FATAL",
)  # fmt: skip

HELLO = {
    "client": "t/1",
    "auth": {"scheme": "bearer", "token": "K"},
    "features": [],
    "max_frame": 1 << 20,
    "stream_credit": 64,
}
WELCOME = {
    "server": "sluice/1.0.0",
    "version": "1.0",
    "session": "s1",
    "features": [],
    "max_frame": 1 << 20,
    "max_inflight": 256,
    "ping_ms": 15000,
    "models": ["m"],
    "time_ms": 0,
}
USAGE = {"prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4}
MODEL_NOT_FOUND = {
    "code": "model_not_found",
    "type": "invalid_request_error",
    "message": "The model `x` does not exist or you do not have access to it.",
    "param": "model",
    "http": 404,
    "retryable": False,
}
BACKEND_LOST = {
    "code": "backend_lost",
    "type": "server_error",
    "message": "The worker was lost and no other could take over.",
    "param": None,
    "http": 503,
    "retryable": True,
    "retry_after_ms": 5000,
    "request_id": "req-1",
}
COMPLETION = {
    "id": "cmpl-1",
    "object": "text_completion",
    "created": 1700000000,
    "model": "m",
    "system_fingerprint": "fp_00000001",
    "choices": [{"index": 0, "text": "ab", "logprobs": None, "finish_reason": "length", "stop_reason": None}],
    "usage": USAGE,
}
# A token that is half a character has no text: its bytes stand there.
LOGPROBS = [
    {"token": "a", "logprob": -0.5, "top": [["a", -0.5], ["b", -1.5]]},
    {"token": b"\xf0\x9f", "logprob": -0.25, "top": [[b"\xf0\x9f", -0.25]]},
    {"token": "c", "logprob": None, "top": []},
]

# (name, who sends it, the message, features)
FRAMES = (
    ("hello", "client", [10, HELLO], []),
    ("hello_anonymous", "client", [10, {key: value for key, value in HELLO.items() if key != "auth"}], []),
    ("welcome", "server", [11, WELCOME], []),
    ("welcome_crc32c", "server", [11, dict(WELCOME, features=["crc32c"])], []),
    (
        "request",
        "client",
        [0, 1, "completions.create", {"prompt": "hi", "max_tokens": 2, "stream": True}, {"deadline_ms": 1000}],
        [],
    ),
    ("request_without_meta", "client", [0, 2, "models.list", {}], []),
    ("item", "server", [3, 1, 0, {"c": 0, "t": "a", "k": [97]}], []),
    ("item_2", "server", [3, 1, 1, {"c": 0, "t": "b", "k": [98], "f": "length"}], []),
    ("item_logprobs", "server", [3, 1, 0, {"c": 1, "t": "a", "k": [97, 65536, 99], "l": LOGPROBS}], []),
    ("end", "server", [4, 1, None, {"usage": USAGE, "model": "m"}], []),
    ("end_error", "server", [4, 1, BACKEND_LOST, {}], []),
    ("response", "server", [1, 2, None, COMPLETION, {"request_id": "req-2"}], []),
    ("response_error", "server", [1, 2, MODEL_NOT_FOUND, None], []),
    ("notify", "server", [2, "state", {"draining": True}], []),
    ("cancel", "client", [5, 1, "client"], []),
    ("credit", "client", [6, 1, 64], []),
    ("credit_connection", "client", [6, 0, 65536], []),
    ("ping", "server", [7, 1], []),
    ("ping_crc32c", "server", [7, 1], ["crc32c"]),
    ("pong", "client", [8, 1], []),
    ("goaway", "server", [9, 1, "draining", 45000], []),
    ("fatal", "server", [12, "bad_frame", "trailing bytes"], []),
)


def crc32c(data):
    """The CRC of Castagnoli, bit by bit: slow, and plainly what RFC 3720 says."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


def frame(message, features):
    payload = msgpack.packb(message)
    if "crc32c" in features:
        payload += struct.pack(">I", crc32c(payload))
    return struct.pack(">I", len(payload)) + payload


def shown(value):
    """The value as JSON can hold it."""
    if isinstance(value, bytes):
        return {"$bin": value.hex()}
    if isinstance(value, list):
        return [shown(element) for element in value]
    if isinstance(value, dict):
        return {key: shown(element) for key, element in value.items()}
    return value


def files():
    """(file name, its bytes) of everything that belongs into the folder."""

    def description(name, direction, kind, features, value):
        said = {"name": name, "direction": direction, "type": kind, "features": features, "value": value}
        lines = (f"{json.dumps(key)}: {json.dumps(said[key])}" for key in said)
        return f"{name}.json", ("{\n  " + ",\n  ".join(lines) + "\n}\n").encode()

    yield "preface.bin", b"\xc1SRP" + struct.pack(">BBH", 1, 0, 0)
    yield description("preface", "client", "PREFACE", [], {"major": 1, "minor": 0, "flags": 0})
    for name, direction, message, features in FRAMES:
        yield f"{name}.bin", frame(message, features)
        yield description(name, direction, TYPES[message[0]], features, shown(message))


def main():
    parser = argparse.ArgumentParser(description="Makes tests/vectors/srp1.")
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    arguments = parser.parse_args()
    made = dict(files())
    if not arguments.check:
        FOLDER.mkdir(parents=True, exist_ok=True)
        for name, content in made.items():
            (FOLDER / name).write_bytes(content)
        return
    there = {path.name: path.read_bytes() for path in FOLDER.iterdir()}
    wrong = sorted(name for name in made.keys() | there.keys() if made.get(name) != there.get(name))
    if wrong:
        sys.exit("not as this script makes them: " + ", ".join(wrong))


if __name__ == "__main__":
    main()
