"""A server that has nothing to do costs next to nothing."""

import http.client
import time

import pytest

from sluice_server import SANITIZER, complete, cpu_ticks, open_descriptors, resident_bytes, serve, wait_until

CONNECTIONS = 2000
IDLE_S = 5


@pytest.fixture(scope="module")
def server():
    with serve("--max-connections", 2 * CONNECTIONS) as server:
        complete(server, prompt="It was", max_tokens=8)
        yield server


def ticks_while_idle(server):
    before = {pid: cpu_ticks(pid) for pid in server.pids()}
    time.sleep(IDLE_S)  # the time over which the ticks are counted
    return {pid: cpu_ticks(pid) - ticks for pid, ticks in before.items()}


def test_an_idle_server_uses_less_than_one_percent_of_a_core(server):
    server.wait_idle()
    used = ticks_while_idle(server)

    # 500 ticks are 5 s of one core. Sanitizers have threads of their own that wake up.
    allowed = 25 if SANITIZER else 5
    assert sum(used.values()) < allowed, f"ticks of 10 ms in {IDLE_S} s, by process: {used}"


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
        assert sum(ticks_while_idle(server).values()) < 10
    finally:
        for connection in connections:
            connection.close()
    wait_until(lambda: open_descriptors(server.pid) <= descriptors + 1, "the connections are closed")
