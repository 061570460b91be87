"""The Python client, and the examples that do without it, against a real server: both protocols, both kinds."""

import asyncio
import concurrent.futures
import os
import pathlib
import shutil
import signal
import subprocess
import sys

import pytest

import sluice_client
from sluice_client import AsyncClient, Client, RequestOptions
from sluice_server import BINARY, ROOT, key, seconds, serve, wait_until

TOKENS = {"prompt": "hi", "max_tokens": 20, "seed": 1}
LONG = {"prompt": "hi", "max_tokens": 100_000, "ignore_eos": True, "seed": 1, "stream": True}
HELP = subprocess.run([BINARY, "serve", "--help"], capture_output=True, text=True, check=True).stdout
needs_rpc = pytest.mark.skipif("--binary-listen" not in HELP, reason="this server has no binary protocol")
SCHEMES = ["http", pytest.param("srp", marks=needs_rpc)]


@pytest.fixture(scope="module")
def server():
    with serve("--model", "hash=hash") as server:
        yield server


def url_of(server, scheme):
    host, port = server.http if scheme == "http" else server.binary
    return f"{scheme}://{host}:{port}"


@pytest.fixture(params=SCHEMES)
def scheme(request):
    return request.param


@pytest.fixture
def client(server, scheme):
    with Client(url_of(server, scheme), timeout=seconds(60)) as client:
        yield client


def test_it_is_the_installed_package():
    assert ROOT / "clients" not in pathlib.Path(sluice_client.__file__).resolve().parents


def test_a_stream_is_the_whole_answer_in_pieces(client):
    whole = client.completions.create(**TOKENS)
    with client.completions.create(stream=True, **TOKENS) as stream:
        deltas = list(stream)

    assert "".join(delta.text for delta in deltas) == whole.text
    assert deltas[-1].finish_reason == whole.choices[0].finish_reason == "length"
    assert stream.usage == whole.usage
    assert whole.usage.completion_tokens == 20
    assert stream.trailer.model == whole.model == "hash"
    assert stream.request_id and whole.about.request_id


@needs_rpc
@pytest.mark.parametrize("more", [{}, {"n": 2, "logprobs": 3}], ids=["plain", "choices"])
def test_both_protocols_give_the_same_answer(server, more):
    answers = []
    for scheme in ("http", "srp"):
        with Client(url_of(server, scheme)) as client:
            answers.append(client.completions.create(**TOKENS, **more).choices)

    assert answers[0] == answers[1]


def test_a_chat_in_pieces(client):
    ask = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 8, "seed": 1}
    whole = client.chat.create(**ask, logprobs=True, top_logprobs=2)
    deltas = list(client.chat.create(**ask, logprobs=True, top_logprobs=2, stream=True))

    assert "".join(delta.text for delta in deltas) == whole.text
    logprobs = [entry for delta in deltas for entry in delta.logprobs or ()]
    assert [entry.token for entry in logprobs] == [entry.token for entry in whole.choices[0].logprobs]


def test_the_other_methods(client):
    tokens = client.tokenize("hi")
    (model,) = client.models.list()
    status = client.status()

    assert tokens.tokens == (104, 105)
    assert client.detokenize(tokens.tokens) == "hi"
    assert model.id == "hash"
    assert status.ready and status.models == ("hash",)
    assert status.version


def test_an_error_is_that_of_the_server(client):
    with pytest.raises(sluice_client.NotFoundError) as missing:
        client.completions.create(**TOKENS, model="nobody")
    with pytest.raises(sluice_client.InvalidRequestError) as wrong:
        client.completions.create(prompt="hi", max_tokens=-1)
    with pytest.raises(sluice_client.InvalidRequestError) as strict:
        client.completions.create(**TOKENS, foo=1, options=RequestOptions(strict=True))
    ignored = client.completions.create(**TOKENS, foo=1).about.ignored_params

    assert (missing.value.code, missing.value.param, missing.value.http_status) == ("model_not_found", "model", 404)
    assert (wrong.value.code, wrong.value.param) == ("invalid_value", "max_tokens")
    assert strict.value.code == "unknown_parameter"
    assert missing.value.request_id and not missing.value.retryable
    assert ignored == ("foo",)


def test_a_name_that_was_given_to_a_request_comes_back(client):
    answer = client.completions.create(**TOKENS, options=RequestOptions(request_id="mine-1"))

    assert answer.about.request_id == "mine-1"


def test_a_request_is_executed_once_under_its_key(client, scheme):
    options = RequestOptions(idempotency_key=f"once-{scheme}")
    first = client.completions.create(**TOKENS, options=options)
    second = client.completions.create(**TOKENS, options=options)

    assert second.id == first.id
    assert (first.about.replayed, second.about.replayed) == (False, True)


