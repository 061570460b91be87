"""What every test file shares: servers for a whole file, and the servers' logs beside a failure."""

import pathlib
import resource

import pytest

import sluice_server


def pytest_configure(config):
    # Thousands of connections need descriptors on both sides; servers inherit the limit.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed:
        for server in sluice_server.running_servers:
            lines = server.log_text().splitlines()[-60:]
            report.sections.append((f"log of server {server.pid}", "\n".join(lines)))
    return report


@pytest.fixture(scope="module")
def brook():
    """A server with the shipped model."""
    with sluice_server.serve() as server:
        yield server


@pytest.fixture
def brook_copy(tmp_path):
    """A copy of the shipped model that a test may damage."""
    folder = tmp_path / "brook"
    folder.mkdir()
    for file in sluice_server.BROOK.iterdir():
        if file.is_file():
            (folder / file.name).write_bytes(file.read_bytes())
    return pathlib.Path(folder)
