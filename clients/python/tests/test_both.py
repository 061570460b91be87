"""What holds over both protocols, for both kinds of client."""

import concurrent.futures
import contextlib
import threading

import pytest

from fakes import CANCEL, COMPLETION, GUARD_SECONDS, OVERLOADED, TRAILER, Closed
from sluice_client import (
    Client,
    DeadlineExceededError,
    InvalidRequestError,
    NotFoundError,
    ProtocolError,
    RateLimitError,
    RequestOptions,
    TransportError,
    UnavailableError,
)
from sluice_client.errors import SluiceError

pytestmark = pytest.mark.parametrize("scheme", ["http", "srp"])


class Answers:
    """The server's half of one exchange, whatever the protocol: what a script says without naming it."""

    def __init__(self, peer):
        self.peer = peer
        self.rpc = hasattr(peer, "handshake")
        self.number = self.params = self.told = None
        if self.rpc:
            peer.handshake()

    def request(self):
        if self.rpc:
            self.number, self.method, self.params, self.told = self.peer.request()
        else:
            _, self.method, self.told, self.params = self.peer.request()
        return self

    def respond(self, body=COMPLETION):
        self.peer.respond(self.number, body) if self.rpc else self.peer.respond(body)

    def refuse(self, status=429, code="overloaded", after_ms=None, never=False):
        if self.rpc:
            error = dict(OVERLOADED, http=status, code=code, retryable=not never)
            del error["retry_after_ms"]
            if after_ms is not None:
                error["retry_after_ms"] = after_ms
            is_stream = self.params.get("stream", False)
            self.peer.end(self.number, error) if is_stream else self.peer.respond(self.number, error=error)
            return
        error = {name: OVERLOADED[name] for name in ("type", "message", "param")}
        headers = {"X_Request_Id": "req-7"}
        if after_ms is not None:
            headers.update(Retry_After=-(-after_ms // 1000), retry_after_ms=after_ms)
        if never:
            headers["x_should_retry"] = "false"
        self.peer.respond({"error": {**error, "code": code}}, status, **headers)

    def begin(self, text):
        """A stream and its first characters."""
        if not self.rpc:
            self.peer.begin_stream()
        for character in text:
            self.peer.item(self.number, character) if self.rpc else self.peer.item(character)

    def stream(self, text):
        self.peer.stream(self.number, text) if self.rpc else self.peer.stream(text)

    def fail_stream(self):
        if self.rpc:
            self.peer.end(self.number, dict(OVERLOADED, code="backend_lost", type="server_error", http=503))
            return
        error = {"message": "Too much is waiting.", "type": "server_error", "param": None, "code": "backend_lost"}
        self.peer.event({"error": error})
        with contextlib.suppress(OSError):
            self.peer.end_stream()  # nobody needs to wait for it


def test_a_completion_is_an_object_with_types(scheme, serve, connect):
    def script(peer):
        exchange = Answers(peer).request()
        assert exchange.params == {"prompt": "hi", "max_tokens": 3, "model": "m"}
        exchange.respond()

    client = connect(serve(scheme, script))

    answer = client.completions.create(prompt="hi", max_tokens=3, model="m")

    assert answer.text == answer.choices[0].text == "abc"
    assert answer.choices[0].finish_reason == "length"
    assert (answer.id, answer.model, answer.system_fingerprint) == ("cmpl-1", "m", "fp_1")
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (2, 3, 5)
    assert answer.about.request_id == "req-1"
    assert answer.raw == COMPLETION


def test_a_chat_is_a_completion_whose_text_is_the_message(scheme, serve, connect):
    message = {"role": "assistant", "content": "Paris", "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop", "stop_reason": None}

    def script(peer):
        exchange = Answers(peer).request()
        assert exchange.method in ("chat.create", "/v1/chat/completions")
        assert exchange.params["messages"] == [{"role": "user", "content": "Where?"}]
        exchange.respond(dict(COMPLETION, object="chat.completion", choices=[choice]))

    client = connect(serve(scheme, script))

    assert client.chat.create(messages=[{"role": "user", "content": "Where?"}]).text == "Paris"


def test_a_stream_gives_its_pieces_and_at_its_end_the_usage(scheme, serve, connect):
    client = connect(serve(scheme, lambda peer: Answers(peer).request().stream("abc")))

    with client.completions.create(prompt="hi", stream=True) as stream:
        first = next(stream)
        assert (first.index, first.text, first.finish_reason) == (0, "a", None)
        assert stream.usage is None and stream.trailer is None
        assert "".join(delta.text for delta in stream) == "bc"

    assert stream.usage.total_tokens == 5
    assert (stream.trailer.id, stream.trailer.model) == ("cmpl-1", "m")
    assert stream.trailer.system_fingerprint == "fp_1"
    assert stream.request_id == stream.trailer.about.request_id == "req-1"
    assert list(stream) == [], "an end stays one"


def test_the_server_is_told_how_long_it_has_and_what_the_request_is_called(scheme, serve, connect):
    def script(peer):
        told = Answers(peer).request().told
        if scheme == "srp":
            assert told == {"deadline_ms": 2500, "request_id": "mine", "idempotency_key": "once", "strict": True}
        else:
            assert told["x-request-timeout-ms"] == "2500"
            assert told["x-request-id"] == "mine"
            assert told["idempotency-key"] == "once"
            assert told["x-sluice-strict"] == "1"
            assert "x-sluice-partial-ok" not in told
        raise Closed

    def run(peer):
        with pytest.raises(Closed):
            script(peer)

    client = connect(serve(scheme, run), max_retries=0)
    options = RequestOptions(timeout=2.5, request_id="mine", idempotency_key="once", strict=True)

    with pytest.raises(TransportError):
        client.completions.create(prompt="hi", options=options)


def test_tokens_there_and_back(scheme, serve, connect):
    def script(peer):
        exchange = Answers(peer)
        assert exchange.request().params == {"prompt": "hi"}
        exchange.respond({"tokens": [104, 105], "count": 2, "max_model_len": 1024})
        assert exchange.request().params == {"tokens": [104, 105]}
        exchange.respond({"prompt": "hi"})

    client = connect(serve(scheme, script))

    tokens = client.tokenize("hi")

    assert (tokens.tokens, tokens.count, tokens.max_model_len) == ((104, 105), 2, 1024)
    assert client.detokenize(tokens.tokens) == "hi"
    with pytest.raises(TypeError, match="either"):
        client.tokenize()


def test_models(scheme, serve, connect):
    model = {"id": "m", "object": "model", "state": "ready", "max_model_len": 1024, "capabilities": ["completion"]}

    def script(peer):
        Answers(peer).request().respond({"object": "list", "data": [model]})

    (found,) = connect(serve(scheme, script)).models.list()

    assert (found.id, found.state, found.max_model_len, found.capabilities) == ("m", "ready", 1024, ("completion",))


def test_an_error_says_what_the_server_said(scheme, serve, connect, clock):
    client = connect(serve(scheme, lambda peer: Answers(peer).request().refuse(404, "model_not_found", never=True)))

    with pytest.raises(NotFoundError) as caught:
        client.completions.create(prompt="hi", model="x")

    error = caught.value
    assert (error.code, error.type, error.http_status) == ("model_not_found", "rate_limit_error", 404)
    assert (error.message, error.param, error.request_id) == ("Too much is waiting.", None, "req-7")
    assert (error.retryable, error.retry_after) == (False, None)
    assert clock.sleeps == []


@pytest.mark.parametrize("stream", [False, True])
def test_what_is_refused_for_now_is_sent_again_not_before_the_server_says(scheme, stream, serve, connect, clock):
    def script(peer):
        exchange = Answers(peer)
        exchange.request().refuse(after_ms=1500)
        exchange.request().refuse(503, "not_ready")
        exchange.request()
        exchange.stream("abc") if stream else exchange.respond()

    client = connect(serve(scheme, script))

    if stream:
        assert [delta.text for delta in client.completions.create(prompt="hi", stream=True)] == ["a", "b", "c"]
    else:
        assert client.completions.create(prompt="hi").text == "abc"
    assert clock.sleeps == [1.5, 0.5], "as the server said; twice the first wait"


def test_who_has_tried_often_enough_gets_the_error(scheme, serve, connect, clock):
    def script(peer):
        exchange = Answers(peer)
        for _ in range(2):
            exchange.request().refuse(after_ms=100)

    client = connect(serve(scheme, script), max_retries=1)

    with pytest.raises(RateLimitError) as caught:
        client.completions.create(prompt="hi")
    assert caught.value.retry_after == 0.1
    assert clock.sleeps == [0.25]


def test_what_the_server_does_not_want_again_is_not_sent_again(scheme, serve, connect, clock):
    client = connect(serve(scheme, lambda peer: Answers(peer).request().refuse(503, "no_replica", never=True)))

    with pytest.raises(UnavailableError):
        client.completions.create(prompt="hi")
    assert clock.sleeps == []


def test_a_fault_of_the_server_is_not_tried_again_by_itself(scheme, serve, connect, clock):
    client = connect(serve(scheme, lambda peer: Answers(peer).request().refuse(500, "internal_error")))

    with pytest.raises(SluiceError) as caught:
        client.completions.create(prompt="hi")
    assert caught.value.retryable, "whoever knows that the request is harmless may"
    assert clock.sleeps == []


def test_nobody_waits_for_a_retry_beyond_his_deadline(scheme, serve, connect, clock):
    client = connect(serve(scheme, lambda peer: Answers(peer).request().refuse(after_ms=3000)), timeout=2)

    with pytest.raises(RateLimitError):
        client.completions.create(prompt="hi")
    assert clock.sleeps == []


@pytest.mark.parametrize("stream", [False, True])
def test_a_connection_that_breaks_before_an_answer_is_tried_again(scheme, stream, serve, connect, clock):
    def vanish(peer):
        Answers(peer).request()
        peer.reset()

    def answer(peer):
        exchange = Answers(peer).request()
        exchange.stream("abc") if stream else exchange.respond()

    client = connect(serve(scheme, vanish, answer))

    if stream:
        assert len(list(client.completions.create(prompt="hi", stream=True))) == 3
    else:
        assert client.completions.create(prompt="hi").text == "abc"
    assert clock.sleeps == [0.25]


def test_a_server_that_is_not_there_is_an_error_after_retries(scheme, serve, connect, clock):
    client = connect(f"{scheme}://127.0.0.1:1")

    with pytest.raises(TransportError) as caught:
        client.completions.create(prompt="hi")
    assert caught.value.code == "connection_failed"
    assert clock.sleeps == [0.25, 0.5]


def test_a_stream_that_has_begun_is_never_sent_again(scheme, serve, connect, clock):
    def script(peer):
        Answers(peer).request().begin("ab")

    stream = connect(serve(scheme, script)).completions.create(prompt="hi", stream=True)

    with pytest.raises(TransportError) as caught:
        list(stream)
    assert not caught.value.retryable
    assert clock.sleeps == []
    assert stream.usage is None


def test_an_error_inside_a_stream_is_raised_behind_what_came(scheme, serve, connect, clock):
    def script(peer):
        exchange = Answers(peer).request()
        exchange.begin("ab")
        exchange.fail_stream()

    stream = connect(serve(scheme, script)).completions.create(prompt="hi", stream=True)

    assert [next(stream).text, next(stream).text] == ["a", "b"]
    with pytest.raises(UnavailableError) as caught:
        next(stream)
    assert (caught.value.code, caught.value.http_status) == ("backend_lost", 503)
    assert caught.value.retryable
    assert clock.sleeps == []
    assert list(stream) == []


@pytest.mark.parametrize("leave", ["close", "block", "forget"])
def test_leaving_a_stream_early_cancels_the_request(scheme, leave, serve, connect):
    left = threading.Event()

    def script(peer):
        exchange = Answers(peer).request()
        exchange.begin("ab")
        if scheme == "srp":
            assert peer.message(CANCEL)[1:] == [exchange.number, "client"]
            peer.end(exchange.number, dict(OVERLOADED, code="cancelled", http=499))
            exchange.request().respond()
        else:
            peer.expect_close()
        left.set()

    client = connect(serve(scheme, script))
    stream = client.completions.create(prompt="hi", stream=True)
    if leave == "close":
        next(stream)
        stream.close()
    elif leave == "block":
        with stream:
            next(stream)
    else:
        next(stream)
        del stream
    if scheme == "srp":
        assert client.completions.create(prompt="hi").text == "abc"
    elif hasattr(client, "_loop"):
        client._loop.run_until_complete(client._loop.run_in_executor(None, left.wait, GUARD_SECONDS))
    assert left.wait(GUARD_SECONDS)


def test_a_stream_may_be_closed_by_another_thread(scheme, serve):
    waits = threading.Event()

    def script(peer):
        exchange = Answers(peer).request()
        exchange.begin("a")
        if scheme == "srp":
            peer.message(CANCEL)
        else:
            peer.expect_close()

    with Client(serve(scheme, script)) as client, concurrent.futures.ThreadPoolExecutor(1) as threads:
        stream = client.completions.create(prompt="hi", stream=True)

        def read():
            texts = [next(stream).text]
            waits.set()
            with contextlib.suppress(SluiceError, StopIteration):  # which, depends on who was first
                texts.append(next(stream).text)
            return texts

        reading = threads.submit(read)
        assert waits.wait(GUARD_SECONDS)
        stream.close()

        assert reading.result(GUARD_SECONDS) == ["a"]


def test_a_stream_has_its_deadline_to_its_last_piece(scheme, serve, connect, clock):
    def script(peer):
        exchange = Answers(peer).request()
        exchange.begin("a")
        if scheme == "srp":
            peer.message(CANCEL)
        else:
            peer.expect_close()

    stream = connect(serve(scheme, script)).completions.create(
        prompt="hi", stream=True, options=RequestOptions(timeout=5)
    )
    assert next(stream).text == "a"
    clock.advance(5)

    with pytest.raises(DeadlineExceededError) as caught:
        next(stream)
    assert caught.value.code == "deadline_exceeded"
    assert caught.value.http_status is None


def test_a_client_that_was_closed_says_so(scheme, connect):
    client = connect(f"{scheme}://127.0.0.1:1")
    client.close()

    with pytest.raises(SluiceError) as caught:
        client.completions.create(prompt="hi")
    assert caught.value.code == "client_closed"


def test_an_answer_that_lacks_what_it_must_have_is_a_protocol_error(scheme, serve, connect):
    body = dict(COMPLETION, choices=[{"index": 0, "text": 7}])
    client = connect(serve(scheme, lambda peer: Answers(peer).request().respond(body)))

    with pytest.raises(ProtocolError, match="text"):
        client.completions.create(prompt="hi")


@pytest.mark.parametrize("what", ["", "/v1", "?x=1"])
def test_a_url_is_a_scheme_a_host_and_a_port(scheme, what, connect):
    with pytest.raises(ValueError, match="url"):
        connect(f"{scheme}://user@127.0.0.1:1{what}")


def test_what_cannot_be_sent_is_the_callers_mistake(scheme, serve, connect):
    def script(peer):
        if scheme == "srp":
            peer.handshake()
            peer.expect_close()
        else:
            raise AssertionError("a connection")

    client = connect(serve(scheme, script) if scheme == "srp" else "http://127.0.0.1:1")

    with pytest.raises(TypeError):
        client.completions.create(prompt="hi", logit_bias=object())


def test_usage_is_none_of_a_server_that_tells_none(scheme, serve, connect):
    def script(peer):
        exchange = Answers(peer).request()
        if scheme == "srp":
            exchange.begin("a")
            peer.end(exchange.number, trailer={name: TRAILER[name] for name in ("id", "model")})
        else:
            assert exchange.params["stream_options"] == {"include_usage": False}
            exchange.begin("a")
            peer.end_stream()

    more = {} if scheme == "srp" else {"stream_options": {"include_usage": False}}
    stream = connect(serve(scheme, script)).completions.create(prompt="hi", stream=True, **more)

    assert [delta.text for delta in stream] == ["a"]
    assert stream.usage is None
    assert stream.trailer.id == "cmpl-1"


def test_an_invalid_request_has_a_class_of_its_own(scheme, serve, connect):
    client = connect(serve(scheme, lambda peer: Answers(peer).request().refuse(413, "request_too_large", never=True)))

    with pytest.raises(InvalidRequestError):
        client.completions.create(prompt="hi")
