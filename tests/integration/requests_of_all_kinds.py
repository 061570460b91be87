"""Requests whose answers must never depend on anything but themselves, and a text to cut prompts from."""

TEXT = (
    "When the long winter was over, the people of the valley came out of their houses and looked at the river, which "
    "had carried away the bridge and half of the mill. Nobody spoke for a while. Then the old miller, who had lost the "
    "most, laughed, took off his coat, and said that a wheel was only a wheel, and that there were trees enough on the "
    "hill to make a hundred of them. So they went up together with their axes, the children behind them with bread and "
    "cheese in a basket, and before the evening came there lay eleven trunks on the bank, straight and white. The "
    "schoolmaster wrote down who had cut which, because he wrote down everything; and his book, which is still kept in "
    "the town hall, says that on the same evening a stranger came over the pass on foot, with a fiddle on his back, "
    "and asked for the way to the sea. They gave him soup. He played until midnight, and in the morning he was gone, "
    "but he had left behind a small key of brass, and nobody has ever found the lock that it belongs to. "
)

# Each is deterministic: greedy, or through its seed. Names say what of the state has to survive a restart.
KINDS = {
    "greedy": {"temperature": 0},
    "seeded": {"temperature": 1, "seed": 1},
    "nucleus": {"temperature": 1.2, "top_p": 0.8, "top_k": 50, "min_p": 0.02, "seed": 2},
    "two choices": {"temperature": 1, "n": 2, "seed": 3},
    "logprobs": {"temperature": 0.9, "logprobs": 4, "seed": 4},
    "echo": {"temperature": 0.9, "echo": True, "logprobs": 1, "seed": 5},
    "stop strings": {"temperature": 0.9, "stop": [" the schoolmaster", ", and a zebra"], "seed": 6},
    "penalties": {
        "temperature": 0.8, "presence_penalty": 1.1, "frequency_penalty": 0.6, "repetition_penalty": 1.15, "seed": 7,
    },
    "logit bias": {"temperature": 0.8, "logit_bias": {"65": 3, "101": -100}, "seed": 8},
    "long prompt": {"temperature": 1, "prompt": TEXT + TEXT, "seed": 9},
    "two prompts": {"temperature": 1, "prompt": [TEXT[:90], TEXT[200:420]], "seed": 10},
}  # fmt: skip


def request_of(kind, model, max_tokens, stream=True):
    """The request of a kind, ready to be sent."""
    request = {"model": model, "prompt": TEXT[:120], "max_tokens": max_tokens, "ignore_eos": True, "stream": stream}
    return {**request, **KINDS[kind]}
