"""`sluice pull` against a hub of our own: what lies where afterwards, and everything that goes wrong on the way."""

import os
import pty
import resource
import signal
import subprocess
import threading

import pytest

import fake_hub
from fake_hub import COMMIT, File
from sluice_server import BINARY, BROOK, SANITIZER_REPORTS, seconds, wait_until

WEIGHTS = bytes(range(256)) * 4000
CUT = 300_000


def model_files():
    return {
        ".gitattributes": File(b"*.safetensors filter=lfs\n"),
        "README.md": File(b"# A model\n"),
        "config.json": File(b'{"model_type":"llama"}'),
        "tokenizer.json": File(b"{}" * 1000, large=True),
        "chat_template.jinja": File(b"{{ messages }}"),
        "model.safetensors": File(WEIGHTS, large=True),
        "consolidated.safetensors": File(b"the same again", large=True),
        "pytorch_model.bin": File(b"pickled", large=True),
        "original/model.safetensors": File(b"once more", large=True),
    }


def gguf_files():
    return {
        "README.md": File(b"# A model\n"),
        "model-Q4_K_M.gguf": File(b"GGUF four", large=True),
        "model-Q8_0.gguf": File(b"GGUF eight" * 1000, large=True),
        "mmproj-model-f16.gguf": File(b"GGUF eyes", large=True),
    }


@pytest.fixture
def hub():
    with fake_hub.serve(model_files()) as hub:
        yield hub


class Puller:
    """Runs `sluice pull` with a cache of its own."""

    def __init__(self, hub, folder):
        self.hub = hub
        self.home = folder / "home"
        self.home.mkdir(exist_ok=True)
        self.cache = self.home / ".cache" / "huggingface" / "hub"
        self.model = self.cache / "models--ORG--model"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "XDG_"))}
        kept = {name: value for name, value in kept.items() if not name.lower().endswith("_proxy")}
        self.environment = kept | {"HOME": str(self.home), "HF_ENDPOINT": hub.url}

    def start(self, *arguments, prepare=None, **variables):
        arguments = [str(argument) for argument in arguments] or ["hf:ORG/model"]
        return subprocess.Popen(
            [str(BINARY), "pull", *arguments],
            env=self.environment | variables,
            preexec_fn=prepare,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self, process, code=0):
        output, errors = process.communicate(timeout=seconds(60))
        assert not any(report in errors for report in SANITIZER_REPORTS), errors
        assert process.returncode == code, errors
        return (output if code == 0 else errors).strip()

    def pull(self, *arguments, code=0, **variables):
        """What it printed; with a code, what it said went wrong."""
        return self.finish(self.start(*arguments, **variables), code)

    def files(self):
        """What the snapshot holds, by name."""
        folder = self.model / "snapshots" / COMMIT
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def partial(self, file):
        return self.model / "blobs" / f"{file.digest}.incomplete"


@pytest.fixture
def puller(hub, tmp_path):
    return Puller(hub, tmp_path)


WANTED = {"config.json", "tokenizer.json", "chat_template.jinja", "model.safetensors"}


def test_lies_in_the_cache_as_other_tools_expect_it(hub, puller):
    path = puller.pull()

    assert path == str(puller.model / "snapshots" / COMMIT)
    assert puller.files() == {name: hub.files[name].data for name in WANTED}
    weights = puller.model / "snapshots" / COMMIT / "model.safetensors"
    assert os.readlink(weights) == f"../../blobs/{fake_hub.sha256(WEIGHTS)}"
    config = puller.model / "snapshots" / COMMIT / "config.json"
    assert os.readlink(config) == f"../../blobs/{fake_hub.git_sha1(hub.files['config.json'].data)}"
    assert (puller.model / "refs" / "main").read_text() == COMMIT
    assert not list((puller.model / "blobs").glob("*.incomplete"))


def test_downloads_nothing_twice(hub, puller):
    first = puller.pull()
    hub.requests.clear()

    assert puller.pull() == first
    assert [path.split("?")[0] for _, _, path, _ in hub.requests] == ["/api/models/ORG/model/revision/main"]


def test_puts_files_into_a_folder_of_ones_own(hub, puller, tmp_path):
    folder = tmp_path / "deep" / "mine"

    assert puller.pull("hf:ORG/model", "--to", folder) == str(folder)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == {
        name: hub.files[name].data for name in WANTED
    }
    assert not any(file.is_symlink() for file in folder.iterdir())
    assert not puller.cache.exists()

    hub.requests.clear()
    changed = bytearray(WEIGHTS)
    changed[7] ^= 1
    (folder / "model.safetensors").write_bytes(changed)  # an older version of the same length
    puller.pull("hf:ORG/model", "--to", folder)
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert len(hub.requests) == 3  # the listing, and the weights by way of the redirect


