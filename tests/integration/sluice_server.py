"""Real servers for the tests: start one, talk to it, look into its processes, stop it. START HERE."""

import contextlib
import functools
import hashlib
import http.client
import json
import os
import pathlib
import select
import signal
import socket
import subprocess
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("SLUICE_BINARY", ROOT / "build" / "sluice"))
BROOK = ROOT / "models" / "shipped" / "brook"

# Sanitizers make everything slower; every deadline below is multiplied by this.
TIME_SCALE = float(os.environ.get("SLUICE_TIME_SCALE", "1"))
SANITIZER = os.environ.get("SLUICE_SANITIZER", "")
# A golden probe has ten seconds, which a model of 135 M parameters needs for itself under the thread sanitizer.
TOO_SLOW_FOR_MODELS = "thread" in SANITIZER
SANITIZER_REPORTS = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "WARNING: ThreadSanitizer", "runtime error:")

running_servers = []  # what conftest.py shows the logs of when a test fails


def seconds(number):
    """A deadline that holds under sanitizers too."""
    return number * TIME_SCALE


def wait_until(condition, what, deadline=10):
    """Polls until `condition` gives something true and returns that; fails naming `what` when `deadline` passed."""
    end = time.monotonic() + seconds(deadline)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds(deadline):.0f} s: {what}")
        time.sleep(0.01)


def key(name, token, *lines):
    """A key of a file of keys, with further lines in TOML."""
    digest = hashlib.sha256(token.encode()).hexdigest()
    return "\n".join(["[[key]]", f'id = "{name}"', f'sha256 = "{digest}"', *lines, "", ""])


# --- processes ---------------------------------------------------------------------------------------------------


def process_alive(pid):
    """True until the process has ended; one that waits for its parent to notice (a zombie) has ended."""
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def children_of(pid):
    """The living children of a process, by /proc."""
    children = []
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            children += [int(child) for child in task.read_text().split()]
    return [child for child in children if process_alive(child)]


