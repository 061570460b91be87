"""HTTP as it really arrives: curl, and bytes that no client library would send."""

import json
import re
import subprocess
import time

import pytest

from raw_http import Wire, assert_error, exchange, head, post
from sluice_server import assert_not_grown, open_descriptors, request, resident_bytes, seconds, serve, wait_until

ONE_TOKEN = {"prompt": "x", "max_tokens": 1, "seed": 1}


@pytest.fixture(scope="module")
def server():
    with serve("--model", "hash=hash") as server:
        yield server


@pytest.fixture(autouse=True)
def still_serves(server):
    """Whatever a test sent, the next client is served, by the same process and the same workers."""
    before = server.pids()
    yield
    assert exchange(server.http, post(ONE_TOKEN)).status == 200
    assert server.pids() == before


@pytest.fixture(scope="module")
def context(server):
    _, _, body = request(server.http, "GET", "/v1/models/hash")
    return json.loads(body)["max_model_len"]


def curl(*arguments, **options):
    run = subprocess.run(
        ["curl", "-sS", "--max-time", str(int(seconds(60))), *arguments],
        capture_output=True,
        timeout=seconds(90),
        **options,
    )
    assert run.returncode == 0, f"curl {arguments} ended with {run.returncode}: {run.stderr.decode()}"
    return run.stdout, run.stderr.decode()


# --- curl --------------------------------------------------------------------------------------------------------


def test_curl_gets_a_completion(server):
    answer, _ = curl(f"{server.url}/v1/completions", "--json", json.dumps(ONE_TOKEN))

    assert len(json.loads(answer)["choices"][0]["text"]) == 1


def test_curl_uploads_in_chunks(server):
    expected, _ = curl(f"{server.url}/v1/completions", "--json", json.dumps(ONE_TOKEN))

    answer, log = curl(
        "-v",
        "-T",
        "-",
        "-X",
        "POST",
        "-H",
        "Content-Type: application/json",
        f"{server.url}/v1/completions",
        input=json.dumps(ONE_TOKEN).encode(),
    )

    assert "> Transfer-Encoding: chunked" in log
    assert json.loads(answer)["choices"] == json.loads(expected)["choices"]


def test_curl_waits_for_100_continue_before_two_mebibytes(server):
    body = json.dumps(dict(ONE_TOKEN, user="u", metadata_of_mine="y" * (2 << 20))).encode()

    answer, log = curl(
        "-v",
        "-H",
        "Expect: 100-continue",
        "--expect100-timeout",
        "30",
        "-H",
        "Content-Type: application/json",
        "--data-binary",
        "@-",
        f"{server.url}/v1/completions",
        input=body,
    )

    assert "< HTTP/1.1 100 Continue" in log
    assert "< HTTP/1.1 200 OK" in log
    assert len(json.loads(answer)["choices"][0]["text"]) == 1


def test_curl_is_refused_before_it_sends_a_body_that_is_too_long(server):
    with open("/dev/zero", "rb") as zeros:
        body = zeros.read(9 << 20)

    answer, log = curl(
        "-v",
        "-H",
        "Expect: 100-continue",
        "--expect100-timeout",
        "30",
        "--data-binary",
        "@-",
        "-H",
        "Content-Type: application/json",
        f"{server.url}/v1/completions",
        input=body,
    )

    assert "100 Continue" not in log
    assert json.loads(answer)["error"]["code"] == "request_too_large"


def test_curl_speaks_http_1_0(server):
    answer, log = curl("-v", "--http1.0", f"{server.url}/v1/completions", "--json", json.dumps(ONE_TOKEN))

    assert "transfer-encoding" not in log.lower()
    assert len(json.loads(answer)["choices"][0]["text"]) == 1


def test_curl_streams_over_http_1_0_to_the_end_of_the_connection(server):
    body = json.dumps(dict(ONE_TOKEN, max_tokens=3, stream=True))

    answer, log = curl("-v", "-N", "--http1.0", f"{server.url}/v1/completions", "--json", body)

    assert "transfer-encoding" not in log.lower()
    assert answer.startswith(b"data: {") and answer.endswith(b"data: [DONE]\n\n")


def test_curl_streams(server):
    answer, _ = curl("-N", f"{server.url}/v1/completions", "--json", json.dumps(dict(ONE_TOKEN, stream=True)))

    assert answer.count(b"data: ") == 2
    assert answer.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("path", ["/health", "/ready", "/version", "/v1/models"])