def test_what_was_pulled_is_served(tmp_path):
    brook = {file.name: File(file.read_bytes(), large=file.suffix == ".safetensors") for file in BROOK.iterdir()}
    with fake_hub.serve(brook) as hub:
        path = Puller(hub, tmp_path).pull()
    info = subprocess.run([str(BINARY), "model", "info", path], capture_output=True, text=True, timeout=seconds(60))
    assert info.returncode == 0, info.stderr
    assert "can be served  yes" in info.stdout


@pytest.mark.parametrize("revision", ["v1.0", "refs/pr/1", COMMIT])
def test_pulls_a_revision(hub, puller, revision):
    hub.revisions.add(revision)

    puller.pull(f"hf:ORG/model@{revision}")
    refs = puller.model / "refs"
    if revision == COMMIT:
        assert not refs.exists()
    else:
        assert (refs / revision).read_text() == COMMIT


def test_follows_a_model_that_was_renamed(hub, puller):
    assert puller.pull("hf:OLD/model").endswith(f"models--OLD--model/snapshots/{COMMIT}")


def test_asks_for_what_the_listing_does_not_say(hub, puller):
    hub.says_blobs = False

    puller.pull()
    assert puller.files() == {name: hub.files[name].data for name in WANTED}
    assert {method for _, method, _, _ in hub.requests} == {"GET", "HEAD"}


# --- GGUF --------------------------------------------------------------------------------------------------------


@pytest.fixture
def gguf_puller(hub, puller):
    hub.files = gguf_files()
    return puller


@pytest.mark.parametrize("arguments", [["hf:ORG/model:Q4_K_M"], ["hf:ORG/model", "--include", "*Q4*"]])
def test_pulls_the_gguf_file_that_is_meant(gguf_puller, arguments):
    path = gguf_puller.pull(*arguments)

    assert path == str(gguf_puller.model / "snapshots" / COMMIT / "model-Q4_K_M.gguf")
    assert gguf_puller.files() == {"model-Q4_K_M.gguf": b"GGUF four"}


@pytest.mark.parametrize("arguments", [["hf:ORG/model"], ["hf:ORG/model", "--include", "*.gguf"]])
def test_lists_the_gguf_files_to_choose_from(gguf_puller, arguments):
    said = gguf_puller.pull(*arguments, code=2)

    assert "has 2 GGUF files to choose from" in said
    assert "\n  model-Q4_K_M.gguf  9 B\n  model-Q8_0.gguf  10.0 kB" in said
    assert "mmproj" not in said


def test_lists_what_there_is_when_nothing_matches(gguf_puller):
    assert "no GGUF file of the quantization Q5_K_M; it has:\n  model-Q4" in gguf_puller.pull(
        "hf:ORG/model:Q5_K_M", code=9
    )
    assert "nothing that --include matches" in gguf_puller.pull("hf:ORG/model", "--include", "*.onnx", code=9)


# --- what goes wrong ---------------------------------------------------------------------------------------------


def test_goes_on_where_the_connection_broke(hub, puller):
    hub.mishaps["model.safetensors"] = [("cut", CUT), ("cut", CUT), 503]

    puller.pull()
    assert puller.files()["model.safetensors"] == WEIGHTS
    ranges = [headers.get("Range") for headers in hub.asked("storage", "model.safetensors")]
    assert ranges == [None, f"bytes={CUT}-", f"bytes={2 * CUT}-", f"bytes={2 * CUT}-"]


def test_gives_up_after_its_retries_and_goes_on_the_next_time(hub, puller):
    hub.mishaps["model.safetensors"] = [("cut", CUT), ("cut", 0), ("cut", 0)]

    said = puller.pull("hf:ORG/model", "--retries", "1", code=9)
    assert f"{hub.storage_url}/model.safetensors: the connection broke off" in said
    assert "signature" not in said
    assert puller.partial(hub.files["model.safetensors"]).read_bytes() == WEIGHTS[:CUT]
    assert not (puller.model / "refs").exists()  # nobody takes half a model for a whole one
    hub.mishaps.clear()
    hub.requests.clear()

    puller.pull()
    assert hub.asked("storage", "model.safetensors")[0]["Range"] == f"bytes={CUT}-"
    assert puller.files()["model.safetensors"] == WEIGHTS


