"""A crowd: 150,000 requests at once in one server process, and 1,200 at once over HTTP. Each figure stands beside its goal.

    build/venv/bin/python bench/overload/crowd.py [held] [arriving] [http] [--requests 150000] [--seed N] [--json FILE]

    held      so many are inside at once, all of them let in: what one costs, and that each ends
    arriving  so many come within a second to a server with its default limits: who is let in is answered in time, the rest is
              refused at once
    http      bursts of 1,200 requests over as many open connections

The first two are asked by clients in the server's own process (`crowd`), through its gateway: no process here may have so many
descriptors. The seed is drawn and printed if none is given.
"""

import argparse
import json
import os
import pathlib
import resource
import secrets
import subprocess
import sys
import tempfile

from laboratory import ROOT, sluice_server

SCENARIOS = ("held", "arriving", "http")
GIB = 1 << 30
MEMORY = 12 * GIB  # the budget, of which four fifths may be used
SLOW = ("--model", "hash=hash", "--log-level", "error", "--worker-fault")
# Nobody is refused: neither for want of a place, nor by a rate, nor because he would wait too long.
HELD = (*SLOW, "slow(20ms)@step>0", "--workers", 2, "--max-sequences", 512, "--step-rows", 16_384, "--queue-capacity", 1_000_000,
        "--rate", 0, "--max-wait-realtime", 0, "--request-timeout", "24h")  # fmt: skip
ARRIVING = (*SLOW, "slow(10ms)@step>0", "--workers", 2)
BURST = 1_200
# Each lane has room for half of a burst, and its prompts fit into one step.
HTTP = (*SLOW, "slow(10ms)@step>0", "--workers", 2, "--max-sequences", 640, "--step-rows", 65_536, "--rate", 0,
        "--max-connections", 4_000, "--max-connections-per-address", 4_000)  # fmt: skip


