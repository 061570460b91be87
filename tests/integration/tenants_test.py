"""Keys, tenants and what each may use, over real sockets."""

import json
import os
import signal

import pytest

from raw_http import Wire, assert_error, exchange, head, post
from sluice_server import Server, key, request, wait_until

BODY = {"prompt": "x", "max_tokens": 1}


@pytest.fixture
def keys(tmp_path):
    return tmp_path / "keys.toml"


@pytest.fixture
def start(keys):
    servers = []

    def start(*texts, options=(), model="hash=hash"):
        keys.write_text("".join(texts))
        servers.append(Server("--model", model, "--api-keys", keys, *options))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def ask(server, token, **fields):
    return exchange(server.http, post(BODY | fields, f"Authorization: Bearer {token}"))


def test_a_tenant_has_a_rate_of_requests_of_its_own(start):
    server = start(key("a", "sk-a", "rpm = 60", "burst = 2"), key("b", "sk-b"))

    assert [ask(server, "sk-a").status for _ in range(2)] == [200, 200]
    refused = ask(server, "sk-a")
    assert_error(refused, 429, "rate_limit_exceeded", "rate_limit_error")
    assert "limit of 60 requests a minute" in refused.json()["error"]["message"]
    assert refused.header("retry-after") == "1"
    assert [ask(server, "sk-b").status for _ in range(5)] == [200] * 5
    server.stop()


def test_keys_of_one_tenant_share_what_it_has(start):
    tenant = '[[tenant]]\nname = "shop"\nrpm = 60\nburst = 2\n\n'
    server = start(tenant, *(key(name, f"sk-{name}", 'tenant = "shop"') for name in "ab"))

    assert ask(server, "sk-a").status == ask(server, "sk-b").status == 200
    assert ask(server, "sk-a").status == ask(server, "sk-b").status == 429
    server.stop()


def test_tokens_are_reserved_and_what_is_not_used_comes_back(start):
    server = start(key("a", "sk-a", "tpm = 1000"), model="brook=models/shipped/brook")
    story = {"prompt": "Once upon a time", "max_tokens": 400, "temperature": 0}

    for _ in range(5):  # each reserves 400 and more, and uses a few
        assert ask(server, "sk-a", **story, stop=[" "]).status == 200
    assert [ask(server, "sk-a", **story, ignore_eos=True).status for _ in range(2)] == [200, 200]
    refused = ask(server, "sk-a", **story)
    assert_error(refused, 429, "rate_limit_exceeded", "rate_limit_error")
    assert "limit of 1000 tokens a minute" in refused.json()["error"]["message"]
    never = ask(server, "sk-a", **(story | {"max_tokens": 1000}))
    assert_error(never, 400, "invalid_value", "invalid_request_error", "max_tokens")
    assert "may use 1000 at once" in never.json()["error"]["message"]
    server.stop()


def test_answers_tell_what_is_left_of_a_tenants_limits(start):
    server = start(
        key("a", "sk-a", "rpm = 1", "burst = 2", "tpm = 60000"),
        key("b", "sk-b", "rpm = 60"),
        key("c", "sk-c", "max_inflight = 8"),
    )

    def in_seconds(text):
        minutes, _, rest = text.rpartition("m")
        return 60 * int(minutes or 0) + int(rest.removesuffix("s"))

    def told(answer):
        return {name.removeprefix("x-ratelimit-"): value for name, value in answer.headers if "x-ratelimit-" in name}

    one, stream, refused = ask(server, "sk-a"), ask(server, "sk-a", stream=True), ask(server, "sk-a")
    assert [answer.status for answer in (one, stream, refused)] == [200, 200, 429]
    for answer, left, minutes in ((one, "1", 1), (stream, "0", 2), (refused, "0", 2)):
        fields = told(answer)
        assert len(fields) == 6
        assert (fields["limit-requests"], fields["remaining-requests"]) == ("2", left)
        assert minutes * 60 - 30 < in_seconds(fields["reset-requests"]) <= minutes * 60
        assert fields["limit-tokens"] == "60000"
        assert 59_000 < int(fields["remaining-tokens"]) <= 60_000
        assert fields["reset-tokens"].endswith("s")
    assert sorted(told(ask(server, "sk-b"))) == ["limit-requests", "remaining-requests", "reset-requests"]
    assert told(ask(server, "sk-c")) == {}
    assert told(exchange(server.http, head("GET", "/v1/models", "Authorization: Bearer sk-a"))) == {}
    server.stop()


