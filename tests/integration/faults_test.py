"""Workers that fail in every way they can, by plan (`sluice worker --fault`) or by signal: no client notices more than
a pause, and nobody but the guilty gets an error. How long things take is measured in bench/; here it only matters what
happens."""

import os
import re
import signal
import time

import pytest

from raw_http import assert_error, exchange, head, post
from requests_of_all_kinds import KINDS, request_of
from sluice_server import (
    SANITIZER, Stream, choices_of, complete, cpu_ticks, in_parallel, process_alive, request, seconds, serve, wait_until,
)  # fmt: skip

TOKENS = 60
STREAMS = ["greedy", "seeded", "two choices", "logprobs", "stop strings", "penalties"]
QUICK = ("--lane-backoff-min", "20ms")


@pytest.fixture(scope="module")
def undisturbed():
    with serve() as server:
        return {kind: choices_of(server, **request_of(kind, "brook", TOKENS)) for kind in KINDS}


def run_all(server, undisturbed, kinds=STREAMS):
    answers = in_parallel([lambda kind=kind: choices_of(server, **request_of(kind, "brook", TOKENS)) for kind in kinds])
    for kind, answer in zip(kinds, answers):
        assert answer == undisturbed[kind], kind


# The first 48 steps of a worker are its golden probes; what comes later is met by streams. `restarts` is what follows.
FAULTS = {
    "exits in a step": ("exit(70)@step=70 if incarnation=1", 1),
    "ends by a fault of its own": ("raise(6)@step=70 if incarnation=1", 1),
    "hangs with a live heartbeat": ("hang@step=70 if incarnation=1", 1),
    "stops itself": ("stop@step=70 if incarnation=1", 1),
    "loses its device, which tells three steps later": ("device_lost(3)@step=70 if incarnation=1", 1),
    "goes on without its device": ("device_lost@step=70 if incarnation=1; no_exit if incarnation=1", 1),
    "ends while it reads prompts": ("exit(70)@rows>20 if incarnation=1", 1),
    "computes wrong tokens before it is trusted": ("wrong@step=1..40 if incarnation=1", 1),
    "sends a flipped bit": ("flip@frame=90 if incarnation=1", 1),
    "sends half a frame": ("truncate@frame=90 if incarnation=1", 1),
    "sends a frame that claims gigabytes": ("huge@frame=90 if incarnation=1", 1),
    "sends a frame of nested arrays": ("deep@frame=90 if incarnation=1", 1),
    "swaps two frames": ("reorder@frame=90 if incarnation=1", 1),
    "forgets outputs": ("drop@step=70 if incarnation=1", 1),
    "does not write any more": ("stall_link@step=70 if incarnation=1", 1),
    "sends frames twice": ("double@frame=70..150", 0),
    "sends outputs twice": ("repeat@step=55..80", 0),
    "sends outputs of an old epoch": ("old_epoch@step=55..80", 0),
    "is out of memory once": ("oom@step=70", 0),
    "never has memory for many rows": ("oom@rows>20", 0),
    "is slow for a while": ("slow(40ms)@step=70..80", 0),
    "writes byte by byte": ("slice_link@step=1", 0),
    "computes what is not finite, once": ("nan@step=70 if incarnation=1", 0),
    "computes a token that does not exist": ("invalid_token@step=70 if incarnation=1", 0),
}


@pytest.mark.parametrize("plan, restarts", FAULTS.values(), ids=FAULTS.keys())
def test_no_stream_notices_that_its_worker(undisturbed, plan, restarts):
    with serve("--worker-fault", "0:" + plan, *QUICK) as server:
        run_all(server, undisturbed)

        wait_until(lambda: server.restarts() == restarts, f"{restarts} restarts", 20)
        run_all(server, undisturbed, STREAMS[:2])
        server.wait_idle()
        state = server.state()
        assert state["requests"]["failed"] == 0, state
        assert server.restarts() == restarts, state


# Well over its budget after a few steps; it is noticed within a second, and the steps are slow enough to last longer.
LEAKS = {
    "descriptors": "leak(64)@step=60..70 if incarnation=1; slow(30ms)@step>60 if incarnation=1",
    "threads": "leak_threads(16)@step=60..70 if incarnation=1; slow(30ms)@step>60 if incarnation=1",
}


