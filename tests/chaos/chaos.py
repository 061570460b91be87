#!/usr/bin/env python3
"""Chaos with real processes: a server under load, its workers shot, stopped and poisoned, every byte compared.

    tests/chaos/chaos.py [--minutes 10 | --kills 1000] [--lanes 2] [--streams 64] [--seed 1] [--only kill,stop,...]

Sixty-four clients ask again and again; each answer is compared with what an undisturbed server gave. Meanwhile faults
are drawn by seed: signals from outside, and plans that the workers carry (`sluice worker --fault`). At the end the
server must come to rest, and the checker reads its trace. Prints what happened and what it cost: failures, bytes that
differ, pauses of streams, time until a lane serves again. Exit code 1 if a request failed, a byte differs or the trace
is not clean. The seed fixes the plan of faults, not the moments at which processes meet them.
"""

import argparse
import contextlib
import http.client
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "integration"))

from requests_of_all_kinds import KINDS, TEXT, request_of  # noqa: E402
from sluice_server import BINARY, Server, children_of, choices_of, cpu_ticks, merge_events, serve  # noqa: E402

TOKENS = 120
# What a plan makes a worker do by itself, now and then. In steps of several rows, or behind the golden probes of its start:
# what strikes by chance where one sequence runs alone cannot be told from guilt. Golden probes that fail three times cost
# a lane its trust, and a suspect whose worker ends once more is convicted.
PLANS = {
    "crash": "exit(70)@rows>4 if p=0.0001",
    "segfault": "raise(11)@rows>4 if p=0.0001",
    "hang": "hang@rows>4 if p=0.00005",
    "slow": "slow(20)@step>1 if p=0.002",
    "device_lost": "device_lost(3)@rows>4 if p=0.0001",
    "oom": "oom@step>1 if p=0.005",
    "leak": "leak(64)@step>1 if p=0.003",
    "leak_threads": "leak_threads(16)@step>1 if p=0.003",
    "nan": "nan@rows>4 if p=0.0002",
    "invalid_token": "invalid_token@step>60 if p=0.0003",
    "flip": "flip@frame>8 if p=0.00005",
    "truncate": "truncate@frame>8 if p=0.00005",
    "huge": "huge@frame>8 if p=0.00003",
    "deep": "deep@frame>8 if p=0.00003",
    "slices": "slice_link@step>1 if p=0.0005",
    "double": "double@frame>8 if p=0.002",
    "reorder": "reorder@frame>8 if p=0.00005",
    "repeat": "repeat@step>1 if p=0.002",
    "old_epoch": "old_epoch@step>1 if p=0.002",
    "drop": "drop@step>60 if p=0.00005",
    "stall_link": "stall_link@step>1 if p=0.00003",
    "slow_load": "slow(300ms)@load if p=0.2",
}
# Chance may convict that many requests in a run; if there are more, somebody convicts innocents.
CONVICTED_MAX = 3
SIGNALS = ("kill", "kill_all", "stop", "pause_front")
# Requests that end every worker that computes them; each is another one, so that none is refused at the door.
POISON_IDS = [1234, 2345, 3456]
PLANS["poison"] = "exit(139)@tokens=" + ",".join(map(str, POISON_IDS))


def requests_to_make():
    """Some of each kind, with prompts of their own, so that no two streams are the same, nor two in the eyes of the list
    of poison, which does not look at seeds."""
    requests = []
    for number, kind in enumerate(KINDS):
        for variant in range(3):
            request = request_of(kind, "brook", TOKENS)
            first = 31 * variant + 3 * number
            if isinstance(request["prompt"], str):
                request["prompt"] = TEXT[first : first + 120 + 40 * variant]
            else:
                request["prompt"] = [TEXT[first : first + 90], TEXT[first + 200 : first + 420]]
            if "seed" in request:
                request["seed"] += 100 * variant
            if kind == "two choices":
                request["n"] = 4
            requests.append(request)
    return requests


class Tally:
    """What the clients saw."""

    def __init__(self):
        self.lock = threading.Lock()
        self.answers = 0
        self.bytes = 0
        self.failures = []
        self.poison = 0  # poison requests that got their one error
        # Requests: what strikes by chance may strike the same one three times, the last time alone. Then it is refused for
        # an hour, so nobody sends it any more.
        self.convicted = set()
        self.differences = []
        self.pauses = []  # (from, to) of every silence in a stream that is longer than 20 ms


