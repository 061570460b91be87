"""The Locust script that users bring, unchanged, against the shipped model."""

import csv
import os
import pathlib
import subprocess
import sys

from sluice_server import SANITIZER, seconds, serve

SCRIPT = pathlib.Path(__file__).with_name("locustfile.py")
USERS = 20 if SANITIZER else 100
DURATION_S = 30


def test_a_hundred_users_for_half_a_minute_see_no_failure(tmp_path):
    with serve() as server:
        command = [sys.executable, "-m", "locust", "-f", str(SCRIPT), "--headless", "--only-summary"]
        command += ["-u", str(USERS), "-r", "50", "-t", f"{DURATION_S}s", "--host", server.url]
        command += ["--csv", str(tmp_path / "locust")]
        environment = dict(os.environ, PYTHONDONTWRITEBYTECODE="1")

        run = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=seconds(DURATION_S + 60)
        )

        report = run.stdout + run.stderr
        assert run.returncode == 0, report
        with open(tmp_path / "locust_stats.csv", newline="") as file:
            total = next(row for row in csv.DictReader(file) if row["Name"] == "Aggregated")
        assert int(total["Failure Count"]) == 0, report
        assert int(total["Request Count"]) > 0, report
        print(f"{total['Request Count']} requests, {total['Requests/s']}/s, median {total['Median Response Time']} ms")

        # The users left in the middle of their requests: nothing of theirs may go on.
        server.wait_idle()
