"""Weights that are replaced on disk while they are served: no answer mixes them, whatever way they were replaced."""

import json
import os
import pathlib
import shutil
import signal
import time

import pytest

from damage import read_safetensors, weights
from raw_http import Wire, post
from requests_of_all_kinds import request_of
from sluice_server import Stream, choices_of, complete, serve, wait_until

TOKENS = 300
# Slow enough to be met in mid-stream by whatever a test does.
SLOW = ("--worker-fault", "slow(30ms)@step>60 if incarnation=1")
QUICK = ("--lane-backoff-min", "20ms")


def other_weights(folder):
    """The bytes of a file like the folder's, with some weights that are not the same."""
    header, data = read_safetensors(weights(folder))
    before = weights(folder).read_bytes()
    begin, end = (len(before) - len(data) + offset for offset in header["model.norm.weight"]["data_offsets"])
    middle = (begin + end) // 2
    after = before[:begin] + before[middle:end] + before[begin:middle] + before[end:]
    assert after != before and len(after) == len(before)
    return after


def rename(path, data):
    """As whoever does it well: a new file takes the name of the old one."""
    new = path.with_suffix(".new")
    new.write_bytes(data)
    new.rename(path)


def overwrite(path, data):
    """As `rsync --inplace`: bytes change under the feet of whoever has mapped them."""
    with path.open("r+b") as file:
        file.write(data)