def test_curl_head_gives_the_headers_of_get_and_no_body(server, path):
    got, _ = curl("-i", f"{server.url}{path}")
    headers, _ = curl("-I", f"{server.url}{path}")

    length = int(re.search(rb"(?i)\r\ncontent-length: (\d+)", got)[1])
    assert len(got.split(b"\r\n\r\n", 1)[1]) == length
    assert headers.startswith(b"HTTP/1.1 200 OK\r\n")
    assert headers.endswith(b"\r\n\r\n")
    # The body of /health tells the uptime, so its length may grow by a digit in between.
    assert re.search(rb"(?i)\r\ncontent-length: (\d+)", headers)


def test_curl_reuses_the_connection(server):
    body = json.dumps(ONE_TOKEN)
    url = f"{server.url}/v1/completions"

    _, log = curl(
        "-v",
        url,
        "--json",
        body,
        "--next",
        "-sS",
        "-v",
        url,
        "--json",
        body,
        "--next",
        "-sS",
        "-v",
        f"{server.url}/health",
    )

    assert log.count("< HTTP/1.1 200 OK") == 3
    assert log.count("Re-using existing connection") == 2


# --- one connection, several requests ----------------------------------------------------------------------------


def test_pipelined_requests_are_answered_in_order(server):
    prompts = [f"prompt number {number}" for number in range(12)]
    expected = [exchange(server.http, post(dict(ONE_TOKEN, prompt=p, max_tokens=8))).json()["choices"] for p in prompts]

    with Wire(server.http) as wire:
        wire.send(
            b"".join(post(dict(ONE_TOKEN, prompt=p, max_tokens=8), f"X-Request-Id: {i}") for i, p in enumerate(prompts))
        )
        answers = [wire.response() for _ in prompts]

    assert [answer.header("x-request-id") for answer in answers] == [str(i) for i in range(len(prompts))]
    assert [answer.json()["choices"] for answer in answers] == expected


def test_a_pipelined_request_after_a_stream_waits_for_its_end(server):
    with Wire(server.http) as wire:
        wire.send(post(dict(ONE_TOKEN, max_tokens=20, stream=True)) + head("GET", "/health") + head("HEAD", "/version"))
        stream, health, version = wire.response(), wire.response(), wire.response(head_only=True)
        wire.send(post(ONE_TOKEN))
        last = wire.response()

    assert stream.chunks[-1].endswith(b"data: [DONE]\n\n")
    assert health.json()["status"] == "ok"
    assert version.status == 200 and version.body == b""
    assert last.status == 200


def test_an_error_of_the_body_keeps_the_connection(server):
    with Wire(server.http) as wire:
        for body in (b"{", b"[]", b'{"model": "none"}', b'{"max_tokens": "a"}'):
            wire.send(post(body))
            assert wire.response().status in (400, 404)
        wire.send(post(ONE_TOKEN))
        assert wire.response().status == 200


def test_connection_close_is_honoured(server):
    with Wire(server.http) as wire:
        wire.send(post(ONE_TOKEN, "Connection: close"))
        answer = wire.response()
        wire.assert_closed()

    assert answer.status == 200
    assert answer.header("connection") == "close"


def test_http_1_0_keeps_the_connection_only_when_asked(server):
    with Wire(server.http) as wire:
        wire.send(post(ONE_TOKEN, "Connection: keep-alive", version="1.0"))
        assert wire.response().status == 200
        wire.send(post(ONE_TOKEN, version="1.0"))
        assert wire.response().status == 200
        wire.assert_closed()


def test_a_request_may_come_byte_by_byte(server):
    data = post(ONE_TOKEN)
    with Wire(server.http) as wire:
        for index in range(len(data)):
            wire.send(data[index : index + 1])
        assert wire.response().status == 200


# --- what every answer carries -----------------------------------------------------------------------------------


@pytest.mark.parametrize("request_id", ["abc", "A-1_2.3:4@5/6+7=8", "x" * 128])
def test_a_request_id_is_echoed(server, request_id):
    for data in (
        post(ONE_TOKEN, f"X-Request-Id: {request_id}"),
        post(b"{", f"X-Request-Id: {request_id}"),
        post(dict(ONE_TOKEN, stream=True), f"X-Request-Id: {request_id}"),
        head("GET", "/health", f"X-Request-Id: {request_id}"),
        head("GET", "/nowhere", f"X-Request-Id: {request_id}"),
    ):
        assert exchange(server.http, data).header("x-request-id") == request_id


@pytest.mark.parametrize("request_id", ["", "a b", "x" * 129, "a\u00e9"])
def test_a_request_id_that_is_not_fit_is_replaced(server, request_id):
    got = exchange(server.http, post(ONE_TOKEN, f"X-Request-Id: {request_id}")).header("x-request-id")

    assert re.fullmatch(r"req-[0-9a-f]{32}", got)


