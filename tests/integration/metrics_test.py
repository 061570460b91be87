"""GET /metrics: what comes out, read by a parser that is not ours, after requests of every kind."""

import contextlib
import math
import os
import re
import shutil
import signal
import socket
import subprocess
import threading

import pytest
from prometheus_client.parser import text_string_to_metric_families

from raw_http import Wire, exchange, head, post
from sluice_server import ROOT, Server, Stream, key, serve, wait_until

ONE = {"prompt": "x", "max_tokens": 1}
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Scrape:
    """One page: samples by name and labels."""

    def __init__(self, server):
        answer = exchange(server.management, head("GET", "/metrics"))
        assert answer.status == 200
        assert answer.header("content-type") == CONTENT_TYPE
        self.text = answer.body.decode()
        self.families = {}
        self.samples = {}
        for family in text_string_to_metric_families(self.text):
            name = f"{family.name}_total" if family.type == "counter" else family.name  # the parser takes it off
            assert name not in self.families, f"{name} comes twice"
            self.families[name] = family
            for sample in family.samples:
                name = (sample.name, frozenset(sample.labels.items()))
                assert name not in self.samples, f"{name} comes twice"
                self.samples[name] = sample.value

    def sum(self, name, **labels):
        """Of all series of that name which have these labels."""
        wanted = {(label, str(value)) for label, value in labels.items()}
        return sum(value for (one, has), value in self.samples.items() if one == name and wanted <= has)


class Changes:
    """What has been added to counters since this was made."""

    def __init__(self, server):
        self.server = server
        self.before = Scrape(server)

    def of(self, name, **labels):
        return Scrape(self.server).sum(name, **labels) - self.before.sum(name, **labels)

    def ends(self, **labels):
        return self.of("sluice_requests_total", **labels)


@pytest.fixture(scope="module")
def server():
    server = Server("--model", "hash=hash")
    yield server
    server.stop()
    server.close()


@pytest.fixture
def start(tmp_path):
    servers = []

    def start(*texts, options=()):
        keys = tmp_path / "keys.toml"
        keys.write_text("".join(texts))
        servers.append(Server("--model", "hash=hash", "--api-keys", keys, *options))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def documented():
    """Name and type of every family that the documentation lists."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", (ROOT / "docs" / "METRICS.md").read_text(), re.MULTILINE)
    assert len(rows) > 50
    return dict(rows)


def ask(server, body, *headers):
    return exchange(server.http, post(body, *headers))


def assert_clean(text):
    """What Prometheus' own linter says, where it is installed."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: prometheus): the page was parsed, but not linted")
    lint = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True)
    assert lint.returncode == 0 and not lint.stdout and not lint.stderr, lint.stdout + lint.stderr


def test_every_documented_family_is_there_from_the_start_with_its_type(server):
    page = Scrape(server)

    for name, kind in documented().items():
        family = page.families.get(name)
        assert family, f"{name} is not on the page"
        assert family.type == kind, name
        assert family.documentation, name
    for name in page.families:
        assert name in documented() or name.startswith("caf_"), f"{name} is not documented"
    assert page.sum("sluice_build_info") == 1
    assert page.sum("caf_system_running_actors") > 5


