"""Requests under an Idempotency-Key, over real sockets: one execution, and the same bytes for all who ask again."""

import openai
import pytest

from raw_http import Wire, assert_error, exchange, post
from sluice_server import Server, in_parallel, key, request, seconds, serve, wait_until

# Its steps take ten milliseconds: what is to happen meanwhile has the time.
SLOW_MODEL = ("--model", "hash=hash", "--worker-fault", "slow(10ms)@step>0")
SLOW = {"prompt": "The old man", "max_tokens": 200, "ignore_eos": True}
ENDLESS = SLOW | {"max_tokens": 5000}
QUICK = {"prompt": "x", "max_tokens": 1}


@pytest.fixture(scope="module")
def server():
    with serve(*SLOW_MODEL) as server:
        yield server


def keyed(body, name, *headers):
    return post(body, f"Idempotency-Key: {name}", *headers)


def completed(server):
    return server.state()["requests"]["completed"]


def metric(server, name, **labels):
    """The sum of the samples of that name that have these labels."""
    _, _, page = request(server.management, "GET", "/metrics")
    total = 0.0
    for line in page.decode().splitlines():
        series, _, value = line.rpartition(" ")
        wanted = all(f'{label}="{text}"' in series for label, text in labels.items())
        if series.partition("{")[0] == name and wanted:
            total += float(value)
    return total


def joined(server):
    return metric(server, "sluice_idempotent_requests_total", result="joined")


def test_ten_at_once_are_one_execution_with_the_same_bytes(server):
    before = completed(server)
    replayed = metric(server, "sluice_requests_total", reason="replayed", code="200")
    answers = in_parallel(
        [lambda i=i: exchange(server.http, keyed(SLOW, "ten", f"X-Request-Id: r{i}")) for i in range(10)]
    )

    assert [answer.status for answer in answers] == [200] * 10
    assert len({answer.body for answer in answers}) == 1
    assert sorted(answer.header("x-request-id") for answer in answers) == [f"r{i}" for i in range(10)]
    assert sorted(answer.header("idempotent-replayed") or "" for answer in answers) == [""] + ["true"] * 9
    assert completed(server) - before == 1
    assert metric(server, "sluice_requests_total", reason="replayed", code="200") - replayed == 9


def test_the_first_client_may_die(server):
    before = joined(server)
    with Wire(server.http) as first:
        first.send(keyed(SLOW, "first dies"))
        wait_until(lambda: server.running() == 1, "it runs")
        second = Wire(server.http)
        second.send(keyed(SLOW, "first dies"))
        wait_until(lambda: joined(server) > before, "the second has joined")
    cancelled = server.state()["requests"]["cancelled"]

    answer = second.response()
    assert answer.status == 200
    assert answer.json()["usage"]["completion_tokens"] == 200
    assert server.state()["requests"]["cancelled"] == cancelled


def test_the_execution_ends_with_its_last_client(server):
    before = joined(server)
    cancelled = server.state()["requests"]["cancelled"]
    with Wire(server.http) as first, Wire(server.http) as second:
        first.send(keyed(ENDLESS, "all die"))
        wait_until(lambda: server.running() == 1, "it runs")
        second.send(keyed(ENDLESS, "all die"))
        wait_until(lambda: joined(server) > before, "the second has joined")

    server.wait_idle()
    assert server.state()["requests"]["cancelled"] == cancelled + 1


def test_another_body_is_refused_and_not_to_be_sent_again(server):
    assert exchange(server.http, keyed(QUICK, "body")).status == 200

    refused = exchange(server.http, keyed(QUICK | {"max_tokens": 2}, "body"))
    assert_error(refused, 409, "conflict", "invalid_request_error")
    assert refused.header("x-should-retry") == "false"


def test_a_stream_is_not_shared(server):
    endless = ENDLESS | {"stream": True}
    with Wire(server.http) as first:
        first.send(keyed(endless, "stream"))
        wait_until(lambda: server.running() == 1, "it runs")
        refused = exchange(server.http, keyed(endless, "stream"))

    assert_error(refused, 409, "conflict")
    assert refused.header("retry-after") == "1"
    assert refused.header("x-should-retry") is None
    server.wait_idle()
    short = SLOW | {"stream": True, "max_tokens": 2}
    texts = [exchange(server.http, keyed(short, "short stream")).body for _ in range(2)]
    assert all(text.endswith(b"data: [DONE]\n\n") for text in texts)


def test_an_answer_is_replayed(server):
    first = exchange(server.http, keyed(SLOW, "replay"))
    before = completed(server)

    again = exchange(server.http, keyed(SLOW, "replay", "X-Request-Id: again"))
    assert (again.status, again.body) == (first.status, first.body)
    assert again.header("idempotent-replayed") == "true"
    assert again.header("x-request-id") == "again"
    assert completed(server) == before
    assert metric(server, "sluice_idempotency_answers") > 0
    assert metric(server, "sluice_idempotency_memory_used_bytes") > len(first.body)