def test_copes_with_a_storage_that_knows_no_ranges(hub, puller):
    hub.mishaps["model.safetensors"] = [("cut", CUT), "ignore range"]

    puller.pull()
    assert puller.files()["model.safetensors"] == WEIGHTS


def test_refuses_a_range_it_did_not_ask_for(hub, puller):
    hub.mishaps["model.safetensors"] = [("cut", CUT), "wrong range"]

    assert f"asked for the bytes from {CUT} of {len(WEIGHTS)}" in puller.pull(code=9)


def test_throws_wrong_bytes_away(hub, puller):
    hub.mishaps["model.safetensors"] = ["flip"]

    said = puller.pull(code=9)
    assert "model.safetensors: the bytes that came have the digest" in said
    assert f"but the hub says {fake_hub.sha256(WEIGHTS)}" in said
    assert not (puller.model / "blobs" / fake_hub.sha256(WEIGHTS)).exists()
    assert puller.partial(hub.files["model.safetensors"]).stat().st_size == 0
    puller.pull()
    assert puller.files()["model.safetensors"] == WEIGHTS


def test_checks_small_files_too(hub, puller):
    hub.mishaps["config.json"] = ["flip"]

    assert "config.json: the bytes that came have the digest" in puller.pull(code=9)


@pytest.mark.parametrize("left", [b"damage" * 1000, WEIGHTS + b"x", b"x" * len(WEIGHTS)])
def test_begins_anew_when_what_was_left_is_damaged(hub, puller, left):
    partial = puller.partial(hub.files["model.safetensors"])
    partial.parent.mkdir(parents=True)
    partial.write_bytes(left)

    puller.pull()
    assert puller.files()["model.safetensors"] == WEIGHTS


def test_refuses_more_bytes_than_were_announced(hub, puller):
    hub.files["config.json"].size = 5

    assert "more comes than the 5 bytes" in puller.pull(code=9)


def test_looks_for_space_before_it_begins(hub, puller):
    hub.files["model.safetensors"].size = 2**45

    said = puller.pull(code=9)
    assert "35.2 TB are to come, but only" in said and "HF_HUB_CACHE" in said
    assert not hub.asked("storage", "")


def test_says_when_files_may_not_be_so_large(hub, puller):
    said = puller.pull(code=9, prepare=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (CUT, CUT)))

    assert "cannot be written: File too large" in said


def test_stops_when_nothing_comes(hub, puller):
    let_go = threading.Event()
    hub.mishaps["model.safetensors"] = [("hold", CUT, let_go)]

    said = puller.pull("hf:ORG/model", "--stall-timeout", "1s", "--retries", "0", code=9)
    let_go.set()
    assert "nothing more came for 1 s" in said


def test_can_be_interrupted_and_goes_on(hub, puller):
    let_go = threading.Event()
    hub.mishaps["model.safetensors"] = [("hold", CUT, let_go)]
    process = puller.start()
    partial = puller.partial(hub.files["model.safetensors"])
    wait_until(lambda: partial.exists() and partial.stat().st_size == CUT, "the first bytes")

    process.send_signal(signal.SIGINT)
    said = puller.finish(process, code=130)
    let_go.set()
    assert "interrupted; the same command goes on from here" in said
    assert partial.stat().st_size == CUT
    puller.pull()
    assert hub.asked("storage", "model.safetensors")[-1]["Range"] == f"bytes={CUT}-"


def test_two_at_once_do_not_get_in_each_others_way(hub, puller):
    let_go = threading.Event()
    hub.mishaps["model.safetensors"] = [("hold", CUT, let_go)]
    first = puller.start()
    assert hub.held.wait(seconds(20))
    second = puller.start()
    line = second.stderr.readline()
    while "another process downloads it" not in line:
        assert line, "the second did not wait"
        line = second.stderr.readline()
    let_go.set()

    assert puller.finish(first) == puller.finish(second)
    assert puller.files()["model.safetensors"] == WEIGHTS
    assert len(hub.asked("storage", "model.safetensors")) == 1


def test_says_that_nothing_answers(hub, puller):
    said = puller.pull(code=9, HF_ENDPOINT="http://127.0.0.1:1")
    assert said == (
        "sluice: http://127.0.0.1:1/api/models/ORG/model/revision/main: nothing answers at 127.0.0.1:1"
    )


# --- who may -----------------------------------------------------------------------------------------------------


def test_sends_its_token_to_the_hub_alone(hub, puller):
    hub.token = "hf_secret"

    puller.pull(HF_TOKEN="hf_secret")
    assert all("Authorization" in headers for place, _, _, headers in hub.requests if place == "hub")
    storage = [headers for place, _, _, headers in hub.requests if place == "storage"]
    assert storage and not any("hf_secret" in str(headers) for headers in storage)


