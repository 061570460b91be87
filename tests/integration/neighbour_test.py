"""Processes that never rest take the cores: the worker's threads give way, and its streams keep their bytes."""

import contextlib
import os
import subprocess
import sys

from requests_of_all_kinds import request_of
from sluice_server import Stream, choices_of, serve, wait_until

TOKENS = 900


@contextlib.contextmanager
def busy(count):
    """So many processes that never rest, each in a session of its own, as somebody else's would be."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def test_threads_give_way_to_busy_processes_and_streams_keep_their_bytes():
    request = request_of("seeded", "brook", TOKENS)
    with serve("--threads", 1) as server:
        expected = choices_of(server, **request)

    with serve("--threads", 4) as server, busy(2 * len(os.sched_getaffinity(0))):
        # With more busy processes than cores no thread keeps its core for long.
        def one_thread_computes():
            assert Stream(server, **request).read() == expected
            return server.lanes()[0]["compute_threads"] == 1

        wait_until(one_thread_computes, "the other threads have given way", 60)
        assert Stream(server, **request).read() == expected
        assert 0 <= server.lanes()[0]["compute_lost_permille"] <= 1000


def test_the_number_of_threads_is_told_from_the_first_step_on():
    with serve("--threads", 1) as server:
        choices_of(server, **request_of("seeded", "brook", 8))
        wait_until(lambda: server.lanes()[0]["compute_threads"] == 1, "a heartbeat after the first step")

    with serve("--model", "hash=hash") as server:
        server.wait_lanes_ready()
        assert server.lanes()[0]["compute_threads"] == 0, "that model computes nothing"
