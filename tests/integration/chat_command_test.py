"""`sluice chat` in a terminal and in a pipe, against a server of our own and against ours."""

import fcntl
import os
import pathlib
import pty
import select
import signal
import subprocess
import termios
import threading
import time

import pytest

import fake_openai
from fake_openai import DONE, finish, piece
from sluice_server import (
    BINARY,
    ROOT,
    SANITIZER_REPORTS,
    TOO_SLOW_FOR_MODELS,
    Server,
    children_of,
    process_alive,
    seconds,
    wait_until,
)

SMOLLM2 = os.environ.get("SLUICE_SMOLLM2", "")


@pytest.fixture
def fake():
    with fake_openai.serve() as fake:
        yield fake


def environment(**variables):
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    kept.pop("OPENAI_API_KEY", None)
    return kept | variables


def pipe(url, message, *arguments, code=0, **variables):
    """A chat without a terminal: (standard output, standard error)."""
    run = subprocess.run(
        [str(BINARY), "chat", "--url", url, *arguments],
        input=message,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=seconds(60),
    )
    assert not any(report in run.stderr for report in SANITIZER_REPORTS), run.stderr
    assert run.returncode == code, run.stderr
    return run.stdout, run.stderr


class Terminal:
    """A chat, and a person in front of it."""

    def __init__(self, *command):
        leader, follower = pty.openpty()
        modes = termios.tcgetattr(follower)
        modes[3] &= ~termios.ECHO  # what is typed is not shown, so that what is shown is the program's
        termios.tcsetattr(follower, termios.TCSANOW, modes)
        self.leader = leader
        self.shown = ""
        self.process = subprocess.Popen(
            [str(part) for part in command],
            env=environment(),
            stdin=follower,
            stdout=follower,
            stderr=follower,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # Ctrl-C becomes a signal
        )
        os.close(follower)

    def type(self, text):
        os.write(self.leader, text.encode())

    def wait_for(self, text, deadline=20):
        """Reads until the text is shown, behind all that was waited for before; returns what stood before it."""
        end = time.monotonic() + seconds(deadline)
        while text not in self.shown:
            readable, _, _ = select.select([self.leader], [], [], max(0, end - time.monotonic()))
            assert readable, f"not shown: {text!r}; but {self.shown!r}"
            try:
                more = os.read(self.leader, 65536)
            except OSError:
                more = b""
            assert more, f"ended before it showed {text!r}: {self.shown!r}"
            self.shown += more.decode(errors="replace").replace("\r\n", "\n")
        before, _, self.shown = self.shown.partition(text)
        return before

    def ask(self, message, deadline=20):
        """Types a message; what comes until the next prompt."""
        self.type(message + "\n")
        return self.wait_for("\n> ", deadline)

    def end(self, code=0):
        assert self.process.wait(seconds(30)) == code
        os.close(self.leader)


@pytest.fixture
def terminal(fake):
    terminal = Terminal(BINARY, "chat", "--url", fake.url)
    terminal.wait_for("> ")
    yield terminal
    if terminal.process.poll() is None:
        terminal.process.kill()
        terminal.process.wait()


# --- in a pipe ---------------------------------------------------------------------------------------------------


def test_answers_all_of_standard_input(fake):
    fake.say("Hel", "lo.")

    assert pipe(fake.url, "Hi\nthere\n") == ("Hello.\n", "")
    assert fake.requests == [
        {"model": "first", "messages": [{"role": "user", "content": "Hi\nthere\n"}], "stream": True}
    ]


def test_sends_what_the_options_say(fake):
    fake.say("ok")
    options = ["--model", "m", "--system", "Be brief", "--max-tokens", "7", "--temperature", "0.5", "--seed", "3"]

    pipe(fake.url + "/v1/", "Hi", *options, OPENAI_API_KEY="sk-1")
    assert fake.requests[0] == {
        "model": "m",
        "messages": [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "Hi"}],
        "stream": True,
        "max_tokens": 7,
        "temperature": 0.5,
        "seed": 3,
    }
    assert [headers["Authorization"] for headers in fake.headers] == ["Bearer sk-1"]


def test_leaves_bytes_for_a_program_as_they_are(fake):
    fake.say("a\x1b[31m\r\n")

    assert pipe(fake.url, "Hi")[0] == "a\x1b[31m\n"  # text mode makes one of \r\n


def test_says_that_nothing_answers():
    _, said = pipe("http://127.0.0.1:1", "Hi", code=9)

    assert said == (
        "sluice: http://127.0.0.1:1/v1/models: nothing answers at 127.0.0.1:1; is a server running there?\n"
    )