@pytest.mark.parametrize(
    "data",
    [
        post(ONE_TOKEN),
        post(b"{"),
        head("GET", "/health"),
        head("GET", "/v1/models"),
        head("GET", "/nowhere"),
        post(dict(ONE_TOKEN, stream=True)),
        head("GET", "/health", host=None),
    ],
    ids=["completion", "bad JSON", "health", "models", "unknown path", "stream", "no host"],
)
def test_common_headers_are_on_every_answer(server, data):
    answer = exchange(server.http, data)

    assert re.fullmatch(r"\w{3}, \d{2} \w{3} \d{4} \d{2}:\d{2}:\d{2} GMT", answer.header("date"))
    assert answer.header("server").startswith("sluice/")
    assert answer.header("x-content-type-options") == "nosniff"
    assert answer.header("x-request-id")
    assert (answer.header("content-length") is None) != (answer.header("transfer-encoding") is None)


def test_ignored_fields_are_named(server):
    answer = exchange(server.http, post(dict(ONE_TOKEN, colour="blue", shape="round")))

    assert answer.status == 200
    assert sorted(re.split(r",\s*", answer.header("x-sluice-ignored-params"))) == ["colour", "shape"]


def test_unknown_fields_are_refused_when_asked(server):
    answer = exchange(server.http, post(dict(ONE_TOKEN, colour="blue"), "x-sluice-strict: 1"))

    assert_error(answer, 400, "unknown_parameter", "invalid_request_error", "colour")


# --- the stream, byte for byte -----------------------------------------------------------------------------------


def test_a_stream_is_exactly_these_bytes(server):
    body = {"prompt": "x", "max_tokens": 3, "seed": 1, "ignore_eos": True}
    whole = exchange(server.http, post(body)).json()
    letters = whole["choices"][0]["text"]
    assert len(letters) == 3, "each token of the hash model is one letter"

    answer = exchange(server.http, post(dict(body, stream=True, stream_options={"include_usage": True})))

    assert answer.status == 200 and answer.reason == "OK"
    assert answer.header("content-type") == "text/event-stream; charset=utf-8"
    assert answer.header("cache-control") == "no-cache"
    assert answer.header("x-accel-buffering") == "no"
    assert answer.header("transfer-encoding") == "chunked"
    start = json.loads(answer.chunks[0][len(b"data: ") :])
    assert re.fullmatch(r"cmpl-[0-9a-f]{32}", start["id"])
    assert re.fullmatch(r"fp_[0-9a-f]{8}", start["system_fingerprint"])
    prefix = (
        f'data: {{"id":"{start["id"]}","object":"text_completion","created":{start["created"]},"model":"hash",'
        f'"system_fingerprint":"{start["system_fingerprint"]}",'
    )
    events = [
        f'{prefix}"choices":[{{"index":0,"text":{json.dumps(letter)},"logprobs":null,'
        f'"finish_reason":{reason},"stop_reason":null}}],"usage":null}}\n\n'
        for letter, reason in zip(letters, ["null", "null", '"length"'])
    ]
    prompt_tokens = whole["usage"]["prompt_tokens"]
    totals = f'"prompt_tokens":{prompt_tokens},"completion_tokens":3,"total_tokens":{prompt_tokens + 3}'
    got = answer.body.decode()
    assert got[: len("".join(events))] == "".join(events)
    rest = got[len("".join(events)) :]
    assert re.fullmatch(
        re.escape(f'{prefix}"choices":[],"usage":{{{totals}')
        + r',"prompt_tokens_details":\{"cached_tokens":\d+\}'
        + re.escape("}}\n\ndata: [DONE]\n\n"),
        rest,
    ), rest
    # One event, one chunk: naive readers rely on it.
    assert all(chunk.endswith(b"\n\n") for chunk in answer.chunks)
    assert [chunk.decode() for chunk in answer.chunks[:3]] == events


def test_a_whole_response_has_exactly_these_fields(server):
    answer = exchange(server.http, post(dict(ONE_TOKEN, service_tier="auto"))).json()

    assert list(answer)[:5] == ["id", "object", "created", "model", "system_fingerprint"]
    assert sorted(answer) == sorted(
        ["id", "object", "created", "model", "system_fingerprint", "service_tier", "choices", "usage"]
    )
    assert sorted(answer["choices"][0]) == ["finish_reason", "index", "logprobs", "stop_reason", "text"]
    assert answer["usage"]["total_tokens"] == answer["usage"]["prompt_tokens"] + 1


# --- bad bodies --------------------------------------------------------------------------------------------------

