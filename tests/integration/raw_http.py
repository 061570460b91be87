"""Bytes on a socket: for what no HTTP client would send, and to see exactly what comes back."""

import contextlib
import dataclasses
import json
import select
import socket

from sluice_server import seconds


@dataclasses.dataclass
class Response:
    status: int
    reason: str
    headers: list  # of (name in lower case, value), in the order of arrival
    body: bytes
    chunks: list  # of a chunked body, as they were framed

    def header(self, name):
        values = [value for key, value in self.headers if key == name.lower()]
        assert len(values) <= 1, f"{name} came {len(values)} times: {values}"
        return values[0] if values else None

    def json(self):
        return json.loads(self.body)


class Wire:
    """One connection. Reads answers strictly: what is not well-formed HTTP/1.1 fails the test."""

    def __init__(self, address, timeout=30):
        self.socket = socket.create_connection(address, timeout=seconds(timeout))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def send_until_answered(self, pieces):
        """Sends piece after piece as long as nothing comes back, as careful clients do; the number of bytes sent."""
        sent = 0
        for piece in pieces:
            readable, _, _ = select.select([self.socket], [], [], 0)
            if readable:
                break
            try:
                self.socket.sendall(piece)
            except (BrokenPipeError, ConnectionResetError):
                break
            sent += len(piece)
        return sent

    def _more(self):
        piece = self.socket.recv(65536)
        if not piece:
            raise EOFError(f"the connection ended; not yet read: {self.buffer!r}")
        self.buffer += piece

    def peek(self, mark):
        """Waits until `mark` has arrived, and reads nothing."""
        while mark not in self.buffer:
            self._more()

    def line(self):
        while b"\r\n" not in self.buffer:
            self._more()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def exactly(self, count):
        while len(self.buffer) < count:
            self._more()
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def to_end(self):
        """What is left until the other side closes."""
        with contextlib.suppress(EOFError):
            while True:
                self._more()
        data, self.buffer = self.buffer, b""
        return data

    def assert_closed(self):
        assert self.to_end() == b""

    def response(self, head_only=False):
        version, status, reason = self.line().decode("ascii").split(" ", 2)
        assert version in ("HTTP/1.1", "HTTP/1.0")
        headers = []
        while line := self.line():
            name, colon, value = line.decode("latin-1").partition(":")
            assert colon and name and name == name.strip(), f"not a header: {line!r}"
            headers.append((name.lower(), value.strip()))
        response = Response(int(status), reason, headers, b"", [])
        if head_only or response.status < 200 or response.status in (204, 304):
            return response
        if response.header("transfer-encoding") == "chunked":
            assert response.header("content-length") is None
            while size := int(self.line(), 16):
                response.chunks.append(self.exactly(size))
                assert self.exactly(2) == b"\r\n"
            assert self.exactly(2) == b"\r\n"
            response.body = b"".join(response.chunks)
        elif response.header("content-length") is not None:
            response.body = self.exactly(int(response.header("content-length")))
        else:
            assert response.header("connection") == "close" or version == "HTTP/1.0"
            response.body = self.to_end()
        return response


def head(method, path, *headers, version="1.1", host="localhost"):
    lines = [f"{method} {path} HTTP/{version}"]
    if host is not None:
        lines.append(f"Host: {host}")
    return ("\r\n".join([*lines, *headers]) + "\r\n\r\n").encode("latin-1")


def post(body, *headers, path="/v1/completions", version="1.1"):
    """A whole POST with its length."""
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    return (
        head("POST", path, "Content-Type: application/json", f"Content-Length: {len(body)}", *headers, version=version)
        + body
    )


def exchange(address, data, head_only=False, timeout=30):
    """Sends bytes on a connection of their own and reads one answer."""
    with Wire(address, timeout) as wire:
        wire.send(data)
        return wire.response(head_only)


def assert_error(response, status, code, error_type=None, param=...):
    """The answer is an error exactly in OpenAI's shape."""
    assert response.status == status, f"{response.status}, expected {status}: {response.body!r}"
    assert response.header("content-type") == "application/json"
    body = response.json()
    assert list(body) == ["error"], body
    assert sorted(body["error"]) == ["code", "message", "param", "type"], body
    error = body["error"]
    assert error["code"] == code, body
    assert isinstance(error["message"], str) and error["message"] and "\n" not in error["message"], body
    if error_type is not None:
        assert error["type"] == error_type, body
    if param is not ...:
        assert error["param"] == param, body
    return error
