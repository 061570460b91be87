#!/usr/bin/env python3
"""What a busy neighbour costs: tokens a second over HTTP, alone and beside processes that never rest.

    build/venv/bin/python bench/neighbours.py [--binary build/sluice] [--before OTHER/sluice] [--engine-bench FILE]
                                              [--llama-server FILE --llama-model FILE.gguf] [--rounds 3] [--tokens 192]
                                              [--neighbours 0,1,2] [--streams 1,16] [--json FILE]

Measures one server with a thread for each core, one with a single thread, both again of an older binary with --before,
and llama.cpp's server if there is one; in turn, round by round, so that all see the same machine. The model is the random
one of 134 M parameters (tools/make_bench_model.py). A figure is the median over the rounds of tokens a second while all
streams run; beside it, for a single stream, the longest pause between two tokens in the median round. The decode of
`engine_bench` in the same rounds says what the same computation gives without network and front, and its ceiling what the
memory allows. Needs a quiet machine: the neighbours come from here.
"""

import argparse
import contextlib
import json
import os
import pathlib
import re
import selectors
import signal
import socket
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT / "tests" / "integration"))
sys.dont_write_bytecode = True
import sluice_server  # noqa: E402  (its path stands above)

PROMPT_TOKENS = 32
SPIN = "while True: pass"


class Sluice:
    """`sluice serve` with so many compute threads."""

    def __init__(self, name, binary, threads, model):
        self.name, self.binary, self.threads, self.model = name, binary, threads, model

    @contextlib.contextmanager
    def serving(self):
        arguments = ("--model", f"bench={self.model}", "--threads", self.threads)
        server = sluice_server.Server(*arguments, binary=self.binary)
        try:
            server.wait_lanes_ready()
            self.server = server
            yield server.http
            server.stop()
        finally:
            server.close()

    def request(self, tokens, seed):
        body = {"model": "bench", "prompt": prompt(seed), "max_tokens": tokens, "ignore_eos": True}
        return "/v1/completions", {**body, "temperature": 1, "seed": seed, "stream": True}

    def compute_threads(self):
        """How many threads take part in the worker's steps now, or none if this binary does not say."""
        return self.server.lanes()[0].get("compute_threads")