BAD_BODIES = {
    "no body": (b"", 400, "empty_body", None),
    "bad JSON": (b'{"prompt": "x"', 400, "invalid_json", None),
    "no object": (b'["prompt"]', 400, "invalid_json", None),
    "trailing garbage": (b'{"prompt": "x"} x', 400, "invalid_json", None),
    "twice the same key": (b'{"prompt": "x", "prompt": "y"}', 400, "invalid_json", None),
    "deep nesting": (b'{"metadata": ' + b"[" * 40 + b"]" * 40 + b"}", 400, "invalid_json", None),
    "a very deep nesting": (b"[" * 1_000_000, 400, "invalid_json", None),
    "not UTF-8": (b'{"prompt": "\xff\xfe"}', 400, "invalid_utf8", None),
    "byte order mark": (b'\xef\xbb\xbf{"prompt": "x"}', 400, ("invalid_json", "invalid_utf8"), None),
    "lone surrogate": (b'{"prompt": "\\ud800"}', 400, ("invalid_json", "invalid_utf8"), ...),
    "NaN": (b'{"prompt": "x", "temperature": NaN}', 400, "invalid_json", None),
    "prompt is a number": ({"prompt": 5}, 400, "invalid_value", "prompt"),
    "prompt is empty": ({"prompt": []}, 400, "invalid_value", "prompt"),
    "prompt is mixed": ({"prompt": ["a", "b", "c", 5]}, 400, "invalid_value", "prompt[3]"),
    "129 prompts": ({"prompt": ["a"] * 129}, 400, "invalid_value", "prompt"),
    "token out of range": ({"prompt": [1, 2, 300]}, 400, "invalid_value", ...),
    "negative token": ({"prompt": [-1]}, 400, "invalid_value", ...),
    "max_tokens is text": ({"prompt": "x", "max_tokens": "5"}, 400, "invalid_value", "max_tokens"),
    "max_tokens is a bool": ({"prompt": "x", "max_tokens": True}, 400, "invalid_value", "max_tokens"),
    "max_tokens is half": ({"prompt": "x", "max_tokens": 2.5}, 400, "invalid_value", "max_tokens"),
    "max_tokens is below zero": ({"prompt": "x", "max_tokens": -1}, 400, "invalid_value", "max_tokens"),
    "two lengths": ({"prompt": "x", "max_tokens": 2, "max_completion_tokens": 3}, 400, "invalid_value", ...),
    "temperature": ({"prompt": "x", "temperature": 2.01}, 400, "invalid_value", "temperature"),
    "top_p": ({"prompt": "x", "top_p": -0.1}, 400, "invalid_value", "top_p"),
    "top_k": ({"prompt": "x", "top_k": -2}, 400, "invalid_value", "top_k"),
    "min_p": ({"prompt": "x", "min_p": 1.1}, 400, "invalid_value", "min_p"),
    "n": ({"prompt": "x", "n": 0}, 400, "invalid_value", "n"),
    "n over the limit": ({"prompt": "x", "n": 17}, 400, "invalid_value", "n"),
    "best_of": ({"prompt": "x", "best_of": 5}, 400, "unsupported_value", "best_of"),
    "seed": ({"prompt": "x", "seed": 2**63}, 400, "invalid_value", "seed"),
    "stop": ({"prompt": "x", "stop": ""}, 400, "invalid_value", ...),
    "too many stops": ({"prompt": "x", "stop": ["a"] * 17}, 400, "invalid_value", "stop"),
    "logprobs": ({"prompt": "x", "logprobs": 21}, 400, "invalid_value", "logprobs"),
    "presence_penalty": ({"prompt": "x", "presence_penalty": 2.1}, 400, "invalid_value", "presence_penalty"),
    "logit_bias": ({"prompt": "x", "logit_bias": {"abc": 1}}, 400, "invalid_value", "logit_bias.abc"),
    "stream is text": ({"prompt": "x", "stream": "yes"}, 400, "invalid_value", "stream"),
    "stream_options alone": (
        {"prompt": "x", "stream_options": {"include_usage": True}}, 400, ..., "stream_options",
    ),
    "suffix": ({"prompt": "x", "suffix": "y"}, 400, "unsupported_parameter", "suffix"),
    "tools": ({"prompt": "x", "tools": [{"type": "function"}]}, 400, "unsupported_parameter", "tools"),
    "response_format": ({"prompt": "x", "response_format": {"type": "json_object"}}, 400, "unsupported_value", ...),
    "unknown model": ({"model": "nobody", "prompt": "x"}, 404, "model_not_found", "model"),
    # Two faults: the earlier check wins.
    "bad JSON of an unknown model": (b'{"model": "nobody", ', 400, "invalid_json", None),
    "bad type of an unknown model": ({"model": "nobody", "max_tokens": "x"}, 400, "invalid_value", "max_tokens"),
    "first of two bad fields": ({"top_p": 7, "prompt": "x", "temperature": 7}, 400, "invalid_value", "temperature"),
}


