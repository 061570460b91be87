"""What `make install` puts somewhere serves by itself, and other programs build against it."""

import os
import pathlib
import shutil
import subprocess

import pytest

from sluice_server import ROOT, complete, seconds, serve

BUILD = pathlib.Path(os.environ["SLUICE_BUILD"])
FLAGS = ["-std=c++20", "-Wall", "-Wextra", "-Werror"]


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    place = tmp_path_factory.mktemp("prefix")
    if not (BUILD / "install").is_dir():
        pytest.skip("a build with sanitizers is not installed")
    subprocess.run(["cmake", "--install", BUILD, "--prefix", place], check=True, capture_output=True)
    return place


def test_the_installed_server_finds_the_model_that_ships_wherever_it_is_put(prefix, tmp_path):
    shutil.copytree(prefix, tmp_path / "moved")
    program = tmp_path / "moved" / "bin" / "sluice"
    shown = subprocess.run([program, "model", "info"], capture_output=True, text=True, timeout=seconds(60))
    assert shown.returncode == 0, shown.stderr
    assert "can be served" in shown.stdout
    model = f"brook={tmp_path}/moved/share/sluice/models/shipped/brook"
    with serve("--model", model, binary=program) as server:
        assert complete(server, prompt="In the beginning", max_tokens=4)["choices"][0]["text"]


def test_the_service_starts_the_program_that_was_installed(prefix):
    service = (prefix / "lib/systemd/system/sluice.service").read_text()
    assert f"ExecStart={prefix}/bin/sluice serve $SLUICE_OPTIONS\n" in service


def test_the_manual_is_well_formed(prefix):
    if shutil.which("man") is None:
        pytest.skip("needs man; on Debian: apt-get install man-db")
    page = prefix / "share/man/man1/sluice.1"
    shown = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", page], capture_output=True, text=True)
    assert not shown.stderr, shown.stderr
    for command in ("serve", "pull", "chat", "model info"):
        assert f"sluice {command}" in " ".join(shown.stdout.split())


@pytest.mark.parametrize("compiler", ["g++", "clang++"])
def test_a_program_finds_the_client_by_cmake(prefix, tmp_path, compiler):
    if shutil.which(compiler) is None:
        pytest.skip(f"needs {compiler}")
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.18)\nproject(app LANGUAGES CXX)\nfind_package(Sluice 0.1 REQUIRED)\n"
        f"add_executable(app app.cc)\ntarget_compile_options(app PRIVATE {' '.join(FLAGS)})\n"
        "target_link_libraries(app PRIVATE Sluice::rpc_client)\n"
    )
    shutil.copy(ROOT / "examples/rpc_client.cc", tmp_path / "app.cc")
    configure = ["cmake", "-S", tmp_path, "-B", tmp_path / "build", f"-DCMAKE_PREFIX_PATH={prefix}", f"-DCMAKE_CXX_COMPILER={compiler}"]
    for command in (configure, ["cmake", "--build", tmp_path / "build"]):
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds(300))
        assert done.returncode == 0, done.stdout + done.stderr
    with serve("--model", "hash=hash") as server:
        asked = subprocess.run([tmp_path / "build/app", "x", str(server.binary[1])], capture_output=True, text=True)
        assert asked.returncode == 0, asked.stderr


def test_a_program_finds_the_client_by_pkg_config(prefix, tmp_path):
    where = prefix / "share/pkgconfig"
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "sluice-client"],
        env={**os.environ, "PKG_CONFIG_PATH": str(where)}, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    command = ["g++", *FLAGS, str(ROOT / "examples/rpc_client.cc"), "-o", str(tmp_path / "app"), *flags]
    built = subprocess.run(command, capture_output=True, text=True, timeout=seconds(300))
    assert built.returncode == 0, built.stderr


def test_the_debian_packages_hold_what_they_promise():
    if shutil.which("dpkg-shlibdeps") is None:
        pytest.skip("needs dpkg-dev")
    made = subprocess.run([ROOT / "scripts/deb"], env={**os.environ, "BUILD": str(BUILD)}, capture_output=True, text=True)
    assert made.returncode == 0, made.stdout + made.stderr  # lintian's word, where it is installed
    packages = {path.name.split("_")[0]: path for path in (ROOT / "build/deb").glob("*.deb")}
    assert sorted(packages) == ["libsluice-client-dev", "sluice"]

    def files(name):
        listed = subprocess.run(["dpkg-deb", "--contents", packages[name]], capture_output=True, text=True, check=True)
        return {line.split()[5] for line in listed.stdout.splitlines()}

    service, manual = "./usr/lib/systemd/system/sluice.service", "./usr/share/man/man1/sluice.1.gz"
    assert {"./usr/bin/sluice", service, manual} <= files("sluice")
    assert "./usr/include/sluice/client/client.h" in files("libsluice-client-dev")
    depends = subprocess.run(["dpkg-deb", "--field", packages["sluice"], "Depends"], capture_output=True, text=True).stdout
    assert "libuv1" in depends and "libc6" in depends
