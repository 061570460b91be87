"""What a server does when it is asked for more than it can: goodput, latency and refusals against the offered load.

    build/venv/bin/python bench/overload/overload.py [curve] [step] [storm] [square] [--rounds 3] [--seconds 10]

Without a name, all. The model is `hash` with slow steps, so its device is what is scarce; with --model shipped it is one that computes
on the cores that front and generator share. `curve` finds the peak of the
goodput by a ramp and then offers multiples of it; the others change the load while they run:

    step     from the peak to ten times of it: how long until the p99 of what is answered is within the objective again
    storm    clients that try again and again: how long after a peak of the load until the goodput is back
    square   half the peak and four times of it, in turn

Figures are medians over the rounds; configurations take turns. Percent of processor time are of one core.
"""

import argparse
import json
import pathlib
import sys

import draw
from laboratory import CONFIGURATIONS, ROOT, WORKLOADS, Laboratory, in_turns, median, medians, p99, shown

SCENARIOS = ("curve", "step", "storm", "square")
SKIP_SECONDS = 3  # until queues and buckets are as they stay


def find_peak(laboratory, seconds):
    """The most goodput of a ramp, in requests a second: each load a fifth above the last, until two in a row bring less."""
    best, worse = 0, 0
    rate = laboratory.workload.ramp_from()
    with laboratory.server(CONFIGURATIONS["admission"]) as server:
        while worse < 2:
            options = ("--rate", rate, "--duration", seconds, "--skip", 1)
            figures = laboratory.offer(server, [laboratory.workload.client()], *options)
            goodput = figures["total"]["good"] / (seconds - 1)
            latency = shown(p99(figures["total"]["latency"]))
            print(f"ramp: {rate:7.0f}/s offered, {goodput:7.0f}/s good, p99 {latency} ms", flush=True)
            worse = 0 if goodput > best else worse + 1
            best = max(best, goodput)
            rate *= 1.2
            server.wait_idle(60)
    return best


def point(figures, seconds):
    """The figures of one run that are drawn and printed, rates a second."""
    total = figures["total"]
    point = {name: total[name] / seconds for name in ("offered", "good", "answered", "refused", "timed_out")}
    lost = ("failed", "connection_error", "unfinished", "dropped")
    point["lost"] = sum(total[name] for name in lost) / seconds
    point["p50_ms"] = total["latency"] and total["latency"]["p50_ms"]
    point["p99_ms"] = p99(total["latency"])
    point["refusal_p99_ms"] = p99(total["refusal"])
    point["lateness_p99_ms"] = p99(figures["run"]["lateness"])
    return point | {f"{name}_cpu_percent": used for name, used in figures["cpu_percent"].items()}


def curve(laboratory, configurations, peak, rounds, seconds, loads):
    """{configuration: {load: point}}, and a line for each."""
    runs = {(name, load): [] for name in configurations for load in loads}
    measured = seconds - SKIP_SECONDS
    for number, load in in_turns(rounds, loads):
        for name in configurations if number % 2 == 0 else reversed(configurations):
            options = ("--rate", load * peak, "--duration", seconds, "--skip", SKIP_SECONDS)
            figures = laboratory.run(CONFIGURATIONS[name], [laboratory.workload.client()], *options, seed=number)
            runs[name, load].append(point(figures, measured))
            found = runs[name, load][-1]
            print(f"round {number + 1}: {name} at {load:g}x: {found['good']:.0f} of {found['offered']:.0f}/s good", flush=True)
    points = {name: {load: medians(runs[name, load]) for load in loads} for name in configurations}
    heads = ("good/s", "of peak", "p50 ms", "p99 ms", "refused/s", "p99 ms", "timeout/s", "lost/s", "front%", "worker%", "gen%", "late ms")
    print(f"\n{'':<10} {'load':>4} {'offered':>8} " + " ".join(f"{head:>9}" for head in heads))
    for name in configurations:
        for load in loads:
            found = points[name][load]
            columns = (
                shown(found["good"]), shown(found["good"] / peak, 2), shown(found["p50_ms"]), shown(found["p99_ms"]),
                shown(found["refused"]), shown(found["refusal_p99_ms"], 1), shown(found["timed_out"]), shown(found["lost"]),
                shown(found["front_cpu_percent"]), shown(found["worker_cpu_percent"]),
                shown(found["generator_cpu_percent"]), shown(found["lateness_p99_ms"], 1),
            )  # fmt: skip
            print(f"{name:<10} {load:>3g}x {shown(found['offered']):>8} " + " ".join(f"{column:>9}" for column in columns))
    return points


def seconds_until(lines, start, holds):
    """From `start`, the seconds until `holds` is true of every line up to the end; None if it is not true of the last one."""
    bad = [line["second"] for line in lines if line["second"] >= start and not holds(line)]
    if not bad:
        return 0
    return None if bad[-1] == lines[-1]["second"] else bad[-1] + 1 - start


def over_time(laboratory, configurations, rounds, clients, options, judge):
    """{configuration: {"seconds": medians, "until": what `judge` says of each round}} of runs whose load changes."""
    runs = {name: [] for name in configurations}
    for number, name in in_turns(rounds, configurations):
        runs[name].append(laboratory.run(CONFIGURATIONS[name], clients, *options, seed=number))
    found = {}
    for name in configurations:
        lines = []
        for same in zip(*(figures["seconds"] for figures in runs[name])):
            line = {key: median([each[key] for each in same]) for key in ("second", "offered", "good", "answered", "refused", "retries")}
            lines.append(line | {"p99_ms": median([p99(each["latency"]) for each in same])})
        cpu = medians([figures["cpu_percent"] for figures in runs[name]])
        found[name] = {"seconds": lines, "cpu_percent": cpu, "until": [judge(figures["seconds"]) for figures in runs[name]]}
        found[name]["levels"] = [figures["levels"] for figures in runs[name]]
    return found


