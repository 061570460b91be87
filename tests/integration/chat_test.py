"""Chat completions by the Python `openai` package, and on the wire."""

import json

import openai
import pytest

from raw_http import exchange, post
from sluice_server import request, seconds, serve

MESSAGES = [
    {"role": "system", "content": "You speak of rivers."},
    {"role": "user", "content": "Where does the water go?"},
]


@pytest.fixture(scope="module")
def server():
    """The shipped model with a template, and the `hash` model, which has one of its own."""
    with serve("--model", "brook=models/shipped/brook", "--model", "hash=hash", "--chat-template", "brook=plain") as it:
        yield it


@pytest.fixture(scope="module")
def client(server):
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="any", timeout=seconds(60), max_retries=0) as it:
        yield it


def chat(client, **arguments):
    defaults = {"model": "brook", "messages": MESSAGES, "max_tokens": 24, "temperature": 0}
    return client.chat.completions.create(**{**defaults, **arguments})


def deltas(stream):
    """The roles, texts and reasons of a stream's choices, by choice."""
    choices = {}
    for chunk in stream:
        for choice in chunk.choices:
            entry = choices.setdefault(choice.index, {"role": [], "text": "", "reason": None})
            if choice.delta.role:
                entry["role"].append(choice.delta.role)
            entry["text"] += choice.delta.content or ""
            entry["reason"] = choice.finish_reason or entry["reason"]
    return choices


def post_json(server, path, body):
    status, _, answer = request(server.http, "POST", path, body)
    return status, json.loads(answer)


def test_an_answer_has_a_message(client):
    answer = chat(client)
    assert answer.object == "chat.completion" and answer.id.startswith("chatcmpl-")
    choice = answer.choices[0]
    assert choice.message.role == "assistant" and choice.message.content
    assert choice.finish_reason in ("stop", "length") and choice.logprobs is None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_a_stream_says_the_same(client):
    whole = chat(client, n=2, seed=3, temperature=1)
    streamed = deltas(chat(client, n=2, seed=3, temperature=1, stream=True))
    assert sorted(streamed) == [0, 1]
    for choice in whole.choices:
        entry = streamed[choice.index]
        assert entry["role"] == ["assistant"]
        assert entry["text"] == choice.message.content
        assert entry["reason"] == choice.finish_reason


def test_the_prompt_is_what_the_template_makes_of_the_conversation(server, client):
    """The tokens of the rendered text as a text completion give the same answer."""
    status, tokens = post_json(server, "/v1/tokenize", {"model": "brook", "messages": MESSAGES})
    assert status == 200 and tokens["count"] == len(tokens["tokens"]) > 0
    told = chat(client, max_tokens=24)
    completed = client.completions.create(model="brook", prompt=tokens["tokens"], max_tokens=24, temperature=0)
    assert told.choices[0].message.content == completed.choices[0].text
    assert told.usage.prompt_tokens == tokens["count"]


def test_events_come_in_the_order_of_the_interface(server):
    body = {"model": "hash", "messages": MESSAGES, "max_tokens": 3, "stream": True, "ignore_eos": True,
            "stream_options": {"include_usage": True}}  # fmt: skip
    answer = exchange(server.http, post(body, path="/v1/chat/completions"))
    events = answer.body.decode().split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    events = [json.loads(event.removeprefix("data: ")) for event in events[:-2]]
    parts = [event["choices"][0]["delta"] for event in events[:-1]]
    assert parts[0] == {"role": "assistant", "content": ""} and parts[-1] == {}
    assert all(set(part) == {"content"} and part["content"] for part in parts[1:-1])
    assert events[-1]["choices"] == [] and events[-1]["usage"]["completion_tokens"] == 3
    assert all(event["usage"] is None for event in events[:-1])
    assert len({(event["id"], event["created"], event["system_fingerprint"]) for event in events}) == 1


def test_logprobs_come_in_the_format_of_chat(client):
    answer = chat(client, logprobs=True, top_logprobs=2, max_tokens=5)
    content = answer.choices[0].logprobs.content
    assert len(content) == answer.usage.completion_tokens
    text = b"".join(bytes(entry.bytes) for entry in content)
    assert text.decode(errors="replace").startswith(answer.choices[0].message.content)
    for entry in content:
        assert len(entry.top_logprobs) == 2
        assert entry.top_logprobs[0].logprob >= entry.top_logprobs[1].logprob


def test_without_a_limit_an_answer_may_fill_the_context(client):
    """Of the `hash` model, which ends by itself once in 512 tokens."""
    answer = client.chat.completions.create(model="hash", messages=MESSAGES)
    assert answer.choices[0].finish_reason == "stop"


def test_parts_and_history_are_taken(client):
    parts = [{"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]},
             {"role": "assistant", "content": "three"}, {"role": "user", "content": "four"}]  # fmt: skip
    joined = [{"role": "user", "content": "one\ntwo"}, *parts[1:]]
    assert chat(client, messages=parts).choices[0].message.content == chat(client, messages=joined).choices[0].message.content


@pytest.mark.parametrize("arguments, param", [
    ({"messages": []}, "messages"),
    ({"messages": [{"role": "bot", "content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u"}}]}]},
     "messages[0].content[0].type"),
    ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
    ({"tool_choice": "required"}, "tool_choice"),
    ({"response_format": {"type": "json_object"}}, "response_format.type"),
    ({"max_tokens": 100_000_000}, None),
])  # fmt: skip
def test_what_is_wrong_or_not_supported_is_named(client, arguments, param):
    with pytest.raises(openai.BadRequestError) as caught:
        chat(client, **arguments)
    assert param is None or caught.value.param == param


def test_models_say_whether_they_can_chat(client, brook):
    def capabilities(model):
        return model.model_extra["capabilities"]

    assert all(capabilities(model) == ["completion", "chat"] for model in client.models.list())
    status, answer = post_json(brook, "/v1/chat/completions", {})
    assert status == 400 and answer["error"]["param"] == "messages"
    with openai.OpenAI(base_url=f"{brook.url}/v1", api_key="any") as plain:
        assert capabilities(plain.models.retrieve("brook")) == ["completion"]


def test_a_model_without_a_template_says_what_to_do(brook):
    status, answer = post_json(brook, "/v1/chat/completions", {"model": "brook", "messages": MESSAGES})
    assert status == 400 and answer["error"]["code"] == "template_error"
    assert "--chat-template" in answer["error"]["message"]


def test_tokenize_and_detokenize_go_there_and_back(server):
    text = "The river, é, \U0001f30a and\n\n  so on"
    status, there = post_json(server, "/v1/tokenize", {"model": "brook", "prompt": text, "add_special_tokens": False})
    assert status == 200 and there["max_model_len"] > 0
    status, back = post_json(server, "/v1/detokenize", {"model": "brook", "tokens": there["tokens"]})
    assert (status, back) == (200, {"prompt": text})
    assert post_json(server, "/v1/tokenize", {"model": "nobody", "prompt": ""})[0] == 404
    status, answer = post_json(server, "/v1/detokenize", {"model": "brook", "tokens": [10**9]})
    assert status == 400 and answer["error"]["param"] == "tokens"


def test_a_long_conversation_does_not_hold_up_others(server, client):
    """It is read, rendered and tokenized in the background, and refused for its length."""
    long = [{"role": "user", "content": "water " * 1000}] * 200
    with pytest.raises(openai.BadRequestError) as caught:
        chat(client, messages=long)
    assert caught.value.code == "context_length_exceeded"
