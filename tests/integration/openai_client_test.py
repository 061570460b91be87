"""The Python `openai` package against the shipped model: what its users do must work as they know it."""

import asyncio
import socket

import openai
import pytest

from sluice_server import in_parallel, seconds

PROMPT = "The old man looked at the sea and"

# One line a way of asking; each is deterministic through its seed.
REQUESTS = {
    "greedy": {"temperature": 0},
    "seeded": {"temperature": 1, "seed": 1},
    "another seed": {"temperature": 1, "seed": 2**62 + 12345},
    "negative seed": {"temperature": 0.7, "seed": -7},
    "hot": {"temperature": 1.7, "seed": 3},
    "top_p": {"temperature": 1, "top_p": 0.6, "seed": 4},
    "three choices": {"temperature": 1, "n": 3, "seed": 5},
    "stop strings": {"temperature": 0.8, "seed": 6, "stop": [".", " the", "\n"]},
    "logprobs": {"temperature": 0.8, "seed": 7, "logprobs": 3},
    "echo": {"temperature": 0.8, "seed": 8, "echo": True},
    "echo with logprobs": {"temperature": 0.8, "seed": 9, "echo": True, "logprobs": 2},
    "penalties": {"temperature": 0.8, "seed": 10, "presence_penalty": 1.2, "frequency_penalty": 0.7},
    "logit bias": {"temperature": 0.8, "seed": 11, "logit_bias": {"300": 5, "301": -100}},
    "extensions": {
        "temperature": 0.9,
        "seed": 12,
        "extra_body": {"top_k": 20, "min_p": 0.05, "repetition_penalty": 1.1, "ignore_eos": True},
    },
}


class CountingTransport(openai.DefaultHttpxClient):
    """Counts what is really sent, retries included."""

    def __init__(self):
        self.sent = 0
        super().__init__()

    def send(self, *arguments, **options):
        self.sent += 1
        return super().send(*arguments, **options)


def make_client(server, **options):
    options.setdefault("timeout", seconds(60))
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="TEST_KEY", **options)


@pytest.fixture(scope="module")
def client(brook):
    with make_client(brook, max_retries=0) as client:
        yield client


def ask(client, **arguments):
    return client.completions.create(**{"model": "brook", "prompt": PROMPT, "max_tokens": 48, **arguments})


def gather(stream):
    """The choices of a stream, index by index: (text, finish_reason, tokens, log probabilities)."""
    texts, reasons, tokens, logprobs = {}, {}, {}, {}
    for chunk in stream:
        for choice in chunk.choices:
            texts[choice.index] = texts.get(choice.index, "") + choice.text
            if choice.finish_reason is not None:
                assert choice.index not in reasons, "a choice ended twice"
                reasons[choice.index] = choice.finish_reason
            if choice.logprobs is not None:
                tokens.setdefault(choice.index, []).extend(choice.logprobs.tokens)
                logprobs.setdefault(choice.index, []).extend(choice.logprobs.token_logprobs)
    return [(texts[i], reasons.get(i), tokens.get(i), logprobs.get(i)) for i in sorted(texts)]


def whole(completion):
    return [
        (
            choice.text,
            choice.finish_reason,
            choice.logprobs and choice.logprobs.tokens,
            choice.logprobs and choice.logprobs.token_logprobs,
        )
        for choice in completion.choices
    ]


@pytest.mark.parametrize("arguments", REQUESTS.values(), ids=REQUESTS.keys())
def test_a_streamed_completion_equals_the_whole_one(client, arguments):
    expected = whole(ask(client, **arguments))

    streamed = gather(ask(client, stream=True, **arguments))

    assert streamed == expected
    assert len(expected) == arguments.get("n", 1)
    assert all(reason in ("stop", "length") for _, reason, _, _ in expected)