def test_what_must_be_refused_is_refused_before_its_body_comes(start):
    server = start(key("a", "sk-a", "rpm = 1"))

    assert ask(server, "sk-a").status == 200
    with Wire(server.http) as wire:
        wire.send(
            b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer sk-a\r\n"
            b"Content-Type: application/json\r\nContent-Length: 1000000\r\n\r\n"
        )
        assert wire.response().status == 429
    server.stop()


def test_the_core_api_is_served_when_nobody_else_is(start):
    server = start(
        key("core", "sk-core", "core = true"),
        key("other", "sk-other"),
        options=["--rate", 1, "--burst", 10],
    )

    others = [ask(server, "sk-other") for _ in range(20)]
    assert [answer.status for answer in others[:7]] == [200] * 7
    refused = [answer for answer in others if answer.status != 200]
    assert len(refused) >= 10
    for answer in refused:
        assert_error(answer, 429, "overloaded", "rate_limit_error")
        assert "kept for the core API" in answer.json()["error"]["message"]
    assert [ask(server, "sk-core").status for _ in range(3)] == [200] * 3
    server.stop()


def test_a_class_beyond_the_ceiling_is_named(start):
    server = start(key("a", "sk-a", 'class = "low"', 'max_class = "low"'))

    answer = ask(server, "sk-a", service_tier="priority")
    assert answer.status == 200
    assert answer.header("x-sluice-ignored-params") == "service_tier"
    server.stop()


def test_the_file_is_read_again_at_sighup(start, keys):
    server = start(key("a", "sk-a", "rpm = 60", "burst = 1"))
    assert [ask(server, "sk-a").status for _ in range(2)] == [200, 429]

    def reload(text, until):
        keys.write_text(text)
        os.kill(server.pid, signal.SIGHUP)
        wait_until(lambda: until in server.log_text(), until)

    reload(key("a", "sk-a") + key("b", "sk-b"), "read again: 2 keys of 2 tenants")
    assert [ask(server, token).status for token in ("sk-a", "sk-a", "sk-b")] == [200] * 3

    reload(key("a", "sk-a", "rpm = 0"), "the keys stay as they are")
    assert ":4:7: rpm: expected a whole number from 1 to 1000000000000, got 0" in server.log_text()
    assert ask(server, "sk-b").status == 200

    reload('[[tenant]]\nname = "anonymous"\n', "has no key any more")
    assert exchange(server.http, post(BODY)).status == 401

    reload(key("b", "sk-b"), "read again: 1 keys of 1 tenants")
    assert ask(server, "sk-a").status == 401 and ask(server, "sk-b").status == 200
    assert server.restarts() == 0
    server.stop()


def test_a_whole_answer_tells_what_is_left_when_it_is_settled(start):
    server = start(key("a", "sk-a", "tpm = 2000"))
    answer = ask(server, "sk-a", max_tokens=1000, stop=list("aeio"))
    used = answer.json()["usage"]["total_tokens"]
    assert answer.status == 200 and used < 200, used
    assert int(answer.header("x-ratelimit-remaining-tokens")) >= 2000 - used