def cpu_ticks(pid):
    """User and system time a process has used, in ticks of 1/100 s."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def resident_bytes(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"process {pid} has no VmRSS")


def assert_not_grown(pid, before, mebibytes):
    """The process has not become larger by more than this. Sanitizers keep what was freed, so they are not asked."""
    grown = (resident_bytes(pid) - before) / 2**20
    assert SANITIZER or grown < mebibytes, f"process {pid} has grown by {grown:.1f} MiB"


def open_descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


@functools.cache
def _knows(binary, option):
    """Older binaries, which benchmarks measure beside the newest, lack some options."""
    described = subprocess.run([binary, "serve", "--help"], capture_output=True, text=True, check=True).stdout
    return f"{option} " in described


# --- one server --------------------------------------------------------------------------------------------------


class Server:
    """A running `sluice serve` on ports the system chose. `stop` is what every test ends with: it asserts that the
    server ended cleanly and left no worker behind."""

    def __init__(self, *arguments, wait=True, listen="127.0.0.1:0", deadline=60, binary=None, patient=True):
        """`patient`: requests may wait as long as they like, so that a busy machine refuses nobody in a test of something else."""
        binary = binary or BINARY  # of this moment: a benchmark measures more than one
        self.log = tempfile.NamedTemporaryFile(mode="w+", prefix="sluice-server-", suffix=".log")
        self.arguments = [str(binary), "serve", "--listen", listen, "--management-listen", "127.0.0.1:0"]
        self.arguments += [str(argument) for argument in arguments]
        if "--binary-listen" not in self.arguments and _knows(binary, "--binary-listen"):
            self.arguments += ["--binary-listen", "127.0.0.1:0"]
        if "--model" not in self.arguments and ROOT not in binary.resolve().parents:
            self.arguments += ["--model", f"brook={BROOK}"]  # a build outside the tree does not find it by itself
        if "--drain-delay" not in self.arguments:
            self.arguments += ["--drain-delay", "0s"]
        if patient and "--max-wait-realtime" not in self.arguments:
            self.arguments += ["--max-wait-realtime", "0"]
        if patient and "--degradation" not in self.arguments:
            self.arguments += ["--degradation", "off"]
        if TIME_SCALE > 1 and "--request-timeout" not in self.arguments:
            self.arguments += ["--request-timeout", f"{seconds(120):.0f}s"]
        self.process = subprocess.Popen(
            self.arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log, cwd=ROOT
        )
        self.pid = self.process.pid
        self.http = self.binary = self.management = None
        self.output = b""
        running_servers.append(self)
        if wait:
            self.wait_ready(deadline)

    def wait_ready(self, deadline=60):
        """Reads the server's output until its ready line; fails with its log when it ends before or is too slow."""
        end = time.monotonic() + seconds(deadline)
        while b"ready " not in self.output or not self.output.split(b"ready ", 1)[1].count(b"\n"):
            readable, _, _ = select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))
            piece = os.read(self.process.stdout.fileno(), 65536) if readable else b""
            if not piece:
                state = "was not ready in time" if not readable else f"ended with {self.process.wait()} before ready"
                self.kill()
                raise AssertionError(f"{' '.join(self.arguments)} {state}; its log:\n{self.log_text()}")
            self.output += piece
        line = next(line for line in self.output.decode().splitlines() if line.startswith("ready "))
        addresses = dict(part.split("=", 1) for part in line.split()[1:])
        self.http = _address(addresses["http"])
        self.binary = _address(addresses["binary"]) if "binary" in addresses else None
        self.management = _address(addresses["management"])
        return self

    @property
    def url(self):
        return f"http://{self.http[0]}:{self.http[1]}"

    def log_text(self):
        return pathlib.Path(self.log.name).read_text(errors="replace")

    def worker_pids(self):
        return children_of(self.pid)

    def pids(self):
        return [self.pid, *self.worker_pids()]

    def state(self):
        """What the management listener tells: the workers, the supervision tree, and counts of requests."""
        status, _, body = request(self.management, "GET", "/admin/v1/workers")
        assert status == 200, f"GET /admin/v1/workers answered {status}: {body!r}"
        return json.loads(body)

    def lanes(self):
        """One a worker: lane, model, pid, state, incarnation, restarts, running, waiting."""
        return self.state()["workers"]

    def wait_lanes_ready(self, deadline=30):
        def serves(lane):
            return lane["state"] == "ready" and lane["breaker"]["weight"] > 0

        wait_until(lambda: all(map(serves, self.lanes())), "all lanes ready", deadline)

    def running(self):
        """Sequences that hold a place in a worker or wait for one there."""
        return sum(lane["running"] + lane["waiting"] + lane["paused"] for lane in self.lanes())

    def wait_idle(self, deadline=10):
        """Until no request is left: neither in a worker, nor leased to one, nor in the front."""

        def idle():
            state = self.state()
            held = sum(lane["running"] + lane["waiting"] + lane["leases"] for lane in state["workers"])
            return held == 0 and state["requests"]["sessions"] == 0

        wait_until(idle, "no request is left anywhere", deadline)

    def restarts(self):
        return sum(lane["restarts"] for lane in self.lanes())

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def wait(self, deadline=60):
        """The exit code; fails when the server does not end in time."""
        try:
            return self.process.wait(seconds(deadline))
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the server did not end within {seconds(deadline):.0f} s") from None

    def stop(self, expected=0, deadline=60):
        workers = self.worker_pids()
        self.terminate()
        code = self.wait(deadline)
        self.assert_gone(workers)
        assert code == expected, f"the server ended with {code}, expected {expected}; its log:\n{self.log_text()}"
        self.assert_no_sanitizer_report()

    def assert_gone(self, workers, deadline=2):
        wait_until(lambda: not any(map(process_alive, workers)), f"workers {workers} ended", deadline)

    def assert_no_sanitizer_report(self):
        log = self.log_text()
        assert not any(report in log for report in SANITIZER_REPORTS), f"a sanitizer complains:\n{log}"

    def kill(self):
        """Ends whatever is left, at once. For the end of a test that failed."""
        workers = self.worker_pids() if self.process.poll() is None else []
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()
        for worker in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)

    def close(self):
        if self.process.poll() is None:
            self.kill()
        self.process.stdout.close()
        if self in running_servers:
            running_servers.remove(self)


def _address(text):
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


@contextlib.contextmanager
def serve(*arguments, **options):
    """A server for the length of a block; stopped with SIGTERM at its end, which must succeed."""
    server = Server(*arguments, **options)
    try:
        yield server
        if server.process.poll() is None:
            server.stop()
    finally:
        server.close()