def test_requests_of_every_kind_are_counted_exactly(server):
    changes = Changes(server)

    assert ask(server, {**ONE, "max_tokens": 4}).status == 200
    for _ in range(2):
        Stream(server, prompt="abc", max_tokens=3).read()
    chat = {"messages": [{"role": "user", "content": "x"}], "max_tokens": 2}
    answer = exchange(server.http, post(chat, path="/v1/chat/completions"))
    asked = answer.json()["usage"]["prompt_tokens"]
    assert ask(server, {**ONE, "max_tokens": -1}).status == 400
    assert ask(server, {**ONE, "model": "nobody"}).status == 404
    assert ask(server, {**ONE, "service_tier": "flex", "repeat_penalty": 1.1, "made-up": 1}).status == 200
    assert ask(server, b"{").status == 400
    assert exchange(server.http, head("GET", "/v1/nothing")).status == 404

    completions = {"model": "hash", "route": "/v1/completions"}
    assert changes.ends(**completions, code=200, reason="length") == 4
    assert changes.ends(**completions, code=200, reason="length", **{"class": "low"}) == 1
    assert changes.ends(model="hash", route="/v1/chat/completions", code=200, reason="length") == 1
    assert changes.ends(model="unknown", code=404, reason="invalid") == 1
    assert changes.ends(model="unknown", code=400, reason="invalid") == 2
    assert changes.ends() == 8
    assert changes.of("sluice_prompt_tokens_total", model="hash") == 1 + 3 + 3 + 1 + asked
    assert changes.of("sluice_generation_tokens_total", model="hash") == 4 + 3 + 3 + 1 + 2
    assert changes.of("sluice_time_to_first_token_seconds_count", model="hash") == 5
    assert changes.of("sluice_request_duration_seconds_count", stream="true") == 2
    assert changes.of("sluice_request_duration_seconds_count", stream="false") == 3
    assert changes.of("sluice_request_generation_tokens_sum", model="hash") == 13
    assert changes.of("sluice_admission_admitted_total") == 5
    assert changes.of("sluice_ignored_params_total", param="repeat_penalty") == 1
    assert changes.of("sluice_ignored_params_total", param="other") == 1
    durations = "sluice_http_request_duration_seconds_count"
    assert changes.of(durations, method="POST", route="/v1/completions", code="2xx") == 4
    assert changes.of(durations, method="POST", route="/v1/completions", code="4xx") == 3
    assert changes.of(durations, method="GET", route="other", code="4xx") == 1


def test_a_request_that_stops_by_itself_says_so(server):
    answer = ask(server, {**ONE, "max_tokens": 8}).json()["choices"][0]["text"]
    changes = Changes(server)

    assert ask(server, {**ONE, "max_tokens": 8, "stop": [answer[:2]]}).status == 200

    assert changes.ends(code=200, reason="stop") == 1
    assert changes.ends() == 1


def test_a_client_that_leaves_is_counted_with_what_was_wasted(server):
    changes = Changes(server)

    stream = Stream(server, prompt="x", max_tokens=100000, ignore_eos=True)
    next(iter(stream))
    stream.reset()

    wait_until(lambda: changes.ends(code=499, reason="cancelled", model="hash") == 1, "the request is counted")
    assert changes.of("sluice_client_disconnects_total", phase="decode") == 1
    assert changes.of("sluice_wasted_tokens_total", reason="cancelled") > 0
    assert changes.ends() == 1
    wait_until(lambda: Scrape(server).sum("sluice_requests_running") == 0, "nothing runs")


def test_a_deadline_is_counted(server):
    changes = Changes(server)

    answer = ask(server, {**ONE, "max_tokens": 100000, "ignore_eos": True}, "x-request-timeout-ms: 100")

    assert answer.status == 504
    assert changes.ends(code=504, reason="deadline", model="hash") == 1
    assert changes.of("sluice_request_duration_seconds_count") == 1


def test_who_may_not_is_counted_and_tenants_show_what_they_have_left(start):
    server = start(key("a", "sk-a", "rpm = 1", "burst = 2"), key("b", "sk-b", "tpm = 1000", 'class = "low"'))
    changes = Changes(server)

    assert [ask(server, ONE, "Authorization: Bearer sk-a").status for _ in range(3)] == [200, 200, 429]
    assert ask(server, ONE, "Authorization: Bearer sk-b").status == 200
    assert ask(server, ONE).status == 401
    assert ask(server, ONE, "Authorization: Bearer wrong").status == 401

    assert changes.ends(code=429, reason="rate_limited") == 1
    assert changes.ends(code=401, reason="invalid", model="unknown") == 2
    assert changes.ends(code=200, **{"class": "realtime"}) == 2
    assert changes.ends() == 6
    assert changes.of("sluice_admission_rejected_total", reason="rate_limited") == 1
    page = Scrape(server)
    for tenant, asked in (("a", 2), ("b", 1)):
        for figure in ("requests_admitted", "prompt_tokens", "generation_tokens"):
            assert page.sum(f"sluice_tenant_{figure}_total", tenant=tenant) == asked
    assert page.sum("sluice_tenant_requests_rejected_total", tenant="a", reason="rate_limited") == 1
    assert page.sum("sluice_tenant_requests_rejected_total") == 1
    assert page.sum("sluice_tenant_requests_left", tenant="a") in (0, 1)
    assert 990 <= page.sum("sluice_tenant_tokens_left", tenant="b") <= 1000
    assert page.sum("sluice_tenant_requests_left", tenant="b") == 0
    assert ("sluice_tenant_requests_left", frozenset({("tenant", "b")})) not in page.samples, "it has no such limit"
    server.stop()