def test_a_completion_is_text_that_goes_on_after_the_prompt(client):
    completion = ask(client, temperature=0, max_tokens=32)

    assert completion.object == "text_completion"
    assert completion.id.startswith("cmpl-")
    assert completion.model == "brook"
    assert completion.system_fingerprint.startswith("fp_")
    letters = [c for c in completion.choices[0].text if c.isalpha() or c in " \n,.;:'\"-!?"]
    assert len(letters) > 0.9 * len(completion.choices[0].text) > 20, completion.choices[0].text


def test_a_stream_comes_token_by_token(client):
    chunks = list(ask(client, stream=True, temperature=0, max_tokens=32, extra_body={"ignore_eos": True}))

    assert len(chunks) > 16, f"32 tokens came in {len(chunks)} events"
    assert len({(chunk.id, chunk.created, chunk.model, chunk.system_fingerprint) for chunk in chunks}) == 1


@pytest.mark.parametrize("seed", range(3))
def test_the_choices_of_one_request_differ_and_repeat(client, seed):
    first = [choice.text for choice in ask(client, n=3, seed=seed, temperature=1).choices]
    second = [choice.text for choice in ask(client, n=3, seed=seed, temperature=1).choices]

    assert first == second
    assert len(set(first)) == 3


def test_requests_without_a_seed_differ(client):
    texts = {ask(client, temperature=1.5).choices[0].text for _ in range(4)}

    assert len(texts) > 1


def test_a_batch_of_prompts_gives_choices_in_their_order(client):
    prompts = ["It was a dark night", "She opened the letter", "On the hill"]
    alone = [ask(client, prompt=prompt, temperature=0).choices[0].text for prompt in prompts]

    completion = ask(client, prompt=prompts, temperature=0, n=2)

    assert [choice.index for choice in completion.choices] == list(range(6))
    assert [choice.text for choice in completion.choices] == [text for text in alone for _ in range(2)]


