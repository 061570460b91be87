"""Workers die by SIGKILL in the middle of streams; the clients must not notice."""

import json
import os
import random
import signal
import threading

import pytest

from raw_http import Wire, exchange, head, post
from requests_of_all_kinds import KINDS, request_of
from sluice_server import SANITIZER, Stream, children_of, choices_of, in_parallel, process_alive, serve, wait_until

KILLS_PER_SERVER = 5
SERVERS = 3 if SANITIZER else 10
# The hash model is fast: it needs more tokens to be met in mid-stream.
TOKENS = {"brook": 80, "hash": 1000} if SANITIZER else {"brook": 200, "hash": 4000}
STREAMS = 4  # at once, in each round
QUICK = ("--lane-backoff-min", "20ms")  # or the tests would spend most of their time waiting for back-off


@pytest.fixture(scope="module")
def undisturbed():
    """What each kind of request gives when nothing happens, of both models."""
    answers = {}
    with serve("--model", "brook=models/shipped/brook", "--model", "hash=hash") as server:
        for model in ("brook", "hash"):
            for kind in KINDS:
                answers[model, kind] = choices_of(server, **request_of(kind, model, TOKENS[model]))
    return answers


def kill_worker(server, pid):
    """SIGKILL to one worker, and certainty that it was one and that it is gone."""
    assert pid in children_of(server.pid)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not process_alive(pid), f"worker {pid} is dead")


def read_with_kill(stream, position, kill):
    """Reads a stream to its end; `kill` is called when `position` events have come."""
    if position == 0:
        kill()
    for count, _ in enumerate(stream, start=1):
        if count == position:
            kill()
    assert len(stream.events) > position, "the stream ended before the kill"
    return stream.read()


