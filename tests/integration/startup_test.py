"""Starting and stopping: what is wrong is said in words and numbers, and nothing is left behind."""

import fcntl
import json
import os
import pty
import re
import resource
import select
import signal
import socket
import stat
import subprocess

import pytest

from damage import DAMAGES
from raw_http import Wire, assert_error, exchange, head, post
from sluice_server import (
    BINARY,
    BROOK,
    ROOT,
    SANITIZER,
    SANITIZER_REPORTS,
    Server,
    Stream,
    complete,
    key,
    process_alive,
    request,
    seconds,
    serve,
    wait_until,
)

needs_plain_memory = pytest.mark.skipif(bool(SANITIZER), reason="sanitizers need more address space")

LONG = {"prompt": "Once upon a time", "max_tokens": 400, "ignore_eos": True, "seed": 1}


def run_sluice(*arguments, deadline=30, prepare=None):
    """Runs the binary to its end, which must come by itself and be no crash: (exit code, what it said)."""
    run = subprocess.run(
        [str(BINARY), *map(str, arguments)],
        preexec_fn=prepare,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds(deadline),
    )
    assert run.returncode >= 0, f"ended by signal {-run.returncode}:\n{run.stdout}"
    assert not any(report in run.stdout for report in SANITIZER_REPORTS), run.stdout
    return run.returncode, run.stdout


def serve_fails(*arguments, prepare=None):
    listen = ("--listen", "127.0.0.1:0", "--management-listen", "127.0.0.1:0", "--binary-listen", "127.0.0.1:0")
    return run_sluice("serve", *listen, *arguments, prepare=prepare)


# --- it does not start -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("listener", ["--listen", "--binary-listen", "--management-listen"])
def test_a_port_in_use_is_named(listener):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        listens = dict.fromkeys(("--listen", "--binary-listen", "--management-listen"), "127.0.0.1:0") | {listener: address}

        code, said = run_sluice("serve", "--model", "hash=hash", *[word for pair in listens.items() for word in pair])

    assert code == 8, said
    assert address in said


def test_the_port_of_another_server_is_in_use():
    with serve("--model", "hash=hash") as first:
        address = f"{first.http[0]}:{first.http[1]}"
        code, said = run_sluice(
            "serve", "--model", "hash=hash", "--listen", address, "--management-listen", "127.0.0.1:0", "--binary-listen", "127.0.0.1:0"
        )

        assert code == 8, said
        assert address in said
        assert complete(first, prompt="x", max_tokens=1)["model"] == "hash"


def test_a_missing_model_folder_is_named(tmp_path):
    code, said = serve_fails("--model", f"m={tmp_path}/nowhere")

    assert code == 6, said
    assert f"{tmp_path}/nowhere" in said


def test_a_file_in_place_of_the_model_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("not a folder")

    code, said = serve_fails("--model", f"m={tmp_path}/file")

    assert code == 6, said
    assert f"{tmp_path}/file" in said


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_model_is_named_with_file_tensor_and_numbers(brook_copy, damage):
    damage.do(brook_copy)

    code, said = serve_fails("--model", f"m={brook_copy}")

    assert code == 6, said
    lines = [line for line in said.splitlines() if all(re.search(name, line) for name in damage.names)]
    assert lines, f"no line names {damage.names}:\n{said}"


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0"])
def test_a_public_address_without_keys_is_refused(address):
    code, said = run_sluice("serve", "--model", "hash=hash", "--listen", address, "--management-listen", "127.0.0.1:0", "--binary-listen", "127.0.0.1:0")

    assert code == 3, said
    assert "key" in said and address.rpartition(":")[0] in said


@pytest.mark.parametrize(
    "content, says",
    [
        (None, "cannot be read"),
        (b"\x00\xff\x00 not a key", ":1:"),
        (b"", "holds no key"),
        (b"web " + b"a" * 64 + b"\n", "a key is written [[key]]"),
        (key("web", "x", "rpm = -1", 'class = "urgent"').encode(), ":4:7: rpm: expected a whole number from 1 to"),
        (key("web", "x", "rpm = -1", 'class = "urgent"').encode(), ":5:9: class: expected one of realtime, batch, low"),
    ],
    ids=["missing", "binary", "empty", "lines", "number", "word"],
)
def test_a_wrong_file_of_keys_is_named(tmp_path, content, says):
    path = tmp_path / "keys.toml"
    if content is not None:
        path.write_bytes(content)

    code, said = serve_fails("--model", "hash=hash", "--api-keys", path)

    assert code == 3, said
    assert str(path) in said and says in said


