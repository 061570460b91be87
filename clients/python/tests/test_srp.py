"""The binary protocol: handshake, credit, many requests on a connection, goodbyes, and whoever breaks the rules."""

import asyncio
import concurrent.futures
import threading

import pytest

from fakes import (
    CANCEL,
    COMPLETION,
    CREDIT,
    END,
    FATAL,
    GOAWAY,
    GUARD_SECONDS,
    HELLO,
    ITEM,
    NOTIFY,
    OVERLOADED,
    PING,
    PONG,
    PREFACE,
    REQUEST,
    RESPONSE,
    WELCOME,
    WELCOMING,
    Closed,
    blocking_client,
)
from sluice_client import (
    AuthenticationError,
    Client,
    DeadlineExceededError,
    ProtocolError,
    RequestOptions,
    UnavailableError,
    _frames,
)
from sluice_client.errors import SluiceError

HI = {"prompt": "hi"}


# --- handshake ---------------------------------------------------------------------------------------------------


def test_a_client_says_who_it_is_and_how_much_may_come(serve, connect):
    def script(peer):
        peer.handshake()
        assert peer.hello["client"].startswith("sluice-client/")
        assert peer.hello["auth"] == {"scheme": "bearer", "token": "secret"}
        assert peer.hello["features"] == []
        assert peer.hello["stream_credit"] == 7
        peer.respond(peer.request()[0])

    connect(serve("srp", script), api_key="secret", stream_credit=7).completions.create(**HI)


def test_a_client_without_a_key_names_none(serve, connect):
    def script(peer):
        peer.handshake()
        assert "auth" not in peer.hello
        peer.respond(peer.request()[0])

    connect(serve("srp", script)).completions.create(**HI)


def refuse_key(peer):
    assert peer.read(8) == PREFACE
    peer.send(PREFACE)
    peer.message(HELLO)
    peer.say(FATAL, "invalid_api_key", "Nobody has this key.")


def test_a_wrong_key_is_an_error_at_once(serve, connect, clock):
    with pytest.raises(AuthenticationError) as caught:
        connect(serve("srp", refuse_key), api_key="wrong").completions.create(**HI)
    assert (caught.value.code, caught.value.http_status) == ("invalid_api_key", 401)
    assert clock.sleeps == []


def other_major(peer):
    peer.read(8)
    peer.send(b"\xc1SRP\x02\x00\x00\x00")


def http_server(peer):
    peer.read(8)
    peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@pytest.mark.parametrize("script, what", [(other_major, "version 2"), (http_server, "use http://")])
def test_another_protocol_is_named(script, what, serve, connect):
    with pytest.raises(ProtocolError, match=what):
        connect(serve("srp", script)).completions.create(**HI)


def test_a_later_minor_version_is_spoken_with(serve, connect):
    def script(peer):
        peer.read(8)
        peer.send(b"\xc1SRP\x01\x07\x00\x00")
        peer.hello = peer.message(HELLO)[1]
        peer.say(WELCOME, dict(WELCOMING, later="key"), "a later element")
        peer.say(16, "a message of a later version")
        number = peer.request()[0]
        peer.say(RESPONSE, number, None, COMPLETION, {"request_id": "req-1", "later": 1}, "later")

    assert connect(serve("srp", script)).completions.create(**HI).about.request_id == "req-1"


def test_a_server_with_too_many_connections_is_tried_again(serve, connect, clock):
    def full(peer):
        peer.send(PREFACE)
        peer.say(GOAWAY, 0, "overloaded", 0)

    def answer(peer):
        peer.handshake().respond(peer.request()[0])

    assert connect(serve("srp", full, answer)).completions.create(**HI).text == "abc"
    assert clock.sleeps == [0.25]


BAD_WELCOMES = {
    "without limits": {"max_frame": None},
    "with limits of another type": {"max_inflight": "many"},
    "without room for requests": {"max_inflight": 0},
    "with a larger frame than was offered": {"max_frame": 1 << 30},
    "with a checksum nobody offered": {"features": ["crc32c"]},
}


@pytest.mark.parametrize("wrong", BAD_WELCOMES.values(), ids=BAD_WELCOMES.keys())
def test_a_welcome_that_makes_no_sense_is_refused(wrong, serve, connect):
    def script(peer):
        peer.handshake(**wrong)
        assert peer.message(FATAL)[1] == "bad_message"
        peer.expect_close()

    with pytest.raises(ProtocolError):
        connect(serve("srp", script)).completions.create(**HI)


