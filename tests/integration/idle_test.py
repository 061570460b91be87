"""A server that has nothing to do costs next to nothing."""

import http.client
import pathlib
import time

import pytest

from sluice_server import SANITIZER, complete, open_descriptors, resident_bytes, serve, wait_until

CONNECTIONS = 2000
IDLE_S = 5


@pytest.fixture(scope="module")
def server():
    with serve("--max-connections", 2 * CONNECTIONS, "--max-connections-per-address", 2 * CONNECTIONS) as server:
        complete(server, prompt="It was", max_tokens=8)
        yield server


def assert_idle(server, percent):
    """All its processes use less than so much of a core. What else runs can only add to it, so the best of five counts."""
    shares = []
    while not shares or min(shares) >= percent:
        assert len(shares) < 5, f"percent of a core in {IDLE_S} s, five times: {shares}"
        before = cpu_seconds(server)
        time.sleep(IDLE_S)  # the time over which it is counted
        shares.append(100 * (cpu_seconds(server) - before) / IDLE_S)


def cpu_seconds(server):
    files = (file for pid in server.pids() for file in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"))
    return sum(int(file.read_text().split()[0]) for file in files) / 1e9


def test_an_idle_server_uses_less_than_one_percent_of_a_core(server):
    server.wait_idle()

    assert_idle(server, 5 if SANITIZER else 1)  # sanitizers have threads of their own that wake up


@pytest.mark.skipif(bool(SANITIZER), reason="sanitizers keep shadows of all memory")
def test_idle_connections_cost_little_memory_and_no_time(server):
    memory, descriptors = resident_bytes(server.pid), open_descriptors(server.pid)
    connections = []
    try:
        for _ in range(CONNECTIONS):
            connection = http.client.HTTPConnection(*server.http, timeout=30)
            connection.request("GET", "/health")
            assert connection.getresponse().read().startswith(b"{")
            connections.append(connection)
        grown = resident_bytes(server.pid) - memory

        assert open_descriptors(server.pid) >= descriptors + CONNECTIONS, "they are not kept open"
        assert grown < 40 << 20, f"{CONNECTIONS} idle connections cost {grown / 2**20:.1f} MiB"
        assert_idle(server, 2)
    finally:
        for connection in connections:
            connection.close()
    wait_until(lambda: open_descriptors(server.pid) <= descriptors + 1, "the connections are closed")