@pytest.mark.parametrize("body, status, code, param", BAD_BODIES.values(), ids=BAD_BODIES.keys())
def test_a_bad_body_is_refused_in_openais_shape(server, body, status, code, param):
    answer = exchange(server.http, post(body))

    codes = code if isinstance(code, tuple) else (code,)
    got = answer.json()["error"]["code"]
    expected = got if code is ... or got in codes else codes[0]
    assert_error(answer, status, expected, "invalid_request_error", param)


def test_an_unknown_model_is_named_in_openais_words(server):
    error = assert_error(exchange(server.http, post({"model": "a/b", "prompt": "x"})), 404, "model_not_found")

    assert error["message"] == "The model `a/b` does not exist or you do not have access to it."


@pytest.mark.parametrize("prompt_tokens, max_tokens", [("over", None), (5, "all"), ("over", 3)])
def test_a_prompt_over_the_context_is_told_with_its_numbers(server, context, prompt_tokens, max_tokens):
    prompt = [65] * (context + 3 if prompt_tokens == "over" else prompt_tokens)
    body = {"prompt": prompt}
    if max_tokens is not None:
        body["max_tokens"] = context if max_tokens == "all" else max_tokens

    error = assert_error(exchange(server.http, post(body)), 400, "context_length_exceeded", "invalid_request_error")

    told = re.fullmatch(
        rf"This model's maximum context length is {context} tokens\. However, you requested (\d+) tokens "
        r"\((\d+) in the prompt, (\d+) in the completion\)\. Please reduce the length of the prompt or completion\.",
        error["message"],
    )
    assert told, error["message"]
    total, in_prompt, in_completion = map(int, told.groups())
    assert total == in_prompt + in_completion > context or (max_tokens is None and in_prompt >= context)
    assert in_prompt in (len(prompt), len(prompt) + 1)  # one more where the model puts a BOS before it
    if "max_tokens" in body:
        assert in_completion == body["max_tokens"]


# --- bad requests ------------------------------------------------------------------------------------------------

TWO = "Content-Length: 2"
UNSUPPORTED = "transfer_coding_unsupported"
CHUNKED = "Transfer-Encoding: chunked"


def completions(*headers, **options):
    return head("POST", "/v1/completions", *headers, **options)


