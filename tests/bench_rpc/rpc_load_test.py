"""bench/rpc_load counts what is answered, against bench/rpc_echo and against a server that refuses."""

import contextlib
import json
import os
import pathlib
import socket
import subprocess
import threading

BENCH = pathlib.Path(os.environ["SLUICE_BENCH"])
VECTORS = pathlib.Path(__file__).parents[1] / "vectors" / "srp1"


def generate(port, *options):
    command = [BENCH / "rpc_load", port, *options]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300)


@contextlib.contextmanager
def echo():
    with subprocess.Popen([BENCH / "rpc_echo"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield int(process.stdout.readline().removeprefix("port="))
        process.stdin.close()
        assert process.wait(60) == 0


@contextlib.contextmanager
def saying(data):
    """A port that says this to the one client that comes, and then waits for it to leave."""

    def serve():
        connection, _ = listener.accept()
        with connection, contextlib.suppress(ConnectionError):
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def test_counts_what_the_echo_sends_back():
    with echo() as port:
        run = generate(port, "--connections", 8, "--in-flight", 16, "--requests", 10_000, "--echo")
    assert run.returncode == 0, run.stderr
    figures = json.loads(run.stdout)
    assert (figures["requests"], figures["errors"]) == (10_000, 0)
    assert 0 < figures["p50_ms"] <= figures["p99_ms"]
    # Buckets are 3 % wide; the longest is exact.
    assert figures["p99_ms"] <= figures["max_ms"] * 1.04
    assert figures["per_second"] > 0
    assert figures["generator_us"] > 0


def test_counts_refusals_and_fails():
    refusal = (VECTORS / "response_error.bin").read_bytes()  # of request 2
    with saying((VECTORS / "preface.bin").read_bytes() + 3 * refusal) as port:
        run = generate(port, "--connections", 1, "--in-flight", 2, "--requests", 3)
    assert run.returncode == 1
    figures = json.loads(run.stdout)
    assert (figures["requests"], figures["errors"]) == (3, 3)
    assert "3 requests failed" in run.stderr


def test_fails_when_a_connection_ends():
    with saying((VECTORS / "preface.bin").read_bytes()) as port:
        run = generate(port, "--connections", 1, "--in-flight", 2, "--requests", 3)
    assert run.returncode == 1
    assert "the other side has closed a connection" in run.stderr


def test_fails_when_the_server_ends_it_all():
    with saying((VECTORS / "preface.bin").read_bytes() + (VECTORS / "fatal.bin").read_bytes()) as port:
        run = generate(port, "--connections", 1, "--in-flight", 2, "--requests", 3)
    assert run.returncode == 1
    assert "bad_frame" in run.stderr