def test_paths_have_keys_of_their_own(server):
    chat = {"messages": [{"role": "user", "content": "x"}], "max_tokens": 1}
    assert exchange(server.http, keyed(QUICK, "paths")).status == 200
    other = exchange(server.http, post(chat, "Idempotency-Key: paths", path="/v1/chat/completions"))
    assert other.status != 409


def test_a_corrected_body_may_use_its_key(server):
    assert exchange(server.http, keyed(b"{", "corrected")).status == 400
    assert exchange(server.http, keyed(QUICK, "corrected")).status == 200


@pytest.mark.parametrize("name", ["k" * 129, "", "caf\xe9"])
def test_hostile_keys_are_refused(server, name):
    answer = exchange(server.http, keyed(QUICK, name))
    assert_error(answer, 400, "invalid_header", param="Idempotency-Key")
    assert "128 printable ASCII" in answer.json()["error"]["message"]


def test_two_keys_are_refused(server):
    answer = exchange(server.http, keyed(QUICK, "a", "idempotency-key: a"))
    assert_error(answer, 400, "invalid_header", param="idempotency-key")


def test_long_and_odd_keys_are_taken(server):
    for name in ["k" * 128, '"quoted"', "a b", "../../etc", "%00", "'; drop"]:
        assert exchange(server.http, keyed(QUICK, name)).status == 200


def test_tenants_do_not_meet_and_a_replay_costs_nothing(tmp_path):
    keys = tmp_path / "keys.toml"
    keys.write_text(key("a", "sk-a", "rpm = 60", "burst = 1") + key("b", "sk-b"))
    server = Server("--model", "hash=hash", "--api-keys", keys)

    def ask(token, name, **more):
        return exchange(server.http, keyed(QUICK | more, name, f"Authorization: Bearer {token}"))

    first = ask("sk-a", "k")
    assert first.status == 200
    assert ask("sk-a", "k2").status == 429
    again = ask("sk-a", "k")
    assert again.status == 200
    assert again.body == first.body
    assert again.header("x-ratelimit-remaining-requests") == "0"
    other = ask("sk-b", "k", max_tokens=2)
    assert other.status == 200
    assert other.header("idempotent-replayed") is None
    server.stop()


def test_answers_are_forgotten_in_time():
    with serve("--model", "hash=hash", "--idempotency-ttl", "200ms") as server:
        first = exchange(server.http, keyed(QUICK, "k"))
        wait_until(lambda: metric(server, "sluice_idempotency_answers") == 0, "it is forgotten")
        again = exchange(server.http, keyed(QUICK, "k"))
        assert again.header("idempotent-replayed") is None
        assert again.json()["choices"] == first.json()["choices"]


def test_nothing_is_kept_without_memory():
    with serve("--model", "hash=hash", "--idempotency-memory", "0") as server:
        for _ in range(2):
            answer = exchange(server.http, keyed(QUICK, "k"))
            assert answer.status == 200
            assert answer.header("idempotent-replayed") is None


def test_a_flood_of_keys_takes_bounded_memory():
    options = ["--rate", "0", "--idempotency-memory", "256KiB"]
    with serve("--model", "hash=hash", *options) as server:
        flood(server, 0, 240)  # what is kept of these fills the memory
        before = server_bytes(server)
        assert metric(server, "sluice_idempotency_answers") < 240
        flood(server, 240, 1_200)

        assert metric(server, "sluice_idempotency_memory_used_bytes") <= 256 * 2**10
        assert metric(server, "sluice_idempotent_requests_total") == 0
        assert server_bytes(server) - before < 16 * 2**20


def flood(server, begin, end):
    """Requests under different keys, pipelined a dozen at a time."""
    with Wire(server.http, timeout=120) as wire:
        for at in range(begin, end, 12):
            names = range(at, min(at + 12, end))
            wire.send(b"".join(keyed(QUICK, f"{'flood' * 20}-{name}") for name in names))
            for _ in names:
                assert wire.response().status == 200


def server_bytes(server):
    return metric(server, "process_resident_memory_bytes")


def test_the_openai_client_joins_by_the_header(server):
    """The client makes a key for every call and keeps it over retries, but sends it only where it is told a header."""
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="TEST_KEY", timeout=seconds(60))
    client._idempotency_header = "Idempotency-Key"
    before = completed(server)
    plain = client.completions.create(model="hash", prompt="x", max_tokens=1)
    other = client.completions.create(model="hash", prompt="x", max_tokens=1)
    assert plain.id != other.id, "calls have keys of their own"
    assert completed(server) == before + 2

    def call():
        return client.completions.create(
            model="hash", prompt="x", max_tokens=50, extra_headers={"Idempotency-Key": "mine"}
        )

    answers = in_parallel([call] * 4)
    assert len({answer.id for answer in answers}) == 1
    assert completed(server) == before + 3
