"""What Sluice RPC costs: one-token completions a second, beside HTTP's and beside bytes that libuv only sends back.

    build/venv/bin/python bench/rpc_bench.py [--binary build/sluice] [--rounds 5] [--seconds 4]
                                             [--connections 64] [--in-flight 64] [--generator build/release/bench/rpc_load]

The model is `hash`, which costs nothing. Each round measures completions over Sluice RPC and HTTP (by wrk) and the echo in
turn, so all see the same machine. Ends with lines: name value unit ceiling ratio, medians over the rounds; then where the
processor time of one completion over Sluice RPC goes.
"""

import argparse
import collections
import json
import pathlib
import shutil
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT / "tests" / "integration"))
sys.dont_write_bytecode = True
import sluice_server  # noqa: E402  (its path stands above)

TICK_US = 10_000


def thread_ticks(pid):
    """Processor time of a process by the names of its threads, numbers left off, in ticks."""
    ticks = collections.Counter()
    for stat in pathlib.Path(f"/proc/{pid}/task").glob("*/stat"):
        name, fields = stat.read_text().split("(", 1)[1].rsplit(") ", 1)
        ticks[name.rstrip("-0123456789")] += sum(map(int, fields.split()[11:13]))
    return ticks


def generate(arguments, port, *more, in_flight=None):
    command = [arguments.generator, str(port), "--connections", str(arguments.connections)]
    command += ["--in-flight", str(in_flight or arguments.in_flight), "--seconds", str(arguments.seconds), *more]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def wrk(arguments, server):
    command = ["wrk", "-t1", f"-c{arguments.connections}", f"-d{arguments.seconds}s", "-s", str(HERE / "completion.lua")]
    run = subprocess.run([*command, server.url, "--", "completion"], capture_output=True, text=True, check=True)
    result = json.loads(run.stdout.splitlines()[-1])
    if result["not_2xx"] + result["socket_errors"]:
        sys.exit(f"rpc_bench: {result} over HTTP")
    return result["requests"] / result["seconds"]


def measure(arguments, server, echo_port):
    """One round: figures by name, and the microseconds of a completion by thread."""
    pids = server.pids()
    before = [thread_ticks(pid) for pid in pids]
    rpc = generate(arguments, server.binary[1])
    spent = collections.Counter()
    for pid, earlier in zip(pids, before):
        for name, ticks in (thread_ticks(pid) - earlier).items():
            spent["worker process" if pid != server.pid else name] += ticks
    # The ticks include the generator's second of warming up.
    answered = rpc["requests"] * (1 + 1 / arguments.seconds)
    where = {name: ticks * TICK_US / answered for name, ticks in spent.items()}
    where["generator"] = rpc["generator_us"]
    few = generate(arguments, server.binary[1], in_flight=1)
    echo = generate(arguments, echo_port, "--echo")
    http = wrk(arguments, server)
    figures = {
        "rpc": rpc["per_second"],
        "rpc_p50": rpc["p50_ms"],
        "rpc_p99": rpc["p99_ms"],
        "rpc_longest": rpc["max_ms"],
        "one": few["per_second"],
        "one_p99": few["p99_ms"],
        "echo": echo["per_second"],
        "http": http,
        "rpc_to_http": rpc["per_second"] / http,
    }
    return figures, where


def print_line(name, value, unit, ceiling=None):
    beside = "- -" if ceiling is None else f"{ceiling:12,.2f} {value / ceiling:.3f}"
    print(f"{name:<44} {value:12,.2f} {unit} {beside}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "build" / "sluice")
    parser.add_argument("--generator", default=str(ROOT / "build" / "release" / "bench" / "rpc_load"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="of each round and kind")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--in-flight", type=int, default=64, help="on each connection")
    arguments = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("rpc_bench: needs wrk; on Debian: apt-get install wrk")
    sluice_server.BINARY = arguments.binary

    echo = subprocess.Popen(
        [str(pathlib.Path(arguments.generator).with_name("rpc_echo"))], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    echo_port = int(echo.stdout.readline().split("=")[1])
    in_all = arguments.connections * arguments.in_flight
    options = ("--model", "hash=hash", "--rate", 0, "--queue-capacity", 2 * in_all)
    rounds, wheres = [], []
    try:
        with sluice_server.serve(*options) as server:
            generate(arguments, server.binary[1])
            for number in range(1, arguments.rounds + 1):
                figures, where = measure(arguments, server, echo_port)
                rounds.append(figures)
                wheres.append(where)
                print(f"round {number}: " + ", ".join(f"{name} {value:,.2f}" for name, value in figures.items()))
    finally:
        echo.stdin.close()
        echo.wait()
    median = {name: statistics.median(figures[name] for figures in rounds) for name in rounds[0]}
    print_line(f"completions, {arguments.connections} x {arguments.in_flight} in flight", median["rpc"], "/s", median["echo"])
    print_line("p50 of them", median["rpc_p50"], "ms", 1000 * in_all / median["rpc"])
    print_line("p99 of them", median["rpc_p99"], "ms", 1000 * in_all / median["rpc"])
    print_line("the longest of them", median["rpc_longest"], "ms", 1000 * in_all / median["rpc"])
    print_line(f"completions, {arguments.connections} x 1 in flight", median["one"], "/s")
    print_line("p99 of them", median["one_p99"], "ms")
    print_line("completions over HTTP, by wrk", median["http"], "/s")
    print_line("Sluice RPC / HTTP, median of rounds", median["rpc_to_http"], "")
    names = sorted(set().union(*wheres), key=lambda name: -statistics.median(where.get(name, 0) for where in wheres))
    for name in names:
        spent = statistics.median(where.get(name, 0) for where in wheres)
        if spent >= 0.05:
            print_line(f"processor time of one: {name}", spent, "us")


if __name__ == "__main__":
    main()