def busy_seconds():
    """Of all processors of the machine, for whomever."""
    fields = pathlib.Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    user, nice, system, _, _, irq, softirq, *_ = map(int, fields)
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def measured(command):
    """Runs it; its figures, and how much of the machine others used meanwhile."""
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        busy, ours = busy_seconds(), resource.getrusage(resource.RUSAGE_CHILDREN)
        run = subprocess.run([str(word).format(json=file.name) for word in command], stdout=subprocess.PIPE, text=True)
        print(run.stdout, flush=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        figures = json.load(file)
    used = after.ru_utime + after.ru_stime - ours.ru_utime - ours.ru_stime
    figures["others_cpu_s"] = max(0, busy_seconds() - busy - used)
    return figures


def tell(title, rows):
    """`rows`: (what, goal, figure, whether it is met)."""
    print(f"{title}")
    for what, goal, figure, met in rows:
        print(f"  {what:<44} {goal:>22} {figure:>28}  {'met' if met else 'NOT MET'}")
    print(flush=True)


def ended_rows(figures, ends):
    part = sum(figures["ended"][end] for end in ends) / figures["requests"]
    figure = f"{figures['requests']:,}, {figures['faults']} contradictions"
    return [
        ("every one ends, exactly once", "all", figure, figures["sound"]),
        (" or ".join(ends), ">= 99 %", f"{100 * part:.2f} %", part >= 0.99),
    ]


def memory_rows(figures):
    memory = figures["peak_resident"] + figures["worker_memory"]
    grown = figures["peak_resident"] - figures["memory_before"]["resident"]
    each = grown / max(1, figures["most_inside"])
    return [
        ("memory at most, workers included", "<= 9.6 GiB", f"{memory / GIB:.2f} GiB", memory <= 0.8 * MEMORY),
        ("of it for each request inside, its client's", "<= 16 KiB", f"{each / 1024:.1f} KiB", each <= 16 * 1024),
    ]


def held(arguments):
    figures = measured([arguments.crowd, "--requests", arguments.requests, "--seed", arguments.seed, "--json", "{json}", "--", *HELD])
    at_once = figures["most_inside"]
    tell("held: all let in", [
        ("inside at once", f">= {arguments.requests:,}", f"{at_once:,}", at_once >= arguments.requests),
        *ended_rows(figures, ("completed",)),
        *memory_rows(figures),
    ])  # fmt: skip
    return figures


def arriving(arguments):
    command = [arguments.crowd, "--requests", arguments.requests, "--over", 1, "--seed", arguments.seed, "--json", "{json}"]
    figures = measured([*command, "--", *ARRIVING])
    answer, refusal = figures["answer"]["p99_ms"], figures["refusal"]["p99_ms"]
    tell("arriving within a second: default limits", [
        ("inside at once", "", f"{figures['most_inside']:,}", True),
        *ended_rows(figures, ("completed", "refused")),
        ("p99 of those let in", "<= 800 ms", f"{answer:.0f} ms", answer <= 800),
        ("p99 of refusals", "<= 800 ms", f"{refusal:.1f} ms", refusal <= 800),
        *memory_rows(figures),
    ])  # fmt: skip
    print(f"  asked late by {figures['lateness']['p99_ms']:.0f} ms (p99), which counts in the answers' time\n")
    return figures


def http(arguments):
    with sluice_server.serve(*HTTP, binary=arguments.binary, patient=False) as server:
        server.wait_lanes_ready()
        figures = measured([
            arguments.generator, f"{server.http[0]}:{server.http[1]}", "--arrivals", "burst", "--burst", BURST, "--period", 2,
            "--duration", 13, "--skip", 5, "--connections", BURST, "--seed", arguments.seed, "--json", "{json}",
            "--client", "max_tokens=4,objective_ms=200",
        ])  # fmt: skip
        server.wait_idle(60)
    total, latency = figures["total"], figures["total"]["latency"]
    part = total["good"] / total["offered"]
    tell(f"http: bursts of {BURST:,} over open connections, of which the first two open them and are not counted", [
        ("answered", "all", f"{total['answered']:,} of {total['offered']:,}", total["answered"] == total["offered"]),
        ("within 200 ms", "all", f"{100 * part:.1f} %", part == 1),
        ("latency p50, p99, p999", "< 200 ms", " ".join(f"{latency[q]:.0f}" for q in ("p50_ms", "p99_ms", "p999_ms")) + " ms",
         latency["p999_ms"] < 200),
    ])  # fmt: skip
    return figures


def kernel_limits(requests):
    """What the kernel has to allow for as many connections as requests, and what it allows here."""

    def here(path):
        file = pathlib.Path("/proc/sys") / path
        return " ".join(file.read_text().split()) if file.exists() else "-"

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    rows = (
        ("ulimit -n", f"{soft} (hard {hard})", f"{requests + 1_000} for the server, as many for its clients"),
        ("fs.nr_open", here("fs/nr_open"), f"{requests + 1_000}: the most that ulimit -n can be"),
        ("fs.file-max", here("fs/file-max"), f"{2 * requests + 10_000}, if its clients are on the same machine"),
        ("net.core.somaxconn", here("net/core/somaxconn"), "4096 and more: connections that come at once, before they are accepted"),
        ("net.ipv4.tcp_max_syn_backlog", here("net/ipv4/tcp_max_syn_backlog"), "the same, before they are established"),
        ("net.ipv4.ip_local_port_range", here("net/ipv4/ip_local_port_range"),
         "of clients: one port a connection for each address of a server; 28,000 by default, so several addresses on either side"),
        ("net.ipv4.tcp_mem", here("net/ipv4/tcp_mem"), "pages: 4 KiB and more for each direction that holds bytes"),
        ("net.netfilter.nf_conntrack_max", here("net/netfilter/nf_conntrack_max"), f"{requests + 10_000}, where a firewall tracks them"),
    )  # fmt: skip
    print(f"for {requests:,} connections in place of clients inside the process, with --max-connections {requests + 100}")
    print(f"and --max-connections-per-address as the clients' addresses need it:\n  {'':<32} {'here':<24} needed")
    for name, now, needed in rows:
        print(f"  {name:<32} {now:<24} {needed}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="held, arriving, http")
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "build" / "sluice")
    parser.add_argument("--crowd", type=pathlib.Path, default=ROOT / "build/release/bench/overload/crowd")
    parser.add_argument("--generator", type=pathlib.Path, default=ROOT / "build/release/bench/overload/load_generator")
    parser.add_argument("--requests", type=int, default=150_000)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--json", type=pathlib.Path, help="write the figures there too")
    arguments = parser.parse_args()
    for name in arguments.scenarios:
        if name not in SCENARIOS:
            sys.exit(f"crowd: unknown scenario '{name}' ({', '.join(SCENARIOS)})")
    if arguments.seed is None:
        arguments.seed = secrets.randbelow(1 << 32)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    print(f"seed {arguments.seed}, {os.cpu_count()} cores\n", flush=True)
    figures = {"seed": arguments.seed}
    for name in arguments.scenarios or SCENARIOS:
        figures[name] = globals()[name](arguments)
        print(f"  others on this machine used {figures[name]['others_cpu_s']:.1f} s of its processors meanwhile\n", flush=True)
    kernel_limits(arguments.requests)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
