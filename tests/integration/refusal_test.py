"""Requests that are refused from their heads: their connections go on behind bodies that nobody wants."""

import http.client
import json
import time

import pytest

from raw_http import Wire, head, post
from sluice_server import Server, assert_not_grown, key, resident_bytes, seconds

BODY = {"prompt": "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n", "max_tokens": 1}
LIMIT = 64 << 10  # of a body that is read away


@pytest.fixture
def server(tmp_path):
    """With a key that may do much, and one that may do nothing for a minute."""
    keys = tmp_path / "keys.toml"
    keys.write_text(key("open", "sk-open") + key("spent", "sk-spent", "rpm = 1"))
    server = Server("--model", "hash=hash", "--api-keys", keys)
    try:
        with Wire(server.http) as wire:
            wire.send(asks("sk-spent", "first"))
            assert wire.response().status == 200
        yield server
        server.stop()
    finally:
        server.close()


def fields(token, request_id):
    return f"Authorization: Bearer {token}", f"X-Request-Id: {request_id}"


def asks(token, request_id, body=BODY):
    return post(body, *fields(token, request_id))


def asks_in_chunks(token, request_id, body=BODY, size=7):
    text = json.dumps(body).encode()
    pieces = [text[at : at + size] for at in range(0, len(text), size)] + [b""]
    chunked = "Transfer-Encoding: chunked"
    return head("POST", "/v1/completions", chunked, "Content-Type: application/json", *fields(token, request_id)) + b"".join(
        b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces
    )


def mixed(count):
    """Requests of all kinds, and the statuses they are due, in order."""
    kinds = [("sk-spent", 429), ("sk-wrong", 401), ("sk-open", 200), ("sk-spent", 429)]
    forms = [asks, asks_in_chunks, lambda *of: asks(*of, BODY | {"pad": "x" * 9000})]
    due, requests = [], b""
    for i in range(count):
        token, status = kinds[i % len(kinds)]
        requests += forms[i % len(forms)](token, f"r{i}")
        due.append((f"r{i}", status))
    return requests, due


@pytest.mark.parametrize("slice_bytes", [1 << 20, 1000, 61])
def test_pipelined_refusals_are_answered_in_order_on_one_connection(server, slice_bytes):
    requests, due = mixed(120 if slice_bytes > 100 else 24)
    with Wire(server.http) as wire:
        for at in range(0, len(requests), slice_bytes):
            wire.send(requests[at : at + slice_bytes])
        answers = [wire.response() for _ in due]
        wire.send(head("GET", "/health"))
        assert wire.response().status == 200

    assert [(answer.header("x-request-id"), answer.status) for answer in answers] == due
    assert {answer.header("connection") for answer in answers} == {"keep-alive"}


def test_an_http_client_keeps_its_connection_over_a_thousand_refusals(server):
    before = resident_bytes(server.pid)
    connection = http.client.HTTPConnection(*server.http, timeout=seconds(30))
    connection.connect()
    socket = connection.sock
    for _ in range(1000):
        connection.request("POST", "/v1/completions", b"x" * 20_000, {"Authorization": "Bearer sk-spent"})
        response = connection.getresponse()
        assert response.status == 429 and response.read()
        assert connection.sock is socket, "the server closed the connection"
    connection.close()

    assert_not_grown(server.pid, before, 20)


def test_a_refusal_does_not_wait_for_its_body(server):
    request = asks("sk-spent", "split")
    with Wire(server.http) as wire:
        wire.send(request[:-50])
        assert wire.response().status == 429
        wire.send(request[-50:-20])
        wire.send(request[-20:] + asks("sk-open", "next"))
        assert wire.response().header("x-request-id") == "next"


@pytest.mark.parametrize("framing", [f"Content-Length: {LIMIT + 1}", "Expect: 100-continue\r\nContent-Length: 10"])
def test_a_connection_ends_behind_a_body_that_is_long_or_waits_to_be_invited(server, framing):
    with Wire(server.http) as wire:
        wire.send(head("POST", "/v1/completions", *fields("sk-spent", "r"), framing))
        answer = wire.response()
        assert answer.status == 429 and answer.header("connection") == "close"
        wire.assert_closed()


def test_a_connection_ends_in_chunks_that_go_on_beyond_the_limit(server):
    piece = b"400\r\n" + b"x" * 1024 + b"\r\n"
    with Wire(server.http) as wire:
        wire.send(head("POST", "/v1/completions", "Transfer-Encoding: chunked", *fields("sk-spent", "r")))
        assert wire.response().status == 429
        wire.send(piece * (LIMIT // 1024))
        wire.send(piece)
        wire.assert_closed()


def test_bodies_that_never_come_hold_up_neither_others_nor_the_end(tmp_path):
    keys = tmp_path / "keys.toml"
    keys.write_text(key("open", "sk-open"))
    server = Server("--model", "hash=hash", "--api-keys", keys)
    wires = [Wire(server.http) for _ in range(50)]
    try:
        for wire in wires:
            wire.send(asks("sk-wrong", "r")[:-1])
        assert [wire.response().status for wire in wires] == [401] * len(wires)
        with Wire(server.http) as other:
            other.send(asks("sk-open", "r"))
            assert other.response().status == 200

        begun = time.monotonic()
        server.stop()
        assert time.monotonic() - begun < seconds(10)
        for wire in wires:
            wire.assert_closed()
    finally:
        for wire in wires:
            wire.socket.close()
        server.close()