# --- one request -------------------------------------------------------------------------------------------------


def request(address, method, path, body=None, headers=None, timeout=60):
    """One exchange on a connection of its own: (status, headers, body). A dict is sent as JSON."""
    connection = http.client.HTTPConnection(*address, timeout=seconds(timeout))
    try:
        headers = dict(headers or {})
        if isinstance(body, dict):
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def complete(server, timeout=120, **body):
    """A completion that must succeed; the parsed response."""
    status, _, answer = request(server.http, "POST", "/v1/completions", body, timeout=timeout)
    assert status == 200, f"{body} answered {status}: {answer.decode(errors='replace')}"
    return json.loads(answer)


class Stream:
    """A streamed completion, read event by event in the caller's thread."""

    def __init__(self, server, timeout=120, **body):
        self.body = dict(body, stream=True)
        self.events = []
        self.done = False
        self.connection = http.client.HTTPConnection(*server.http, timeout=seconds(timeout))
        self.connection.request("POST", "/v1/completions", json.dumps(self.body), {"Content-Type": "application/json"})
        self.response = None

    def __iter__(self):
        if self.response is None:
            self.response = self.connection.getresponse()
            if self.response.status != 200:
                answer = self.response.read().decode(errors="replace")
                raise AssertionError(f"{self.body} answered {self.response.status}: {answer}")
        while True:
            line = self.response.readline()
            if not line:
                assert self.done, f"the stream of {self.body} ended without [DONE] after {len(self.events)} events"
                return
            if line in (b"\n", b": keep-alive\n"):
                continue
            assert line.startswith(b"data: ") and line.endswith(b"\n"), f"not an event: {line!r}"
            assert not self.done, f"an event after [DONE]: {line!r}"
            data = line[len(b"data: ") : -1]
            if data == b"[DONE]":
                self.done = True
                continue
            event = json.loads(data)
            assert "error" not in event, f"the stream of {self.body} failed: {event}"
            self.events.append(event)
            yield event

    def read(self):
        """Reads to the end; the same object as `choices_of` gives for a whole response."""
        for _ in self:
            pass
        self.close()
        return merge_events(self.events)

    def text(self):
        return "".join(choice["text"] for event in self.events for choice in event["choices"])

    def close(self):
        if self.response is not None:
            self.response.close()
        self.connection.close()

    def reset(self):
        """Leaves without a goodbye: the server sees a reset."""
        if self.connection.sock is not None:
            self.connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        self.close()


def merge_events(events):
    """The choices of a stream's events put together: equal to `choices` of the same request not streamed."""
    merged = {}
    for event in events:
        for piece in event["choices"]:
            choice = merged.setdefault(
                piece["index"],
                {"index": piece["index"], "text": "", "logprobs": None, "finish_reason": None, "stop_reason": None},
            )
            assert choice["finish_reason"] is None, f"choice {piece['index']} goes on after its end: {piece}"
            choice["text"] += piece["text"]
            choice["finish_reason"] = piece["finish_reason"]
            choice["stop_reason"] = piece["stop_reason"]
            if piece["logprobs"] is not None:
                if choice["logprobs"] is None:
                    choice["logprobs"] = {name: [] for name in piece["logprobs"]}
                for name, values in piece["logprobs"].items():
                    choice["logprobs"][name] += values
    return [merged[index] for index in sorted(merged)]


def choices_of(server, **body):
    """The choices of a request, read whole or streamed as `stream` says."""
    if body.pop("stream", False):
        return Stream(server, **body).read()
    return complete(server, **body)["choices"]


def in_parallel(jobs, deadline=240):
    """Runs the callables at once, each in its own thread; their results in order. The first failure is raised."""
    results = [None] * len(jobs)
    failures = []

    def run(index, job):
        try:
            results[index] = job()
        except BaseException as failure:  # an assertion of a thread has to reach the test
            failures.append(failure)

    threads = [threading.Thread(target=run, args=pair, daemon=True) for pair in enumerate(jobs)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + seconds(deadline)
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    if failures:
        raise failures[0]
    assert not any(thread.is_alive() for thread in threads), f"a request did not end within {seconds(deadline):.0f} s"
    return results
