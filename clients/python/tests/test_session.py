"""What a connection of the binary protocol does without one: silence, damage, retries; nothing here has a socket."""

import json
import pathlib

import pytest

from fakes import PREFACE, WELCOMING, FakeClock
from sluice_client import ProtocolError, RateLimitError, RequestError, TransportError, _frames
from sluice_client._clock import Deadline
from sluice_client._retry import RetryPolicy
from sluice_client._session import HelloOptions, Session
from sluice_client.errors import NotFoundError, UnavailableError, from_rpc

FOLDER = pathlib.Path(__file__).resolve().parents[3] / "tests" / "vectors" / "srp1"


def nothing():
    pass


def sent(session):
    """What the session has to say, as messages."""
    data = session.take_output()
    if data.startswith(PREFACE):
        data = data[8:]
    return [_frames.decode(payload) for payload in _frames.FrameReader(1 << 24).feed(data)]


def open_session():
    session = Session(HelloOptions("t/1"), 0.0)
    session.feed(PREFACE + _frames.encode([_frames.WELCOME, WELCOMING]), 0.0)
    sent(session)
    return session


def test_a_silent_server_is_asked_and_given_up():
    session = open_session()
    session.tick(100.0)
    assert sent(session) == [], "nobody waits for anything"
    call = session.start("status", {}, {}, nothing)
    sent(session)
    session.feed(_frames.encode([_frames.NOTIFY, "log", {}]), 100.0)

    session.tick(114.0)
    assert sent(session) == []
    session.tick(115.0)
    assert sent(session) == [[_frames.PING, 1]]
    session.tick(124.0)
    assert not session.closed
    session.tick(125.0)

    assert session.closed
    assert isinstance(call.error, TransportError) and call.error.retryable


def test_a_server_that_answers_a_ping_is_still_there():
    session = open_session()
    session.start("status", {}, {}, nothing)
    session.tick(20.0)
    session.feed(_frames.encode([_frames.PONG, 1]), 21.0)
    session.tick(31.0)

    assert not session.closed


@pytest.mark.parametrize("cancelled", [False, True])
def test_the_bytes_of_items_are_given_back_to_the_byte(cancelled):
    session = open_session()
    call = session.start("completions.create", {"stream": True}, {}, nothing)
    sent(session)
    frames = [_frames.encode([_frames.ITEM, call.id, seq, {"t": "x" * 700_000}]) for seq in range(3)]

    for frame in frames:
        session.feed(frame, 1.0)
    if cancelled:
        session.cancel(call)
    else:
        for _ in frames:
            session.take_item(call)

    # Two of them are worth a frame of their own, the third is kept for the next one.
    credit = [message for message in sent(session) if message[0] == _frames.CREDIT and message[1] == 0]
    assert credit == [[_frames.CREDIT, 0, len(frames[0]) + len(frames[1])]]


def test_an_error_of_a_lost_connection_is_everybodys_own():
    session = open_session()
    first = session.start("completions.create", {"stream": True}, {}, nothing)
    second = session.start("status", {}, {}, nothing)
    session.feed(_frames.encode([_frames.ITEM, first.id, 0, {"t": "a"}]), 1.0)

    session.feed_eof()

    assert first.error is not second.error
    assert (first.error.retryable, second.error.retryable) == (False, True)


def test_a_connection_is_used_up_with_its_numbers():
    session = open_session()
    session._next_id = 2**32 - 1

    assert session.start("status", {}, {}, nothing).id == 2**32 - 1
    assert not session.usable


@pytest.mark.parametrize("credit", [0, 2**31 + 1])
def test_a_credit_that_no_stream_can_have_is_refused(credit):
    with pytest.raises(ValueError, match="stream_credit"):
        HelloOptions("t/1", stream_credit=credit)


def test_a_key_is_not_shown():
    assert "secret" not in repr(HelloOptions("t/1", "secret"))


def transcript():
    """What a server says in the golden frames, from its preface to a whole answer."""
    names = ("preface", "welcome", "notify", "item", "item_2", "end", "response", "goaway")
    return b"".join((FOLDER / f"{name}.bin").read_bytes() for name in names)


def replay(data):
    session = Session(HelloOptions("t/1"), 0.0)
    calls = []
    session.feed(data[:8], 0.0)
    for at in range(8, len(data)):
        if session.usable and not calls:
            calls = [
                session.start("completions.create", {"stream": True}, {}, nothing),
                session.start("completions.create", {}, {}, nothing),
            ]
        session.feed(data[at : at + 1], 0.0)
    session.feed_eof()
    return session, calls


def test_the_golden_frames_are_a_conversation():
    session, (stream, whole) = replay(transcript())

    assert session.going_away and session.closed
    assert [item["t"] for item, _ in stream.items] == ["a", "b"]
    assert stream.result["model"] == "m" and stream.error is None
    assert whole.result["id"] == "cmpl-1" and whole.about == {"request_id": "req-2"}


def test_every_call_ends_wherever_the_connection_does():
    data = transcript()

    for end in range(8, len(data)):
        session, calls = replay(data[:end])
        assert session.closed
        assert all(call.ended for call in calls)


@pytest.mark.parametrize("bit", [0x01, 0x80])
def test_every_call_ends_whatever_byte_is_damaged(bit):
    data = transcript()

    for at in range(len(data)):
        damaged = bytearray(data)
        damaged[at] ^= bit
        session, calls = replay(bytes(damaged))
        assert session.closed
        assert all(call.ended for call in calls)
        assert session.error is not None and isinstance(session.error, (TransportError, ProtocolError, RequestError))


# --- retries -----------------------------------------------------------------------------------------------------


def wait(error, failures=1, *, chance=1.0, seconds=None):
    policy = RetryPolicy(max_retries=9, chance=lambda: chance)
    return policy.wait(error, failures, Deadline(FakeClock(), seconds))


def refused(**more):
    return RateLimitError("no", http_status=429, **{"retryable": True, **more})


def test_waits_double_up_to_a_limit():
    assert [wait(refused(), failures) for failures in range(1, 9)] == [0.25, 0.5, 1, 2, 4, 8, 8, 8]


def test_waits_are_spread_over_their_upper_half():
    assert [wait(refused(), 3, chance=chance) for chance in (0.0, 0.5, 1.0)] == [0.5, 0.75, 1.0]


def test_a_time_that_was_told_is_the_least():
    assert wait(refused(retry_after=3.0)) == 3.0
    assert wait(refused(retry_after=3.0), 8) == 8.0


def test_a_time_beyond_reason_is_not_waited_for():
    assert wait(refused(retry_after=120.0)) == 120.0
    assert wait(refused(retry_after=121.0)) is None


def test_a_time_beyond_the_deadline_is_not_waited_for():
    assert wait(refused(retry_after=3.0), seconds=3.5) == 3.0
    assert wait(refused(retry_after=3.0), seconds=3.0) is None


def test_what_is_not_retryable_is_not_retried():
    assert wait(refused(retryable=False)) is None
    assert wait(refused(), 10) is None
    assert wait(RequestError("a fault", http_status=500, retryable=True)) is None
    assert wait(TransportError("lost", retryable=True)) == 0.25


def test_the_vectors_of_errors_are_exceptions():
    for name, kind, after in (("response_error", NotFoundError, None), ("end_error", UnavailableError, 5.0)):
        told = json.loads((FOLDER / f"{name}.json").read_text())["value"][2]
        error = from_rpc(told)
        assert type(error) is kind
        assert (error.code, error.message, error.http_status) == (told["code"], told["message"], told["http"])
        assert (error.retryable, error.retry_after) == (told["retryable"], after)