@pytest.mark.parametrize("seed", range(SERVERS))
def test_streams_go_on_byte_for_byte_when_their_worker_is_killed(undisturbed, seed):
    """Five rounds: some streams at once, a kill when one of them has got a random number of tokens."""
    dice = random.Random(seed)
    lanes = 1 + seed % 2  # alone it has to wait for the restart, with a second lane the streams move there
    with serve("--workers", lanes, *QUICK) as server:
        server.wait_lanes_ready()
        for kill in range(1, KILLS_PER_SERVER + 1):
            kinds = dice.sample(sorted(KINDS), STREAMS)
            position = dice.randrange(TOKENS["brook"] * 3 // 5)

            def worker_dies():
                kill_worker(server, dice.choice(server.worker_pids()))

            victim = Stream(server, **request_of(kinds[0], "brook", TOKENS["brook"]))
            jobs = [lambda: read_with_kill(victim, position, worker_dies)]
            jobs += [
                lambda kind=kind: choices_of(server, **request_of(kind, "brook", TOKENS["brook"])) for kind in kinds[1:]
            ]
            jobs += [lambda: choices_of(server, **request_of("greedy", "brook", TOKENS["brook"], stream=False))]
            answers = in_parallel(jobs)

            for kind, answer in zip([*kinds, "greedy"], answers):
                where = f"{kind!r} of seed {seed}, kill {kill} after {position} events of {kinds[0]!r}"
                assert answer == undisturbed["brook", kind], where
            wait_until(lambda: server.restarts() >= kill, f"restart {kill} shows in /admin/v1/workers", 30)
            wait_until(server.worker_pids, "a worker lives again", 30)

        server.wait_lanes_ready()
        server.wait_idle()
        state = server.state()
        assert sum(lane["restarts"] for lane in state["workers"]) == KILLS_PER_SERVER, state
        assert state["requests"]["resumed"] > 0, "no kill met a running stream"
        assert state["requests"]["failed"] == 0, state


def test_one_stream_survives_several_deaths_of_its_worker(undisturbed):
    with serve() as server:
        stream = Stream(server, **request_of("logprobs", "brook", TOKENS["brook"]))
        for count, _ in enumerate(stream, start=1):
            if count in (20, 60):
                kill_worker(server, wait_until(server.worker_pids, "a worker lives", 30)[0])
        answer = stream.read()

        assert answer == undisturbed["brook", "logprobs"]
        wait_until(lambda: server.restarts() == 2, "both restarts show")


def test_a_stream_survives_a_worker_that_dies_again_while_it_starts(undisturbed):
    with serve("--lane-restarts", 100, *QUICK) as server:
        stream = Stream(server, **request_of("seeded", "brook", TOKENS["brook"]))
        next(iter(stream))
        for _ in range(4):
            pid = wait_until(server.worker_pids, "a worker was started", 30)[0]
            kill_worker(server, pid)  # the first one computes, the others still load

        assert stream.read() == undisturbed["brook", "seeded"]
        wait_until(lambda: server.restarts() == 4, "all restarts show")


def test_the_hash_model_survives_a_kill_too(undisturbed):
    with serve("--model", "hash=hash", *QUICK) as server:
        for round in range(3):
            kinds = sorted(KINDS)[round::3]
            killed = threading.Event()

            def die_once():
                if not killed.is_set():
                    killed.set()
                    kill_worker(server, server.worker_pids()[0])

            victim = Stream(server, **request_of("seeded", "hash", TOKENS["hash"]))
            jobs = [lambda: read_with_kill(victim, TOKENS["hash"] // 4 * round, die_once)]
            jobs += [
                lambda kind=kind: choices_of(server, **request_of(kind, "hash", TOKENS["hash"])) for kind in kinds[1:]
            ]
            answers = in_parallel(jobs)

            for kind, answer in zip(["seeded", *kinds[1:]], answers):
                assert answer == undisturbed["hash", kind], kind
            wait_until(lambda: server.restarts() == round + 1, "the restart shows", 30)


def test_a_stream_ends_with_an_error_when_its_last_lane_is_given_up(undisturbed):
    """One restart is allowed, so the second failure puts the only lane into quarantine."""
    plan = "exit(70)@step=90 if incarnation=1; exit(70)@load if incarnation>1"
    with serve("--lane-restarts", 1, "--worker-fault", plan, *QUICK) as server:
        with Wire(server.http) as wire:
            wire.send(post(request_of("greedy", "brook", 600)))
            answer = wire.response()

        *events, error, done, rest = answer.body.decode().split("\n\n")
        assert (done, rest) == ("data: [DONE]", "")
        assert json.loads(error.removeprefix("data: "))["error"]["code"] == "backend_lost", error
        text = "".join(json.loads(event.removeprefix("data: "))["choices"][0]["text"] for event in events)
        assert undisturbed["brook", "greedy"][0]["text"].startswith(text[:200])

        refused = exchange(server.http, post({"prompt": "x"}))
        assert refused.status == 503 and int(refused.header("retry-after")) >= 1, refused
        assert exchange(server.http, head("GET", "/ready")).status == 503
        assert (
            exchange(server.http, head("GET", "/health")).status == 200
        ), "a dead lane is no reason to restart the front"
        assert server.lanes()[0]["state"] == "quarantined"


def test_a_request_that_arrives_while_no_worker_lives_is_served_by_the_next(undisturbed):
    with serve() as server:
        kill_worker(server, server.worker_pids()[0])

        answer = choices_of(server, **request_of("greedy", "brook", TOKENS["brook"], stream=False))

        assert answer == undisturbed["brook", "greedy"]


def test_a_worker_that_hangs_while_it_is_idle_does_not_stop_the_front(undisturbed):
    """Stopped, not dead: probes still answer, and a stream comes to its right end once the worker can go on."""
    with serve() as server:
        worker = server.worker_pids()[0]
        os.kill(worker, signal.SIGSTOP)
        stream = Stream(server, **request_of("seeded", "brook", TOKENS["brook"]))
        assert server.lanes()[0]["model"] == "brook"
        if process_alive(worker):
            os.kill(worker, signal.SIGCONT)

        assert stream.read() == undisturbed["brook", "seeded"]