@pytest.mark.parametrize("what", LEAKS)
def test_a_worker_that_leaks_is_replaced_and_no_stream_notices(undisturbed, what):
    with serve("--worker-fault", "0:" + LEAKS[what], *QUICK) as server:
        run_all(server, undisturbed)

        wait_until(lambda: server.restarts() == 1, "it is replaced", 20)
        assert re.search(rf"leaks: it holds \d+ {what}", server.lanes()[0]["last_exit"]), server.lanes()
        run_all(server, undisturbed, STREAMS[:2])
        server.wait_idle()
        state = server.state()
        assert state["requests"]["resumed"] > 0, "nothing ran when it was replaced"
        assert state["requests"]["failed"] == 0, state
        assert server.restarts() == 1, state


# Ten pieces, less than half of what is borne for each; and none at all.
LOADS = {
    "slowly is waited for": (f"slow({seconds(4)}s)@load if incarnation=1", 0),
    "no further is replaced": ("hang@load if incarnation=1", 1),
}


@pytest.mark.parametrize("plan, restarts", LOADS.values(), ids=LOADS.keys())
def test_a_worker_that_loads(undisturbed, plan, restarts):
    with serve("--worker-fault", "0:" + plan, "--load-timeout", f"{seconds(1):.0f}s", *QUICK) as server:
        run_all(server, undisturbed, STREAMS[:2])

        assert server.restarts() == restarts, server.lanes()
        assert restarts == 0 or "no progress in its start-up phase 'load'" in server.lanes()[0]["last_exit"]


@pytest.mark.parametrize("moment", ["computes", "rests"])
def test_a_stopped_worker_is_suspected_then_replaced(undisturbed, moment):
    with serve("--workers", 2, *QUICK) as server:
        server.wait_lanes_ready()
        if moment == "computes":
            streams = [Stream(server, **request_of("seeded", "brook", TOKENS)) for _ in range(4)]
            for stream in streams:
                next(iter(stream))
        victim = server.lanes()[0]
        os.kill(victim["pid"], signal.SIGSTOP)

        wait_until(lambda: server.lanes()[0]["breaker"]["weight"] == 0, "the lane takes nothing new")
        wait_until(lambda: server.lanes()[0]["pid"] not in (0, victim["pid"]), "another worker runs")
        assert not process_alive(victim["pid"])
        if moment == "computes":
            assert [stream.read() for stream in streams] == [undisturbed["seeded"]] * 4
        server.wait_lanes_ready()
        assert "silent" in server.lanes()[0]["last_exit"], server.lanes()[0]


def test_a_worker_that_goes_on_in_time_is_kept(undisturbed):
    with serve(*QUICK) as server:
        stream = Stream(server, **request_of("seeded", "brook", TOKENS))
        next(iter(stream))
        worker = server.worker_pids()[0]
        os.kill(worker, signal.SIGSTOP)
        wait_until(lambda: server.lanes()[0]["doubt"], "it is suspected")
        os.kill(worker, signal.SIGCONT)

        assert stream.read() == undisturbed["seeded"]
        wait_until(lambda: server.lanes()[0]["breaker"]["weight"] > 0, "it is trusted again")
        assert server.restarts() == 0


def test_a_front_that_was_stopped_itself_kills_nobody(undisturbed):
    with serve("--workers", 2) as server:
        server.wait_lanes_ready()
        workers = server.worker_pids()
        server.process.send_signal(signal.SIGSTOP)
        time.sleep(3)  # longer than silence is borne: it is the front that has to doubt itself
        server.process.send_signal(signal.SIGCONT)

        run_all(server, undisturbed, STREAMS[:3])
        assert server.worker_pids() == workers
        assert server.restarts() == 0


# --- poison --------------------------------------------------------------------------------------------------------

POISON_IDS = [1234, 2345, 3456]
POISON_PLAN = "exit(139)@tokens=" + ",".join(map(str, POISON_IDS))


def poison_request(**more):
    return {"model": "brook", "prompt": [300, *POISON_IDS, 301], "max_tokens": 20, "temperature": 0, **more}


@pytest.mark.parametrize("lanes", [1, 2])
def test_one_poison_request_among_thirty_two_is_convicted_alone(undisturbed, lanes):
    with serve("--worker-fault", POISON_PLAN, "--workers", lanes, *QUICK) as server:
        server.wait_lanes_ready()
        kinds = [STREAMS[index % len(STREAMS)] for index in range(31)]
        jobs = [lambda kind=kind: choices_of(server, **request_of(kind, "brook", TOKENS)) for kind in kinds]
        jobs.insert(10, lambda: exchange(server.http, post(poison_request()), timeout=60))
        answers = in_parallel(jobs)

        assert_error(answers.pop(10), 500, "poison_request", "server_error")
        for kind, answer in zip(kinds, answers):
            assert answer == undisturbed[kind], kind
        server.wait_lanes_ready()
        assert server.restarts() <= 3, server.lanes()

        restarts = server.restarts()
        again = exchange(server.http, post(poison_request()))
        assert_error(again, 500, "poison_request", "server_error")
        assert again.header("x-should-retry") == "false"
        assert server.restarts() == restarts, "the second time no worker was touched"
        complete(server, **poison_request(prompt=[300, 301], seed=1))