def test_a_stop_string_ends_the_text_before_it(client):
    plain = ask(client, temperature=0, max_tokens=64).choices[0].text
    stop = plain[len(plain) // 2 : len(plain) // 2 + 7]  # seldom whole tokens: it has to be found across their borders

    for stream in (False, True):
        arguments = {"temperature": 0, "max_tokens": 64, "stop": ["never said", stop]}
        answer = gather(ask(client, stream=True, **arguments)) if stream else whole(ask(client, **arguments))
        assert answer == [(plain[: plain.index(stop)], "stop", None, None)]


def test_a_stop_string_is_named_as_the_reason(client):
    plain = ask(client, temperature=0, max_tokens=64).choices[0].text
    stop = plain[20:24]

    choice = ask(client, temperature=0, max_tokens=64, stop=stop).choices[0]

    assert choice.model_extra["stop_reason"] == stop


def test_logprobs_tell_the_tokens_of_the_text(client):
    choice = ask(client, temperature=0, logprobs=3, max_tokens=24).choices[0]
    told = choice.logprobs

    assert "".join(told.tokens) == choice.text
    assert len(told.tokens) == len(told.token_logprobs) == len(told.top_logprobs) == len(told.text_offset)
    assert all(choice.text[offset:].startswith(token) for offset, token in zip(told.text_offset, told.tokens))
    for token, logprob, top in zip(told.tokens, told.token_logprobs, told.top_logprobs):
        assert 3 <= len(top) <= 4
        assert logprob <= 0
        assert top[token] == logprob == max(top.values()), "greedy takes the most likely token"


def test_echo_puts_the_prompt_before_the_text(client):
    plain = ask(client, temperature=0).choices[0]

    echoed = ask(client, temperature=0, echo=True, logprobs=1).choices[0]

    assert echoed.text == PROMPT + plain.text
    assert echoed.logprobs.token_logprobs[0] is None
    assert echoed.logprobs.top_logprobs[0] is None
    assert all(logprob <= 0 for logprob in echoed.logprobs.token_logprobs[1:])
    assert "".join(echoed.logprobs.tokens).endswith(echoed.text[-40:])


def test_echo_without_new_tokens_gives_the_prompt_back(client):
    completion = ask(client, echo=True, max_tokens=0, logprobs=1)

    assert completion.choices[0].text == PROMPT
    assert completion.choices[0].finish_reason == "length"
    assert completion.usage.completion_tokens == 0


def test_the_first_tokens_of_a_longer_completion_are_the_shorter_one(client):
    short = ask(client, temperature=0.9, seed=5, max_tokens=12).choices[0].text

    long = ask(client, temperature=0.9, seed=5, max_tokens=48).choices[0].text

    assert long.startswith(short)
    assert len(long) > len(short)


def test_usage_counts_prompt_and_completion(client):
    completion = ask(client, temperature=0, max_tokens=11, extra_body={"ignore_eos": True})
    usage = completion.usage

    assert usage.completion_tokens == 11
    assert 0 < usage.prompt_tokens <= len(PROMPT)
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert ask(client, temperature=0, n=3, max_tokens=11, extra_body={"ignore_eos": True}).usage.completion_tokens == 33


def test_usage_of_token_ids_is_their_number(client):
    completion = ask(client, prompt=[300, 301, 302, 303], temperature=0, max_tokens=2)

    assert completion.usage.prompt_tokens in (4, 5)  # five where the model puts a BOS before it


def test_a_stream_tells_its_usage_when_asked(client):
    arguments = {"temperature": 0, "max_tokens": 9, "extra_body": {"ignore_eos": True}}
    expected = ask(client, **arguments).usage

    chunks = list(ask(client, stream=True, stream_options={"include_usage": True}, **arguments))

    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert chunks[-1].choices == []
    told = chunks[-1].usage
    assert told.prompt_tokens_details.cached_tokens == 0
    assert (told.prompt_tokens, told.completion_tokens, told.total_tokens) == (
        expected.prompt_tokens,
        expected.completion_tokens,
        expected.total_tokens,
    )
    assert all(chunk.usage is None for chunk in ask(client, stream=True, **arguments))


def test_what_frameworks_always_send_is_taken(client):
    """LangChain sends an empty list of stops; others send every empty list and map they know."""
    plain = ask(client, temperature=0, max_tokens=9).choices[0].text
    empty = {"logit_bias": {}, "metadata": {}, "stop_token_ids": [], "tools": [], "stream_options": {}}

    assert ask(client, temperature=0, max_tokens=9, stop=[], extra_body=empty).choices[0].text == plain


def test_a_tier_that_changes_nothing_is_not_confirmed(client):
    for tier in ("auto", "default", "priority"):
        assert ask(client, max_tokens=1, extra_body={"service_tier": tier}).service_tier == "default"
    assert ask(client, max_tokens=1, extra_body={"service_tier": "flex"}).service_tier == "flex"


def test_the_default_is_sixteen_tokens_of_the_default_model(brook):
    with make_client(brook) as client:
        answer = client.post("/completions", cast_to=object, body={"prompt": PROMPT, "ignore_eos": True})

    assert answer["model"] == "brook"
    assert answer["usage"]["completion_tokens"] == 16


def test_models_are_listed_and_retrieved(client):
    models = client.models.list().data

    assert [model.id for model in models] == ["brook"]
    assert models[0].object == "model"
    assert client.models.retrieve("brook").id == "brook"


# --- errors ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments, param",
    [
        ({"temperature": 3}, "temperature"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"n": 0}, "n"),
        ({"prompt": []}, "prompt"),
        ({"stop": ["a", ""]}, None),
        ({"logprobs": -1}, "logprobs"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"extra_body": {"top_p": "high"}}, "top_p"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_bad_argument_raises_bad_request(client, arguments, param):
    with pytest.raises(openai.BadRequestError) as raised:
        ask(client, **arguments)

    assert raised.value.status_code == 400
    assert raised.value.type == "invalid_request_error"
    assert isinstance(raised.value.code, str)
    if param is not None:
        assert raised.value.param == param


def test_a_prompt_over_the_context_raises_bad_request_in_openais_words(client):
    context = client.models.retrieve("brook").model_extra["max_model_len"]

    with pytest.raises(openai.BadRequestError) as raised:
        ask(client, max_tokens=context)

    assert raised.value.code == "context_length_exceeded"
    assert f"This model's maximum context length is {context} tokens. However, you requested" in raised.value.message


def test_an_unknown_model_raises_not_found(client):
    for call in (lambda: ask(client, model="gpt-9"), lambda: client.models.retrieve("gpt-9")):
        with pytest.raises(openai.NotFoundError) as raised:
            call()
        assert raised.value.code == "model_not_found"
        assert "The model `gpt-9` does not exist" in raised.value.message


def test_an_unknown_path_raises_not_found(client):
    with pytest.raises(openai.NotFoundError) as raised:
        client.post("/nothing", cast_to=object, body={})

    assert raised.value.code == "unknown_url"


def test_an_error_carries_the_request_id(client):
    with pytest.raises(openai.BadRequestError) as raised:
        ask(client, temperature=3)

    assert raised.value.request_id.startswith("req-")
    assert ask(client, max_tokens=1)._request_id.startswith("req-")


@pytest.mark.parametrize(
    "arguments, failure",
    [({"temperature": 3}, openai.BadRequestError), ({"model": "gpt-9"}, openai.NotFoundError)],
    ids=["bad request", "not found"],
)
def test_the_package_does_not_retry_what_cannot_succeed(brook, arguments, failure):
    transport = CountingTransport()
    with make_client(brook, max_retries=2, http_client=transport) as client, pytest.raises(failure):
        ask(client, **arguments)

    assert transport.sent == 1


def test_a_deadline_of_the_client_ends_in_504_and_is_not_retried(brook):
    transport = CountingTransport()
    with make_client(brook, max_retries=2, http_client=transport) as client:
        with pytest.raises(openai.APIStatusError) as raised:
            ask(
                client,
                n=16,
                max_tokens=400,
                extra_body={"ignore_eos": True},
                extra_headers={"x-request-timeout-ms": "1"},
            )

    assert raised.value.status_code == 504
    assert raised.value.code == "deadline_exceeded"
    assert transport.sent == 1


def test_a_server_that_is_gone_is_tried_three_times():
    transport = CountingTransport()
    with socket.socket() as nobody_listens:
        nobody_listens.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody_listens.getsockname()[1]}/v1"
        with openai.OpenAI(base_url=url, api_key="x", max_retries=2, http_client=transport) as client:
            with pytest.raises(openai.APIConnectionError):
                ask(client)

    assert transport.sent == 3