def test_tells_a_proxy_and_a_wrong_scheme_from_a_server_that_is_not_there(fake):
    assert "the proxy for 127.0.0.1:9 does not answer: " in (
        pipe("http://127.0.0.1:9", "Hi", code=9, http_proxy="http://127.0.0.1:1")[1]
    )
    assert "does not answer in TLS; if it speaks plain HTTP, the URL begins with http://" in (
        pipe(fake.url.replace("http:", "https:"), "Hi", code=9)[1]
    )


def test_shows_the_servers_own_words(fake):
    fake.answers.append((404, {"error": {"message": "no such\x1b model", "code": "model_not_found"}}))
    fake.answers.append((502, b"<html>bad gateway</html>"))

    assert pipe(fake.url, "Hi", "--model", "x", code=9)[1] == (
        "sluice: the server says: no such\ufffd model (model_not_found) [HTTP 404]\n"
    )
    assert "the server says: <html>bad gateway</html> [HTTP 502]" in pipe(fake.url, "Hi", "--model", "x", code=9)[1]


@pytest.mark.parametrize(
    "events, says",
    [
        ([piece("half")], "the stream ended before the answer was complete: [DONE] is missing"),
        ([piece("half"), {"error": {"message": "gone", "code": "x"}}], "the server broke the answer off: gone (x)"),
        ([piece("half"), b"data: nonsense\n\n"], "an event that is no piece of an answer: nonsense"),
    ],
)
def test_tells_half_an_answer_from_a_whole_one(fake, events, says):
    fake.answers.append(events)

    shown, said = pipe(fake.url, "Hi", code=9)
    assert shown == "half\n" and says in said


def test_says_that_an_answer_was_cut(fake):
    fake.answers.append([piece("long"), finish("length"), DONE])

    assert pipe(fake.url, "Hi") == ("long\n", "(cut: the answer has reached its token limit)\n")