BAD_REQUESTS = {
    # name: bytes, status, code, does the connection close
    "unknown path": (head("GET", "/v1/nothing"), 404, "unknown_url", False),
    "trailing slash": (head("GET", "/v1/models/"), 404, ("unknown_url", "model_not_found"), False),
    "dot segments": (head("GET", "/v1/../health"), 400, "invalid_url", ...),
    "double slash": (head("GET", "//health"), 400, "invalid_url", ...),
    "NUL in the path": (head("GET", "/v1/models/%00"), 400, "invalid_url", ...),
    "path is not UTF-8": (head("GET", "/v1/models/%ff"), 400, "invalid_url", ...),
    "unknown model in the path": (head("GET", "/v1/models/nobody"), 404, "model_not_found", False),
    "wrong method": (head("DELETE", "/v1/completions"), 405, "method_not_allowed", False),
    "GET of a POST route": (head("GET", "/v1/completions"), 405, "method_not_allowed", False),
    "TRACE": (head("TRACE", "/health"), 405, "method_not_allowed", ...),
    "no length": (completions("Content-Type: application/json"), 411, "length_required", ...),
    "wrong media type": (
        completions("Content-Type: text/plain", "Content-Length: 2") + b"{}",
        415, "unsupported_media_type", ...,
    ),
    "content encoding": (post(ONE_TOKEN, "Content-Encoding: gzip"), 415, "unsupported_encoding", ...),
    "expectation": (post(ONE_TOKEN, "Expect: a-miracle"), 417, "expectation_failed", ...),
    "bad deadline": (post(ONE_TOKEN, "x-request-timeout-ms: soon"), 400, "invalid_header", ...),
    "no deadline left": (post(ONE_TOKEN, "x-request-timeout-ms: 0"), 400, "invalid_header", ...),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "http_version_unsupported", True),
    "HTTP/3": (head("GET", "/health", version="3.0"), 505, "http_version_unsupported", True),
    "no host": (head("GET", "/health", host=None), 400, ..., True),
    "two hosts": (head("GET", "/health", "Host: other"), 400, ..., True),
    "not HTTP": (b"hello server, how are you?\r\n\r\n", 400, ..., True),
    "TLS hello": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64 + b"\r\n\r\n", 400, ..., True),
    "bare line feeds": (b"GET /health HTTP/1.1\nHost: x\n\n", 400, ..., True),
    "space before colon": (head("GET", "/health", "X-A : b"), 400, ..., True),
    "line folding": (head("GET", "/health", "X-A: b\r\n  c"), 400, ..., True),
    "NUL in a value": (head("GET", "/health", "X-A: b\x00c"), 400, ..., True),
    "length and chunked": (completions("Content-Length: 5", CHUNKED) + b"0\r\n\r\n", 400, ..., True),
    "chunked and length": (completions(CHUNKED, "Content-Length: 5") + b"0\r\n\r\n", 400, ..., True),
    "two equal lengths": (completions(TWO, TWO) + b"{}", 400, ..., True),
    "a list of lengths": (completions("Content-Length: 2, 2") + b"{}", 400, ..., True),
    "two lengths": (completions(TWO, "Content-Length: 3") + b"{}", 400, ..., True),
    "length with a sign": (completions("Content-Length: +2") + b"{}", 400, ..., True),
    "negative length": (completions("Content-Length: -2") + b"{}", 400, ..., True),
    "gzip coding": (completions("Transfer-Encoding: gzip", TWO) + b"{}", (400, 501), ..., True),
    "unknown coding": (completions("Transfer-Encoding: xchunked") + b"0\r\n\r\n", 501, UNSUPPORTED, True),
    "chunked before gzip": (completions("Transfer-Encoding: chunked, gzip") + b"0\r\n\r\n", 501, UNSUPPORTED, True),
    "chunked in 1.0": (completions(CHUNKED, version="1.0") + b"0\r\n\r\n", 400, ..., True),
    "chunk size with a prefix": (completions(CHUNKED) + b"0x5\r\nhello\r\n0\r\n\r\n", 400, ..., True),
    "chunk size overflows": (completions(CHUNKED) + b"ffffffffffffffffff\r\n", (400, 413), ..., True),
    "endless chunk extension": (completions(CHUNKED) + b"5;" + b"x" * 8192, 400, ..., True),
    "line feed in a quoted extension": (completions(CHUNKED) + b'2;a="\n"\r\n{}\r\n0\r\n\r\n', 400, ..., True),
    "NUL in a quoted extension": (completions(CHUNKED) + b'2;a="\0"\r\n{}\r\n0\r\n\r\n', 400, ..., True),
    "line feed in the last extension": (completions(CHUNKED) + b'2\r\n{}\r\n0;a="\n"\r\n\r\n', 400, ..., True),
    "space before an extension": (completions(CHUNKED) + b"2 ;a\r\n{}\r\n0\r\n\r\n", 400, ..., True),
    "bare CR behind a size": (completions(CHUNKED) + b"2\r{}\r\n0\r\n\r\n", 400, ..., True),
    "bare LF behind a size": (completions(CHUNKED) + b"2\n{}\r\n0\r\n\r\n", 400, ..., True),
    "control character in a trailer": (completions(CHUNKED) + b"2\r\n{}\r\n0\r\nA: \x01\r\n\r\n", 400, ..., True),
    "folded trailer": (completions(CHUNKED) + b"2\r\n{}\r\n0\r\nA: b\r\n c\r\n\r\n", 400, ..., True),
    "long request line": (head("GET", "/" + "a" * 9000), 414, "uri_too_long", True),
    "long header value": (head("GET", "/health", "X-A: " + "b" * 9000), 431, "headers_too_large", True),
    "many headers": (head("GET", "/health", *[f"X-{i}: a" for i in range(120)]), 431, "headers_too_large", True),
    "large header block": (
        head("GET", "/health", *[f"X-{i}: {'a' * 4000}" for i in range(5)]),
        431, "headers_too_large", True,
    ),
    "length of 100 MB": (
        completions("Content-Type: application/json", f"Content-Length: {100 << 20}"),
        413, "request_too_large", True,
    ),
    "length of 2^70": (completions(f"Content-Length: {2**70}"), (400, 413), ..., True),
}  # fmt: skip


