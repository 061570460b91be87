"""The least client of Sluice RPC: frames by hand, for tests that look at every message."""

import itertools
import socket
import struct

import msgpack

from sluice_server import seconds

PREFACE = b"\xc1SRP\x01\x00\x00\x00"
REQUEST, RESPONSE, NOTIFY, ITEM, END, CANCEL, CREDIT, PING, PONG, GOAWAY, HELLO, WELCOME, FATAL = range(13)


def frame(*message):
    packed = msgpack.packb(list(message))
    return struct.pack(">I", len(packed)) + packed


class RpcError(Exception):
    """An error of a request: the map the server sent."""

    def __init__(self, error):
        super().__init__(f"{error['code']}: {error['message']}")
        self.error = error
        self.code = error["code"]


class Closed(Exception):
    """The server has ended the connection; `code` says why, if it did."""

    def __init__(self, code=None):
        super().__init__(code)
        self.code = code


class RpcConnection:
    """One connection. Messages are read in their order; nothing is answered or granted by itself but PING."""

    def __init__(self, server, token=None, hello=None, timeout=60):
        self.socket = socket.create_connection(server.binary, timeout=seconds(timeout))
        self.file = self.socket.makefile("rb")
        said = {"client": "raw/1"} | (hello or {})
        if token:
            said["auth"] = {"scheme": "bearer", "token": token}
        self.ids = itertools.count(1)
        self.socket.sendall(PREFACE + frame(HELLO, said))
        preface = self.file.read(len(PREFACE))
        if preface[:4] != PREFACE[:4]:
            raise Closed()
        self.welcome = self.expect(WELCOME)[1]

    def send(self, *message):
        self.socket.sendall(frame(*message))

    def read(self):
        """The next message; raises Closed at the end."""
        while True:
            prefix = self.file.read(4)
            if len(prefix) < 4:
                raise Closed()
            message = msgpack.unpackb(self.file.read(*struct.unpack(">I", prefix)))
            if message[0] == FATAL:
                raise Closed(message[1])
            if message[0] != PING:
                return message
            self.send(PONG, message[1])

    def expect(self, kind):
        message = self.read()
        assert message[0] == kind, message
        return message

    def ask(self, method, meta=None, **params):
        """Sends a request; its id."""
        id = next(self.ids)
        self.send(REQUEST, id, method, params, *([meta] if meta else []))
        return id

    def call(self, method, meta=None, **params):
        """The result of one request that is not a stream, when no other runs."""
        id = self.ask(method, meta, **params)
        message = self.expect(RESPONSE)
        assert message[1] == id
        if message[2]:
            raise RpcError(message[2])
        return message[3]

    def streams(self, ids):
        """Reads until all of these streams have ended: the text and the END of each."""
        texts, ends, counts = dict.fromkeys(ids, ""), {}, dict.fromkeys(ids, 0)
        while len(ends) < len(texts):
            message = self.read()
            if message[0] == ITEM:
                assert message[2] == counts[message[1]], message
                counts[message[1]] += 1
                texts[message[1]] += message[3]["t"]
                self.send(CREDIT, message[1], 1)
                self.send(CREDIT, 0, 400)
            elif message[0] == END:
                assert message[1] not in ends
                ends[message[1]] = message
        return texts, ends

    def close(self):
        self.file.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
