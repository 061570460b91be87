"""HTTP: what a response may look like, connections that are kept, and what headers say."""

import concurrent.futures
import contextlib
import threading

import pytest

from fakes import COMPLETION, Closed
from sluice_client import AuthenticationError, Client, ProtocolError, RequestOptions, ServerError, TransportError
from sluice_client._http import EventParser, ResponseParser
from sluice_client.errors import SluiceError, from_http

HI = {"prompt": "hi"}


# --- responses ---------------------------------------------------------------------------------------------------

RESPONSES = {
    "with a length": (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", True),
    "in chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n", True),
    "with a trailer": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\n", True),
    "behind an interim one": (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", True),
    "that closes": (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello", False),
    "of HTTP/1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", False),
    "of HTTP/1.0 that stays": (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello", True),
}


@pytest.mark.parametrize("response, reusable", RESPONSES.values(), ids=RESPONSES.keys())
@pytest.mark.parametrize("step", [1, 7, 1000])
def test_a_response_is_read_in_pieces_of_any_size(response, reusable, step):
    parser = ResponseParser()

    body = b"".join(parser.feed(response[at : at + step]) for at in range(0, len(response), step))

    assert (parser.status, body, parser.done, parser.reusable) == (200, b"hello", True, reusable)


def test_a_response_without_a_length_ends_with_its_connection():
    parser = ResponseParser()

    body = parser.feed(b"HTTP/1.1 200 OK\r\n\r\nhel") + parser.feed(b"lo")
    assert not parser.done
    parser.feed_eof()

    assert (body, parser.done, parser.reusable) == (b"hello", True, False)


def test_a_connection_with_bytes_behind_the_response_is_not_used_again():
    parser = ResponseParser()

    parser.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 200 OK\r\n")

    assert parser.done and not parser.reusable


BROKEN = {
    "another protocol": b"SSH-2.0-OpenSSH\r\n\r\n",
    "a status that is none": b"HTTP/1.1 abc\r\n\r\n",
    "a header without a colon": b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n",
    "a length that is no number": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "another coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
    "a chunk without a size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\n",
    "a chunk that is longer": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
    "a head without an end": b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 20000,
    "a line without an end": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 5000,
}


@pytest.mark.parametrize("response", BROKEN.values(), ids=BROKEN.keys())
def test_what_is_no_response_is_refused(response):
    with pytest.raises(ProtocolError):
        ResponseParser().feed(response)


@pytest.mark.parametrize("end, again", [(0, True), (9, False), (40, False)])
def test_a_response_that_ends_early_is_only_tried_again_if_nothing_came(end, again):
    parser = ResponseParser()
    parser.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"[:end])

    with pytest.raises(TransportError) as caught:
        parser.feed_eof()
    assert caught.value.retryable is again


@pytest.mark.parametrize("step", [1, 5, 1000])
def test_events_are_cut_at_empty_lines(step):
    stream = b': keep-alive\n\ndata: {"a":1}\n\ndata:b\r\ndata: c\r\n\r\nevent: x\ndata: [DONE]\n\n\n'
    parser = EventParser()

    events = [event for at in range(0, len(stream), step) for event in parser.feed(stream[at : at + step])]

    assert events == [b'{"a":1}', b"b\nc", b"[DONE]"]


# --- connections -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
def test_a_connection_is_used_again(stream, serve, connect):
    def script(peer):
        for _ in range(3):
            peer.request()
            peer.stream("abc") if stream else peer.respond()

    client = connect(serve("http", script))

    for _ in range(3):
        answer = client.completions.create(stream=stream, **HI)
        assert ("".join(delta.text for delta in answer) if stream else answer.text) == "abc"


def test_a_kept_connection_that_the_server_has_closed_is_not_used(serve, connect, clock):
    def once(peer):
        peer.request()
        peer.respond()

    client = connect(serve("http", once, once), max_retries=0)

    assert client.completions.create(**HI).text == "abc"
    try:
        assert client.completions.create(**HI).text == "abc"
    except TransportError as lost:  # the end had not arrived yet
        assert lost.retryable
        assert client.completions.create(**HI).text == "abc"


def test_a_connection_that_says_close_is_not_kept(serve, connect):
    def once(peer):
        peer.request()
        peer.respond(Connection="close")
        peer.expect_close()

    client = connect(serve("http", once, once))

    assert [client.completions.create(**HI).text for _ in range(2)] == ["abc", "abc"]


def test_a_refusal_that_comes_before_the_request_was_read_is_heard(serve, connect):
    def script(peer):
        peer.read_until(b"\r\n\r\n")
        peer.respond({"error": {"message": "Too much.", "code": "request_too_large"}}, 413, Connection="close")

    with pytest.raises(SluiceError) as caught:
        connect(serve("http", script)).completions.create(prompt="x" * 1000)
    assert caught.value.code == "request_too_large"


def test_threads_have_a_connection_each(serve):
    def script(peer):
        with contextlib.suppress(Closed):
            while True:
                body = peer.request()[3]
                peer.respond(dict(COMPLETION, id=body["prompt"]))

    with Client(serve("http", *[script] * 4)) as client, concurrent.futures.ThreadPoolExecutor(4) as threads:
        together = threading.Barrier(4)

        def ask(number):
            together.wait()
            return [client.completions.create(prompt=f"{number}-{each}").id for each in range(20)]

        answers = list(threads.map(ask, range(4)))
        assert answers == [[f"{number}-{each}" for each in range(20)] for number in range(4)]


# --- what headers say --------------------------------------------------------------------------------------------


def test_a_key_is_a_bearers(serve, connect):
    def script(peer):
        assert peer.request()[2]["authorization"] == "Bearer secret"
        error = {"message": "No.", "type": "invalid_request_error", "param": None, "code": "invalid_api_key"}
        peer.respond({"error": error}, 401)

    with pytest.raises(AuthenticationError) as caught:
        connect(serve("http", script), api_key="secret").completions.create(**HI)
    assert caught.value.code == "invalid_api_key"


@pytest.mark.parametrize("value", ["a\r\nb: c", "\u00e4"])
def test_a_header_stays_one(value, connect):
    with pytest.raises(ValueError, match="X-Request-Id"):
        connect("http://127.0.0.1:1").completions.create(options=RequestOptions(request_id=value), **HI)
    with pytest.raises(ValueError) as caught:
        connect("http://127.0.0.1:1", api_key=f"secret{value}").completions.create(**HI)
    assert "secret" not in str(caught.value)


def test_what_is_told_beside_an_answer(serve, connect):
    def script(peer):
        peer.request()
        told = {"x_sluice_ignored_params": "foo, bar", "x_sluice_degraded": "level=3", "Idempotent_Replayed": "true"}
        peer.respond(**told)

    about = connect(serve("http", script)).completions.create(**HI).about

    assert (about.ignored_params, about.degraded, about.replayed) == (("foo", "bar"), "level=3", True)


WAITS = {
    "milliseconds": ({"retry-after": "2", "retry-after-ms": "1137"}, 1.137),
    "seconds": ({"retry-after": "2"}, 2.0),
    "a moment": (
        {"retry-after": "Tue, 01 Dec 2026 13:59:10 GMT", "date": "Tue, 01 Dec 2026 13:59:08 GMT"},
        2.0,
    ),
    "a moment without a clock": ({"retry-after": "Tue, 01 Dec 2026 13:59:10 GMT"}, None),
    "nonsense": ({"retry-after": "soon"}, None),
    "nothing": ({}, None),
}


@pytest.mark.parametrize("headers, wait", WAITS.values(), ids=WAITS.keys())
def test_when_to_come_back(headers, wait):
    assert from_http(429, headers, {}).retry_after == wait


def test_an_answer_that_is_not_of_sluice_is_shown_by_its_beginning():
    error = from_http(502, {}, "<html>\n<h1>Bad   Gateway</h1>" + "x" * 1000)

    assert isinstance(error, ServerError)
    assert error.message.startswith("<html> <h1>Bad Gateway</h1>xxx")
    assert len(error.message) == 200


# --- streams -----------------------------------------------------------------------------------------------------


def test_pieces_that_only_name_a_role_are_none(serve, connect):
    def script(peer):
        peer.request()
        peer.begin_stream()
        for delta, reason in (({"role": "assistant", "content": ""}, None), ({"content": "hi"}, None), ({}, "stop")):
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
            peer.event({"id": "chatcmpl-1", "choices": [choice]})
        peer.end_stream()

    stream = connect(serve("http", script)).chat.create(messages=[{"role": "user", "content": "hi"}], stream=True)

    assert [(delta.text, delta.finish_reason) for delta in stream] == [("hi", None), ("", "stop")]


def test_half_a_character_of_a_chat_is_its_bytes(serve, connect):
    top = [{"token": "\ufffd", "logprob": -0.5, "bytes": [240, 159]}]
    entry = {"token": "\ufffd", "logprob": -0.5, "bytes": [240, 159], "top_logprobs": top}
    choice = {"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}

    def script(peer):
        peer.request()
        peer.respond(dict(COMPLETION, choices=[dict(choice, logprobs={"content": [entry], "refusal": None})]))

    (logprob,) = connect(serve("http", script)).chat.create(messages=[]).choices[0].logprobs

    assert logprob.token == b"\xf0\x9f"
    assert logprob.top == ((b"\xf0\x9f", -0.5),)


def test_the_likelihoods_of_a_completion(serve, connect):
    logprobs = {
        "text_offset": [0, 1],
        "token_logprobs": [None, -0.5],
        "tokens": ["a", "b"],
        "top_logprobs": [None, {"b": -0.5, "c": -1.5}],
    }
    choice = dict(COMPLETION["choices"][0], logprobs=logprobs)

    def script(peer):
        peer.request()
        peer.respond(dict(COMPLETION, choices=[choice]))

    first, second = connect(serve("http", script)).completions.create(**HI).choices[0].logprobs

    assert (first.token, first.logprob, first.top) == ("a", None, ())
    assert (second.token, second.logprob, second.top) == ("b", -0.5, (("b", -0.5), ("c", -1.5)))


def without_done(peer):
    peer.send(b"0\r\n\r\n")


def no_json(peer):
    peer.event(b"{")


def no_object(peer):
    peer.event(b"[]")


def after_the_end(peer):
    data = b"data: [DONE]\n\ndata: {}\n\n"
    peer.send(b"%x\r\n%s\r\n" % (len(data), data))


@pytest.mark.parametrize("broken", [without_done, no_json, no_object, after_the_end])
def test_a_stream_that_is_none_is_an_error(broken, serve, connect):
    def script(peer):
        peer.request()
        peer.begin_stream()
        peer.item("a")
        broken(peer)

    stream = connect(serve("http", script)).completions.create(stream=True, **HI)

    assert next(stream).text == "a"
    with pytest.raises(TransportError):
        list(stream)


def test_a_stream_that_is_answered_by_something_else_is_an_error(serve, connect):
    def script(peer):
        peer.request()
        peer.respond()

    with pytest.raises(ProtocolError):
        connect(serve("http", script)).completions.create(stream=True, **HI)


@pytest.mark.parametrize("status, body", [(200, {"status": "ready"}), (503, {"status": "x", "reasons": ["loading"]})])
def test_the_status_is_put_together_from_three_pages(status, body, serve, connect, clock):
    pages = {"/ready": (body, status), "/version": ({"version": "1.0"}, 200)}
    pages["/v1/models"] = ({"object": "list", "data": [{"id": "m"}]}, 200)

    def script(peer):
        for _ in range(3):
            verb, path, headers, content = peer.request()
            assert (verb, content) == ("GET", None)
            peer.respond(*pages[path])

    found = connect(serve("http", script)).status()

    assert (found.ready, found.reasons) == (status == 200, tuple(body.get("reasons", ())))
    assert (found.version, found.models, found.draining) == ("1.0", ("m",), None)
    assert clock.sleeps == []
