"""Thousands of requests at once in one server process, by the clients of bench/overload: each ends once, and takes little memory."""

import json
import os
import subprocess

import pytest

from sluice_server import seconds

CROWD = os.environ["SLUICE_CROWD"]
KIB = 1024


@pytest.fixture
def crowd(tmp_path):
    def crowd(*options, serve):
        file = tmp_path / "figures.json"
        command = [CROWD, *options, "--stall", seconds(60), "--json", file, "--", "--model", "hash=hash", *serve]
        run = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=seconds(300))
        assert run.returncode == 0, run.stdout + run.stderr
        figures = json.loads(file.read_text())
        assert figures["sound"] and figures["faults"] == 0
        assert figures["requests"] == sum(figures["ended"].values())
        return figures

    return crowd


def test_a_crowd_that_is_let_in_is_answered_to_the_last(crowd):
    unlimited = ("--queue-capacity", 100_000, "--rate", 0, "--max-wait-realtime", 0, "--request-timeout", "24h")
    lanes = ("--workers", 2, "--max-sequences", 256, "--step-rows", 8192, "--worker-fault", "slow(20ms)@step>0")
    figures = crowd("--requests", 5000, serve=(*unlimited, *lanes))

    assert figures["most_inside"] >= 5000
    assert figures["ended"]["completed"] == figures["requests"]
    if not os.environ.get("SLUICE_SANITIZER"):
        assert figures["inside"] > 1000, "so that what each of them takes can be told"
        assert 0 < figures["in_use_each"] <= 16 * KIB
        assert figures["resident_each"] <= 16 * KIB


def test_a_crowd_that_is_too_large_is_answered_or_refused(crowd):
    slow = ("--max-sequences", 32, "--step-rows", 8192, "--worker-fault", "slow(50ms)@step>0")
    figures = crowd("--requests", 5000, "--over", 0.1, serve=slow)

    ended = figures["ended"]
    assert ended["completed"] > 0 and ended["refused"] > 0
    assert ended["completed"] + ended["refused"] == 5000
    assert set(figures["reasons"]) == {"429 overloaded"}