def test_operators_see_buckets_tenants_and_decisions(start):
    server = start(
        key("a", "sk-a", "rpm = 60", "burst = 2", "max_inflight = 7"),
        key("b", "sk-b", 'class = "batch"', "tpm = 1000"),
        options=["--rate", 1000, "--burst", 100],
    )
    assert [ask(server, "sk-a").status for _ in range(3)] == [200, 200, 429]
    assert ask(server, "sk-b", max_tokens=5000).status == 400

    status, _, body = request(server.management, "GET", "/admin/v1/admission")
    page = json.loads(body)
    assert status == 200 and page["inside"] == 0
    shared = page["shared"]
    assert shared["requests"]["burst"] == 100 and shared["kept_for_core"] == 0 and shared["kept_from_low"] == 50
    a, b = page["tenants"]
    assert (a["name"], a["in_flight"], a["in_flight_max"]) == ("a", 0, 7)
    assert a["requests"] == {"units": 60, "period_s": 60.0, "burst": 2, "left": a["requests"]["left"]}
    assert a["requests"]["left"] <= 1
    assert b["class"] == "batch" and b["tokens"]["left"] == 1000 and "requests" not in b
    assert (a["admitted"], a["refused"]) == (2, {"rate_limited": 1}), "also what is refused from its head"
    assert (a["prompt_tokens"], a["generated_tokens"]) == (2, 2)
    assert (b["admitted"], b["refused"], b["generated_tokens"]) == (0, {"too_many_tokens": 1}, 0)
    assert page["counts"]["realtime"] == {"admitted": 2, "rate_limited": 1}
    assert page["counts"]["batch"] == {"admitted": 0, "too_many_tokens": 1}
    newest, refused, *before = page["last"]
    assert (newest["tenant"], newest["decision"], newest["tokens"]) == ("b", "too_many_tokens", 5001)
    assert (refused["tenant"], refused["decision"]) == ("a", "rate_limited")
    assert 0 < refused["retry_after_s"] <= 1
    assert "limit of 60 requests a minute" in refused["message"]
    assert [one["decision"] for one in before] == ["admitted"] * 2
    server.stop()


def test_a_refusal_is_found_by_the_id_that_its_client_was_told(start):
    server = start(
        key("a", "sk-a", 'class = "low"', "rpm = 1"),
        key("b&c", "sk-b", 'class = "batch"', "tpm = 1000"),
        options=["--log-level", "debug"],
    )
    assert ask(server, "sk-a").status == 200
    head_refused, read_refused = ask(server, "sk-a"), ask(server, "sk-b", max_tokens=5000)
    assert (head_refused.status, read_refused.status) == (429, 400)

    def last(query=""):
        return json.loads(request(server.management, "GET", "/admin/v1/admission" + query)[2])["last"]

    by_id = {one["request_id"]: one for one in last()}
    assert len(by_id) == 3
    of_head, of_body = (by_id[answer.header("x-request-id")] for answer in (head_refused, read_refused))
    assert (of_head["decision"], of_head["tenant"], "model" in of_head) == ("rate_limited", "a", False)
    assert of_head["class"] == "low", "that of its tenant, as nobody has read another"
    assert (of_body["decision"], of_body["tenant"], of_body["model"]) == ("too_many_tokens", "b&c", "hash")
    assert "level" not in of_body
    for one, model in ((of_head, "unknown"), (of_body, "hash")):
        line = next(line for line in server.log_text().splitlines() if f"request {one['request_id']} is refused" in line)
        for word in (one["decision"], f"tenant {one['tenant']}", f"class {one['class']}", f"model {model}", one["message"]):
            assert word in line, line
    wait_until(lambda: "admission has refused" in server.log_text(), "an account of what was refused")

    def ids(query):
        return [one["request_id"] for one in last(query)]

    assert ids("?tenant=b%26c") == [of_body["request_id"]]
    assert ids("?reason=rate_limited") == [of_head["request_id"]]
    assert len(ids("?tenant=a")) == 2 and len(ids("?tenant=a&reason=admitted")) == 1
    assert ids("?tenant=nobody") == []
    for wrong in ("?reason=nonsense", "?nonsense=a", "?tenant=%zz"):
        assert request(server.management, "GET", "/admin/v1/admission" + wrong)[0] == 400
    server.stop()


def test_anonymous_clients_are_a_tenant_like_any_other(start):
    server = start('[[tenant]]\nname = "anonymous"\nrpm = 60\nburst = 2\n')

    assert [exchange(server.http, post(BODY)).status for _ in range(3)] == [200, 200, 429]
    assert exchange(server.http, head("GET", "/v1/models")).status == 200
    server.stop()