@pytest.mark.parametrize(
    "arguments, named",
    [
        (["--no-such-flag"], "--no-such-flag"),
        (["--listen", "not an address"], "not an address"),
        (["--listen", "127.0.0.1:99999"], "99999"),
        (["--workers", "many"], "many"),
        (["--workers", "-1"], "-1"),
        (["--dtype", "f13"], "f13"),
        (["--model", "no-equals-sign"], "no-equals-sign"),
        (["--kv-memory", "lots"], "lots"),
        (["--drain-delay", "-5s"], "--drain-delay: -5s is not a time from 0s to 1h"),
        (["--max-connections", "0"], "--max-connections: 0 is not a whole number from 1 to 1000000"),
        (["--max-body", "4GiB"], "--max-body: 4GiB is not a size from 1KiB to 1GiB"),
        (["--device", "bogus"], 'no device is called "bogus"'),
        (["--fault-point", "no.where=nth:1"], "known are admission.accepted"),
        (["--worker-fault", "7:exit(1)@step=1"], "there is no lane 7"),
        (["--allowed-host", "http://a"], "is not a host"),
        (["--allowed-origin", "a.example"], "is not an origin"),
        (["--allow-anonymous", "nobody"], "nobody"),
        (["--rate", "-1"], "--rate: -1 is not a whole number from 0 to"),
        (["--burst", "0"], "--burst: 0 is not a whole number from 1 to"),
        (["--core-reserve", "1.1"], "--core-reserve: 1.1 is not a number from 0 to 1"),
        (["--low-reserve", "nan"], "--low-reserve: nan is not a number from 0 to 1"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_flag_is_named(arguments, named):
    code, said = run_sluice("serve", *arguments)

    assert code == 2, said
    assert named in said


def test_an_unknown_command_is_a_usage_error():
    code, said = run_sluice("sreve")

    assert code == 2, said
    assert "sreve" in said


def test_help_and_version_succeed():
    for flag, expected in (("--help", "serve"), ("--version", ".")):
        code, said = run_sluice(flag)
        assert code == 0 and expected in said, said


def test_a_worker_is_not_started_by_hand():
    code, said = run_sluice("worker")

    assert code != 0
    assert said


@pytest.mark.parametrize("script", ["setup", "python-env"])
def test_an_unwritable_cache_is_named(script):
    run = subprocess.run(
        [str(ROOT / "scripts" / script)],
        env=dict(os.environ, SLUICE_CACHE="/proc/nope"),
        capture_output=True,
        text=True,
        timeout=seconds(60),
    )

    assert run.returncode != 0
    assert "/proc/nope" in run.stderr
    assert run.stdout == ""


# --- it starts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model, kind", [(f"brook={BROOK}", "text_completion"), ("hash=hash", "chat.completion.chunk")])
def test_the_ready_line_comes_first_and_a_curl_line_to_try_follows(model, kind):
    with serve("--model", model) as server:
        # The ready line may come alone in the pipe.
        wait_until(lambda: _read_more(server) or b"curl" in server.output, "the curl line", 10)
        lines = server.output.decode().splitlines()

        assert re.match(r"ready http=127\.0\.0\.1:\d+ binary=127\.0\.0\.1:\d+ management=127\.0\.0\.1:\d+", lines[0])
        command = next(line[line.index("curl") :] for line in lines[1:] if "curl" in line)
        run = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=seconds(30))
        assert run.returncode == 0, run.stderr
        assert f'"object":"{kind}"' in run.stdout


def _read_more(server):
    if select.select([server.process.stdout], [], [], 0)[0]:
        server.output += os.read(server.process.stdout.fileno(), 65536)


def test_keys_are_asked_for_on_every_path_that_is_not_for_probes(tmp_path):
    keys = tmp_path / "keys"
    tokens = {"a": "token-a", "b": "token-b"}
    keys.write_text("# two clients\n" + "".join(key(name, token) for name, token in tokens.items()))
    body = {"prompt": "x", "max_tokens": 1}
    with serve("--model", "hash=hash", "--api-keys", keys, listen="0.0.0.0:0") as server:
        address = ("127.0.0.1", server.http[1])
        for data in (post(body), head("GET", "/v1/models"), head("GET", "/v1/models/hash"), head("GET", "/nowhere")):
            assert exchange(address, data).status in (401, 404)
        refused = exchange(address, post(body))
        assert_error(refused, 401, "missing_api_key", "invalid_request_error")
        assert refused.header("www-authenticate") == 'Bearer realm="sluice"'
        for wrong in ("Authorization: Bearer token-c", "Authorization: Bearer token-", "x-api-key: a"):
            assert_error(exchange(address, post(body, wrong)), 401, "invalid_api_key", "invalid_request_error")
        assert exchange(address, post(body, "Authorization: Bearer token-a", "x-api-key: token-b")).status == 400
        for right in ("Authorization: Bearer token-a", "authorization: bearer  token-b", "X-Api-Key: token-b"):
            assert exchange(address, post(body, right)).status == 200
            assert exchange(address, head("GET", "/v1/models", right)).status == 200
        for path in ("/health", "/ready", "/version"):
            assert exchange(address, head("GET", path)).status == 200


def test_the_management_port_asks_for_its_own_key_as_soon_as_there_is_one(tmp_path):
    keys, admin_keys = tmp_path / "keys", tmp_path / "admin"
    keys.write_text(key("client", "client-token"))
    admin_keys.write_text(key("operator", "admin-token"))
    server = Server("--model", "hash=hash", "--api-keys", keys, "--admin-keys", admin_keys)
    try:
        for path in ("/admin/v1/workers", "/admin/v1/breakers", "/admin/v1/admission"):
            answer = exchange(server.management, head("GET", path))
            assert_error(answer, 401, "missing_api_key", "invalid_request_error")
            assert answer.header("www-authenticate") == 'Bearer realm="sluice"'
            wrong = exchange(server.management, head("GET", path, "Authorization: Bearer client-token"))
            assert_error(wrong, 401, "invalid_api_key", "invalid_request_error")
            for right in ("Authorization: Bearer admin-token", "X-Api-Key: admin-token"):
                assert exchange(server.management, head("GET", path, right)).status == 200
        for path in ("/health", "/ready", "/version"):
            assert exchange(server.management, head("GET", path)).status == 200
        assert exchange(server.http, head("GET", "/v1/models", "Authorization: Bearer admin-token")).status == 401
        assert exchange(server.http, head("GET", "/v1/models", "Authorization: Bearer client-token")).status == 200
        server.stop()
    finally:
        server.close()


def test_each_public_listener_needs_its_own_leave_to_be_anonymous(tmp_path):
    keys = tmp_path / "keys"
    keys.write_text(key("a", "token"))
    public, private = "0.0.0.0:0", "127.0.0.1:0"

    def refused(data, management, *arguments):
        code, said = run_sluice(
            "serve", "--model", "hash=hash", "--listen", data, "--binary-listen", private, "--management-listen", management, *arguments
        )
        assert code == 3, said
        return said

    assert "--api-keys FILE, or --allow-anonymous data" in refused(public, private, "--allow-anonymous", "management")
    said = refused(private, public, "--allow-anonymous", "data", "--api-keys", keys)
    assert "--admin-keys FILE, or --allow-anonymous management" in said
    assert "--listen" in refused(private, private, "--listen", public)
    with serve("--model", "hash=hash", "--allow-anonymous", "data", listen=public) as server:
        assert exchange(("127.0.0.1", server.http[1]), head("GET", "/v1/models", host="any.example")).status == 200
        assert "--allowed-host" in server.log_text(), "it warns that every name is answered"


def test_configured_names_and_pages_may_use_the_server():
    page = "Origin: https://app.example"
    with serve(
        "--model", "hash=hash", "--allowed-host", "api.example", "--allowed-origin", "https://app.example"
    ) as server:
        assert exchange(server.http, head("GET", "/health", host="api.example")).status == 200
        assert exchange(server.http, head("GET", "/health", host="evil.example")).status == 403
        body = {"prompt": "x", "max_tokens": 2}
        for data, status in (
            (post(body, page), 200),
            (post(dict(body, stream=True), page), 200),
            (post(b"{", page), 400),
            (head("GET", "/nowhere", page), 404),
            (head("POST", "/v1/completions", page, "Content-Length: 99999999"), 413),
            (head("POST", "/v1/completions", page, "Transfer-Encoding: chunked") + b"x\r\n", 400),
            (head("GET", "/v1/%00", page), 400),
        ):
            answer = exchange(server.http, data)
            assert answer.status == status, answer.body
            assert answer.header("access-control-allow-origin") == "https://app.example"
            assert answer.header("vary") == "Origin"
        preflight = exchange(
            server.http,
            head(
                "OPTIONS",
                "/v1/completions",
                page,
                "Access-Control-Request-Method: POST",
                "Access-Control-Request-Headers: authorization,content-type",
            ),
        )
        assert preflight.status == 204
        assert preflight.header("access-control-allow-origin") == "https://app.example"
        assert preflight.header("access-control-allow-headers") == "authorization,content-type"
        assert preflight.header("access-control-max-age") == "600"
        # Never on the management port.
        assert exchange(server.management, head("GET", "/admin/v1/workers", page)).status == 403


def test_several_addresses_are_listened_on():
    with serve("--model", "hash=hash", "--listen", "127.0.0.2:0") as server:
        line = server.output.decode().splitlines()[0]
        addresses = line.split("http=")[1].split()[0].split(",")
        assert [address.partition(":")[0] for address in addresses] == ["127.0.0.1", "127.0.0.2"]
        for address in addresses:
            host, _, port = address.partition(":")
            assert exchange((host, int(port)), post({"prompt": "x", "max_tokens": 1})).status == 200


def test_the_ipv6_wildcard_takes_clients_of_both_families():
    if not _has_ipv6():
        pytest.skip("this machine has no IPv6")
    with serve("--model", "hash=hash", "--allow-anonymous", "data", listen="[::]:0") as server:
        for host in ("127.0.0.1", "::1"):
            assert exchange((host, server.http[1]), head("GET", "/health")).status == 200


def _has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
        return True
    except OSError:
        return False


def test_an_idle_connection_is_kept_as_long_as_the_option_says():
    with serve("--model", "hash=hash", "--keep-alive-timeout", "1s") as server, Wire(server.http) as wire:
        wire.send(head("GET", "/health"))
        assert wire.response().header("keep-alive") == "timeout=1"
        wire.assert_closed()
    with serve("--model", "hash=hash") as server:
        assert exchange(server.http, head("GET", "/health")).header("keep-alive") == "timeout=120"


def test_a_ready_file_is_written_when_the_server_serves(tmp_path):
    path = tmp_path / "ready"
    with serve("--model", "hash=hash", "--ready-file", path) as server:
        wait_until(path.exists, "the ready file")
        assert f"{server.http[0]}:{server.http[1]}" in path.read_text()


def test_a_ready_file_that_is_a_pipe_or_a_device_stays_one(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with serve("--model", "hash=hash", "--ready-file", pipe) as server:
        assert select.select([reader], [], [], 10)[0], "the pipe stays empty"
        assert f"{server.http[0]}:{server.http[1]}" in os.read(reader, 1000).decode()
    os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    # Without a reader the server says so and serves.
    with serve("--model", "hash=hash", "--ready-file", pipe) as server:
        assert request(server.http, "GET", "/health")[0] == 200
        wait_until(lambda: "--ready-file" in server.log_text(), "the reason in the log")
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.parametrize(
    "limit, value, said",
    [
        (resource.RLIMIT_NOFILE, 5, "may have 5 files open (ulimit -n), a server of 1 lane needs 86"),
        (resource.RLIMIT_NOFILE, 32, "may have 32 files open"),
        (resource.RLIMIT_STACK, 64 << 10, "may have 65536 bytes (ulimit -s)"),
        pytest.param(resource.RLIMIT_AS, 100 << 20, "cannot go on", marks=needs_plain_memory),
    ],
    ids=["5 files", "32 files", "small stack", "little memory"],
)
def test_a_limit_under_which_it_cannot_serve_is_named(limit, value, said):
    code, text = serve_fails("--model", "hash=hash", prepare=lambda: resource.setrlimit(limit, (value, value)))

    assert code == (70 if limit == resource.RLIMIT_AS else 3), text
    assert said in text


def test_it_can_be_ended_while_it_waits_for_a_file(tmp_path):
    pipe = tmp_path / "trace"
    os.mkfifo(pipe)  # and nobody reads it
    command = [BINARY, "serve", "--model", "hash=hash", "--listen", "127.0.0.1:0", "--management-listen", "127.0.0.1:0", "--binary-listen", "127.0.0.1:0"]
    process = subprocess.Popen([*map(str, command), "--trace", str(pipe)])
    try:
        tasks = f"/proc/{process.pid}/task"
        wait_until(lambda: len(os.listdir(tasks)) > 2, "its loops, which it starts before it opens the trace")
        process.send_signal(signal.SIGTERM)
        assert process.wait(seconds(10)) == -signal.SIGTERM
    finally:
        process.kill()


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_it_serves_and_ends_without_standard_streams(closed, tmp_path):
    ready = tmp_path / "ready"
    command = f"exec {BINARY} serve --model hash=hash --listen 127.0.0.1:0 --management-listen 127.0.0.1:0 --binary-listen 127.0.0.1:0"
    process = subprocess.Popen(["bash", "-c", f"{command} --ready-file {ready} {closed}"])
    try:
        wait_until(ready.exists, "the ready file")
        address = re.search(r"http=([\d.]+):(\d+)", ready.read_text())
        assert request((address[1], int(address[2])), "GET", "/health")[0] == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()


def test_a_log_that_nobody_reads_stops_nothing(tmp_path):
    ready = tmp_path / "ready"
    end, log = os.pipe()
    fcntl.fcntl(log, fcntl.F_SETPIPE_SZ, 4096)
    command = [BINARY, "serve", "--model", "hash=hash", "--listen", "127.0.0.1:0", "--management-listen", "127.0.0.1:0", "--binary-listen", "127.0.0.1:0"]
    process = subprocess.Popen([*command, "--ready-file", ready, "--log-level", "debug"], stderr=log)
    os.close(log)
    try:
        wait_until(ready.exists, "the ready file")
        address = re.search(r"http=([\d.]+):(\d+)", ready.read_text())
        for _ in range(100):  # each is ignored with a line of log
            process.send_signal(signal.SIGUSR1)
            assert request((address[1], int(address[2])), "GET", "/health")[0] == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        os.close(end)


def test_two_models_serve_side_by_side():
    with serve("--model", f"brook={BROOK}", "--model", "hash=hash") as server:
        _, _, body = request(server.http, "GET", "/v1/models")
        assert sorted(model["id"] for model in json.loads(body)["data"]) == ["brook", "hash"]
        assert complete(server, model="hash", prompt="x", max_tokens=1)["model"] == "hash"
        assert complete(server, model="brook", prompt="It", max_tokens=1)["model"] == "brook"
        assert complete(server, prompt="It", max_tokens=1)["model"] == "brook", "the first one is the default"
        assert sorted(lane["model"] for lane in server.lanes()) == ["brook", "hash"]


def test_health_ready_and_version_answer_on_both_listeners():
    with serve("--model", "hash=hash") as server:
        for address in (server.http, server.management):
            health = exchange(address, head("GET", "/health"))
            assert health.status == 200 and health.json()["status"] == "ok"
            assert exchange(address, head("GET", "/ready")).status == 200
            version = exchange(address, head("GET", "/version")).json()
            assert version["version"] and version["protocol"] == {"http": "1.1", "srp": "1.0"}, "only what is served"
        assert_error(exchange(server.http, head("GET", "/admin/v1/workers")), 404, "unknown_url")


# --- it stops ----------------------------------------------------------------------------------------------------


def test_an_idle_server_stops_with_success_and_takes_its_workers_along():
    with serve("--workers", 2, "--drain-delay", "0s") as server:
        server.wait_lanes_ready()
        workers = server.worker_pids()
        assert len(workers) == 2

        server.terminate()

        assert server.wait() == 0
        server.assert_gone(workers)


def test_interrupt_stops_like_terminate():
    with serve("--model", "hash=hash", "--drain-delay", "0s") as server:
        server.process.send_signal(signal.SIGINT)

        assert server.wait() == 0


@pytest.mark.parametrize("moment", ["first worker", "lanes load"])
def test_a_server_that_still_loads_stops_too(moment):
    server = Server("--workers", 3, "--drain-delay", "0s", wait=False)
    try:
        wait_until(lambda: len(server.worker_pids()) >= {"first worker": 1, "lanes load": 3}[moment], "workers start")
        workers = server.worker_pids()
        server.terminate()
        code = server.wait()
        server.assert_gone(workers)

        assert code == 0, server.log_text()
        server.assert_no_sanitizer_report()
    finally:
        server.close()


@pytest.mark.parametrize("delay", ["0s", "2s"])
def test_streams_run_to_their_end_while_the_server_stops(delay):
    with serve("--drain-delay", delay, "--drain-timeout", f"{seconds(45):.0f}s") as server:
        undisturbed = Stream(server, **LONG).read()
        streams = [Stream(server, **LONG) for _ in range(8)]
        readers = [iter(stream) for stream in streams]
        for reader in readers:
            next(reader)
        workers = server.worker_pids()

        server.terminate()

        assert [stream.read() for stream in streams] == [undisturbed] * 8
        assert all(stream.done for stream in streams)
        assert server.wait() == 0
        server.assert_gone(workers)


def test_a_server_that_stops_is_not_ready_but_serves_for_its_delay():
    with serve("--drain-delay", "3s") as server:
        stream = Stream(server, **LONG)
        next(iter(stream))
        server.terminate()

        wait_until(lambda: exchange(server.management, head("GET", "/ready")).status == 503, "readiness fails", 2)

        assert exchange(server.http, head("GET", "/ready")).status == 503
        answer = exchange(server.http, post({"prompt": "It", "max_tokens": 2}))
        assert answer.status == 200
        stream.read()
        assert server.wait() == 0


def test_idle_connections_do_not_hold_up_a_stop():
    with serve("--model", "hash=hash", "--drain-delay", "0s") as server:
        with socket.create_connection(server.http) as silent, socket.create_connection(server.http) as used:
            used.sendall(head("GET", "/health"))
            assert used.recv(100)
            server.terminate()
            assert server.wait(20) == 0
            silent.settimeout(seconds(5))
            assert silent.recv(1) == b""


def test_requests_beyond_the_drain_timeout_are_aborted_and_the_exit_code_says_so():
    with serve("--max-sequences", 4, "--drain-delay", "0s", "--drain-timeout", "1s") as server:
        # More than can be computed in a second.
        streams = [Stream(server, **LONG, n=16)]
        next(iter(streams[0]))  # before the others come, or it might stand behind them
        streams += [Stream(server, **LONG, n=16) for _ in range(15)]
        server.terminate()

        assert server.wait(20) == 7
        for stream in streams:
            stream.close()


def test_a_second_signal_stops_at_once():
    with serve("--max-sequences", 4, "--drain-delay", "0s") as server:
        workers = server.worker_pids()
        streams = [Stream(server, **LONG, n=16)]
        next(iter(streams[0]))  # before the others come, or it might stand behind them
        streams += [Stream(server, **LONG, n=16) for _ in range(15)]
        server.terminate()
        wait_until(lambda: exchange(server.management, head("GET", "/ready")).status == 503, "it drains", 5)

        server.terminate()

        assert server.wait(10) == 130
        server.assert_gone(workers)
        for stream in streams:
            stream.close()


def test_what_cannot_be_waited_for_ends_with_an_error():
    """Clients take a clean end for success, so a stream that is not finished must not have one."""
    with serve("--max-sequences", 4, "--drain-delay", "0s", "--drain-timeout", "1s") as server:
        others = [Stream(server, **LONG, n=16)]
        next(iter(others[0]))
        others += [Stream(server, **LONG, n=16) for _ in range(15)]
        stream = Stream(server, **LONG, n=4)
        server.terminate()
        server.wait(20)

        response = stream.connection.getresponse()
        text = response.read()
        if response.status == 503:  # it was still waiting for a lane
            assert b'"code":"draining"' in text
        else:
            assert response.status == 200
            assert text.endswith(b"data: [DONE]\n\n"), text[-300:]
            assert b'"code":"draining"' in text or text.count(b'"length"') == 4, text[-300:]
        for other in others:
            other.close()


def test_no_worker_outlives_a_front_that_is_killed():
    server = Server("--workers", 2)
    try:
        server.wait_lanes_ready()
        stream = Stream(server, **LONG)
        next(iter(stream))
        workers = server.worker_pids()
        assert len(workers) == 2

        server.process.kill()
        server.process.wait()

        wait_until(lambda: not any(map(process_alive, workers)), "the workers end with their parent", 2)
        stream.close()
    finally:
        server.close()


def test_a_terminal_sees_how_far_loading_is():
    leader, follower = pty.openpty()
    arguments = ["serve", "--model", f"brook={BROOK}", "--listen", "127.0.0.1:0", "--management-listen", "127.0.0.1:0", "--binary-listen", "127.0.0.1:0", "--dtype", "f32"]
    slow = ["--worker-fault", "slow(1s)@load"]
    server = subprocess.Popen([str(BINARY), *map(str, arguments), *slow], cwd=ROOT, stdin=follower, stdout=subprocess.PIPE,
                              stderr=follower)
    os.close(follower)
    try:
        ready = server.stdout.readline().decode()
        assert ready.startswith("ready http="), ready
        seen = ""
        while not seen.endswith("\r\x1b[K") or "opening its files" not in seen:
            assert select.select([leader], [], [], seconds(10))[0], "nothing may stay below the log: " + repr(seen)
            seen += os.read(leader, 1 << 16).decode()
        assert "\r\x1b[Kbrook: opening its files" in seen, seen
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(seconds(30))
        os.close(leader)