def test_checksums_are_there_where_both_want_them(serve, connect):
    def script(peer):
        assert peer.read(8) == PREFACE
        peer.send(PREFACE)
        assert peer.message(HELLO)[1]["features"] == ["crc32c"]
        peer.say(WELCOME, dict(WELCOMING, features=["crc32c"]))
        while True:
            payload = peer.read(int.from_bytes(peer.read(4), "big"))
            message = _frames.decode(payload, crc=True)
            if message[0] != CREDIT:
                break
        peer.send(_frames.encode([ITEM, message[1], 0, {"c": 0, "t": "a", "k": [97]}], crc=True))
        peer.send(_frames.encode([END, message[1], None, {"model": "m"}], crc=True))
        peer.send(_frames.encode([PING, 1]))  # without one
        while message[0] != FATAL:
            payload = peer.read(int.from_bytes(peer.read(4), "big"))
            message = _frames.decode(payload, crc=True)
        assert message[1] == "bad_frame"

    client = connect(serve("srp", script), crc32c=True)

    assert [delta.text for delta in client.completions.create(stream=True, **HI)] == ["a"]
    with pytest.raises(SluiceError):  # the broken frame is found now, if it was not before
        client.completions.create(options=RequestOptions(timeout=1), **HI)


# --- credit ------------------------------------------------------------------------------------------------------


def test_a_stream_is_longer_than_its_credit(serve, connect):
    def script(peer):
        peer.handshake()
        peer.stream(peer.request()[0], "a" * 1000)

    stream = connect(serve("srp", script), stream_credit=8).completions.create(stream=True, **HI)

    assert len(list(stream)) == 1000


@pytest.mark.parametrize("credit", [1, 2, 3])
def test_the_least_credit_is_enough(credit, serve, connect):
    def script(peer):
        peer.handshake()
        peer.stream(peer.request()[0], "a" * 10)

    stream = connect(serve("srp", script), stream_credit=credit).completions.create(stream=True, **HI)

    assert len(list(stream)) == 10


def test_credit_comes_back_as_items_are_read_and_not_before(serve, connect):
    spent = threading.Event()

    def script(peer):
        number = peer.handshake().request()[0]
        for _ in range(8):
            peer.item(number, "a")
        peer.say(PING, 5)
        assert peer.message(PONG, CREDIT) == [PONG, 5], "nothing was read, but by the client itself"
        spent.set()
        peer.wait_for_credit(number)
        assert peer.credit[number] == 4
        peer.item(number, "b")
        peer.end(number)

    client = connect(serve("srp", script), stream_credit=8)
    stream = client.completions.create(stream=True, **HI)
    if hasattr(client, "_loop"):
        client._loop.run_until_complete(client._loop.run_in_executor(None, spent.wait, GUARD_SECONDS))
    assert spent.wait(GUARD_SECONDS)

    assert "".join(delta.text for delta in stream) == "a" * 8 + "b"


def test_the_window_of_the_connection_is_given_back(serve, connect):
    text = "x" * 60000

    def script(peer):
        number = peer.handshake().request()[0]
        for _ in range(400):  # 24 MB, more than the window
            peer.wait_for_credit(number)
            while peer.window <= 0:
                peer.message(CREDIT)
            peer.item(number, text, k=[])
        peer.end(number)

    stream = connect(serve("srp", script)).completions.create(stream=True, **HI)

    assert sum(len(delta.text) for delta in stream) == 400 * len(text)


def test_the_window_that_a_cancelled_stream_has_used_is_given_back(serve, connect):
    def script(peer):
        number = peer.handshake().request()[0]
        before = peer.window
        for _ in range(64):  # nearly 4 MB
            peer.item(number, "x" * 60000, k=[])
        peer.say(PING, 1)
        said = [peer.message(CANCEL, PONG, REQUEST) for _ in range(3)]  # in which order is not told
        assert peer.window > before - (1 << 20), "all of it but what is not worth a frame"
        peer.end(number, dict(OVERLOADED, code="cancelled", http=499))
        (asked,) = (each[1] for each in said if each[0] == REQUEST)
        peer.say(RESPONSE, asked, None, COMPLETION)

    client = connect(serve("srp", script))
    with client.completions.create(stream=True, **HI) as stream:
        next(stream)

    assert client.completions.create(**HI).text == "abc"


# --- many on one connection --------------------------------------------------------------------------------------