class Client(threading.Thread):
    """Streams request after request until told to stop. Reads first and thinks later: 64 of them share two cores."""

    def __init__(self, address, requests, expected, tally, stop, seed):
        super().__init__(daemon=True)
        self.address, self.requests, self.expected, self.tally, self.stop = address, requests, expected, tally, stop
        self.dice = random.Random(seed)

    def run(self):
        while not self.stop.is_set():
            index = self.dice.choice([i for i in range(len(self.requests)) if i not in self.tally.convicted] or [0])
            try:
                pieces, times = self.stream(self.requests[index])
                answer = self.parse(b"".join(pieces))
            except Exception as error:
                with self.tally.lock:
                    if "repeatedly ended the processes" in str(error):
                        self.tally.convicted.add(index)
                        continue
                    self.tally.failures.append(f"{error!r} for {self.requests[index]}")
                continue
            with self.tally.lock:
                self.tally.answers += 1
                self.tally.bytes += sum(len(choice["text"].encode()) for choice in answer)
                if answer != self.expected[index]:
                    self.tally.differences.append(index)
                self.tally.pauses += [(a, b) for a, b in zip(times, times[1:]) if b - a > 0.02]

    def stream(self, request):
        connection = http.client.HTTPConnection(*self.address, timeout=180)
        try:
            connection.request("POST", "/v1/completions", json.dumps(request), {"Content-Type": "application/json"})
            response = connection.getresponse()
            if response.status != 200:
                raise RuntimeError(f"HTTP {response.status}: {response.read().decode()}")
            pieces, times = [], []
            while piece := response.read1(65536):
                pieces.append(piece)
                times.append(time.monotonic())
            return pieces, times
        finally:
            connection.close()

    @staticmethod
    def parse(body):
        events, done = [], False
        for line in body.split(b"\n"):
            if not line.startswith(b"data: "):
                continue
            if line == b"data: [DONE]":
                done = True
                continue
            event = json.loads(line[6:])
            if "error" in event:
                raise RuntimeError(event["error"]["message"])
            events.append(event)
        if not done:
            raise RuntimeError("the stream ended without [DONE]")
        return merge_events(events)


class Lanes(threading.Thread):
    """Looks at the lanes all the time: how long after its worker's end does each take work again?"""

    def __init__(self, server, stop):
        super().__init__(daemon=True)
        self.server, self.stop = server, stop
        self.down_since, self.back = {}, []

    def run(self):
        while not self.stop.wait(0.01):
            for lane in self.server.lanes():
                number = lane["lane"]
                serves = lane["state"] == "ready" and lane.get("breaker", {}).get("weight", 1) > 0
                if not serves:
                    self.down_since.setdefault(number, time.monotonic())
                elif number in self.down_since:
                    self.back.append(time.monotonic() - self.down_since.pop(number))


def send_poison(server, number, tally):
    """One poison request. It has to get its one error, and nothing else."""
    body = {"prompt": [300 + number % 3000, *POISON_IDS], "max_tokens": 20, "temperature": 0}
    connection = http.client.HTTPConnection(*server.http, timeout=180)
    try:
        connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer = response.read().decode()
        wrong = f"{response.status} {answer}" if '"code":"poison_request"' not in answer else None
    except Exception as error:
        wrong = repr(error)
    finally:
        connection.close()
    with tally.lock:
        if wrong:
            tally.failures.append(f"a poison request got {wrong}")
        else:
            tally.poison += 1


def disturb(server, action, dice):
    """One fault from outside. Returns what was done."""
    workers = children_of(server.pid)
    if action == "pause_front":
        server.process.send_signal(signal.SIGSTOP)
        time.sleep(dice.uniform(0.1, 1.5))
        server.process.send_signal(signal.SIGCONT)
        return "front paused"
    if not workers:
        return "nobody to hit"
    if action == "kill_all":
        for worker in workers:
            with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
                os.kill(worker, signal.SIGKILL)
        return "kill_all"
    victim = dice.choice(workers)
    try:
        if action == "kill":
            os.kill(victim, signal.SIGKILL)
            return "kill"
        os.kill(victim, signal.SIGSTOP)
        time.sleep(dice.uniform(0.1, 3))
        os.kill(victim, signal.SIGCONT)
    except ProcessLookupError:
        return "it was gone"
    return "stop"


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))] if values else 0.0


def moves(path):
    """What the trace tells of sequences that lost their worker: seconds until another took each, and until its next token.

    The first is what the front costs; the second is the worker's: computing what was known beside its other work.
    """
    lost, started = {}, {}  # by sequence
    lane_of, waits, recomputes = {}, [], []
    with open(path) as events:
        for line in events:
            event = json.loads(line)
            at, kind = event["at"] / 1e9, event["event"]
            if kind == "Started" and not event["probe"]:
                sequence = event["sequence"]
                if sequence in lost:
                    waits.append(at - lost.pop(sequence))
                    started[sequence] = at
                lane_of[sequence] = event["lane"]
            elif kind == "Stopped":
                lane_of.pop(event["sequence"], None)
            elif kind == "WorkerLost":
                for sequence in [one for one, lane in lane_of.items() if lane == event["lane"]]:
                    del lane_of[sequence]
                    lost[sequence] = at
                    started.pop(sequence, None)
            elif kind == "Emitted" and event["sequence"] in started:
                recomputes.append(at - started.pop(event["sequence"]))
    return waits, recomputes


