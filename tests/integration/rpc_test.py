"""Sluice RPC of a running server: the answers of HTTP, many streams at once, and what may go wrong meanwhile."""

import hashlib
import json
import os
import signal
import socket
import struct

import pytest

from raw_rpc import CANCEL, CREDIT, END, GOAWAY, ITEM, NOTIFY, PREFACE, RESPONSE, Closed, RpcConnection, RpcError
from sluice_server import (
    assert_not_grown,
    choices_of,
    complete,
    key,
    process_alive,
    request,
    resident_bytes,
    serve,
    wait_until,
)


def whole(value):
    """An answer without what differs from one request to the next, its numbers as floats have them."""
    if isinstance(value, dict):
        return {name: whole(inner) for name, inner in value.items() if name not in ("id", "created")}
    if isinstance(value, list):
        return [whole(inner) for inner in value]
    return struct.pack("f", value) if isinstance(value, float) else value


def test_an_answer_is_that_of_http():
    with serve() as server, RpcConnection(server) as client:
        for body in (
            {"prompt": "In the beginning", "seed": 7, "max_tokens": 12, "n": 2, "logprobs": 2, "echo": True},
            {"prompt": [[5, 6, 7], [8, 9]], "seed": -1, "max_tokens": 3, "temperature": 0.5, "stop": ["e"]},
        ):
            assert whole(client.call("completions.create", **body)) == whole(complete(server, **body))
        tokens = client.call("tokenize", prompt="In the beginning")["tokens"]
        assert client.call("detokenize", tokens=tokens)["prompt"].endswith("In the beginning")
        _, _, listed = request(server.http, "GET", "/v1/models")
        assert client.call("models.list") == json.loads(listed)
        assert client.call("status") == {
            "ready": True, "reasons": [], "draining": False, "models": ["brook"],
            "version": client.welcome["server"].removeprefix("sluice/"),
        }  # fmt: skip


def test_a_chat_is_that_of_http():
    chat = {"messages": [{"role": "user", "content": "Good morning!"}], "seed": 3, "max_tokens": 9, "logprobs": True}
    with serve("--chat-template", "plain") as server, RpcConnection(server) as client:
        status, _, answer = request(server.http, "POST", "/v1/chat/completions", chat)
        assert status == 200
        assert whole(client.call("chat.create", **chat)) == whole(json.loads(answer))
        id = client.ask("chat.create", **chat, stream=True)
        texts, ends = client.streams([id])
        assert texts[id] == json.loads(answer)["choices"][0]["message"]["content"]
        assert ends[id][2] is None


def test_errors_are_those_of_http():
    with serve() as server, RpcConnection(server) as client:
        for body in ({"temperature": 9}, {"prompt": "x", "model": "other"}, {"prompt": "x" * 100_000}, {"n": 999}):
            _, headers, answer = request(server.http, "POST", "/v1/completions", body)
            with pytest.raises(RpcError) as refused:
                client.call("completions.create", **body)
            http = json.loads(answer)["error"]
            for name in ("code", "type", "message", "param"):
                assert refused.value.error[name] == http[name]
            assert refused.value.error["http"] in (400, 404)
        with pytest.raises(RpcError, match="method_not_found"):
            client.call("embeddings.create", input="x")


def test_many_streams_share_one_connection():
    """As many as a connection may have; each is whole, and equal to the same request over HTTP."""
    with serve("--model", "hash=hash", "--rate", 0) as server, RpcConnection(server) as client:
        bodies = {}
        for number in range(client.welcome["max_inflight"]):
            body = {"prompt": f"stream {number}", "max_tokens": 40, "ignore_eos": True}
            bodies[client.ask("completions.create", **body, stream=True)] = body
        texts, ends = client.streams(bodies)
        for id, body in list(bodies.items())[::37]:
            assert texts[id] == complete(server, **body)["choices"][0]["text"]
        assert all(end[2] is None and end[3]["usage"]["completion_tokens"] == 40 for end in ends.values())