def test_an_overload_is_counted(start):
    server = start(key("a", "sk-a"), options=("--rate", "1", "--burst", "2", "--core-reserve", "0"))
    changes = Changes(server)

    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(Wire(server.http)) for _ in range(20)]
        for wire in wires:  # all at once: the bucket fills again while they are served
            wire.send(post(ONE, "Authorization: Bearer sk-a"))
        statuses = [wire.response().status for wire in wires]

    assert statuses.count(429) >= 1
    assert changes.ends(code=429, reason="overloaded") == statuses.count(429)
    assert changes.ends(code=200) == statuses.count(200)
    assert changes.of("sluice_admission_rejected_total", reason="token_bucket") == statuses.count(429)
    server.stop()


def test_names_are_escaped_whatever_stands_in_them():
    name = 'a"b\\c\nd'  # tenants cannot be called so, models can
    server = Server("--model", f"{name}=hash")

    assert ask(server, {**ONE, "model": name}).status == 200

    page = Scrape(server)
    assert page.sum("sluice_generation_tokens_total", model=name) == 1
    assert page.sum("sluice_model_state", model=name, state="ready") == 1
    assert_clean(page.text)
    server.stop()
    server.close()


def test_a_server_that_shuts_down_says_so():
    server = Server("--model", "hash=hash")
    with Wire(server.http) as kept:
        stream = Stream(server, prompt="x", max_tokens=100000, ignore_eos=True)
        next(iter(stream))
        kept.send(head("GET", "/health"))
        kept.response()
        changes = Changes(server)
        server.terminate()
        wait_until(lambda: Scrape(server).sum("sluice_model_state", state="draining") == 1, "it drains")
        stream.reset()
    server.wait()
    server.close()
    assert changes.before.sum("sluice_model_state", model="hash", state="ready") == 1


def test_a_file_of_keys_that_is_read_again_is_counted(start, tmp_path):

    server = start(key("a", "sk-a"))
    changes = Changes(server)

    os.kill(server.pid, signal.SIGHUP)
    wait_until(lambda: changes.of("sluice_config_reloads_total", result="ok") == 1, "it was read")
    (tmp_path / "keys.toml").write_text("nonsense")
    os.kill(server.pid, signal.SIGHUP)
    wait_until(lambda: changes.of("sluice_config_reloads_total", result="error") == 1, "it was refused")
    assert changes.of("sluice_config_last_reload_success_timestamp_seconds") > 0
    server.stop()


def test_a_worker_that_dies_is_counted():

    server = Server("--model", "hash=hash")
    changes = Changes(server)

    os.kill(server.worker_pids()[0], signal.SIGKILL)

    wait_until(lambda: changes.of("sluice_worker_restarts_total", worker=0, reason="outside") == 1, "it is counted")
    wait_until(lambda: Scrape(server).sum("sluice_worker_up", worker=0) == 1, "the next one is up", 30)
    page = Scrape(server)
    assert page.sum("sluice_worker_resident_memory_bytes", worker=0) > 1e6
    assert page.sum("sluice_memory_used_bytes") > page.sum("sluice_worker_resident_memory_bytes")
    assert page.sum("process_resident_memory_bytes") > 1e6
    server.stop()
    server.close()