def truncate_and_write(path, data):
    """As `cp`: for a moment there is nothing."""
    path.write_bytes(data)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A model and the same one with other weights."""
    old = tmp_path_factory.mktemp("old") / "brook"
    shutil.copytree(pathlib.Path(__file__).resolve().parents[2] / "models" / "shipped" / "brook", old)
    new = tmp_path_factory.mktemp("new") / "brook"
    shutil.copytree(old, new)
    weights(new).write_bytes(other_weights(old))
    return old, new


@pytest.fixture(scope="module")
def undisturbed(folders):
    """What the old and the new weights give, and what they are called: (choices, fingerprint) each."""
    answers = []
    for folder in folders:
        with serve("--model", f"brook={folder}") as server:
            fingerprint = complete(server, prompt="x", max_tokens=1)["system_fingerprint"]
            answers.append((choices_of(server, **request_of("seeded", "brook", TOKENS)), fingerprint))
    (old, old_print), (new, new_print) = answers
    assert old != new and old_print != new_print
    return answers


@pytest.fixture
def served(folders, tmp_path):
    """A copy of the old weights to be served, and the bytes of the new ones."""
    folder = tmp_path / "brook"
    shutil.copytree(folders[0], folder)
    return folder, weights(folders[1]).read_bytes()


def events_of(body):
    *events, done, rest = body.decode().split("\n\n")
    assert (done, rest) == ("data: [DONE]", ""), body[-300:]
    return [json.loads(event.removeprefix("data: ")) for event in events]


def assert_ended_for_its_weights(body, expected):
    """It has given a part of what the old weights say, and an error that says why there is no more."""
    old, fingerprint = expected
    *events, error = events_of(body)
    assert error["error"]["code"] == "backend_lost" and "weights were replaced" in error["error"]["message"], error
    assert {event["system_fingerprint"] for event in events} == {fingerprint}
    text = "".join(event["choices"][0]["text"] for event in events)
    assert text and old[0]["text"].startswith(text) and text != old[0]["text"]


def assert_serves(server, expected):
    """As soon as its lanes are back: after a longer outage nobody is let in before."""
    server.wait_lanes_ready(60)
    choices, fingerprint = expected
    answer = complete(server, **request_of("seeded", "brook", TOKENS, stream=False))
    assert answer["system_fingerprint"] == fingerprint
    assert answer["choices"] == choices


def begin(wire):
    wire.send(post(request_of("seeded", "brook", TOKENS)))
    wire.peek(b"data: ")


def test_a_stream_ends_when_its_only_worker_comes_back_with_others(undisturbed, served):
    folder, new = served
    with serve("--model", f"brook={folder}", *SLOW, *QUICK) as server:
        with Wire(server.http) as wire:
            begin(wire)
            rename(weights(folder), new)
            os.kill(server.worker_pids()[0], signal.SIGKILL)
            body = wire.response().body

        assert_ended_for_its_weights(body, undisturbed[0])
        assert_serves(server, undisturbed[1])
        state = server.state()
        assert state["requests"]["weights_changed"] == 1
        assert state["workers"][0]["weights"] == undisturbed[1][1]
        assert "its weights have changed from " + undisturbed[0][1] in server.log_text()


@pytest.mark.parametrize("change", [overwrite, truncate_and_write])
def test_a_stream_ends_when_its_weights_are_written_to_and_nobody_is_blamed(undisturbed, served, change):
    folder, new = served
    with serve("--model", f"brook={folder}", *SLOW, *QUICK) as server:
        with Wire(server.http) as wire:
            begin(wire)
            change(weights(folder), new)
            body = wire.response().body

        assert_ended_for_its_weights(body, undisturbed[0])
        assert_serves(server, undisturbed[1])
        assert server.state()["requests"]["poisoned"] == 0


def test_a_stream_finishes_on_a_lane_that_still_has_its_weights_and_that_lane_follows(undisturbed, served):
    folder, new = served
    with serve("--model", f"brook={folder}", "--workers", 2, *SLOW, *QUICK) as server:
        server.wait_lanes_ready()
        stream = Stream(server, **request_of("seeded", "brook", TOKENS))
        next(iter(stream))
        busy = wait_until(lambda: [lane for lane in server.lanes() if lane["running"]], "it runs")[0]
        idle = next(lane for lane in server.lanes() if lane["lane"] != busy["lane"])
        rename(weights(folder), new)
        os.kill(idle["pid"], signal.SIGKILL)

        wait_until(lambda: server.lanes()[idle["lane"]]["pid"] not in (0, idle["pid"]), "another worker")
        server.wait_lanes_ready()
        assert_serves(server, undisturbed[1])
        assert server.lanes()[busy["lane"]]["pid"] == busy["pid"], "it finishes what it has"
        assert stream.read() == undisturbed[0][0]
        assert {event["system_fingerprint"] for event in stream.events} == {undisturbed[0][1]}

        wait_until(lambda: {lane["weights"] for lane in server.lanes()} == {undisturbed[1][1]}, "the other lane follows")
        server.wait_lanes_ready()
        assert server.state()["requests"]["failed"] == 0
        assert server.state()["requests"]["weights_changed"] == 1


def test_a_stream_goes_on_when_a_file_was_only_touched(undisturbed, served):
    folder, _ = served
    with serve("--model", f"brook={folder}", *SLOW, *QUICK) as server:
        stream = Stream(server, **request_of("seeded", "brook", TOKENS))
        next(iter(stream))
        os.utime(weights(folder))

        assert stream.read() == undisturbed[0][0]
        assert server.state()["requests"]["weights_changed"] == 0


def test_weights_with_another_tokenizer_are_refused_by_name(undisturbed, served):
    folder, new = served
    tokenizer = folder / "tokenizer.json"
    before = tokenizer.read_bytes()
    options = ("--lane-restarts", 1, "--quarantine-first", "500ms", "--quarantine-longest", "1s")
    with serve("--model", f"brook={folder}", *QUICK, *options) as server:
        tokenizer.write_bytes(before + b"\n")
        rename(weights(folder), new)
        os.kill(server.worker_pids()[0], signal.SIGKILL)
        wait_until(lambda: server.lanes()[0]["quarantine"], "the lane is given up", 30)
        assert "beside another tokenizer.json" in server.lanes()[0]["last_exit"], server.lanes()

        tokenizer.write_bytes(before)
        wait_until(lambda: not server.lanes()[0]["quarantine"], "it is tried again and fits", 30)
        assert_serves(server, undisturbed[1])


def test_a_file_that_has_not_changed_is_not_hashed_again(served):
    folder, _ = served
    path = weights(folder)
    with serve("--model", f"brook={folder}", *QUICK) as server:
        # It was written just now, so the first digest is not trusted; the second worker is started long after.
        stat = path.stat()
        wait_until(lambda: time.time() - path.stat().st_ctime > 3, "the file has lain there for a while")
        for _ in range(2):
            pid = server.worker_pids()[0]
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: server.lanes()[0]["pid"] not in (0, pid), "another worker")
            server.wait_lanes_ready()

        words = pathlib.Path(f"/proc/{server.lanes()[0]['pid']}/cmdline").read_bytes().decode().split("\0")
        known = words[words.index("--known-file") + 1].split(":")
        expected = [stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
        assert [int(number) for number in known[:5]] == expected