def in_ms(seconds):
    return (
        f"median {1000 * percentile(seconds, 0.5):.0f} ms, p99 {1000 * percentile(seconds, 0.99):.0f} ms,"
        f" longest {1000 * max(seconds, default=0):.0f} ms"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--kills", type=int, default=0, help="only kill -9, so often, instead of --minutes")
    parser.add_argument("--every", type=float, default=0.7, help="seconds between faults from outside, on average")
    parser.add_argument("--lanes", type=int, default=2)
    parser.add_argument("--streams", type=int, default=64)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="kinds of faults, separated by commas; all by default")
    options = parser.parse_args()
    dice = random.Random(options.seed)

    kinds = options.only.split(",") if options.only else [*SIGNALS, *PLANS]
    unknown = set(kinds) - {*SIGNALS, *PLANS}
    if unknown:
        parser.error(f"--only knows no {', '.join(sorted(unknown))}; it knows {', '.join([*SIGNALS, *PLANS])}")
    if options.kills:
        kinds = ["kill"]
    signals = [kind for kind in kinds if kind in SIGNALS]
    plan = "; ".join(PLANS[kind] for kind in kinds if kind in PLANS)

    requests = requests_to_make()
    print(f"chaos: {len(requests)} requests, {options.streams} streams, {options.lanes} lanes")
    print(f"  faults: {', '.join(kinds)}")
    with serve("--max-sequences", 64) as calm:
        expected = [choices_of(calm, **request) for request in requests]

    trace = tempfile.NamedTemporaryFile(prefix="sluice-chaos-", suffix=".trace", delete=False)
    arguments = ["--workers", options.lanes, "--lane-restarts", 1_000_000, "--lane-backoff-max", "250ms"]
    arguments += ["--trace", trace.name, "--log-level", "error", "--max-sequences", 128]
    if plan:
        arguments += ["--worker-fault", plan]
    server = Server(*arguments)
    stop, watch = threading.Event(), threading.Event()
    tally, done, moments, poisoners = Tally(), {}, [], []
    try:
        server.wait_lanes_ready()
        lanes = Lanes(server, watch)
        lanes.start()
        clients = [
            Client(server.http, requests, expected, tally, stop, options.seed * 1000 + number)
            for number in range(options.streams)
        ]
        for client in clients:
            client.start()
        begin, ticks = time.monotonic(), cpu_ticks(server.pid)
        while True:
            enough = done.get("kill", 0) >= options.kills if options.kills else (
                time.monotonic() - begin > 60 * options.minutes
            )
            if enough or len(tally.failures) > 100:
                break
            time.sleep(dice.expovariate(1 / options.every))
            if "poison" in kinds and dice.random() < 0.15:
                number = len(poisoners)
                poisoners.append(threading.Thread(target=send_poison, args=[server, number, tally], daemon=True))
                poisoners[-1].start()
            if signals:
                moments.append(time.monotonic())
                what = disturb(server, dice.choice(signals), dice)
                done[what] = done.get(what, 0) + 1
        took = time.monotonic() - begin
        cpu = (cpu_ticks(server.pid) - ticks) / os.sysconf("SC_CLK_TCK") / took
        stop.set()
        for thread in [*clients, *poisoners]:
            thread.join(200)
        watch.set()
        lanes.join()
        server.wait_idle(60)
        state = server.state()
        server.stop()
    finally:
        log = server.log_text()
        server.close()

    struck = [b - a for a, b in tally.pauses if any(a <= moment <= b for moment in moments)]
    counts = state["requests"]
    print(f"  {took:.0f} s, {done}, {sum(lane['restarts'] for lane in state['workers'])} restarts")
    print(f"  answers {tally.answers} ({tally.answers / took:.1f}/s), bytes {tally.bytes}, moved {counts['resumed']}")
    print(f"  failed {len(tally.failures)}, different {len(tally.differences)}, convicted by chance {len(tally.convicted)}")
    print(f"  poison requests {len(poisoners)}, answered with their one error {tally.poison}")
    print(f"  pauses of streams at a fault: {len(struck)}, {in_ms(struck)}")
    waits, recomputes = moves(trace.name)
    print(f"  of {len(waits)} sequences that moved: taken by a worker again after {in_ms(waits)}")
    print(f"    and then the next token, recomputing what was known: {in_ms(recomputes)}")
    print(f"  a lane serves again: {len(lanes.back)} times, {in_ms(lanes.back)}")
    print(f"  processor time of the front: {100 * cpu:.0f} % of one core")
    for lane in state["workers"]:
        print(f"  lane {lane['lane']}: {lane['state']}, {lane['restarts']} restarts, the last: {lane['last_exit']}")
    for failure in tally.failures[:10]:
        print(f"  FAILED {failure[:400]}")
    for index in sorted(set(tally.differences))[:10]:
        print(f"  DIFFERS {requests[index]}")

    checker = BINARY.resolve().parents[1] / "tests" / "trace" / "check_trace"
    checked = subprocess.run([str(checker), trace.name], capture_output=True, text=True)
    print("  trace: " + (checked.stdout + checked.stderr).strip().replace("\n", "\n    "))
    bad = tally.failures or tally.differences or len(tally.convicted) > CONVICTED_MAX or checked.returncode
    if not bad:
        os.unlink(trace.name)
    else:
        pathlib.Path(trace.name + ".log").write_text(log)
        print(f"  the trace is kept in {trace.name}, and beside it the server's log")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