@pytest.mark.parametrize("lanes", [1, 2])
def test_streams_go_on_byte_for_byte_when_their_worker_is_killed(lanes):
    body = {"max_tokens": 3000, "seed": 5, "temperature": 1.1, "ignore_eos": True}
    prompts = [f"killed {number}" for number in range(6)]
    arguments = ("--model", "hash=hash", "--workers", lanes, "--lane-backoff-min", "20ms", "--lane-restarts", 1000)
    with serve(*arguments) as server:
        undisturbed = {prompt: choices_of(server, prompt=prompt, **body)[0]["text"] for prompt in prompts}
        for _ in range(5):
            with RpcConnection(server) as client:
                ids = {client.ask("completions.create", prompt=prompt, **body, stream=True): prompt for prompt in prompts}
                first = client.expect(ITEM)
                client.send(CREDIT, first[1], 1)
                for pid in server.worker_pids():
                    os.kill(pid, signal.SIGKILL)
                    wait_until(lambda pid=pid: not process_alive(pid), f"worker {pid} is dead")
                rest, ends = read_on(client, ids, first)
                for id, prompt in ids.items():
                    assert rest[id] == undisturbed[prompt]
                    assert ends[id][2] is None, ends[id]


def read_on(client, ids, first):
    """All streams to their ends; `first` has been read already."""
    texts, counts, ends = dict.fromkeys(ids, ""), dict.fromkeys(ids, 0), {}
    texts[first[1]], counts[first[1]] = first[3]["t"], 1
    while len(ends) < len(texts):
        message = client.read()
        if message[0] == END:
            ends[message[1]] = message
            continue
        assert message[0] == ITEM and message[2] == counts[message[1]], message
        counts[message[1]] += 1
        texts[message[1]] += message[3]["t"]
        client.send(CREDIT, message[1], 1)
        client.send(CREDIT, 0, 400)
    return texts, ends


def test_a_stream_without_credit_waits_and_others_go_on():
    with serve("--model", "hash=hash") as server, RpcConnection(server, hello={"stream_credit": 2}) as client:
        before = resident_bytes(server.pid)
        body = {"max_tokens": 4000, "ignore_eos": True}
        waiting = client.ask("completions.create", prompt="waits", **body, stream=True)
        assert [client.expect(ITEM)[1] for _ in range(2)] == [waiting, waiting]
        for number in range(20):
            client.call("completions.create", prompt=f"passes {number}", max_tokens=4)
        assert_not_grown(server.pid, before, 16)
        client.send(CREDIT, waiting, 10_000)
        client.send(CREDIT, 0, 1 << 24)
        text = ""
        while (message := client.read())[0] == ITEM:
            text += message[3]["t"]
        assert message[0] == END and message[2] is None
        assert complete(server, prompt="waits", **body)["choices"][0]["text"].endswith(text)


def test_a_cancelled_request_ends_once_and_leaves_its_worker():
    with serve("--model", "hash=hash") as server, RpcConnection(server) as client:
        stream = client.ask("completions.create", prompt="a", max_tokens=7000, ignore_eos=True, stream=True)
        whole_one = client.ask("completions.create", prompt="b", max_tokens=7000, ignore_eos=True)
        client.expect(ITEM)
        client.send(CANCEL, whole_one, "client")
        client.send(CANCEL, stream, "client")
        ended = []
        while len(ended) < 2:
            message = client.read()
            if message[0] != ITEM:
                ended.append((message[0], message[1], message[2]["code"]))
        assert sorted(ended) == [(RESPONSE, whole_one, "cancelled"), (END, stream, "cancelled")]
        server.wait_idle()
        assert client.call("completions.create", prompt="c", max_tokens=1)["choices"]


def test_a_connection_that_ends_ends_its_requests():
    with serve("--model", "hash=hash") as server:
        client = RpcConnection(server)
        for number in range(30):
            client.ask("completions.create", prompt=f"{number}", max_tokens=7000, ignore_eos=True, stream=True)
        client.expect(ITEM)
        client.close()
        server.wait_idle()


