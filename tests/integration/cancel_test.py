"""Clients that leave before the end: their work must stop, and nothing of them may stay."""

import random

import pytest

from raw_http import Wire, post
from sluice_server import (
    Stream,
    assert_not_grown,
    complete,
    open_descriptors,
    request,
    resident_bytes,
    serve,
    wait_until,
)

TOKENS = 900


def long_request(**more):
    return {"prompt": "Once upon a time", "max_tokens": TOKENS, "ignore_eos": True, "seed": 1, "n": 16, **more}


def steps(server):
    """Steps its worker has computed, as the last heartbeat told."""
    return server.lanes()[0]["steps"]


@pytest.fixture(scope="module")
def server():
    # Eight places: what is cancelled late or not at all makes the others wait.
    with serve("--max-sequences", 8) as server:
        yield server


@pytest.fixture(scope="module")
def undisturbed_steps(server):
    """How many steps the long request takes to its end: two rounds, as there are half as many places."""
    before = steps(server)
    complete(server, **long_request())
    server.wait_idle()
    assert steps(server) - before >= 2 * (TOKENS - 1)
    return steps(server) - before


LEAVINGS = {"closes": Stream.close, "resets": Stream.reset}


@pytest.mark.parametrize("leave", LEAVINGS.values(), ids=LEAVINGS.keys())
def test_work_stops_when_its_client_leaves_in_mid_stream(server, undisturbed_steps, leave):
    stream = Stream(server, **long_request())
    next(iter(stream))
    wait_until(lambda: server.running() > 0, "its heartbeat tells of it")
    before = steps(server)

    leave(stream)
    server.wait_idle()

    assert steps(server) - before < undisturbed_steps / 2, "it ran on for a client that was gone"


def test_work_stops_when_a_client_leaves_that_waits_for_a_whole_answer(server, undisturbed_steps):
    with Wire(server.http) as wire:
        wire.send(post(long_request()))
        wait_until(lambda: server.running() > 0, "the request runs")
        before = steps(server)
    server.wait_idle()

    assert steps(server) - before < undisturbed_steps / 2


def test_a_waiting_request_leaves_the_queue_with_its_client(server, undisturbed_steps):
    accepted = server.state()["requests"]["accepted"]
    runs = Stream(server, **long_request())
    next(iter(runs))
    waiting = [Stream(server, **long_request(seed=seed)) for seed in range(2, 12)]
    wait_until(lambda: server.state()["requests"]["accepted"] == accepted + 11, "all are accepted")
    for stream in waiting:
        stream.reset()

    # Were they still in line, the one below would stand behind ten long requests.
    runs.reset()
    before = steps(server)
    complete(server, prompt="x", max_tokens=1)
    server.wait_idle()

    assert steps(server) - before < 3 * undisturbed_steps


def test_others_do_not_notice_who_leaves(server):
    alone = Stream(server, **long_request(n=2, seed=7)).read()
    stays = Stream(server, **long_request(n=2, seed=7))
    events = iter(stays)
    next(events)
    for seed in range(6):
        leaver = Stream(server, **long_request(n=1, seed=seed))
        next(iter(leaver))
        leaver.reset()
        next(events, None)

    assert stays.read() == alone


def test_many_vanishing_clients_leave_nothing_behind(server):
    complete(server, prompt="x", max_tokens=1)
    dice = random.Random(1)
    descriptors = open_descriptors(server.pid)
    memory = resident_bytes(server.pid)

    for round in range(20):
        streams = [Stream(server, **long_request(n=dice.randrange(1, 4), seed=round)) for _ in range(10)]
        for stream in streams:
            if dice.random() < 0.2:
                next(iter(stream))  # some leave in mid-stream, most while they wait
            stream.reset() if dice.random() < 0.7 else stream.close()

    server.wait_idle(30)
    wait_until(lambda: open_descriptors(server.pid) <= descriptors, "all connections are closed")
    assert_not_grown(server.pid, memory, 40)
    assert complete(server, prompt="x", max_tokens=4, ignore_eos=True)["usage"]["completion_tokens"] == 4


def test_a_stream_nobody_reads_does_not_stop_the_others():
    with serve("--model", "hash=hash") as server:
        _, _, body = request(server.http, "GET", "/v1/models")
        assert b'"hash"' in body
        with Wire(server.http) as wire:
            wire.send(
                post({"prompt": "x", "max_tokens": TOKENS, "n": 16, "stream": True, "logprobs": 5, "ignore_eos": True})
            )
            for number in range(20):
                assert complete(server, prompt="y", max_tokens=20, seed=number)["choices"][0]["text"]
        server.wait_idle()
