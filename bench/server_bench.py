"""What the server costs: requests a second beside the ceiling of bare HTTP, idle CPU, memory of idle connections.

    build/venv/bin/python bench/server_bench.py [--binary build/sluice] [--rounds 3] [--seconds 5] [--connections 64]
                                                [--before OTHER/sluice]

Ends with lines like those of the other benchmarks: name value unit ceiling ratio, medians over the rounds. The model is
`hash`, which costs nothing, so the time is the server's own: HTTP, parsing, admission, queue, the worker's
link and the answer. The same wrk asks for one-token chats and for GET /health in turn, round by round, so all see the same
machine; and with --before an older binary as well, whose figure is then the one to compare with.
"""

import argparse
import contextlib
import json
import pathlib
import resource
import shutil
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

TICKS_PER_SECOND = 100


def cpu_seconds(server):
    """Processor time that the front and its workers have used."""
    return sum(map(sluice_server.cpu_ticks, server.pids())) / TICKS_PER_SECOND


def load(server, what, seconds, connections):
    """One round of wrk: what it reports, as completion.lua prints it, and the processor time of a request, in us."""
    before = cpu_seconds(server)
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(HERE / "completion.lua"), server.url]
    run = subprocess.run([*command, "--", what], capture_output=True, text=True, check=True)
    result = json.loads(run.stdout.splitlines()[-1])
    result["per_second"] = result["requests"] / result["seconds"]
    result["cpu_us"] = 1e6 * (cpu_seconds(server) - before) / result["requests"]
    return result


def measure_requests(server, before, rounds, seconds, connections):
    """Medians over rounds that alternate between completions, here and before, and the ceiling; prints each round."""
    for warming_up in filter(None, (server, before)):
        load(warming_up, "completion", 1, connections)
        load(warming_up, "health", 1, connections)
    load(server, "chat", 1, connections)
    results = []
    chats = []
    others = []
    for number in range(1, rounds + 1):
        # Who comes first changes from round to round: the machine may remember the one before.
        in_turn = [(server, "completion"), (before, "completion"), (server, "chat")]
        found = {
            (each, what): load(each, what, seconds, connections)
            for each, what in (in_turn if number % 2 else reversed(in_turn))
            if each
        }
        completion, chat = found[server, "completion"], found[server, "chat"]
        chats.append((chat["per_second"], chat["cpu_us"]))
        ceiling = load(server, "health", seconds, connections)
        if before:
            others.append(found[before, "completion"]["per_second"])
        failed = sum(each["not_2xx"] + each["socket_errors"] for each in (completion, chat))
        results.append((completion["per_second"], completion["p50_ms"], completion["p99_ms"], ceiling["per_second"], completion["cpu_us"]))
        per_second, p50, p99, health, _ = results[-1]
        print(
            f"round {number}: {per_second:,.0f} completions/s, {chats[-1][0]:,.0f} chats/s, p50 {p50:.2f} ms, p99 {p99:.2f} ms, {failed} failed; "
            f"{health:,.0f} health/s" + (f"; before: {others[-1]:,.0f} completions/s" if before else "")
        )
        if failed:
            sys.exit(f"server_bench: {failed} requests failed; see {server.log.name}")
    per_second, p50, p99, health, cpu = (statistics.median(column) for column in zip(*results))
    figures = {"completions_per_second": per_second, "p50_ms": p50, "p99_ms": p99, "health_per_second": health}
    figures["completion_cpu_us"] = cpu
    figures["chats_per_second"], figures["chat_cpu_us"] = (statistics.median(column) for column in zip(*chats))
    figures["chat_to_completion"] = statistics.median(chat / now[0] for now, (chat, _) in zip(results, chats))
    if before:
        figures["before_per_second"] = statistics.median(others)
        figures["ratio_to_before"] = statistics.median(now[0] / other for now, other in zip(results, others))
    return figures


def measure_idle_cpu(server, seconds):
    """Share of one core that the front and its workers use while nothing is asked, in percent."""
    server.wait_idle()
    before = cpu_seconds(server)
    start = time.monotonic()
    time.sleep(seconds)
    used = cpu_seconds(server) - before
    return 100 * used / (time.monotonic() - start)


def measure_idle_connections(server, count):
    """MiB that `count` connections cost the front, each of which has made one request and waits."""
    before = sluice_server.resident_bytes(server.pid)
    connections = []
    try:
        for _ in range(count):
            connection = socket.create_connection(server.http)
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            if not connection.recv(4096).startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"connection {len(connections) + 1} was not served")
            connections.append(connection)
        return (sluice_server.resident_bytes(server.pid) - before) / 2**20
    finally:
        for connection in connections:
            connection.close()


def without_rate(binary):
    """What lets a server take as many requests a second as come. Older ones have no such limit."""
    described = subprocess.run([binary, "serve", "--help"], capture_output=True, text=True, check=True).stdout
    return ("--rate", 0) if "--rate " in described else ()


def print_line(name, value, unit, ceiling=None):
    beside = "- -" if ceiling is None else f"{ceiling:8.2f} {value / ceiling:.3f}"
    print(f"{name:<34} {value:8.2f} {unit} {beside}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "build" / "sluice")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5, help="of each round and kind")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--idle-connections", type=int, default=10_000)
    parser.add_argument("--idle-seconds", type=int, default=10)
    parser.add_argument("--json", type=pathlib.Path, help="write the figures there too")
    parser.add_argument("--before", type=pathlib.Path, help="an older binary, measured in turn")
    arguments = parser.parse_args()

    if shutil.which("wrk") is None:
        sys.exit("server_bench: needs wrk; on Debian: apt-get install wrk")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    sluice_server.BINARY = arguments.binary

    options = ("--model", "hash=hash", "--max-connections", arguments.idle_connections + 1000)
    with contextlib.ExitStack() as stack:
        before = None
        if arguments.before:
            sluice_server.BINARY = arguments.before
            before = stack.enter_context(sluice_server.serve(*options, *without_rate(arguments.before), patient=False))
            sluice_server.BINARY = arguments.binary
        server = stack.enter_context(sluice_server.serve(*options, *without_rate(arguments.binary), patient=False))
        figures = measure_requests(server, before, arguments.rounds, arguments.seconds, arguments.connections)
        figures["idle_cpu_percent"] = measure_idle_cpu(server, arguments.idle_seconds)
    # A fresh server: the load above has already grown the heap of the other one.
    all_of_one_address = ("--max-connections-per-address", arguments.idle_connections + 1000)
    with sluice_server.serve(*options, *all_of_one_address) as server:
        figures["idle_connections_mib"] = measure_idle_connections(server, arguments.idle_connections)

    print_line("one-token completions", figures["completions_per_second"], "/s", figures["health_per_second"])
    print_line("one-token chats", figures["chats_per_second"], "/s", figures["health_per_second"])
    print_line("chat / completion, median of rounds", figures["chat_to_completion"], "")
    print_line("processor time of a completion", figures["completion_cpu_us"], "us")
    print_line("processor time of a chat", figures["chat_cpu_us"], "us")
    if arguments.before:
        print_line("the same before", figures["before_per_second"], "/s", figures["health_per_second"])
        print_line("now / before, median of rounds", figures["ratio_to_before"], "")
    print_line(f"p50 at {arguments.connections} connections", figures["p50_ms"], "ms")
    print_line(f"p99 at {arguments.connections} connections", figures["p99_ms"], "ms")
    print_line("idle CPU of all processes", figures["idle_cpu_percent"], "%")
    print_line(f"{arguments.idle_connections} idle connections", figures["idle_connections_mib"], "MiB")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