# --- lanes that cannot be helped -----------------------------------------------------------------------------------


def test_a_crash_loop_ends_in_quarantine_and_an_honest_front():
    """More starts than are allowed in a minute; the front stays up, cheap and honest."""
    with serve("--worker-fault", "exit(70)@step=70 if incarnation=1; exit(70)@step>1 if incarnation>1", "--workers", 2, *QUICK) as server:
        waiting = Stream(server, **request_of("greedy", "brook", TOKENS))
        with pytest.raises(AssertionError):
            waiting.read()

        wait_until(lambda: all(lane["state"] == "quarantined" for lane in server.lanes()), "quarantine", 60)
        assert all(lane["incarnation"] <= 6 for lane in server.lanes()), server.lanes()
        ticks = cpu_ticks(server.pid)
        refused = exchange(server.http, post(request_of("greedy", "brook", 5)))
        assert refused.status == 503 and int(refused.header("retry-after")) >= 1, refused
        assert exchange(server.http, head("GET", "/health")).status == 200
        assert exchange(server.http, head("GET", "/ready")).status == 503
        if not SANITIZER:
            assert cpu_ticks(server.pid) - ticks < 100


NEVER_READY = {
    "end while they load": ("exit(70)@load if incarnation>1", "exited with code 70"),
    "have no memory for the model": ("oom@load if incarnation>1", "out of memory"),
    "compute what is not finite": ("nan(all)@load if incarnation>1", "is NaN"),
    "compute other tokens than before": ("wrong@load if incarnation>1", "self-test"),
}


@pytest.mark.parametrize("plan, said", NEVER_READY.values(), ids=NEVER_READY.keys())
def test_a_lane_is_given_up_and_the_other_serves_when_its_workers(undisturbed, plan, said):
    with serve("--worker-fault", "0:" + plan, "--workers", 2, "--lane-restarts", 3, *QUICK) as server:
        server.wait_lanes_ready()
        os.kill(server.lanes()[0]["pid"], signal.SIGKILL)

        run_all(server, undisturbed)

        wait_until(lambda: server.lanes()[0]["state"] == "quarantined", "the lane is given up", 60)
        bad, good = server.lanes()
        assert said in bad["last_exit"] and bad["incarnation"] == 5, bad
        assert (good["state"], good["restarts"]) == ("ready", 0), good
        run_all(server, undisturbed, STREAMS[:2])
        assert exchange(server.http, head("GET", "/ready")).status == 200
        assert server.state()["requests"]["failed"] == 0


def test_streams_wait_while_every_lane_is_shot():
    with serve("--workers", 2, *QUICK) as server:
        server.wait_lanes_ready()
        body = request_of("seeded", "brook", 600)
        alone = Stream(server, **body).read()
        streams = [Stream(server, **body) for _ in range(4)]
        for stream in streams:
            next(iter(stream))
        for worker in server.worker_pids():
            os.kill(worker, signal.SIGKILL)

        assert [stream.read() for stream in streams] == [alone] * 4
        wait_until(lambda: server.restarts() == 2, "both restarts show")
        server.wait_lanes_ready()


def test_health_answers_while_data_is_served_by_stopped_workers():
    with serve() as server:
        os.kill(server.worker_pids()[0], signal.SIGSTOP)
        wait_until(lambda: request(server.http, "GET", "/ready")[0] == 503, "a stopped worker shows in /ready")
        assert request(server.http, "GET", "/health")[0] == 200
        wait_until(lambda: request(server.http, "GET", "/ready")[0] == 200, "it is replaced", 20)


# --- actors --------------------------------------------------------------------------------------------------------

POINTS = [
    "admission.submit", "admission.taken", "admission.accepted", "admission.ended", "queue.enqueue", "queue.handed_over",
    "batcher.batch", "batcher.released", "batcher.handed_over", "executor.assign", "executor.tokens",
]  # fmt: skip


@pytest.mark.parametrize("point", POINTS)
def test_no_stream_notices_that_an_actor_throws(undisturbed, point):
    with serve("--fault-point", f"{point}=nth:3", "--workers", 2, *QUICK) as server:
        server.wait_lanes_ready()
        run_all(server, undisturbed)
        run_all(server, undisturbed)

        server.wait_idle()
        assert sum(child["restarts"] for child in server.state()["tree"]) >= 1, "nothing was thrown"
