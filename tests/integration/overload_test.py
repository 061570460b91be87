"""More than the server can take: what is refused is refused at once, in words; what was accepted is served."""

import collections
import contextlib
import http.client
import json

import pytest

from raw_http import Wire, assert_error, exchange, post
from sluice_server import complete, in_parallel, open_descriptors, request, serve, wait_until

LONG = {"prompt": "Once upon a time", "max_tokens": 200, "ignore_eos": True, "seed": 1}


def test_what_does_not_fit_into_the_queue_is_refused_with_429_and_the_rest_is_served():
    with serve("--queue-capacity", 4, "--max-sequences", 2) as server:
        expected = complete(server, **LONG)["choices"]

        answers = in_parallel([lambda: exchange(server.http, post(LONG), timeout=120) for _ in range(40)])

        statuses = collections.Counter(answer.status for answer in answers)
        assert set(statuses) == {200, 429} and statuses[200] >= 6, statuses
        for answer in answers:
            if answer.status == 200:
                assert answer.json()["choices"] == expected
            else:
                assert_error(answer, 429, "overloaded", "rate_limit_error")
                assert 1 <= int(answer.header("retry-after")) <= 60
                assert answer.header("connection") != "close"
        server.wait_idle()
        assert complete(server, **LONG)["choices"] == expected


def test_a_thousand_clients_at_once_are_all_served():
    with serve("--model", "hash=hash") as server:
        expected = complete(server, prompt="x", max_tokens=5, seed=1)["choices"]
        connections = [http.client.HTTPConnection(*server.http, timeout=60) for _ in range(1000)]
        body = b'{"prompt": "x", "max_tokens": 5, "seed": 1}'
        for connection in connections:
            connection.request("POST", "/v1/completions", body, {"Content-Type": "application/json"})

        answers = [connection.getresponse() for connection in connections]

        assert {answer.status for answer in answers} == {200}
        assert all(b'"finish_reason"' in answer.read() for answer in answers)
        for connection in connections:
            connection.close()
        assert complete(server, prompt="x", max_tokens=5, seed=1)["choices"] == expected


def test_a_request_for_more_choices_than_the_server_can_ever_hold_is_a_bad_request():
    with serve("--model", "hash=hash", "--queue-capacity", 8, "--max-sequences", 8) as server:
        complete(server, prompt="x", max_tokens=1)  # all know of the places then
        answer = exchange(server.http, post({"prompt": ["a"] * 17, "max_tokens": 1}))

        error = assert_error(answer, 400, "invalid_value", "invalid_request_error")
        assert "17" in error["message"] and "16" in error["message"]


def test_a_stream_that_waits_in_the_queue_sends_its_head_and_comments():
    """Fifteen real seconds: balancers cut connections that are silent for a minute."""
    occupied = dict(LONG, max_tokens=1000, n=16)
    options = ("--max-sequences", 1, "--queue-capacity", 10_000, "--request-timeout", "3600s")
    with serve(*options) as server, contextlib.ExitStack() as clients:
        for _ in range(60):
            clients.enter_context(Wire(server.http)).send(post(occupied))
        wait_until(lambda: server.state()["requests"]["accepted"] == 60, "all places are taken")
        # What comes soon after others may go before them.
        wait_until(lambda: server.state()["requests"]["completed"] > 0, "the first of them is done", 60)
        stream = clients.enter_context(Wire(server.http, 60))
        stream.send(post(dict(LONG, stream=True)))

        stream.peek(b": keep-alive\n\n")

        head_of_stream, _, body = stream.buffer.partition(b"\r\n\r\n")
        assert head_of_stream.startswith(b"HTTP/1.1 200 OK\r\n")
        assert body == b"e\r\n: keep-alive\n\n\r\n", "a comment and no token"
        clients.close()
        server.wait_idle()


def test_a_connection_over_the_limit_is_told_so_and_the_others_are_not_touched():
    with serve("--model", "hash=hash", "--max-connections", 8, "--max-connections-per-address", 8) as server:
        idle = open_descriptors(server.pid)
        wires = [Wire(server.http) for _ in range(8)]
        for wire in wires:  # idle ones would make room
            wire.send(post({"prompt": "x", "max_tokens": 1})[:-1])
        wait_until(lambda: open_descriptors(server.pid) >= idle + 8, "all are connected")

        with Wire(server.http) as ninth:
            assert_error(ninth.response(), 503, "overloaded")
            ninth.assert_closed()
        for wire in wires:
            wire.send(b"}")
            assert wire.response().status == 200
            wire.socket.close()
        assert request(server.management, "GET", "/health")[0] == 200


