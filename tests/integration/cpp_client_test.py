"""The C++ client against a real server, by the example that is built with it."""

import os
import pathlib
import subprocess

from sluice_server import complete, serve, seconds

EXAMPLE = pathlib.Path(os.environ["SLUICE_CPP_CLIENT"])


def run(port, prompt="In the beginning"):
    """Exit status, what it printed, and its complaint."""
    done = subprocess.run([EXAMPLE, prompt, str(port)], capture_output=True, text=True, timeout=seconds(60))
    return done.returncode, done.stdout, done.stderr


def test_the_example_says_what_http_says():
    with serve() as server:
        code, said, complaint = run(server.binary[1])
        expected = complete(server, prompt="In the beginning", max_tokens=32, seed=1)
        text = expected["choices"][0]["text"]
        assert code == 0, complaint
        assert said == f"whole: {text}\nstream: {text}\ntokens: {expected['usage']['completion_tokens']}\n"


def test_it_says_that_nobody_listens():
    with serve("--model", "hash=hash") as server:
        port = server.binary[1]
    code, _, complaint = run(port)
    assert code == 1
    assert complaint.startswith("connection_failed: Cannot connect to 127.0.0.1:")


def test_it_says_when_a_port_speaks_http():
    with serve("--model", "hash=hash") as server:
        code, _, complaint = run(server.http[1])
        assert code == 1
        assert complaint.startswith("protocol_error: The server sent something that is not Sluice RPC")