def test_threads_share_a_connection(serve):
    """Eight threads, two hundred streams, answered in pieces that are mixed as far as they are there."""
    asked = 200

    def script(peer):
        peer.handshake()
        running = {}
        begun = 0
        while begun < asked or running:
            # As many as there are threads are waiting, or it is the last ones.
            while begun < asked and len(running) < 8:
                number, _, params, _ = peer.request()
                running[number] = list(params["prompt"])
                begun += 1
            number = min(running, key=lambda each: (-len(running[each]), each))
            peer.wait_for_credit(number)
            peer.item(number, running[number].pop(0))
            if not running[number]:
                del running[number]
                peer.end(number)

    with Client(serve("srp", script), stream_credit=4) as client:

        def read(number):
            prompt = f"<{number}:{'x' * (number % 7)}>"
            return prompt, "".join(delta.text for delta in client.completions.create(prompt=prompt, stream=True))

        with concurrent.futures.ThreadPoolExecutor(8) as threads:
            for prompt, text in threads.map(read, range(asked)):
                assert text == prompt


def test_tasks_share_a_connection(serve):
    def script(peer):
        peer.handshake()
        numbers = [peer.request()[0] for _ in range(50)]
        for number in reversed(numbers):
            peer.respond(number, dict(COMPLETION, id=f"cmpl-{number}"))

    with blocking_client("async", serve("srp", script)) as client:

        async def ask():
            create = client._target.completions.create
            return await asyncio.gather(*(create(prompt=str(number)) for number in range(50)))

        answers = client._loop.run_until_complete(ask())

    assert [answer.id for answer in answers] == [f"cmpl-{number}" for number in range(1, 51)]


def test_no_more_requests_are_in_flight_than_the_server_takes(serve):
    def script(peer):
        peer.handshake(max_inflight=2)
        first, second = peer.request()[0], peer.request()[0]
        peer.say(PING, 1)
        peer.message(PONG)  # and no third request before it
        peer.respond(first)
        third = peer.request()[0]
        peer.respond(second)
        peer.respond(third)

    with Client(serve("srp", script)) as client, concurrent.futures.ThreadPoolExecutor(3) as threads:
        answers = [threads.submit(client.completions.create, prompt="hi") for _ in range(3)]

        assert [answer.result(GUARD_SECONDS).text for answer in answers] == ["abc"] * 3


def test_a_request_that_waits_for_its_place_has_its_deadline(serve, connect, clock):
    def script(peer):
        peer.handshake(max_inflight=1)
        peer.item(peer.request()[0], "a")
        assert peer.message(CANCEL)

    client = connect(serve("srp", script))
    with client.completions.create(stream=True, **HI) as stream:
        next(stream)
        clock.expires = True
        with pytest.raises(DeadlineExceededError):
            client.completions.create(**HI)


def test_an_answer_that_does_not_come_in_time_is_cancelled(serve, connect, clock):
    def script(peer):
        number = peer.handshake().request()[0]
        assert peer.message(CANCEL)[1:] == [number, "client"]
        peer.respond(number)  # it was on its way already
        peer.respond(peer.request()[0], dict(COMPLETION, id="cmpl-2"))

    client = connect(serve("srp", script))
    clock.expires = True
    with pytest.raises(DeadlineExceededError):
        client.completions.create(**HI)
    clock.expires = False

    assert client.completions.create(**HI).id == "cmpl-2"


def test_a_task_that_is_cancelled_cancels_its_request(serve):
    asked = threading.Event()

    def script(peer):
        number = peer.handshake().request()[0]
        asked.set()
        assert peer.message(CANCEL)[1] == number

    with blocking_client("async", serve("srp", script)) as client:

        async def leave():
            task = asyncio.ensure_future(client._target.completions.create(prompt="hi"))
            await asyncio.get_running_loop().run_in_executor(None, asked.wait, GUARD_SECONDS)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        client._loop.run_until_complete(leave())


# --- the server says goodbye -------------------------------------------------------------------------------------


def test_after_a_goodbye_what_runs_goes_on_and_new_requests_go_elsewhere(serve, connect):
    answered = threading.Event()

    def leaving(peer):
        number = peer.handshake().request()[0]
        peer.item(number, "a")
        peer.say(NOTIFY, "state", {"draining": True})
        peer.say(GOAWAY, number, "draining", 45000)
        peer.item(number, "b")
        assert answered.wait(GUARD_SECONDS)
        peer.item(number, "c", f="length")
        peer.end(number)
        peer.expect_close()

    def staying(peer):
        peer.handshake().respond(peer.request()[0])

    client = connect(serve("srp", leaving, staying))
    stream = client.completions.create(stream=True, **HI)
    assert [next(stream).text, next(stream).text] == ["a", "b"], "and so the goodbye has been read"
    assert client.completions.create(**HI).text == "abc"
    answered.set()

    assert [delta.text for delta in stream] == ["c"]