def test_keys_are_those_of_http(tmp_path):
    keys = tmp_path / "keys.toml"
    keys.write_text(key("a", "token-a", "max_inflight = 2"))
    with serve("--model", "hash=hash", "--api-keys", keys) as server:
        for token in (None, "token-b"):
            with pytest.raises(Closed) as closed:
                RpcConnection(server, token=token)
            assert closed.value.code == "invalid_api_key"
        with RpcConnection(server, token="token-a") as client:
            assert client.call("completions.create", prompt="x", max_tokens=1)
            ids = [
                client.ask("completions.create", prompt="x", max_tokens=7000, ignore_eos=True, stream=True) for _ in range(3)
            ]
            refused = next(message for message in iter(client.read, None) if message[0] == END)
            assert refused[1] == ids[2]
            assert refused[2]["code"] == "rate_limit_exceeded" and refused[2]["http"] == 429
            assert refused[2]["retryable"] and refused[2]["retry_after_ms"] >= 50


def test_a_request_is_executed_once_under_its_key():
    meta = {"idempotency_key": "order-1"}
    with serve("--model", "hash=hash") as server, RpcConnection(server) as client:
        first = client.call("completions.create", meta=meta, prompt="x", max_tokens=5)
        id = client.ask("completions.create", meta=meta, prompt="x", max_tokens=5)
        again = client.expect(RESPONSE)
        assert again[1] == id and again[3] == first and again[4]["replayed"]
        with pytest.raises(RpcError, match="conflict"):
            client.call("completions.create", meta=meta, prompt="y", max_tokens=5)


def test_what_runs_ends_and_what_comes_is_refused_when_the_server_shuts_down():
    with serve("--model", "hash=hash") as server, RpcConnection(server) as client:
        running = client.ask("completions.create", prompt="x", max_tokens=3000, ignore_eos=True, stream=True)
        client.send(CREDIT, 0, 1 << 24)
        client.send(CREDIT, running, 10_000)
        client.expect(ITEM)
        server.terminate()
        seen, late, refused, end = [], None, None, None
        while True:
            try:
                message = client.read()
            except Closed:
                break
            seen.append(message[0])
            if message[0] == GOAWAY:
                assert message[1:3] == [running, "draining"]
                late = client.ask("completions.create", prompt="late")
            elif message[0] == RESPONSE:
                refused = message
            elif message[0] == END:
                end = message
        assert NOTIFY in seen and GOAWAY in seen
        assert refused[1] == late and refused[2]["code"] == "draining" and refused[2]["retryable"]
        assert end[1] == running and end[2] is None
        assert server.wait() == 0


def test_a_stream_that_waits_for_credit_is_whole_when_the_server_shuts_down():
    body = {"prompt": "x", "max_tokens": 500, "ignore_eos": True}
    with serve("--model", "hash=hash") as server, RpcConnection(server, hello={"stream_credit": 4}) as client:
        undisturbed = complete(server, **body)["choices"][0]["text"]
        id = client.ask("completions.create", **body, stream=True)
        text = "".join(client.expect(ITEM)[3]["t"] for _ in range(4))
        server.wait_idle()  # all of it is computed, and most of it waits for credit
        server.terminate()
        while client.read()[0] != GOAWAY:
            pass
        client.send(CREDIT, id, 1000)
        while (message := client.read())[0] == ITEM:
            text += message[3]["t"]
        assert message[0] == END and message[2] is None
        assert text == undisturbed
        assert server.wait() == 0


def test_clients_of_http_are_told_where_they_are():
    with serve("--model", "hash=hash") as server:
        status, _, body = request(server.binary, "GET", "/health")
        assert status == 400
        assert b"Sluice RPC" in body


def test_what_is_no_client_disturbs_nobody():
    """Half frames, wrong ones and large promises, beside a client that is served."""
    with serve("--model", "hash=hash") as server, RpcConnection(server) as client:
        before = resident_bytes(server.pid)
        crowd = []
        for number in range(60):
            rude = socket.create_connection(server.binary)
            seed = hashlib.sha256(bytes([number])).digest() * 4
            rude.sendall((PREFACE + b"\x00\xff\xff\xff" + seed, PREFACE + seed, seed, b"\xc1SR")[number % 4])
            crowd.append(rude)
            assert client.call("completions.create", prompt=f"{number}", max_tokens=2)["choices"]
        assert_not_grown(server.pid, before, 16)
        for rude in crowd:
            rude.close()
        assert client.call("status")["ready"]


def test_the_binary_port_can_be_left_out():
    with serve("--model", "hash=hash", "--binary-listen", "none") as server:
        assert server.binary is None
        assert complete(server, prompt="x", max_tokens=1)["choices"]
