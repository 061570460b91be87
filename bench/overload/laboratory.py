"""One run of the overload laboratory: a fresh server, the load generator beside it, what both have used."""

import contextlib
import dataclasses
import json
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "integration"))
sys.dont_write_bytecode = True
import sluice_server  # noqa: E402  (its path stands above)

TICKS_PER_SECOND = 100
LATE_MS = 50  # a generator whose p99 is later than this was not given the processor: its run says little about the server
CONNECTIONS = 16_000  # of the generator: every client that waits has one
# The generator stands for clients of many addresses.
ALL_OF_ONE_ADDRESS = ("--max-connections", 18_000, "--max-connections-per-address", 18_000)


def used_cpu(server):
    """Seconds of processor time of the front and of its workers, those included that have been replaced."""
    stat = pathlib.Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()
    ended = int(stat[13]) + int(stat[14])
    workers = ended + sum(map(sluice_server.cpu_ticks, server.worker_pids()))
    return {"front": sluice_server.cpu_ticks(server.pid) / TICKS_PER_SECOND, "worker": workers / TICKS_PER_SECOND}


@contextlib.contextmanager
def levels_of(server):
    """[[second, level], ...]: when the degradation ladder of a server changed, from the first look on. Grows until the block ends."""
    levels, over, start = [], threading.Event(), time.monotonic()

    def look():
        while True:
            level = json.loads(sluice_server.request(server.management, "GET", "/admin/v1/admission")[2])["degradation"]["level"]
            if not levels or levels[-1][1] != level:
                levels.append([round(time.monotonic() - start, 1), level])
            if over.wait(0.2):
                return

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield levels
    finally:
        over.set()
        thread.join()


@dataclasses.dataclass(frozen=True)
class Configuration:
    """A server as its options make it: a curve in the figures."""

    name: str
    title: str
    options: tuple


# Nobody is refused for what he asks, only for want of a place in the queue.
NO_FORESIGHT = ("--rate", 0, "--max-wait-realtime", 0, "--max-wait-batch", 0, "--max-wait-low", 0)
CONFIGURATIONS = {
    configuration.name: configuration
    for configuration in (
        Configuration("admission", "admission by default", ()),
        Configuration("fifo", "queue without a bound", (*NO_FORESIGHT, "--queue-capacity", 1_000_000)),
        Configuration("bounded", "queue of 64", (*NO_FORESIGHT, "--queue-capacity", 64)),
    )
}


@dataclasses.dataclass(frozen=True)
class Workload:
    """What is served and asked for. A step takes `step_ms`, in which the worker's processor rests: so what is scarce is the
    model, as with a real one, and the machine is free to show what the front does."""

    step_ms: int = 10
    sequences: int = 32
    tokens: int = 8
    objective_ms: int = 600  # half a second until its turn, as admission promises class realtime, and the work
    patience_ms: int = 2000

    def server_options(self):
        fault = f"slow({self.step_ms}ms)@step>0"
        return ("--model", "hash=hash", "--max-sequences", self.sequences, "--worker-fault", fault)

    def requests_per_second(self):
        """What the model could answer if nothing else took time."""
        return 1000 * self.sequences / (self.step_ms * self.tokens)

    def ramp_from(self):
        """Requests a second that are less than it can do."""
        return self.requests_per_second() / 2

    def client(self, **further):
        fields = {"max_tokens": self.tokens, "objective_ms": self.objective_ms, "patience_ms": self.patience_ms}
        return ",".join(f"{name}={value}" for name, value in (fields | further).items())


@dataclasses.dataclass(frozen=True)
class ShippedWorkload(Workload):
    """The shipped model: it computes on the cores that front and generator need, too, and its steps take longer the more it has to do."""

    tokens: int = 16
    objective_ms: int = 1000  # half a second until its turn, and as much for the work in a full batch

    def server_options(self):
        return ()

    def ramp_from(self):
        return 100


WORKLOADS = {"hash": Workload(), "shipped": ShippedWorkload()}


class Laboratory:
    """Starts servers and generators. Raises the process' own limit of descriptors, for its children inherit it."""

    def __init__(self, binary, generator, workload, seed):
        self.binary, self.generator, self.workload, self.seed = binary, generator, workload, seed
        self.disturbed = 0  # runs
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    @contextlib.contextmanager
    def server(self, configuration):
        options = (*self.workload.server_options(), *ALL_OF_ONE_ADDRESS, *configuration.options)
        with sluice_server.serve(*options, binary=self.binary, patient=False) as server:
            yield server

    def offer(self, server, clients, *options, seed=0):
        """One run of the generator: its figures, with "cpu_percent" of front, worker and generator, of one core each, and the
        "levels" of the server."""
        before = used_cpu(server)
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            command = [self.generator, f"{server.http[0]}:{server.http[1]}", "--json", file.name]
            command += ["--connections", CONNECTIONS, "--seed", self.seed + seed, *options]
            for client in clients:
                command += ["--client", client]
            with levels_of(server) as levels:
                subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)
            figures = json.load(file) | {"levels": levels}
        duration = figures["run"]["duration_s"]
        cpu = {name: used - before[name] for name, used in used_cpu(server).items()}
        cpu["generator"] = figures["run"]["cpu_s"]
        figures["cpu_percent"] = {name: 100 * used / duration for name, used in cpu.items()}
        figures["restarts"] = server.restarts()
        figures["lanes"] = sum(lane["state"] == "ready" and lane["breaker"]["weight"] > 0 for lane in server.lanes())
        if figures["restarts"]:
            print(f"the worker was replaced {figures['restarts']} times:")
            print("\n".join(line for line in server.log_text().splitlines() if "lane 0" in line)[-2000:], flush=True)
        return figures

    def run(self, configuration, clients, *options, seed=0):
        """The same on a fresh server: what one run leaves behind is not the next one's. A run that was disturbed by others on
        this machine is made again, three times in all, and the last one is taken as it is."""
        for _ in range(3):
            with self.server(configuration) as server:
                figures = self.offer(server, clients, *options, seed=seed)
            late = p99(figures["run"]["lateness"])
            if late <= LATE_MS:
                break
            self.disturbed += 1
            print(f"disturbed: the generator was late by {late:.0f} ms", flush=True)
        return figures


def in_turns(rounds, loads):
    """(round, load) in an order that goes up and down: the machine may remember what was before."""
    for number in range(rounds):
        for load in loads if number % 2 == 0 else reversed(loads):
            yield number, load


def median(values):
    """The median of those that are there; None if none is."""
    found = [value for value in values if value is not None]
    return statistics.median(found) if found else None


def p99(quantiles):
    """In ms; None of nothing."""
    return quantiles and quantiles["p99_ms"]


def medians(points):
    return {name: median([each[name] for each in points]) for name in points[0]}


def shown(value, digits=0):
    return "-" if value is None else f"{value:,.{digits}f}"
