"""Signals that reach the wrong process, and a binary that is replaced while it runs: service goes on."""

import os
import shutil
import signal
import time

import pytest

from sluice_server import BINARY, Stream, complete, process_alive, seconds, serve, wait_until

LONG = {"prompt": "Once upon a time", "max_tokens": 300, "ignore_eos": True, "seed": 1}
STRAY = ["SIGHUP", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGVTALRM", "SIGIO", "SIGPWR", "SIGSTKFLT", "SIGPIPE", "SIGRTMIN"]


def send(pid, name):
    os.kill(pid, getattr(signal, name))


@pytest.mark.parametrize("whom", ["front", "worker"])
def test_a_stray_signal_takes_nothing_down(whom):
    with serve() as server:
        undisturbed = Stream(server, **LONG).read()
        workers = server.worker_pids()
        stream = Stream(server, **LONG)
        next(iter(stream))

        for name in STRAY:
            send(server.pid if whom == "front" else workers[0], name)

        assert stream.read() == undisturbed
        assert server.worker_pids() == workers
        assert server.restarts() == 0


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_workers_leave_it_to_the_server_when_they_end(name):
    """A service manager sends its signal to the whole group. The streams that run are finished first."""
    with serve("--workers", 2, "--drain-timeout", f"{seconds(45):.0f}s") as server:
        server.wait_lanes_ready()
        undisturbed = Stream(server, **LONG).read()
        streams = [Stream(server, **LONG) for _ in range(4)]
        for stream in streams:
            next(iter(stream))
        workers = server.worker_pids()

        for pid in [*workers, server.pid]:
            send(pid, name)

        assert [stream.read() for stream in streams] == [undisturbed] * 4
        assert server.restarts() == 0 if name == "SIGHUP" else server.wait() == 0
        if name != "SIGHUP":
            server.assert_gone(workers)


def test_a_worker_is_deaf_from_its_first_moment():
    """Every worker is signalled as soon as it can be seen, while it still loads."""
    with serve("--workers", 2) as server:
        server.wait_lanes_ready()
        for _ in range(3):
            old = server.worker_pids()
            os.kill(old[0], signal.SIGKILL)
            new = wait_until(lambda: set(server.worker_pids()) - set(old), "the next worker is there").pop()
            for name in ("SIGTERM", "SIGHUP", "SIGUSR1"):
                send(new, name)
            server.wait_lanes_ready()
            assert process_alive(new)


def test_an_interrupt_does_not_wait_for_further_clients():
    """The delay is an hour: whoever waits for it does not come back."""
    with serve("--model", "hash=hash", "--drain-delay", "1h") as server:
        complete(server, prompt="x", max_tokens=1)

        send(server.pid, "SIGINT")

        assert server.wait() == 0


def test_a_server_that_nobody_uses_stops_at_once():
    with serve("--model", "hash=hash", "--drain-delay", "2s") as server:
        time.sleep(3.5)  # nobody has been here for longer than the delay

        server.terminate()

        assert server.wait() == 0
        assert "not waiting" in server.log_text()


def test_an_upgrade_of_the_binary_does_not_reach_a_running_server(tmp_path):
    """The file that was started is gone and another stands in its place: the next worker is the running version."""
    binary = tmp_path / "sluice"
    shutil.copy2(BINARY, binary)
    with serve("--workers", 1, binary=binary) as server:
        undisturbed = Stream(server, **LONG).read()
        replacement = tmp_path / "sluice.new"
        replacement.write_text("#!/bin/sh\nexit 1\n")
        replacement.chmod(0o755)
        os.replace(replacement, binary)
        for _ in range(3):
            stream = Stream(server, **LONG)
            next(iter(stream))
            (worker,) = server.worker_pids()

            os.kill(worker, signal.SIGKILL)

            assert stream.read() == undisturbed
            server.wait_lanes_ready()
        binary.unlink()
        (worker,) = server.worker_pids()
        os.kill(worker, signal.SIGKILL)
        server.wait_lanes_ready()
        assert Stream(server, **LONG).read() == undisturbed
