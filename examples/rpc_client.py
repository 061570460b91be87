#!/usr/bin/env python3
"""Sluice RPC with nothing but MessagePack and a socket: a whole answer, then a stream.

    apt-get install python3-msgpack        (or: pip install msgpack)
    ./build/sluice serve                   (in another terminal)
    examples/rpc_client.py [PROMPT] [HOST:PORT]

docs/RPC.md has the protocol; clients/python is a complete client.
"""
import socket
import struct
import sys

import msgpack

REQUEST, RESPONSE, ITEM, END, PING, PONG, HELLO, WELCOME, FATAL = 0, 1, 3, 4, 7, 8, 10, 11, 12
PREFACE = b"\xc1SRP\x01\x00\x00\x00"


def send(*message):
    packed = msgpack.packb(message)
    connection.sendall(struct.pack(">I", len(packed)) + packed)


def receive(*kinds):
    """The elements behind the type of the next message of one of the kinds."""
    while True:
        prefix = incoming.read(4)
        if len(prefix) < 4:
            sys.exit("The server has closed the connection.")
        kind, *rest = msgpack.unpackb(incoming.read(struct.unpack(">I", prefix)[0]))
        if kind == FATAL:
            sys.exit(f"{rest[0]}: {rest[1]}")
        if kind == PING:
            send(PONG, rest[0])
        if kind in (RESPONSE, END) and rest[1] is not None:
            sys.exit(rest[1]["message"])
        if kind in kinds:
            return [kind, *rest]


prompt = sys.argv[1] if len(sys.argv) > 1 else "In the beginning"
host, _, port = (sys.argv[2] if len(sys.argv) > 2 else "127.0.0.1:8001").rpartition(":")
connection = socket.create_connection((host, int(port)))
incoming = connection.makefile("rb")
connection.sendall(PREFACE)
incoming.read(len(PREFACE))
send(HELLO, {"client": "example/1", "stream_credit": 1000})  # for one short answer; CREDIT gives more
receive(WELCOME)

ask = {"prompt": prompt, "max_tokens": 32, "seed": 1}
send(REQUEST, 1, "completions.create", ask)
print("whole: " + receive(RESPONSE)[3]["choices"][0]["text"])

send(REQUEST, 2, "completions.create", {**ask, "stream": True})
print("stream: ", end="")
while (message := receive(ITEM, END))[0] == ITEM:
    print(message[3]["t"], end="", flush=True)
print("\nusage:", message[3]["usage"])