def test_the_deadline_is_kept_on_either_side(client, server):
    with pytest.raises(sluice_client.DeadlineExceededError) as caught:
        list(client.completions.create(**LONG, options=RequestOptions(timeout=0.2)))

    assert caught.value.code == "deadline_exceeded"
    server.wait_idle()


def test_leaving_a_stream_ends_its_work(client, server):
    with client.completions.create(**LONG) as stream:
        assert next(stream).text
        wait_until(lambda: server.running() > 0, "it runs")

    server.wait_idle()
    assert client.completions.create(**TOKENS).text


def test_a_slow_reader_gets_everything(client):
    ask = dict(LONG, max_tokens=3000)
    with client.completions.create(**ask) as slow:
        begun = [next(slow).text for _ in range(3)]
        others = [client.completions.create(**TOKENS).text for _ in range(20)]
        text = "".join(begun) + "".join(delta.text for delta in slow)

    assert len(set(others)) == 1
    assert text == client.completions.create(**dict(ask, stream=False)).text


def test_many_threads_share_a_client(client):
    expected = {seed: client.completions.create(**dict(TOKENS, seed=seed)).text for seed in range(16)}

    def ask(number):
        seed = number % 16
        stream = client.completions.create(**dict(TOKENS, seed=seed), stream=True)
        return seed, "".join(delta.text for delta in stream)

    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        for seed, text in threads.map(ask, range(200)):
            assert text == expected[seed]


def test_many_tasks_share_a_client(server, scheme):
    async def ask(client, seed):
        stream = await client.completions.create(**dict(TOKENS, seed=seed), stream=True)
        return "".join([delta.text async for delta in stream])

    async def run():
        async with AsyncClient(url_of(server, scheme), timeout=seconds(60)) as client:
            whole = await client.completions.create(**dict(TOKENS, seed=3))
            texts = await asyncio.gather(*(ask(client, 3) for _ in range(100)))
            async with await client.completions.create(**LONG) as stream:
                assert (await stream.__anext__()).text
            assert (await client.status()).ready
            return whole.text, texts

    whole, texts = asyncio.run(run())

    assert texts == [whole] * 100
    server.wait_idle()


@needs_rpc
def test_checksums(server):
    with Client(url_of(server, "srp"), crc32c=True) as client:
        plain = client.completions.create(**TOKENS)
        assert "".join(delta.text for delta in client.completions.create(stream=True, **TOKENS)) == plain.text


@pytest.mark.parametrize("scheme", SCHEMES)
def test_keys(scheme, tmp_path):
    keys = tmp_path / "keys.toml"
    keys.write_text(key("one", "secret", "rpm = 20", "burst = 1"))
    with serve("--model", "hash=hash", "--api-keys", keys) as server:
        url = url_of(server, scheme)
        with Client(url, "secret", timeout=seconds(60)) as client:
            client.completions.create(**TOKENS)
            with pytest.raises(sluice_client.RateLimitError) as limited:
                client.completions.create(**TOKENS, options=RequestOptions(timeout=0.5))
            # The time that has to pass is waited for by the client itself.
            assert client.completions.create(**TOKENS).text
        for wrong in ("wrong", None):
            with Client(url, wrong) as client, pytest.raises(sluice_client.AuthenticationError):
                client.completions.create(**TOKENS)

    assert limited.value.code == "rate_limit_exceeded"
    assert 0.5 < limited.value.retry_after < 6


@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_runs_when_the_server_shuts_down_comes_to_its_end(scheme):
    with serve("--model", "hash=hash") as server:
        with Client(url_of(server, scheme), timeout=seconds(60), max_retries=0) as client:
            with client.completions.create(**dict(LONG, max_tokens=2000)) as stream:
                next(stream)
                os.kill(server.pid, signal.SIGTERM)
                count = sum(len(delta.text) for delta in stream)
            assert count > 0
            assert stream.usage.completion_tokens == 2000
            with pytest.raises(sluice_client.SluiceError) as refused:
                client.completions.create(**TOKENS)
            assert refused.value.retryable
        assert server.wait() == 0


# --- the examples ------------------------------------------------------------------------------------------------


@needs_rpc
@pytest.mark.parametrize("language", ["python", "ruby"])
def test_the_examples_run(server, language):
    if language == "python":
        command = [sys.executable, ROOT / "examples" / "rpc_client.py"]
    else:
        ruby = shutil.which("ruby")
        if ruby is None or subprocess.run([ruby, "-rmsgpack", "-e", ""], capture_output=True).returncode != 0:
            pytest.skip("needs ruby and ruby-msgpack")
        command = [ruby, ROOT / "examples" / "rpc_client.rb"]
    run = subprocess.run([*command, "hi", "%s:%d" % server.binary], capture_output=True, text=True, timeout=seconds(60))

    assert run.returncode == 0, run.stderr
    whole, stream, usage = run.stdout.splitlines()
    assert whole.removeprefix("whole: ") == stream.removeprefix("stream: ") != ""
    assert "32" in usage