def test_histograms_rise_and_end_with_infinity(server):
    ask(server, ONE)
    page = Scrape(server)
    buckets = {}
    for (name, labels), value in page.samples.items():
        if name.endswith("_bucket"):
            rest = frozenset(label for label in labels if label[0] != "le")
            buckets.setdefault((name, rest), []).append((float(dict(labels)["le"]), value))

    assert len(buckets) > 20
    for (name, labels), series in buckets.items():
        bounds = [bound for bound, _ in series]
        counts = [count for _, count in series]
        assert bounds == sorted(bounds) and bounds[-1] == math.inf, name
        assert counts == sorted(counts), name
        assert page.samples[(name.removesuffix("_bucket") + "_count", labels)] == counts[-1], name
    first_token = next(series for (name, _), series in buckets.items() if "first_token" in name)
    assert [bound for bound, _ in first_token][:4] == [0.001, 0.005, 0.01, 0.02]


def test_the_page_is_clean(server):
    Stream(server, prompt="x", max_tokens=3).read()
    exchange(server.http, b"nonsense\r\n\r\n")
    exchange(server.http, head("GET", "/v1/models"))
    assert_clean(Scrape(server).text)


def test_head_gives_the_same_headers_and_no_body(server):
    answer = exchange(server.management, head("HEAD", "/metrics"), head_only=True)

    assert answer.status == 200 and answer.body == b""
    assert answer.header("content-type") == CONTENT_TYPE
    assert int(answer.header("content-length")) > 10000
    assert exchange(server.management, head("OPTIONS", "/metrics")).header("allow") == "GET, HEAD, OPTIONS"
    assert exchange(server.management, post({}, path="/metrics")).status == 405


def test_it_is_open_on_the_management_port_and_nowhere_else(start, tmp_path):
    admin = tmp_path / "admin.toml"
    admin.write_text(key("operator", "sk-op"))
    server = start(key("a", "sk-a"), options=("--admin-keys", admin))

    assert exchange(server.management, head("GET", "/metrics")).status == 200
    assert exchange(server.management, head("GET", "/admin/v1/workers")).status == 401
    assert exchange(server.http, head("GET", "/metrics", "Authorization: Bearer sk-a")).status == 404
    server.stop()


def test_scrapes_beside_a_load_lose_nothing_and_are_quick(server):
    changes = Changes(server)
    clients, each = 8, 50

    def load():
        with Wire(server.http) as wire:
            for _ in range(each):
                wire.send(post(ONE))
                assert wire.response().status == 200

    threads = [threading.Thread(target=load) for _ in range(clients)]
    for thread in threads:
        thread.start()
    last, scrapes = 0, 0
    while any(thread.is_alive() for thread in threads) or scrapes < 5:
        now = Scrape(server).sum("sluice_requests_total", reason="length")
        assert now >= last
        last, scrapes = now, scrapes + 1
    for thread in threads:
        thread.join()

    assert changes.ends(code=200, reason="length") == clients * each
    assert changes.of("sluice_generation_tokens_total") == clients * each
    bytes_in = changes.of("sluice_http_request_bytes_total", listener="data")
    assert bytes_in >= clients * each * len(post(ONE))
    assert changes.of("sluice_http_connections_total", listener="data") == clients


def test_clients_who_take_no_answers_are_cut_when_these_fill_the_memory():
    body = {"prompt": "x", "max_tokens": 40_000, "ignore_eos": True, "logprobs": 5}  # some 4 MiB
    with serve("--model", "hash=hash", "--loops", 1, "--answer-memory", "4MiB") as server, contextlib.ExitStack() as stack:
        for _ in range(6):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(server.http)
            client.sendall(post(body))
        wait_until(lambda: Scrape(server).sum("sluice_http_slow_clients_cut_total", listener="data") >= 1, "one is cut")
        server.wait_idle()
        assert exchange(server.http, post(body)).status == 200, "who reads gets all"