def test_what_a_goodbye_leaves_out_is_sent_to_another_connection(serve, connect, clock):
    def leaving(peer):
        number = peer.handshake().request()[0]
        peer.say(GOAWAY, number - 1, "draining", 45000)

    def staying(peer):
        peer.handshake().respond(peer.request()[0])

    assert connect(serve("srp", leaving, staying)).completions.create(**HI).text == "abc"
    assert clock.sleeps == [0.25]


def test_a_goodbye_is_an_error_where_nobody_tries_again(serve, connect):
    def leaving(peer):
        number = peer.handshake().request()[0]
        peer.say(GOAWAY, number - 1, "draining", 45000)
        peer.respond(number, error=dict(OVERLOADED, code="draining"))  # what it says of it comes too late
        peer.expect_close()

    with pytest.raises(UnavailableError) as caught:
        connect(serve("srp", leaving), max_retries=0).completions.create(**HI)
    assert (caught.value.code, caught.value.retryable) == ("draining", True)


def test_a_lost_connection_is_made_again_by_the_next_request(serve, connect, clock):
    def once(peer):
        peer.handshake().respond(peer.request()[0])

    client = connect(serve("srp", once, once))

    assert client.completions.create(**HI).text == "abc"
    assert client.completions.create(**HI).text == "abc", "perhaps after the loss was noticed, perhaps at once"


# --- whoever breaks the rules ------------------------------------------------------------------------------------


def test_a_fatal_ends_every_request_of_the_connection(serve):
    def script(peer):
        peer.handshake()
        streaming = peer.request()[0]
        peer.item(streaming, "a")
        peer.request()
        peer.say(FATAL, "internal", "Something broke.")

    with Client(serve("srp", script), max_retries=0) as client:
        stream = client.completions.create(stream=True, **HI)
        with pytest.raises(ProtocolError) as whole:
            client.completions.create(**HI)
        assert next(stream).text == "a"
        with pytest.raises(ProtocolError) as streamed:
            next(stream)

    assert whole.value is not streamed.value
    for caught in (whole, streamed):
        assert (caught.value.code, caught.value.message) == ("internal", "Something broke.")
        assert not caught.value.retryable


def test_a_connection_that_was_too_quiet_says_nothing_of_its_requests(serve, connect, clock):
    def quiet(peer):
        peer.handshake().request()
        peer.say(FATAL, "idle_timeout", "Nothing came.")

    def answer(peer):
        peer.handshake().respond(peer.request()[0])

    assert connect(serve("srp", quiet, answer)).completions.create(**HI).text == "abc"


BREACHES = {
    "an item that was left out": (lambda peer, number: peer.say(ITEM, number, 1, {"t": "a"}), "bad_message"),
    "an item of nobody": (lambda peer, number: peer.say(ITEM, number + 1, 0, {"t": "a"}), "bad_message"),
    "an end of nobody": (lambda peer, number: peer.say(END, number + 1, None, {}), "bad_message"),
    "a whole answer to a stream": (lambda peer, number: peer.say(RESPONSE, number, None, {}), "bad_message"),
    "an item that is no map": (lambda peer, number: peer.say(ITEM, number, 0, None), "bad_message"),
    "too few elements": (lambda peer, number: peer.say(ITEM, number), "bad_message"),
    "an element of another type": (lambda peer, number: peer.say(END, "1", None, {}), "bad_message"),
    "a message of a client": (lambda peer, number: peer.say(CANCEL, number, "x"), "bad_message"),
    "a type that is none": (lambda peer, number: peer.say(14, number), "bad_message"),
    "a second welcome": (lambda peer, number: peer.say(WELCOME, WELCOMING), "bad_message"),
    "a type that is no number": (lambda peer, number: peer.say("ITEM"), "bad_message"),
    "no array": (lambda peer, number: peer.send(b"\0\0\0\1\xc0"), "bad_frame"),
    "no MessagePack": (lambda peer, number: peer.send(b"\0\0\0\1\xc1"), "bad_frame"),
    "an empty frame": (lambda peer, number: peer.send(b"\0\0\0\0"), "frame_too_large"),
    "a frame beyond the limit": (lambda peer, number: peer.send(b"\0\x20\0\0"), "frame_too_large"),
    "items without credit": (
        lambda peer, number: peer.send(b"".join(_frames.encode([ITEM, number, seq, {"t": "a"}]) for seq in range(3))),
        "flow_control",
    ),
}


