"""The same request gives the same bytes whoever stands beside it and however its prompt is cut into chunks."""

import contextlib
import random
import threading

import pytest

from requests_of_all_kinds import TEXT, request_of
from sluice_server import SANITIZER, choices_of, complete, in_parallel, serve, wait_until

KINDS = ["greedy", "logprobs", "penalties", "long prompt"]
TOKENS = 48
# Prompt rows of one sequence in a step, and threads of the worker.
SERVERS = [(1, 2), (16, 1), (64, 2), (512, 2)]
NEIGHBOURS = [0, 1, 7, 31]

first_answers = {}  # by kind: what the first server gave alone; all later ones must equal it


@pytest.fixture(scope="module", params=SERVERS, ids=lambda pair: f"prefill chunk {pair[0]}, {pair[1]} threads")
def server(request):
    chunk, threads = request.param
    with serve("--prefill-chunk", chunk, "--step-rows", 640, "--threads", threads) as server:
        yield server


@contextlib.contextmanager
def company(server, count):
    """So many neighbours at any time: each asks for something else as soon as it has its answer."""
    done = threading.Event()

    def neighbour(number):
        dice = random.Random(number)
        while not done.is_set():
            start = dice.randrange(len(TEXT) - 300)
            prompt = TEXT[start : start + dice.randrange(5, 250)]
            complete(server, model="brook", prompt=prompt, temperature=1, ignore_eos=True, max_tokens=150)

    accepted = server.state()["requests"]["accepted"]
    threads = [threading.Thread(target=neighbour, args=[number]) for number in range(count)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: server.state()["requests"]["accepted"] >= accepted + count, "all neighbours are inside")
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("count", [0, 7] if SANITIZER else NEIGHBOURS, ids=lambda count: f"{count} neighbours")
def test_a_request_gives_the_same_bytes_whoever_stands_beside_it(server, count):
    targets = [request_of(kind, "brook", TOKENS, stream=False) | {"logprobs": 5} for kind in KINDS]

    with company(server, count):
        answers = in_parallel([lambda target=target: choices_of(server, **target) for target in targets])

    for kind, answer in zip(KINDS, answers):
        assert answer == first_answers.setdefault(kind, answer), kind
    assert len({answer[0]["text"] for answer in first_answers.values()}) == len(KINDS)
    server.wait_idle()


def test_the_neighbours_too_get_what_they_get_alone(server):
    requests = [
        {"model": "brook", "prompt": TEXT[7 * number : 9 * number + 20], "seed": number, "max_tokens": 30}
        for number in range(8 if SANITIZER else 24)
    ]
    together = in_parallel([lambda request=request: choices_of(server, **request) for request in requests])

    alone = [choices_of(server, **request) for request in requests]

    assert together == alone
