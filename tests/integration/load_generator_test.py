"""The load generator of bench/overload against a live server: every request that was intended ends exactly once."""

import json
import os
import re
import subprocess

import pytest

from sluice_server import key, request, seconds, serve

GENERATOR = os.environ["SLUICE_LOAD_GENERATOR"]
OUTCOMES = ("answered", "refused", "failed", "timed_out", "connection_error", "unfinished", "dropped")
# Each step of the model takes 20 ms: two sequences of ten tokens are a hundred tokens a second.
SLOW = ("--model", "hash=hash", "--max-sequences", 2, "--worker-fault", "slow(20ms)@step>0")


@pytest.fixture
def generate(tmp_path):
    def generate(server, *options, drain=20):
        file = tmp_path / "figures.json"
        address = f"{server.http[0]}:{server.http[1]}"
        command = [GENERATOR, address, "--json", file, "--drain", seconds(drain), *options]
        run = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=seconds(120))
        assert run.returncode == 0, run.stderr
        assert "generator:" in run.stdout
        figures = json.loads(file.read_text())
        for cell in (figures["total"], *figures["kinds"], *figures["seconds"]):
            assert_adds_up(cell)
        for part in ("kinds", "seconds"):
            for name in ("offered", "sent", "good", "retries", *OUTCOMES):
                assert sum(cell[name] for cell in figures[part]) == figures["total"][name], (part, name)
        return figures

    return generate


def assert_adds_up(cell):
    """Every request that was intended has ended once."""
    assert cell["offered"] == sum(cell[outcome] for outcome in OUTCOMES)
    assert cell["good"] <= cell["answered"] <= cell["offered"] and cell["sent"] <= cell["offered"]
    assert (cell["latency"] or {"count": 0})["count"] == cell["answered"]


def test_what_a_server_can_take_is_answered(generate):
    with serve("--model", "hash=hash") as server:
        figures = generate(
            server, "--rate", 200, "--duration", 2, "--client", "max_tokens=2,patience_ms=0",
            "--client", "tenant=streams,max_tokens=4,stream=true,share=0.5,patience_ms=0",
        )

        total = figures["total"]
        assert total["offered"] > 200 and total["answered"] == total["sent"] == total["offered"]
        plain, streams = figures["kinds"]
        assert plain["first_token"] is None
        assert streams["first_token"]["count"] == streams["answered"] > 0
        assert set(figures["tenants"]) == {"anonymous", "streams"}
        server.wait_idle()


def test_every_outcome_of_an_overload_is_counted_once(generate):
    with serve(*SLOW, "--queue-capacity", 8) as server:
        figures = generate(
            server, "--arrivals", "step", "--rate", 20, "--factor", 20, "--at", 1, "--duration", 3,
            "--client", "tenant=plain,max_tokens=10",
            "--client", "tenant=impatient,max_tokens=10,stream=true,patience_ms=100",
            "--client", "tenant=polite,max_tokens=10,retry=polite,attempts=2,patience_ms=5000",
            "--client", "tenant=storm,max_tokens=10,retry=storm,retry_delay_ms=20,patience_ms=1000,attempt_ms=200",
        )

        tenants = figures["tenants"]
        assert tenants["plain"]["refused"] > 0 and tenants["plain"]["retries"] == 0
        assert tenants["impatient"]["timed_out"] > 0
        assert tenants["polite"]["retries"] <= tenants["polite"]["offered"], "one further attempt each"
        assert tenants["storm"]["retries"] > tenants["storm"]["offered"]
        refusals = figures["total"]["reasons"]["429 overloaded"]
        assert refusals >= figures["total"]["refused"]
        server.wait_idle()