# --- concurrency -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("neighbours", [1, 8, 32])
def test_a_seed_gives_the_same_text_among_neighbours(brook, client, neighbours):
    arguments = {"temperature": 1, "seed": 99, "n": 2, "logprobs": 2, "max_tokens": 40}
    alone = whole(ask(client, **arguments))

    def neighbour(number):
        return lambda: ask(client, prompt=f"Neighbour {number} said", seed=number, max_tokens=60)

    answers = in_parallel([lambda: ask(client, **arguments)] + [neighbour(number) for number in range(neighbours)])

    assert whole(answers[0]) == alone


def test_many_at_once_through_the_async_client(brook):
    async def ask_all():
        async with openai.AsyncOpenAI(base_url=f"{brook.url}/v1", api_key="x", timeout=seconds(60)) as client:

            async def ask_one(seed):
                stream = await client.completions.create(
                    model="brook", prompt=PROMPT, max_tokens=24, seed=seed, stream=True
                )
                return "".join([choice.text async for chunk in stream for choice in chunk.choices])

            return await asyncio.gather(*[ask_one(number % 8) for number in range(32)])

    texts = asyncio.run(ask_all())

    assert texts == texts[:8] * 4


def test_leaving_a_stream_early_frees_its_place(brook, client):
    with ask(client, stream=True, max_tokens=400, n=4, extra_body={"ignore_eos": True}) as stream:
        next(iter(stream))

    brook.wait_idle()
