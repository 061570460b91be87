"""Lanes that are shot, and lanes that fail: the ones come back at once, the others by trials that are rarer each time."""

import json
import os
import signal
import threading
import time

import pytest

from raw_http import assert_error, exchange, head, post
from requests_of_all_kinds import request_of
from sluice_server import choices_of, complete, process_alive, serve, wait_until

TOKENS = 200
QUICK = ("--lane-backoff-min", "20ms")
KILLS = 20


@pytest.fixture(scope="module")
def undisturbed():
    with serve() as server:
        return {kind: choices_of(server, **request_of(kind, "brook", TOKENS)) for kind in ("greedy", "seeded", "logprobs")}


def test_twenty_kills_of_the_only_worker_within_a_minute_refuse_nobody_and_change_no_byte(undisturbed):
    """With default options: streams run all the time, and small requests ask all the time whether anybody is refused."""
    with serve() as server:
        over = threading.Event()
        failures = []
        rounds = [0]

        def stream(kind):
            while not over.is_set() and not failures:
                try:
                    answer = choices_of(server, **request_of(kind, "brook", TOKENS))
                    assert answer == undisturbed[kind], f"{kind} differs after {rounds[0]} kills"
                except BaseException as failure:
                    failures.append(failure)

        def ask():
            while not over.is_set() and not failures:
                try:
                    complete(server, prompt="x", max_tokens=1)
                except BaseException as failure:
                    failures.append(failure)
                time.sleep(0.05)

        threads = [threading.Thread(target=stream, args=(kind,)) for kind in undisturbed]
        threads.append(threading.Thread(target=ask))
        for thread in threads:
            thread.start()
        try:
            began = time.monotonic()
            for kill in range(1, KILLS + 1):
                pid = wait_until(lambda: server.lanes()[0]["state"] == "ready" and server.lanes()[0]["pid"], "it serves", 30)
                wait_until(lambda: server.lanes()[0]["running"] > 0, "something runs", 30)
                os.kill(pid, signal.SIGKILL)
                wait_until(lambda: not process_alive(pid), "it is dead")
                wait_until(lambda: server.restarts() == kill, f"restart {kill} shows", 30)
                rounds[0] = kill
                if failures:
                    break
                time.sleep(max(0.0, began + kill * 1.5 - time.monotonic()))
        finally:
            over.set()
            for thread in threads:
                thread.join()
        if failures:
            raise failures[0]
        server.wait_lanes_ready()
        server.wait_idle()
        state = server.state()
        assert state["workers"][0]["incarnation"] == KILLS + 1
        assert (state["requests"]["failed"], state["requests"]["refused"]) == (0, 0), state["requests"]


def test_a_quarantine_is_left_by_itself_when_a_trial_succeeds():
    """The first worker dies while it serves, the second while it loads, as does the first trial; the second trial is well."""
    plan = "exit(70)@step=70 if incarnation=1; exit(70)@load if incarnation=2..3"
    options = ("--lane-restarts", 1, "--quarantine-first", "1s", "--quarantine-longest", "2s")
    with serve("--worker-fault", plan, *options, *QUICK) as server:
        ended = exchange(server.http, post(request_of("greedy", "brook", TOKENS, stream=False)), timeout=60)
        assert_error(ended, 503, "backend_lost", "server_error")
        lane = server.lanes()[0]
        assert lane["quarantine"] and lane["incarnation"] >= 2, lane
        refused = exchange(server.http, post({"prompt": "x"}))
        assert_error(refused, 503, "no_replica", "server_error")
        message = json.loads(refused.body)["error"]["message"]
        assert "tried in 1 s" in message or "tried in 2 s" in message or "is being tried" in message, message
        assert 1 <= int(refused.header("retry-after")) <= 3, refused
        assert exchange(server.http, head("GET", "/ready")).status == 503
        assert exchange(server.http, head("GET", "/health")).status == 200

        wait_until(lambda: not server.lanes()[0]["quarantine"], "it is left", 30)
        assert complete(server, prompt="x", max_tokens=3)["choices"]
        assert server.lanes()[0]["incarnation"] == 4
        log = server.log_text()
        assert "until 1 s have passed" in log and "until 2 s have passed" in log and "has passed its trial" in log
