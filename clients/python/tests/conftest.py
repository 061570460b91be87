"""What every test file shares: servers that follow scripts, and clients of both kinds."""

import contextlib

import pytest

import fakes


@pytest.fixture
def clock():
    return fakes.FakeClock()


@pytest.fixture
def serve():
    """serve("srp", script, ...) gives the url of a server with a connection for each script."""
    servers = []

    def start(scheme, *scripts):
        servers.append(fakes.Server(scheme, *scripts))
        return servers[-1].url

    yield start
    for server in servers:
        server.join()


@pytest.fixture(params=["sync", "async"])
def connect(request, clock, serve):
    """connect(url) gives a client, in two kinds one after the other; closed before the servers are looked at."""
    with contextlib.ExitStack() as clients:

        def start(url, **options):
            options = {"clock": clock, "chance": lambda: 1.0, **options}
            return clients.enter_context(fakes.blocking_client(request.param, url, **options))

        yield start