def test_finds_the_token_where_others_leave_it(hub, puller):
    hub.token = "hf_secret"
    token = puller.home / ".cache" / "huggingface" / "token"
    token.parent.mkdir(parents=True)
    token.write_text("hf_secret\n")

    puller.pull()


def test_says_what_to_do_about_a_gated_model(hub, puller):
    hub.token = "hf_secret"

    said = puller.pull(code=9)
    assert f"ORG/model is gated: accept its terms at {hub.url}/ORG/model, and give a token by HF_TOKEN" in said
    said = puller.pull(code=9, HF_TOKEN="hf_other")
    assert "with the account of the token that was sent" in said and "hf_other" not in said


@pytest.mark.parametrize(
    "refusal, says",
    [
        ((401, None), "the hub shows no model ORG/model: the name is wrong, or it is private; if so, give a token"),
        ((404, "RepoNotFound"), "the hub shows no model ORG/model"),
        ((404, "RevisionNotFound"), "ORG/model has no revision main; see"),
        ((403, None), "ORG/model is gated"),
        ((500, None), "HTTP 500: refused \ufffd[31m"),
    ],
)
def test_says_why_the_hub_refuses(hub, puller, refusal, says):
    hub.refusal = refusal

    assert says in puller.pull(code=9)


# --- a hub that means harm ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["../../escape.json", "/etc/config.json", "a/../../b", "a//b", "a/.", "\x1b[2J", "x" * 600, "", "a/"]
)
def test_refuses_names_that_leave_the_folder(hub, puller, name, tmp_path):
    hub.files[name] = File(b"evil")

    said = puller.pull(code=9)
    assert "whose name" in said and "\x1b" not in said
    assert not list(tmp_path.rglob("escape.json"))
    assert not puller.model.exists()


@pytest.mark.parametrize(
    "listing",
    [
        [],
        {"sha": COMMIT},
        {"sha": "../../../x", "siblings": []},
        {"sha": COMMIT, "siblings": [{"rfilename": "config.json", "size": -1, "blobId": "0" * 40}]},
        {"sha": COMMIT, "siblings": [{"rfilename": "config.json"}, {"rfilename": "config.json"}]},
        {"sha": COMMIT, "siblings": [{"rfilename": 7}]},
    ],
)
def test_refuses_listings_that_are_none(hub, puller, listing):
    hub.listing = listing

    assert f"{hub.url}/api/models/ORG/model/revision/main: " in puller.pull(code=9)
    assert not puller.model.exists()


@pytest.mark.parametrize("spec", ["ORG/model", "hf:model", "hf:../model", "hf:ORG/..", "hf:ORG/model@../x", "hf:a--b/c"])
def test_refuses_names_of_models_that_are_none(puller, spec):
    assert "a model of the hub is hf:ORG/NAME" in puller.pull(spec, code=2)


def test_the_server_says_that_it_does_not_download():
    run = subprocess.run(
        [str(BINARY), "serve", "--listen", "127.0.0.1:0", "--management-listen", "127.0.0.1:0", "--binary-listen", "127.0.0.1:0", "--model", "x=hf:A/b"],
        capture_output=True,
        text=True,
        timeout=seconds(30),
    )
    assert run.returncode == 2
    assert "run sluice pull hf:A/b first" in run.stderr


# --- on a terminal -----------------------------------------------------------------------------------------------


def test_shows_its_progress_on_a_terminal(hub, puller):
    let_go = threading.Event()
    hub.mishaps["model.safetensors"] = [("hold", CUT, let_go)]
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [str(BINARY), "pull", "hf:ORG/model"], env=puller.environment, stdout=subprocess.PIPE, stderr=follower
    )
    os.close(follower)
    shown = b""
    while b"model.safetensors" not in shown:
        shown += os.read(leader, 4096)
    let_go.set()
    output, _ = process.communicate(timeout=seconds(30))
    os.close(leader)
    assert process.returncode == 0 and output.decode().strip().endswith(COMMIT)
    line = shown[: shown.index(b"model.safetensors")].rpartition(b"\r")[2]
    assert line.startswith(b"  0% of 1.0 MB")


def test_writes_plain_lines_elsewhere(puller):
    _, errors = puller.start().communicate(timeout=seconds(30))

    assert "model.safetensors  1.0 MB\n" in errors
    assert "\r" not in errors and "%" not in errors