@pytest.mark.parametrize("breach, code", BREACHES.values(), ids=BREACHES.keys())
def test_a_server_that_breaks_the_rules_is_told_and_left(breach, code, serve, connect, clock):
    def script(peer):
        number = peer.handshake().request()[0]
        breach(peer, number)
        assert peer.message(FATAL)[1] == code
        peer.expect_close()

    client = connect(serve("srp", script), stream_credit=2)

    with pytest.raises(ProtocolError) as caught:
        list(client.completions.create(stream=True, **HI))
    assert caught.value.code == code
    assert clock.sleeps == []


def test_a_request_that_is_too_large_is_not_sent(serve, connect):
    def script(peer):
        peer.handshake(max_frame=4096)
        peer.respond(peer.request()[0])

    client = connect(serve("srp", script))

    with pytest.raises(ValueError, match="4096"):
        client.completions.create(prompt="x" * 5000)
    assert client.completions.create(**HI).text == "abc", "the connection is as good as before"


def test_a_ping_is_answered_with_its_token(serve, connect):
    def script(peer):
        number = peer.handshake().request()[0]
        peer.say(PING, 2**64 - 1)
        assert peer.message(PONG) == [PONG, 2**64 - 1]
        peer.respond(number)

    connect(serve("srp", script)).completions.create(**HI)


def test_a_stream_may_be_refused_like_any_request(serve, connect):
    """A server that has no memory for a request does not read whether it is a stream."""

    def script(peer):
        number = peer.handshake().request()[0]
        peer.respond(number, error=OVERLOADED)

    with pytest.raises(SluiceError) as caught:
        connect(serve("srp", script), max_retries=0).completions.create(stream=True, **HI)
    assert caught.value.code == "overloaded"


# --- what only this protocol tells -------------------------------------------------------------------------------


def test_items_name_tokens_and_their_likelihood(serve, connect):
    entry = {"token": b"\xf0\x9f", "logprob": -0.5, "top": [[b"\xf0\x9f", -0.5], ["a", -1.5]]}

    def script(peer):
        number = peer.handshake().request()[0]
        peer.item(number, "a", l=[entry, {"token": "b", "logprob": None, "top": []}], s=" stop")
        trailer = {"service_tier": "flex", "ignored_params": "foo,bar", "degraded": "level=3;reason=wait"}
        peer.end(number, trailer=trailer)

    stream = connect(serve("srp", script)).completions.create(stream=True, **HI)
    (delta,) = stream

    assert delta.token_ids == (97,)
    assert delta.stop_reason == " stop"
    assert delta.logprobs[0].token == b"\xf0\x9f"
    assert delta.logprobs[0].top == ((b"\xf0\x9f", -0.5), ("a", -1.5))
    assert delta.logprobs[1].logprob is None
    assert stream.trailer.service_tier == "flex"
    assert stream.trailer.about.ignored_params == ("foo", "bar")
    assert stream.trailer.about.degraded == "level=3;reason=wait"


def test_an_answer_may_come_without_what_is_told_beside_it(serve, connect):
    def script(peer):
        number = peer.handshake().request()[0]
        peer.say(RESPONSE, number, None, COMPLETION)
        number = peer.request()[0]
        peer.respond(number, replayed=True, ignored_params="foo")

    client = connect(serve("srp", script))

    assert client.completions.create(**HI).about.request_id is None
    about = client.completions.create(**HI).about
    assert (about.replayed, about.ignored_params) == (True, ("foo",))


def test_the_status_is_a_method(serve, connect):
    status = {"ready": False, "reasons": ["loading"], "draining": False, "version": "1.0", "models": ["m"]}

    def script(peer):
        number, method, params, _ = peer.handshake().request()
        assert (method, params) == ("status", {})
        peer.respond(number, status)

    found = connect(serve("srp", script)).status()

    assert (found.ready, found.reasons, found.draining) == (False, ("loading",), False)
    assert (found.version, found.models) == ("1.0", ("m",))


def test_closing_a_client_ends_what_runs(serve):
    begun = threading.Event()

    def script(peer):
        number = peer.handshake().request()[0]
        peer.item(number, "a")
        begun.set()
        with pytest.raises(Closed):
            peer.message()

    client = Client(serve("srp", script))
    stream = client.completions.create(stream=True, **HI)
    assert begun.wait(GUARD_SECONDS)
    client.close()

    assert next(stream).text == "a"
    with pytest.raises(SluiceError) as caught:
        next(stream)
    assert caught.value.code == "client_closed"
