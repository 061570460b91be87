"""Under pressure the server lets go of its service step by step, says so, and takes it up again."""

import contextlib
import json
import threading

import pytest

from raw_http import assert_error, exchange, post
from sluice_server import Server, key, request, seconds, serve, wait_until

# Four places and ten milliseconds a step: fifty requests a second, so that a crowd waits for more than one. It may wait for
# two, which a busy machine does not exceed.
SLOW = ("--worker-fault", "slow(10ms)@step>0", "--max-sequences", 4, "--max-wait-realtime", 2, "--itl-objective", "10s")
SHORT = {"prompt": "x", "max_tokens": 8, "ignore_eos": True}
NONSENSE = {"prompt": "x", "max_tokens": 21, "ignore_eos": True}


def degradation(server):
    return json.loads(request(server.management, "GET", "/admin/v1/admission")[2])["degradation"]


def metric(server, name):
    text = request(server.management, "GET", "/metrics")[2].decode()
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(name + " "))


def ask(server, token="sk-rt", **fields):
    return exchange(server.http, post(NONSENSE | fields, f"Authorization: Bearer {token}"), timeout=60)


@contextlib.contextmanager
def crowd(server, clients=70):
    """So many clients who ask again as soon as they are answered."""
    over = threading.Event()

    def insist():
        while not over.is_set():
            answer = exchange(server.http, post(SHORT | {"model": "big"}, "Authorization: Bearer sk-rt"), timeout=60)
            over.wait(0.02 if answer.status != 200 else 0)

    threads = [threading.Thread(target=insist, daemon=True) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join(seconds(60))


def refused(answer, level, words):
    error = assert_error(answer, 429, "overloaded", "rate_limit_error")
    assert f"degradation level {level}, wait" in error["message"] and words in error["message"], error
    assert 1 <= int(answer.header("retry-after")) <= 60


@pytest.fixture
def server(tmp_path):
    keys = tmp_path / "keys.toml"
    keys.write_text(
        key("rt", "sk-rt")
        + key("batch", "sk-batch", 'class = "batch"')
        + key("low", "sk-low", 'class = "low"', 'max_class = "low"')
        + key("never", "sk-never", 'degradation = "never"')
    )
    models = ("--model", "big=hash", "--model", "small=hash", "--cheaper", "big=small")
    server = Server(*models, "--api-keys", keys, *SLOW, patient=False)
    yield server
    server.close()


def test_the_service_is_let_go_step_by_step_and_taken_up_again(server):
    assert ask(server, "sk-low", model="big").status == 200
    calm = degradation(server)
    assert (calm["enabled"], calm["level"]) == (True, 0)

    with crowd(server):
        wait_until(lambda: degradation(server)["level"] == 3, "the third level", 30)

        for token, fields in [("sk-low", {}), ("sk-rt", {"service_tier": "flex"})]:
            refused(ask(server, token, model="big", **fields), 3, "class low")
        refused(ask(server, n=2), 3, "more than one choice")
        for fields in ({"token": "sk-never"}, {"allow_degraded": False}):
            answer = wait_until(lambda fields=fields: ok(ask(server, model="big", **fields)), "the model that others leave", 30)
            assert answer.json()["model"] == "big" and answer.header("x-sluice-degraded") is None
        refused(ask(server, "sk-batch", model="small", allow_degraded=False), 3, "answers are trimmed")

        answer = wait_until(lambda: ok(ask(server, "sk-batch", model="small")), "a place among batch", 30)
        label = answer.header("x-sluice-degraded")
        assert label == "level=3;reason=wait;trimmed"
        body = answer.json()
        assert body["usage"]["degraded"] == {"level": 3, "reason": "wait"}
        assert body["usage"]["completion_tokens"] == 11 and body["choices"][0]["finish_reason"] == "length"

        answer = wait_until(lambda: ok(ask(server, model="big", stream=True)), "a place among realtime", 30)
        assert answer.header("x-sluice-degraded") == "level=3;reason=wait;cheaper"
        assert b'"model":"small"' in answer.body and b'"model":"big"' not in answer.body

        answer = wait_until(lambda: ok(ask(server, "sk-never", model="small")), "one who may not be degraded", 30)
        assert answer.header("x-sluice-degraded") is None and "degraded" not in answer.json()["usage"]

        page = degradation(server)
        assert (page["level"], page["reason"]) == (3, "wait") and page["pressure"] > 0.65
        assert metric(server, "sluice_degradation_level") == 3
        for how in ("trimmed", "cheaper"):
            assert metric(server, f'sluice_degraded_answers_total{{how="{how}",model="small"}}') >= 1

    wait_until(lambda: degradation(server)["level"] == 0, "all of the service again", 120)
    assert ask(server, "sk-low", model="big").status == 200
    answer = ask(server, model="big", n=2)
    assert answer.status == 200 and answer.header("x-sluice-degraded") is None
    assert answer.json()["model"] == "big"
    assert metric(server, "sluice_degradation_level") == 0
    assert metric(server, "sluice_degradation_changes_total") >= 4
    log = server.log_text()
    assert "-> 3: pressure" in log and "1 -> 0: pressure" in log
    server.stop()


def ok(answer):
    return answer if answer.status == 200 else None


def test_the_ladder_can_be_switched_off():
    with serve("--model", "big=hash", "--degradation", "off", *SLOW, patient=False) as server:
        with crowd(server, 20):
            wait_until(lambda: metric(server, "sluice_requests_inside") >= 10, "a crowd")
            assert degradation(server)["enabled"] is False
        assert degradation(server)["level"] == 0
        assert all("degradation" not in child["path"] for child in server.state()["tree"])


@pytest.mark.parametrize(
    "value, code, said",
    [
        ("big", 2, "is written MODEL=OTHER"),
        ("big=tiny", 2, "no model tiny is served; there is big, brook"),
        ("big=big", 2, "a model is not cheaper than itself"),
        ("big=brook", 3, "brook has a context of"),
    ],
)
def test_a_cheaper_model_that_cannot_be_one_is_refused_at_the_start(value, code, said):
    server = Server(
        "--model", "big=hash", "--model", "brook=models/shipped/brook", "--cheaper", value, wait=False
    )  # fmt: skip
    assert server.wait() == code
    assert said in server.log_text(), server.log_text()
    server.close()
