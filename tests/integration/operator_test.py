"""Orders of an operator over the management port, to a server that serves."""

import concurrent.futures
import json

from requests_of_all_kinds import request_of
from sluice_server import Stream, choices_of, complete, request, serve, wait_until

TOKENS = 150
QUICK = ("--lane-backoff-min", "20ms")


def order(server, path, body=None):
    status, headers, answer = request(server.management, "POST", f"/admin/v1/{path}", body)
    return status, json.loads(answer), headers


def test_restarts_under_load_lose_no_stream_and_change_no_byte():
    with serve("--workers", 2, *QUICK) as server:
        server.wait_lanes_ready()
        alone = choices_of(server, **request_of("seeded", "brook", TOKENS))
        for lane in (0, 1, 0, 1):
            streams = [Stream(server, **request_of("seeded", "brook", TOKENS)) for _ in range(4)]
            for stream in streams:
                next(iter(stream))
            before = server.lanes()[lane]["incarnation"]
            status, answer, _ = order(server, f"workers/{lane}/restart", {"reason": "a rolling restart"})
            assert (status, answer) == (202, {"lane": lane, "order": "restart"})

            assert [stream.read() for stream in streams] == [alone] * 4
            wait_until(lambda: server.lanes()[lane]["incarnation"] == before + 1, "another worker", 20)
            server.wait_lanes_ready()
            assert server.lanes()[lane]["last_exit"] == "was restarted by an operator: a rolling restart"
        assert server.state()["requests"]["failed"] == 0


def test_the_only_worker_moves_what_it_runs_to_its_successor():
    with serve(*QUICK) as server:
        alone = choices_of(server, **request_of("seeded", "brook", TOKENS))
        stream = Stream(server, **request_of("seeded", "brook", TOKENS))
        next(iter(stream))
        assert order(server, "workers/0/restart")[0] == 202

        assert stream.read() == alone
        assert server.state()["requests"]["resumed"] == 1


def test_a_breaker_is_forced_open_and_reset():
    with serve("--workers", 2, *QUICK) as server:
        server.wait_lanes_ready()
        assert order(server, "breakers/0/force-open", {"reason": "a fan is broken"})[0] == 202
        wait_until(lambda: server.lanes()[0]["breaker"]["state"] == "forced_open", "it is open")
        assert server.lanes()[0]["breaker"]["by_hand"] and "a fan is broken" in server.lanes()[0]["breaker"]["reason"]
        for _ in range(4):
            complete(server, prompt="x", max_tokens=2)
        assert server.lanes()[0]["running"] == 0

        assert order(server, "breakers/0/reset")[0] == 202
        server.wait_lanes_ready()


def test_a_lane_in_quarantine_is_revived_at_once():
    plan = "0:exit(70)@step=70 if incarnation=1; exit(70)@load if incarnation=2"
    with serve("--workers", 2, "--worker-fault", plan, "--lane-restarts", 1, *QUICK) as server:
        server.wait_lanes_ready()
        with concurrent.futures.ThreadPoolExecutor(2) as clients:  # one alone may stay with the other lane
            for _ in range(20):
                if server.lanes()[0]["quarantine"]:
                    break
                both = [clients.submit(choices_of, server, **request_of("greedy", "brook", 60)) for _ in range(2)]
                concurrent.futures.wait(both)
        wait_until(lambda: server.lanes()[0]["quarantine"], "quarantine", 20)
        status, answer, _ = order(server, "workers/0/restart")
        assert status == 409 and "it can be revived" in answer["error"]["message"], answer
        assert 0 < server.lanes()[0]["trial_in_ms"] <= 30_000

        assert order(server, "workers/0/revive")[0] == 202
        wait_until(lambda: not server.lanes()[0]["quarantine"], "it is revived", 20)
        server.wait_lanes_ready()


def test_what_is_not_there_or_not_allowed_is_said():
    with serve() as server:
        status, answer, _ = order(server, "workers/7/restart")
        assert status == 404 and "this server has 1, numbered from 0" in answer["error"]["message"]
        assert order(server, "workers/0/revive")[0] == 409
        status, answer, _ = order(server, "breakers/0/reset")
        assert status == 409 and "there is nothing to reset" in answer["error"]["message"]
        status, answer, _ = order(server, "breakers/0/force-open", {"for_s": -1})
        assert status == 400 and answer["error"]["param"] == "for_s"
        status, headers, _ = request(server.management, "GET", "/admin/v1/workers/0/restart")
        assert status == 405 and headers["Allow"] == "POST, OPTIONS"