class LlamaServer:
    """llama.cpp's server with a thread for each core, as it is meant to be used."""

    def __init__(self, binary, model, threads):
        self.name, self.binary, self.model, self.threads = f"llama.cpp, {threads} threads", binary, model, threads

    @contextlib.contextmanager
    def serving(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = free.getsockname()
        command = [self.binary, "-m", self.model, "-t", self.threads, "-tb", self.threads, "-np", 16, "-c", 16384]
        command += ["--host", address[0], "--port", address[1]]
        process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            sluice_server.wait_until(lambda: self._healthy(address), "llama-server is ready", 120)
            yield address
        finally:
            process.kill()
            process.wait()

    @staticmethod
    def _healthy(address):
        with contextlib.suppress(OSError):
            return sluice_server.request(address, "GET", "/health")[0] == 200
        return False

    def request(self, tokens, seed):
        body = {"prompt": prompt(seed), "n_predict": tokens, "ignore_eos": True, "cache_prompt": False}
        return "/completion", {**body, "temperature": 1, "seed": seed, "stream": True}

    def compute_threads(self):
        return None


def prompt(seed):
    """Token ids that differ from request to request."""
    return [100 + (seed * 7919 + i * 104729) % 40000 for i in range(PROMPT_TOKENS)]


class Stream:
    """The events of one streamed answer: how many came, and when. Parses as little as can be, for the reader is a
    neighbour, too."""

    def __init__(self, address, path, body):
        data = json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: {address[0]}:{address[1]}\r\nContent-Type: application/json\r\n"
        self.socket = socket.create_connection(address)
        self.socket.sendall(f"{head}Connection: close\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)
        self.socket.setblocking(False)
        self.arrivals = []  # (time, events)
        self.start = b""

    def read(self):
        """False at the end."""
        piece = self.socket.recv(1 << 20)
        if len(self.start) < 512:
            self.start += piece
        if count := piece.count(b"data: {"):
            self.arrivals.append((time.monotonic(), count))
        return bool(piece)

    def check(self):
        if b" 200 " not in self.start[:20] or not self.arrivals:
            sys.exit(f"neighbours: a request failed: {self.start[:300]!r}")


def measure(system, address, streams, tokens, seed):
    """(tokens a second while all streams run, the longest pause in seconds)."""
    opened = [Stream(address, *system.request(tokens, seed + i)) for i in range(streams)]
    with selectors.DefaultSelector() as selector:
        for stream in opened:
            selector.register(stream.socket, selectors.EVENT_READ, stream)
        while selector.get_map():
            for key, _ in selector.select():
                if not key.data.read():
                    selector.unregister(key.fileobj)
                    key.fileobj.close()
    for stream in opened:
        stream.check()
    begin = max(stream.arrivals[0][0] for stream in opened)
    end = min(stream.arrivals[-1][0] for stream in opened)
    rate = 0.0
    for stream in opened:
        events = sum(count for _, count in stream.arrivals)
        inside = sum(count for at, count in stream.arrivals if begin < at <= end)
        # Not every token makes an event: one may hold the rest of a character.
        rate += inside * tokens / events / (end - begin)
    times = [at for at, _ in opened[0].arrivals]
    return rate, max(later - earlier for earlier, later in zip(times, times[1:]))


@contextlib.contextmanager
def neighbours(count):
    """Processes that never rest, each in a session of its own, as somebody else's would be."""
    busy = [subprocess.Popen([sys.executable, "-c", SPIN], start_new_session=True) for _ in range(count)]
    try:
        time.sleep(0.5)  # until they are: the machine's scheduler has to notice them, too
        yield
    finally:
        for process in busy:
            process.send_signal(signal.SIGKILL)
            process.wait()


def measure_engine(binary, model, threads, tokens):
    """(tokens a second at batch 1 in one process, what share of the read bandwidth that is, the bandwidth in GB/s)."""
    command = [binary, "--model", model, "--threads", threads, "--batches", 1, "--rounds", 1, "--tokens", tokens,
               "--choices", 0]
    output = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True).stdout
    decode = float(re.search(r"decode +batch 1 +([\d.]+)", output).group(1))
    ceiling, ratio = re.search(r"ceiling ([\d.]+) GB/s +ratio ([\d.]+)", output).groups()
    return decode, float(ratio), float(ceiling)


def run(arguments, systems):
    """rates[name, streams, neighbours], pauses[...] and engine figures, a value a round."""
    rates, pauses, parts, engine = {}, {}, {}, []
    with contextlib.ExitStack() as stack:
        addresses = {system.name: stack.enter_context(system.serving()) for system in systems}
        for system in systems:
            measure(system, addresses[system.name], max(arguments.streams), 16, 1)  # touches everything once
        for number in range(arguments.rounds):
            # Who comes first changes from round to round: the machine may remember the one before.
            turn = systems[number % len(systems) :] + systems[: number % len(systems)]
            if arguments.engine_bench:
                engine.append(
                    measure_engine(arguments.engine_bench, arguments.model, arguments.threads, arguments.tokens)
                )
            for count in arguments.neighbours:
                with neighbours(count):
                    for streams in arguments.streams:
                        for system in turn:
                            seed = 1000 * number + 100
                            rate, pause = measure(system, addresses[system.name], streams, arguments.tokens, seed)
                            key = (system.name, streams, count)
                            rates.setdefault(key, []).append(rate)
                            pauses.setdefault(key, []).append(pause)
                            parts.setdefault(key, []).append(system.compute_threads())
                            print(
                                f"round {number + 1}: {count} neighbours, {streams:2} streams, {system.name:24} "
                                f"{rate:8.1f} tokens/s, longest pause {1000 * pause:5.0f} ms"
                                + (f", {parts[key][-1]} threads" if parts[key][-1] else ""),
                                flush=True,
                            )
    return rates, pauses, engine


def line(name, value, unit, beside=""):
    print(f"{name:<58} {value:9.3f} {unit:9} {beside}")


def report(arguments, systems, rates, pauses, engine):
    middle = {key: statistics.median(values) for key, values in rates.items()}
    print("\nname value unit; pause: the longest between two tokens of a stream, in the median round")
    for streams in arguments.streams:
        for count in arguments.neighbours:
            for system in systems:
                key = (system.name, streams, count)
                pause = 1000 * statistics.median(pauses[key])
                label = f"{streams} streams, {count} neighbours: {system.name}"
                line(label, middle[key], "tokens/s", f"pause {pause:.0f} ms")

    def ratios(over, under):
        return [a / b for a, b in zip(rates[over], rates[under])]

    def ratio_line(name, over, under, goal):
        if over in rates and under in rates:
            values = ratios(over, under)
            line(name, statistics.median(values), "", f"goal {goal}  rounds " + " ".join(f"{v:.2f}" for v in values))

    print("\nratios, medians over the rounds")
    now, one = systems[0].name, systems[1].name
    for streams in arguments.streams:
        for count in [count for count in arguments.neighbours if count]:
            beside = f"{streams} streams, {count} neighbours"
            ratio_line(f"{beside}: now / one thread", (now, streams, count), (one, streams, count), ">= 0.9")
            ratio_line(f"{beside}: now / now alone", (now, streams, count), (now, streams, 0), ">= 0.5")
        for system in systems[2:]:
            counterpart = one if system.name.endswith("1 thread") else now
            for count in arguments.neighbours:
                goal = ">= 0.98" if system.name.startswith("before") and count == 0 else "-"
                ratio_line(f"{streams} streams, {count} neighbours: {counterpart} / {system.name}",
                           (counterpart, streams, count), (system.name, streams, count), goal)  # fmt: skip
    if engine:
        decode, share, ceiling = (statistics.median(column) for column in zip(*engine))
        line("in one process, batch 1", decode, "tokens/s", f"{share:.2f} of {ceiling:.1f} GB/s read bandwidth")
        if (now, 1, 0) in rates:
            values = [rate / figure[0] for rate, figure in zip(rates[now, 1, 0], engine)]
            rounds = "  rounds " + " ".join(f"{value:.2f}" for value in values)
            line("over HTTP / in one process, batch 1", statistics.median(values), "", "goal >= 0.85" + rounds)


def numbers(text):
    return [int(number) for number in text.split(",")]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "build" / "sluice")
    parser.add_argument("--before", type=pathlib.Path, help="an older binary, measured in turn")
    parser.add_argument("--engine-bench", type=pathlib.Path, default=ROOT / "build/release/bench/engine_bench")
    parser.add_argument("--llama-server", type=pathlib.Path)
    parser.add_argument("--llama-model", type=pathlib.Path, help="the same model as GGUF")
    parser.add_argument("--model", type=pathlib.Path, default=ROOT / "build" / "bench-model")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=192, help="of each stream")
    parser.add_argument("--neighbours", type=numbers, default=[0, 1, 2])
    parser.add_argument("--streams", type=numbers, default=[1, 16])
    parser.add_argument("--json", type=pathlib.Path, help="write every round's figures there too")
    arguments = parser.parse_args()
    # Whoever ends this must not leave its neighbours behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("neighbours: ended"))
    if not (arguments.model / "model.safetensors").exists():
        subprocess.run([sys.executable, ROOT / "tools" / "make_bench_model.py", arguments.model], check=True)
    if not arguments.engine_bench.exists():
        arguments.engine_bench = None

    systems = [
        Sluice(f"{arguments.threads} threads", arguments.binary, arguments.threads, arguments.model),
        Sluice("1 thread", arguments.binary, 1, arguments.model),
    ]
    if arguments.before:
        systems += [
            Sluice(f"before, {arguments.threads} threads", arguments.before, arguments.threads, arguments.model),
            Sluice("before, 1 thread", arguments.before, 1, arguments.model),
        ]
    if arguments.llama_server:
        systems.append(LlamaServer(arguments.llama_server, arguments.llama_model, arguments.threads))
    rates, pauses, engine = run(arguments, systems)
    report(arguments, systems, rates, pauses, engine)
    if arguments.json:
        figures = {"engine": engine}
        for (name, streams, count), values in rates.items():
            figures[f"{name}|{streams}|{count}"] = {"rates": values, "pauses": pauses[name, streams, count]}
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