@pytest.mark.parametrize("data, status, code, closes", BAD_REQUESTS.values(), ids=BAD_REQUESTS.keys())
def test_a_bad_request_is_refused_in_openais_shape(server, data, status, code, closes):
    with Wire(server.http) as wire:
        wire.send(data)
        answer = wire.response()
        assert answer.status in (status if isinstance(status, tuple) else (status,)), answer.body
        got = answer.json()["error"]["code"]
        codes = code if isinstance(code, tuple) else (code,)
        assert_error(answer, answer.status, got if code is ... or got in codes else codes[0])
        if closes is True:
            assert answer.header("connection") == "close"
            wire.assert_closed()
        elif closes is False:
            wire.send(head("GET", "/health"))
            assert wire.response().status == 200


@pytest.mark.parametrize(
    "data",
    [
        completions("X-Request-Id: a b<script>", "Content-Length: 2", "Content-Length: 2") + b"{}",
        head("GET", "/health", "X-Request-Id: a b<script>", host=None),
        completions("X-Request-Id: a b<script>", CHUNKED) + b"0x1\r\n",
        head("GET", "/v1/%00", "X-Request-Id: a b<script>"),
    ],
    ids=["two lengths", "no host", "bad chunk", "NUL in the path"],
)
def test_a_request_id_that_is_not_fit_is_not_echoed_by_the_gate(server, data):
    for address in (server.http, server.management):
        answer = exchange(address, data)

        # There is nothing to POST to on the management port.
        assert answer.status == 400 or (address == server.management and answer.status == 404)
        assert re.fullmatch(r"req-[0-9a-f]{32}", answer.header("x-request-id"))
        assert b"<script>" not in answer.body


def test_of_what_a_client_sent_an_error_shows_only_the_beginning(server):
    text = "m" * 3_000_000
    for body in (
        {"prompt": "x", "model": text},
        {"prompt": "x", "temperature": text},
        {"prompt": "x", "logit_bias": {text: 1}},
        {"prompt": "x", "guided_" + text: 1},
        {"prompt": "x", "response_format": {"type": text}},
        {"prompt": "x", text: 1},
    ):
        answer = exchange(server.http, post(body, "x-sluice-strict: 1"))
        assert answer.status in (400, 404)
        assert len(answer.body) < 1000
        assert len(answer.json()["error"]["message"]) > 20
    for data in (
        head("GET", "/" + "p" * 8000),
        head("GET", "/v1/models/" + "m" * 8000),
        head("M" * 8000, "/health"),
        post(ONE_TOKEN, "Expect: " + "e" * 8000),
        post(ONE_TOKEN, "x-request-timeout-ms: " + "9" * 8000),
        head("GET", "/health", host="h" * 8000),
        head("GET", "/health", "Origin: http://" + "o" * 8000),
    ):
        for address in (server.http, server.management):
            assert len(exchange(address, data).body) < 1000


# --- who may speak -----------------------------------------------------------------------------------------------


def test_only_loopback_names_are_answered_on_a_loopback_address(server):
    for address in (server.http, server.management):
        for host in ("localhost", "LOCALHOST:1", "127.0.0.1", f"127.0.0.1:{address[1]}", "[::1]:80", "127.1.2.3"):
            assert exchange(address, head("GET", "/health", host=host)).status == 200
        assert exchange(address, head("GET", "/health", host=None, version="1.0")).status == 200
        for host in ("evil.example", f"evil.example:{address[1]}", "localhost.evil.example", "10.0.0.1", "0.0.0.0"):
            for path in ("/health", "/v1/models", "/admin/v1/workers", "/nowhere"):
                assert_error(exchange(address, head("GET", path, host=host)), 403, "host_not_allowed", "permission_error")


@pytest.mark.parametrize("origin", ["https://evil.example", "http://localhost:3000", "null"])
def test_a_foreign_page_is_refused_before_its_body_is_read(server, origin):
    for address in (server.http, server.management):
        with Wire(address) as wire:
            # The body never comes; the answer must.
            wire.send(head("POST", "/v1/completions", f"Origin: {origin}", "Content-Length: 1000000"))
            answer = wire.response()
        assert_error(answer, 403, "origin_not_allowed", "permission_error")
        assert answer.header("access-control-allow-origin") is None
    for path in ("/health", "/admin/v1/workers", "/nowhere"):
        assert exchange(server.management, head("GET", path, f"Origin: {origin}")).status == 403
    preflight = head("OPTIONS", "/v1/completions", f"Origin: {origin}", "Access-Control-Request-Method: POST")
    assert exchange(server.http, preflight).status == 403


def test_other_sites_that_send_no_origin_are_refused(server):
    for address in (server.http, server.management):
        assert exchange(address, head("GET", "/health", "Sec-Fetch-Site: cross-site")).status == 403
        assert exchange(address, head("GET", "/health", "Sec-Fetch-Site: none")).status == 200