def print_over_time(title, found, told):
    print(f"\n{title}")
    for name, figures in found.items():
        until = ", ".join("not within the run" if each is None else told(each) for each in figures["until"])
        cpu = ", ".join(f"{part} {used:.0f} %" for part, used in figures["cpu_percent"].items())
        print(f"{name:<10} {until}   ({cpu})")
        for levels in figures["levels"]:
            print(f"{'':<10} levels of the ladder: " + ", ".join(f"{level} from {second} s" for second, level in levels))


def step(laboratory, configurations, peak, rounds, seconds):
    at, duration = 5, 5 + 2 * seconds
    objective = laboratory.workload.objective_ms

    def within(line):
        return line["latency"] is not None and p99(line["latency"]) <= objective

    options = ("--arrivals", "step", "--rate", peak, "--factor", 10, "--at", at, "--duration", duration)
    found = over_time(
        laboratory, configurations, rounds, [laboratory.workload.client()], options,
        lambda lines: seconds_until(lines, at, within),
    )  # fmt: skip
    print_over_time("step to ten times the peak: until the p99 of the answered is within the objective again", found, lambda s: f"{s} s")
    return found


def storm(laboratory, configurations, peak, rounds, seconds):
    """Below the peak, but for five seconds; every client tries again until its patience ends. With shorter delays or more
    patience some thousand clients ask more often than this machine can say no, and the generator falls behind with the server."""
    at, until = 5, 10
    options = ("--arrivals", "step", "--rate", 0.8 * peak, "--factor", 3, "--at", at, "--until", until, "--duration", until + 5 * seconds)
    workload = laboratory.workload
    clients = [workload.client(retry="storm", retry_delay_ms=250, attempt_ms=workload.objective_ms, patience_ms=5000)]
    found = over_time(
        laboratory, configurations, rounds, clients, options,
        lambda lines: seconds_until(lines, until, lambda line: line["good"] >= 0.9 * line["offered"]),
    )  # fmt: skip
    print_over_time("storm: from the end of the overload until nine tenths are good again", found, lambda s: f"{s} s")
    for name, figures in found.items():
        answered = [line["answered"] for line in figures["seconds"] if at <= line["second"] < until]
        print(f"{name:<10} of those who came in the overload {sum(answered) / len(answered):.0f}/s were answered, the peak is {peak:.0f}/s")
        still = [line["second"] for line in figures["seconds"] if line["retries"] >= 0.1 * line["offered"]]
        print(f"{name:<10} less than a tenth of what is asked are retries from {max(still, default=0) + 1} s on: there the storm ends")
    return found


def square(laboratory, configurations, peak, rounds, seconds):
    period = seconds

    def goodput_when_high(lines):
        high = [line["good"] for line in lines if line["second"] % period >= period / 2]
        return sum(high) / len(high) / peak

    options = ("--arrivals", "square", "--rate", peak / 2, "--factor", 8, "--period", period, "--duration", 3 * period)
    found = over_time(laboratory, configurations, rounds, [laboratory.workload.client()], options, goodput_when_high)
    print_over_time("square wave of half and four times the peak: goodput while it is high, of the peak", found, lambda part: f"{part:.2f}")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="curve, step, storm, square")
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "build" / "sluice")
    parser.add_argument("--generator", type=pathlib.Path, default=ROOT / "build/release/bench/overload/load_generator")
    parser.add_argument("--configurations", default=",".join(CONFIGURATIONS), help="default: %(default)s")
    parser.add_argument("--model", choices=WORKLOADS, default="hash", help="hash with slow steps, or the shipped one")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=10, help="of a point of the curve; other runs take longer")
    parser.add_argument("--loads", default="0.8,1,2,4,6,10", help="of the curve, by the peak; default: %(default)s")
    parser.add_argument("--peak", type=float, help="requests a second, instead of a ramp")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=pathlib.Path, help="write the figures there too")
    parser.add_argument("--draw", type=pathlib.Path, metavar="FOLDER", help="draw them into it, as docs/overload has them")
    arguments = parser.parse_args()
    scenarios = arguments.scenarios or SCENARIOS
    configurations = arguments.configurations.split(",")
    for name in scenarios:
        if name not in SCENARIOS:
            sys.exit(f"overload: unknown scenario '{name}' ({', '.join(SCENARIOS)})")
    for name in configurations:
        if name not in CONFIGURATIONS:
            sys.exit(f"overload: unknown configuration '{name}' ({', '.join(CONFIGURATIONS)})")
    if arguments.seconds <= SKIP_SECONDS:
        sys.exit(f"overload: --seconds: expected more than {SKIP_SECONDS}")

    laboratory = Laboratory(arguments.binary, arguments.generator, WORKLOADS[arguments.model], arguments.seed)
    peak = arguments.peak or find_peak(laboratory, 5)
    print(f"peak goodput: {peak:.0f}/s\n")
    figures = {"peak": peak, "titles": {name: CONFIGURATIONS[name].title for name in configurations}}
    figures["objective_ms"] = laboratory.workload.objective_ms
    for name in scenarios:
        more = (list(map(float, arguments.loads.split(","))),) if name == "curve" else ()
        figures[name] = globals()[name](laboratory, configurations, peak, arguments.rounds, arguments.seconds, *more)
    print(f"\nruns that others on this machine disturbed: {laboratory.disturbed}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")
    if arguments.draw:
        print("drawn:", *draw.draw(figures, arguments.draw))


if __name__ == "__main__":
    main()
