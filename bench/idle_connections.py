#!/usr/bin/env python3
"""Opens many keep-alive connections, lets them idle, and tells what they cost the server.

    bench/idle_connections.py --port 8000 --pid 1234 [--connections 10000] [--idle 5] [--path /health]

Each connection makes one request first, so that the server has had reason to allocate for it. Prints
the server's resident memory before, with all connections open, and after the idle time, and the
processor time it spent while they idled. Only the standard library; raises its own limit of open files.
"""
import argparse
import os
import resource
import socket
import sys
import time


def resident_kib(pid):
    with open(f"/proc/{pid}/status") as status:
        for line in status:
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    raise RuntimeError(f"no VmRSS for process {pid}")


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def open_files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def request(sock, host, path):
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(65536)
        if not more:
            raise ConnectionError("the server closed the connection")
        data += more
    head, body = data.split(b"\r\n\r\n", 1)
    status = int(head.split()[1])
    length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n")
                   if line.lower().startswith(b"content-length:")), 0)
    while len(body) < length:
        more = sock.recv(65536)
        if not more:
            raise ConnectionError("the server closed the connection within an answer")
        body += more
    return status


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--pid", type=int, required=True, help="the server's process")
    parser.add_argument("--connections", type=int, default=10000)
    parser.add_argument("--idle", type=float, default=5, help="seconds")
    parser.add_argument("--path", default="/health")
    options = parser.parse_args()

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = options.connections + 64
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard) if hard > 0 else wanted, hard))
    if 0 < hard < wanted:
        sys.exit(f"the hard limit of open files is {hard}, {wanted} are needed")

    before = resident_kib(options.pid)
    sockets, refused, began = [], 0, time.monotonic()
    for _ in range(options.connections):
        sock = socket.create_connection((options.host, options.port), timeout=30)
        if request(sock, options.host, options.path) == 503:
            refused += 1
        sockets.append(sock)
    opened = resident_kib(options.pid)
    seconds = time.monotonic() - began
    cpu = cpu_seconds(options.pid)
    time.sleep(options.idle)
    cpu = cpu_seconds(options.pid) - cpu
    idle = resident_kib(options.pid)
    alive = 0
    for sock in sockets[:: max(1, len(sockets) // 100)]:
        alive += request(sock, options.host, options.path) != 503
    print(f"connections={len(sockets)} refused={refused} opened_in={seconds:.1f}s "
          f"server_open_files={open_files(options.pid)} sampled_alive={alive}")
    print(f"rss_before={before / 1024:.1f}MiB rss_open={opened / 1024:.1f}MiB rss_idle={idle / 1024:.1f}MiB "
          f"per_connection={(idle - before) / max(1, len(sockets)):.2f}KiB")
    print(f"cpu_while_idle={100 * cpu / options.idle:.2f}%")


if __name__ == "__main__":
    main()