def test_a_page_of_the_server_itself_is_served(server):
    host = f"localhost:{server.http[1]}"
    data = post(ONE_TOKEN, f"Origin: http://{host}").replace(b"Host: localhost\r\n", f"Host: {host}\r\n".encode())

    assert exchange(server.http, data).status == 200


def test_a_wrong_method_is_told_the_right_ones(server):
    assert "POST" in exchange(server.http, head("GET", "/v1/completions")).header("allow")
    allowed = exchange(server.http, head("POST", "/v1/models", "Content-Length: 0")).header("allow")
    assert "GET" in allowed and "HEAD" in allowed


def test_a_header_without_end_is_cut_off(server):
    with Wire(server.http) as wire:
        sent = wire.send_until_answered(
            [b"GET /health HTTP/1.1\r\nHost: x\r\n"] + [b"X-Bomb: " + b"b" * 1024 + b"\r\n"] * 10_000
        )
        assert_error(wire.response(), 431, "headers_too_large")

    assert sent < 10_000_000, "the server read a header of many megabytes"


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_body_of_100_megabytes_is_refused_without_keeping_it(server, framing):
    before = resident_bytes(server.pid)
    piece = b'{"prompt": "' + b"x" * (64 << 10)
    pieces = (100 << 20) // len(piece)
    with Wire(server.http) as wire:
        if framing == "length":
            wire.send(
                head(
                    "POST",
                    "/v1/completions",
                    "Content-Type: application/json",
                    f"Content-Length: {pieces * len(piece)}",
                )
            )
            wire.send_until_answered([piece] * pieces)
        else:
            wire.send(head("POST", "/v1/completions", "Content-Type: application/json", CHUNKED))
            wire.send_until_answered([b"%x\r\n%s\r\n" % (len(piece), piece)] * pieces)
        answer = wire.response()

    assert_error(answer, 413, "request_too_large", "invalid_request_error")
    assert answer.header("connection") == "close"
    assert_not_grown(server.pid, before, 40)


def test_curl_sends_100_megabytes_and_learns_why_not(server, tmp_path):
    body = tmp_path / "body"
    with open(body, "wb") as file:
        file.truncate(100 << 20)

    for framing in ("Content-Type: application/json", CHUNKED):
        answer, _ = curl(
            "-X",
            "POST",
            "-T",
            str(body),
            "-H",
            "Expect:",
            "-H",
            "Content-Type: application/json",
            "-H",
            framing,
            f"{server.url}/v1/completions",
        )
        assert json.loads(answer)["error"]["code"] == "request_too_large"


# --- clients that stop in the middle -----------------------------------------------------------------------------


@pytest.mark.parametrize("cut", ["request line", "header", "body", "chunk"])
def test_half_a_request_leaves_nothing_behind(server, cut):
    data = {
        "request line": b"POST /v1/comp",
        "header": post(ONE_TOKEN)[:60],
        "body": post(ONE_TOKEN)[:-10],
        "chunk": head("POST", "/v1/completions", CHUNKED) + b"10\r\n{'pr",
    }[cut]
    before = open_descriptors(server.pid)

    for _ in range(20):
        with Wire(server.http) as wire:
            wire.send(data)

    wait_until(lambda: open_descriptors(server.pid) <= before, "the connections are closed")
    assert server.running() == 0


def test_a_client_that_closes_its_half_is_gone(server):
    # A stream that would go on for a while: the client ends its sending side and waits.
    body = {"prompt": "x", "max_tokens": 20_000, "n": 16, "stream": True, "ignore_eos": True}
    with Wire(server.http) as wire:
        wire.send(post(body))
        wire.exactly(1)
        wire.socket.shutdown(1)
        server.wait_idle()
        with_done = wire.to_end().endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")

    assert not with_done, "the stream ran to its end for a client that was gone"


def test_slow_and_silent_clients_are_cut_off_after_their_time(server):
    """Real time-outs of ten seconds, all at once: silence, half a header, a header byte by byte."""
    with Wire(server.http, 40) as silent, Wire(server.http, 40) as half, Wire(server.http, 40) as dripping:
        half.send(head("GET", "/health")[:-2])
        dripping.send_until_answered(_slowly(head("GET", "/health")[:-4] + b"\r\nX-Drip: " + b"x" * 200))

        assert_error(dripping.response(), 408, "request_timeout", "timeout_error")
        dripping.assert_closed()
        assert_error(half.response(), 408, "request_timeout", "timeout_error")
        half.assert_closed()
        silent.assert_closed()


def _slowly(data):
    """Byte after byte with pauses: the client is slow, that is the point."""
    for index in range(len(data)):
        yield data[index : index + 1]
        time.sleep(0.1)