@pytest.mark.parametrize("timeout_ms", [1, 150])
def test_requests_that_run_out_of_time_end_in_504_and_leave_nothing_behind(timeout_ms):
    with serve("--max-sequences", 2) as server:
        body = dict(LONG, max_tokens=900, n=16)
        jobs = [lambda: exchange(server.http, post(body, f"x-request-timeout-ms: {timeout_ms}")) for _ in range(12)]

        answers = in_parallel(jobs)

        late = [answer for answer in answers if answer.status == 504]
        for answer in late:
            error = assert_error(answer, 504, "deadline_exceeded", "timeout_error")
            assert error["param"] in ("queue", "generation")
            assert answer.header("x-should-retry") == "false"
        for answer in answers:
            if answer not in late:  # for others waited already
                error = assert_error(answer, 429, "queue_timeout_predicted", "rate_limit_error")
                assert "its deadline is in" in error["message"]
        server.wait_idle()
        assert server.state()["requests"]["deadline"] == len(late) > 0


def test_who_would_wait_too_long_is_told_so_at_once():
    with serve("--max-sequences", 1, "--max-wait-realtime", 1) as server, contextlib.ExitStack() as clients:
        for seed in range(3):  # from one to the next it is known how long they take
            complete(server, **LONG | {"seed": seed})
        expected = complete(server, **LONG)["choices"]
        waiting = [clients.enter_context(Wire(server.http, 120)) for _ in range(60)]
        for wire in waiting:
            wire.send(post(LONG))
        answers = [wire.response() for wire in waiting]

        refused = [answer for answer in answers if answer.status != 200]
        assert 1 <= len(refused) < len(answers), [answer.status for answer in answers]
        for answer in refused:
            error = assert_error(answer, 429, "overloaded", "rate_limit_error")
            assert "class realtime would wait about" in error["message"]
            assert 1 <= int(answer.header("retry-after")) <= 60
        assert all(answer.json()["choices"] == expected for answer in answers if answer.status == 200)
        server.wait_idle()
        page = json.loads(request(server.management, "GET", "/admin/v1/admission")[2])
        assert [sum(model["waiting_us"].values()) for model in page["models"]] == [0]


def test_a_burst_that_has_places_is_let_in_however_long_its_prompts_are():
    # Each prompt takes 24 steps, so the last of them begins a second and more after it has come.
    slow = ("--worker-fault", "slow(20ms)@step>0", "--step-rows", 64, "--prefill-chunk", 64, "--max-sequences", 16)
    with serve("--model", "hash=hash", *slow, patient=False) as server:
        complete(server, prompt="x", max_tokens=40, ignore_eos=True)  # all know how long steps take
        body = {"prompt": "p" * 1500, "max_tokens": 1}

        answers = in_parallel([lambda: exchange(server.http, post(body), timeout=120) for _ in range(8)])

        assert [answer.status for answer in answers] == [200] * 8
        server.wait_idle()


def test_who_finds_all_places_held_for_long_is_told_so_at_once():
    slow = ("--worker-fault", "slow(20ms)@step>0", "--max-sequences", 2)
    with serve("--model", "hash=hash", *slow, patient=False) as server, contextlib.ExitStack() as clients:
        complete(server, prompt="x", max_tokens=40, ignore_eos=True)
        for _ in range(2):
            stream = clients.enter_context(Wire(server.http, 60))
            stream.send(post({"prompt": "x", "max_tokens": 500, "ignore_eos": True, "stream": True}))
            stream.peek(b"data: ")

        refused = exchange(server.http, post({"prompt": "x", "max_tokens": 1}))
        low = clients.enter_context(Wire(server.http, 60))
        low.send(post({"prompt": "x", "max_tokens": 1, "service_tier": "flex"}))

        error = assert_error(refused, 429, "overloaded", "rate_limit_error")
        assert "would wait about" in error["message"] and int(refused.header("retry-after")) >= 5, error
        wait_until(lambda: server.state()["requests"]["accepted"] == 4, "who may wait does")
        clients.close()
        server.wait_idle()