def test_shows_an_answer_that_is_not_streamed(fake):
    whole = {"choices": [{"message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}]}
    fake.answers.append((200, whole))
    fake.answers.append((200, {"error": {"message": "busy"}}))

    assert pipe(fake.url, "Hi") == ("Hello.\n", "")
    assert pipe(fake.url, "Hi", code=9) == ("", "sluice: the server says: busy\n")


def test_wants_numbers_that_are_ones(fake):
    assert "nan is not a number from 0 to 2" in pipe(fake.url, "Hi", "--temperature", "nan", code=2)[1]
    assert "is not a whole number from -9223372036854775808" in pipe(fake.url, "Hi", "--seed", "1" * 30, code=2)[1]


def test_wants_a_message_and_a_url_and_a_model(fake):
    assert "standard input has no message" in pipe(fake.url, " \n", code=2)[1]
    assert "is no URL such as" in pipe("ftp://x", "Hi", code=2)[1]
    fake.models = []
    assert "lists no model" in pipe(fake.url, "Hi", code=9)[1]


def test_gives_up_on_a_server_that_says_nothing(fake):
    let_go = threading.Event()
    fake.answers.append([piece("x"), let_go])

    assert "nothing more came for 1 s" in pipe(fake.url, "Hi", "--stall-timeout", "1s", code=9)[1]
    let_go.set()


def test_does_not_wait_behind_the_end_of_an_answer(fake):
    let_go = threading.Event()
    fake.answers.append([piece("whole"), finish("stop"), DONE, let_go])

    assert pipe(fake.url, "Hi")[0] == "whole\n"
    let_go.set()


def test_ends_by_an_interrupt(fake):
    process = subprocess.Popen(
        [str(BINARY), "chat", "--url", fake.url], env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    let_go = threading.Event()
    fake.answers.append([piece("half"), let_go])
    process.stdin.write(b"Hi")
    process.stdin.close()
    assert process.stdout.read(4) == b"half"
    process.send_signal(signal.SIGINT)
    assert process.wait(seconds(20)) == 130
    let_go.set()
    process.stdout.close()


# --- at a terminal -----------------------------------------------------------------------------------------------


def test_remembers_what_was_said(fake, terminal):
    fake.say("Hello.")
    fake.say("Fine.")

    assert terminal.ask("Hi") == "Hello."
    assert terminal.ask("How are\\\nyou?").removeprefix("... ") == "Fine."
    assert fake.requests[1]["messages"] == [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "How are\nyou?"},
    ]
    terminal.type("\x04")
    terminal.end()


def test_obeys_commands(fake, terminal):
    fake.say("one")
    fake.say("two")

    assert terminal.ask("1") == "one"
    terminal.ask("/system Be brief")
    terminal.ask("/new")
    assert "Ctrl-C stops an answer" in terminal.ask("/help")
    assert "unknown command /nwe" in terminal.ask("/nwe")
    terminal.ask("2")
    assert fake.requests[1]["messages"] == [
        {"role": "system", "content": "Be brief"},
        {"role": "user", "content": "2"},
    ]
    terminal.type("/exit\n")
    terminal.end()


def test_stops_an_answer_and_keeps_it_as_far_as_it_came(fake, terminal):
    let_go = threading.Event()
    fake.answers.append([piece("Once upon"), let_go, piece(" a time"), DONE])
    fake.answers.append([let_go])
    fake.say("And then.")

    terminal.type("A story\n")
    terminal.wait_for("Once upon")
    terminal.type("\x03")
    terminal.wait_for("(stopped)\n> ")
    terminal.type("Nothing comes\n")
    wait_until(lambda: len(fake.requests) == 2, "the second question")
    terminal.type("\x03")  # before a word has come: the question is forgotten
    terminal.wait_for("(stopped)\n> ")
    terminal.ask("Go on")
    let_go.set()
    assert fake.requests[2]["messages"] == [
        {"role": "user", "content": "A story"},
        {"role": "assistant", "content": "Once upon"},
        {"role": "user", "content": "Go on"},
    ]
    terminal.type("\x03")  # a moment too late for an answer
    terminal.wait_for("so does a second Ctrl-C)\n> ")
    terminal.type("\x03")
    terminal.end(130)


def test_goes_on_after_an_error(fake, terminal):
    fake.answers.append((503, {"error": {"message": "busy", "code": "overloaded"}}))
    fake.say("Hello.")

    assert "sluice: the server says: busy (overloaded) [HTTP 503]" in terminal.ask("Hi")
    assert terminal.ask("Hi again") == "Hello."
    assert fake.requests[1]["messages"] == [{"role": "user", "content": "Hi again"}]
    terminal.type("\x04")
    terminal.end()


def test_an_answer_cannot_drive_the_terminal(fake, terminal):
    fake.answers.append([piece("a\x1b"), piece("]0;title\x07\x9b31m\x00\x08\r\n\tb"), finish("stop"), DONE])

    assert terminal.ask("Hi") == "a\ufffd]0;title\ufffd\ufffd31m\ufffd\ufffd\n\tb"
    terminal.type("\x04")
    terminal.end()


def test_an_order_to_end_ends_it(terminal):
    terminal.process.send_signal(signal.SIGTERM)
    terminal.end(130)


# --- with a real model -------------------------------------------------------------------------------------------

needs_smollm2 = pytest.mark.skipif(
    not SMOLLM2 or TOO_SLOW_FOR_MODELS,
    reason="SLUICE_SMOLLM2 does not name SmolLM2-135M-Instruct.Q4_1.gguf, or the sanitizer makes it miss its probes",
)


@needs_smollm2
def test_talks_to_a_real_model():
    server = Server("--model", f"smollm2={SMOLLM2}")
    try:
        answer, _ = pipe(
            server.url, "What is the capital of France?", "--temperature", "0", "--max-tokens", "30"
        )
        assert "Paris" in answer
        terminal = Terminal(BINARY, "chat", "--url", server.url, "--temperature", "0", "--max-tokens", "30")
        assert "smollm2 at http://" in terminal.wait_for("> ")
        assert "Paris" in terminal.ask("What is the capital of France?", deadline=60)
        terminal.type("\x04")
        terminal.end()
    finally:
        server.stop()


@needs_smollm2
@pytest.mark.skipif(BINARY.resolve() != (ROOT / "build" / "sluice").resolve(), reason="make chat takes build/sluice")
def test_make_chat_serves_and_talks_and_leaves_nothing_behind(monkeypatch):
    cache = pathlib.Path(SMOLLM2).parents[1]
    if pathlib.Path(SMOLLM2).parent.name != "models" or not (cache / "models").is_dir():
        pytest.skip("the model does not lie in the cache")
    monkeypatch.setenv("SLUICE_CACHE", str(cache))
    terminal = Terminal(ROOT / "scripts" / "chat", "--temperature", "0", "--max-tokens", "200")
    terminal.wait_for("> ", deadline=60)
    servers = [pid for child in children_of(terminal.process.pid) for pid in [child, *children_of(child)]]
    terminal.type("Count from 1 to 500.\n")
    terminal.wait_for("1", deadline=60)
    terminal.type("\x03")  # reaches the script, too, which must not end
    terminal.wait_for("> ", deadline=60)
    assert "Paris" in terminal.ask("What is the capital of France?", deadline=60)
    terminal.type("\x04")
    terminal.end()
    assert len(servers) >= 2 and not any(map(process_alive, servers))