def test_no_accepted_request_is_lost_when_who_holds_it_starts_again_under_overload(generate):
    # Each of these ends an actor once, with what it has in hand.
    ends = {"admission.taken": 60, "admission.accepted": 35, "admission.ended": 80, "queue.enqueue": 50,
            "queue.handed_over": 40, "batcher.batch": 20, "batcher.released": 15}  # fmt: skip
    faults = [word for place, visit in ends.items() for word in ("--fault-point", f"{place}=nth:{visit}")]
    # 160 answers a second.
    lanes = ("--model", "hash=hash", "--worker-fault", "slow(20ms)@step>0", "--workers", 2, "--max-sequences", 16)
    with serve(*lanes, "--rate", 0, *faults, patient=False) as server:
        server.wait_lanes_ready()

        figures = generate(server, "--rate", 400, "--duration", 4, "--client", "max_tokens=10,patience_ms=0", drain=60)

        total = figures["total"]
        assert total["refused"] > 0, "more than two lanes can do"
        assert total["answered"] + total["refused"] == total["offered"]
        server.wait_idle(60)
        requests = server.state()["requests"]
        assert requests["accepted"] == requests["completed"] == total["answered"]
        page = request(server.management, "GET", "/metrics")[2].decode()
        restarts = dict(re.findall(r'sluice_supervisor_restarts_total{child="root/scheduling/(.*)"} ([1-9]\d*)', page))
        assert restarts == {"admission": "3", "model.hash/queue": "2", "model.hash/batcher": "2"}


def test_who_finds_no_connection_free_waits_and_is_counted(generate):
    with serve(*SLOW) as server:
        figures = generate(
            server, "--arrivals", "burst", "--burst", 20, "--period", 0.5, "--duration", 0.9, "--connections", 2,
            "--client", "max_tokens=5,patience_ms=0",
        )

        assert figures["total"]["offered"] == figures["total"]["answered"] == 20
        assert figures["total"]["waited"] == 18 and figures["run"]["connections"] == 2


def test_what_has_not_ended_with_the_run_is_unfinished_and_what_is_too_much_is_dropped(generate):
    with serve(*SLOW, "--request-timeout", "3600s") as server:
        figures = generate(
            server, "--arrivals", "burst", "--burst", 50, "--period", 0.5, "--duration", 0.9, "--requests", 40,
            "--client", "max_tokens=1000,patience_ms=0", drain=0,
        )

        assert figures["total"]["unfinished"] == 40 and figures["total"]["dropped"] == 10
        server.wait_idle()


def test_connections_that_cannot_be_opened_are_told_apart(generate):
    with serve("--model", "hash=hash") as server:
        server.stop()
        figures = generate(server, "--rate", 100, "--duration", 0.5, "--client", "retry=polite")

    assert figures["total"]["connection_error"] == figures["total"]["offered"] > 0


def test_a_trace_is_replayed_with_keys_of_its_tenants(generate, tmp_path):
    keys = tmp_path / "keys.toml"
    keys.write_text(key("shop", "sk-shop") + key("mill", "sk-mill", "rpm = 60", "burst = 1"))
    mix = tmp_path / "mix.toml"
    mix.write_text(
        '[[client]]\ntenant = "shop"\nkey = "sk-shop"\n\n'
        '[[client]]\ntenant = "mill"\nkey = "sk-mill"\nclass = "low"\nservice_tier = "flex"\n'
    )
    trace = tmp_path / "arrivals.csv"
    lines = [f"{i * 0.01:.2f},{'mill,low' if i % 4 == 0 else 'shop,realtime'},{20 + i},2" for i in range(40)]
    trace.write_text("\n".join(lines) + "\n")
    with serve("--model", "hash=hash", "--api-keys", keys) as server:
        figures = generate(server, "--mix", mix, "--trace", trace, "--duration", 5)

        shop, mill = figures["kinds"]
        assert shop["offered"] == shop["answered"] == 30
        assert mill["offered"] == 10 and mill["reasons"] == {"429 rate_limit_exceeded": mill["refused"]}
        assert figures["classes"]["low"]["offered"] == 10


@pytest.mark.parametrize(
    "options, words",
    [
        (["nowhere"], "expected ADDRESS:PORT, got nowhere"),
        (["example.org:80"], "example.org is no address"),
        (["--client", "share=0"], "share: expected a number above 0"),
        (["--arrivals", "flood"], "expected one of poisson, step"),
        (["--mix", "/nowhere.toml"], "/nowhere.toml"),
        (["--trace", "/nowhere.csv"], "cannot read /nowhere.csv"),
    ],
)
def test_what_is_not_understood_is_told(options, words):
    run = subprocess.run([GENERATOR, *options], capture_output=True, text=True, timeout=seconds(30))

    assert run.returncode == 2
    assert words in run.stderr
