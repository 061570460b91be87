"""What some clients lose when others do harm.

    build/venv/bin/python bench/overload/isolation.py [poison] [shape] [shapes] [core] [--rounds 1] [--seconds 60]

    poison   half of what --lanes lanes can do, alone and beside ten requests a second of another tenant that end whatever worker
             runs them, each of them another one: the goodput of the others, from the first of them on
    shape    the same from the same tenant: its poison has longer prompts than what else it sends
    shapes   as `poison`, but the other tenant's poison has every shape, and most of what else it sends is harmless
    core     a tenant of the core API asks for a tenth of what one lane can do, while others ask for fifty times all of it

The model is `hash` with slow steps, so its device is what is scarce. Figures are medians over the rounds.
"""

import argparse
import json
import pathlib
import sys
import tempfile

from laboratory import ROOT, Configuration, Laboratory, Workload, in_turns, medians, p99, shown, sluice_server

SCENARIOS = ("poison", "shape", "shapes", "core")
POISONS_PER_SECOND = 10
FLOOD = 50  # times what the lane can do
HEADS = ("offered", "good", "answered", "refused", "failed", "timed_out", "p99_ms", "restarts", "lanes")


def keys_file(folder, *texts):
    path = pathlib.Path(folder) / "keys.toml"
    path.write_text("".join(texts))
    return path


def line_of(figures, seconds):
    """Of the first kind of clients: rates a second, and what the run cost the lanes."""
    kind = figures["kinds"][0]
    line = {name: kind[name] / seconds for name in ("offered", "good", "answered", "refused", "failed", "timed_out")}
    return line | {"p99_ms": p99(kind["latency"]), "restarts": figures["restarts"], "lanes": figures["lanes"]}


def print_lines(found):
    print(f"{'':<14} " + " ".join(f"{head:>9}" for head in HEADS))
    for name, line in found.items():
        print(f"{name:<14} " + " ".join(f"{shown(line[head]):>9}" for head in HEADS))


def poisonous_plan(length=60):
    """Ends every worker that is given so many characters of the generator's filler in a row: longer prompts than those of others."""
    filler = "and so the river ran on to the sea, "
    return "exit(139)@tokens=" + ",".join(str(ord(filler[i % len(filler)])) for i in range(length))


def seconds_below(figures, rate):
    """Those in which less than nine tenths of `rate` were good."""
    return [line["second"] for line in figures["seconds"] if line["good"] < 0.9 * rate]


def beside_poison(laboratory, arguments, title, others, poisons, options):
    rate = others["share"]
    found = {"alone": [], "beside poison": []}
    below = []
    configuration = Configuration("poison", "", ("--workers", arguments.lanes, "--worker-fault", poisonous_plan(), *options))
    client = laboratory.workload.client
    for number, name in in_turns(arguments.rounds, found):
        kinds = [others] if name == "alone" else [others, *poisons]
        run = ("--rate", sum(kind["share"] for kind in kinds), "--duration", arguments.seconds)
        figures = laboratory.run(configuration, [client(**kind) for kind in kinds], *run, seed=number)
        found[name].append(line_of(figures, arguments.seconds))
        if name != "alone":
            below.append(seconds_below(figures, rate))
    found = {name: medians(points) for name, points in found.items()}
    print(f"\n{title}: {POISONS_PER_SECOND} a second beside {rate:.0f}/s on {arguments.lanes} lanes; rates a second")
    print_lines(found)
    share = found["beside poison"]["good"] / found["alone"]["good"]
    print(f"goodput of the others beside poison: {share:.2f} of it alone, goal >= 0.70; seconds with less than nine tenths: {below}")
    return found | {"share": share, "below": below}


def poison(laboratory, arguments, folder):
    rate = arguments.lanes * laboratory.workload.requests_per_second() / 2
    keys = keys_file(folder, sluice_server.key("others", "sk-others"), sluice_server.key("poison", "sk-poison"))
    others = {"tenant": "others", "key": "sk-others", "prompt_chars": 60, "share": rate}
    poisons = {"tenant": "poison", "key": "sk-poison", "prompt_chars": 96, "share": POISONS_PER_SECOND}
    return beside_poison(laboratory, arguments, "poison of another tenant", others, [poisons], ("--api-keys", keys))


