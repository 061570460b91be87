#!/usr/bin/env python3
"""How fast a lane's trouble is noticed and its capacity is back.

    bench/failover.py [--rounds 5]

Each round is a server of its own with two lanes of the shipped model and sixteen streams, so that the first restart is
what a lane that has been well gets. Times are read from the trace and from /admin/v1/workers, polled every 5 ms.
Prints medians and the worst, with the goal beside them. Needs a quiet machine.
"""

import argparse
import json
import os
import pathlib
import signal
import statistics
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "integration"))

from requests_of_all_kinds import request_of  # noqa: E402
from sluice_server import Stream, serve  # noqa: E402


def until(condition, seconds=30):
    """How long until `condition` holds; none if it does not."""
    begin = time.monotonic()
    while time.monotonic() - begin < seconds:
        if condition():
            return time.monotonic() - begin
        time.sleep(0.005)
    return None


def lane_serves(lane):
    return lane["state"] == "ready" and lane["breaker"]["weight"] > 0


def with_streams(rounds, act, *arguments):
    """`act(server, events)` once a round while sixteen streams run; `events` reads the trace."""
    results = []
    for _ in range(rounds):
        with tempfile.NamedTemporaryFile(prefix="sluice-bench-") as trace:
            with serve("--workers", 2, "--trace", trace.name, *arguments) as server:
                server.wait_lanes_ready()
                streams = [Stream(server, **request_of("seeded", "brook", 800)) for _ in range(16)]
                for stream in streams:
                    next(iter(stream))
                result = act(server)
                for stream in streams:
                    stream.reset()
            events = [json.loads(line) for line in pathlib.Path(trace.name).read_text().splitlines()]
            results.append(result(events) if callable(result) else result)
    return results


def shot(server):
    victim = server.lanes()[0]
    os.kill(victim["pid"], signal.SIGKILL)
    gone = until(lambda: not lane_serves(server.lanes()[0]))
    back = until(lambda: lane_serves(server.lanes()[0]))
    full = until(lambda: server.lanes()[0]["breaker"]["permits"] == victim["slots"])
    return {"noticed": gone, "serves again": gone + back, "all its places": gone + back + full}


def stopped(server):
    victim = server.lanes()[0]
    os.kill(victim["pid"], signal.SIGSTOP)
    suspect = until(lambda: server.lanes()[0]["breaker"]["weight"] == 0)
    new = until(lambda: server.lanes()[0]["pid"] not in (0, victim["pid"]))
    back = until(lambda: lane_serves(server.lanes()[0]))
    return {"suspected": suspect, "replaced": suspect + new, "serves again": suspect + new + back}


def hung(server):
    """From the last token of the lane that hangs to the end of its worker, by the trace's own clock."""
    until(lambda: server.restarts() == 1)

    def read(events):
        lost = next(event for event in events if event["event"] == "WorkerLost")
        lanes, last = {}, 0
        for event in events:
            if event["at"] >= lost["at"]:
                break
            if event["event"] == "Started":
                lanes[event["sequence"]] = event["lane"]
            elif event["event"] == "Emitted" and lanes.get(event["sequence"]) == lost["lane"]:
                last = event["at"]
        return {"noticed": (lost["at"] - last) / 1e9}

    return read


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    goals = {
        ("kill -9", "all its places"): 1.0, ("SIGSTOP", "suspected"): 0.6, ("SIGSTOP", "replaced"): 2.2,
        ("hang", "noticed"): 1.0,
    }  # fmt: skip
    runs = {
        "kill -9": with_streams(options.rounds, shot),
        "SIGSTOP": with_streams(options.rounds, stopped),
        "hang": with_streams(options.rounds, hung, "--worker-fault", "0:hang@step=150 if incarnation=1"),
    }
    print(f"{'':10}{'':16}{'median':>9}{'worst':>9}{'goal':>8}")
    for name, results in runs.items():
        for what in results[0]:
            values = [result[what] for result in results]
            goal = goals.get((name, what))
            print(
                f"{name:10}{what:16}{1000 * statistics.median(values):6.0f} ms{1000 * max(values):6.0f} ms"
                + (f"{1000 * goal:5.0f} ms" if goal else "")
            )


if __name__ == "__main__":
    main()