def shape(laboratory, arguments, folder):
    rate = arguments.lanes * laboratory.workload.requests_per_second() / 2
    others = {"tenant": "others", "prompt_chars": 60, "share": rate}
    poisons = {"tenant": "poison", "prompt_chars": 200, "share": POISONS_PER_SECOND}
    return beside_poison(laboratory, arguments, "poison of the same tenant", others, [poisons], ())


def shapes(laboratory, arguments, folder):
    rate = arguments.lanes * laboratory.workload.requests_per_second() / 2
    keys = keys_file(folder, sluice_server.key("others", "sk-others"), sluice_server.key("poison", "sk-poison"))
    others = {"tenant": "others", "key": "sk-others", "prompt_chars": 60, "share": rate}
    lengths = [2**n + 20 for n in range(6, 12)]
    poisons = [
        {"tenant": f"poison{length}", "key": "sk-poison", "prompt_chars": length, "share": POISONS_PER_SECOND / len(lengths)}
        for length in lengths
    ]
    harmless = {"tenant": "harmless", "key": "sk-poison", "prompt_chars": 60, "share": 5 * POISONS_PER_SECOND}
    title = "poison of every shape, of another tenant"
    return beside_poison(laboratory, arguments, title, others, [*poisons, harmless], ("--api-keys", keys))


def core(laboratory, arguments, folder):
    # Few sequences, so that fifty times what they can do is what this machine can say no to.
    workload = Workload(sequences=8)
    laboratory.workload = workload
    capacity = workload.requests_per_second()
    keys = keys_file(folder, sluice_server.key("core", "sk-core", "core = true"), sluice_server.key("flood", "sk-flood"))
    configuration = Configuration("core", "", ("--api-keys", keys))
    own, flood = capacity / 10, FLOOD * capacity
    clients = [
        workload.client(**{"tenant": "core", "key": "sk-core", "share": own}),
        workload.client(**{"tenant": "flood", "key": "sk-flood", "share": flood}),
    ]
    found = {"alone": [], "beside flood": []}
    offered = answered = 0
    for number, name in in_turns(arguments.rounds, found):
        kinds, total = (clients[:1], own) if name == "alone" else (clients, own + flood)
        figures = laboratory.run(configuration, kinds, "--rate", total, "--duration", arguments.seconds, seed=number)
        found[name].append(line_of(figures, arguments.seconds))
        if name != "alone":
            offered += figures["kinds"][0]["offered"]
            answered += figures["kinds"][0]["answered"]
            others = figures["kinds"][1]
            print(f"flood: {others['offered'] / arguments.seconds:.0f}/s, {others['good'] / arguments.seconds:.0f}/s good")
    found = {name: medians(points) for name, points in found.items()}
    print(f"\ncore API: {own:.0f}/s beside {flood:.0f}/s on a lane that can do {capacity:.0f}/s; rates a second")
    print_lines(found)
    print(f"core requests served beside the flood: {answered} of {offered}, {100 * answered / offered:.3f} %, goal >= 99.99 %")
    return found | {"offered": offered, "answered": answered}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=", ".join(SCENARIOS))
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "build" / "sluice")
    parser.add_argument("--generator", type=pathlib.Path, default=ROOT / "build/release/bench/overload/load_generator")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seconds", type=int, default=60, help="of each run")
    parser.add_argument("--lanes", type=int, default=2, help="of poison and shape; default: %(default)s")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=pathlib.Path, help="write the figures there too")
    arguments = parser.parse_args()
    for name in arguments.scenarios:
        if name not in SCENARIOS:
            sys.exit(f"isolation: unknown scenario '{name}' ({', '.join(SCENARIOS)})")
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.scenarios or SCENARIOS:
            laboratory = Laboratory(arguments.binary, arguments.generator, Workload(), arguments.seed)
            figures[name] = globals()[name](laboratory, arguments, folder)
            print(f"runs that others on this machine disturbed: {laboratory.disturbed}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
