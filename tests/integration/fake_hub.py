"""A hub that fits into a test: the paths, redirects and headers of Hugging Face's, with a storage on a port of its own,
and everything that can go wrong on the way."""

import contextlib
import hashlib
import http.server
import json
import threading
import urllib.parse

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def git_sha1(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class File:
    """A file of the hub. Large ones lie in the storage, to which the hub redirects."""

    def __init__(self, data, large=False):
        self.data = data
        self.large = large
        self.digest = sha256(data) if large else git_sha1(data)
        self.size = len(data)  # a test may let the hub lie about both

    def describe(self, name, blobs):
        entry = {"rfilename": name}
        if blobs:
            entry |= {"size": self.size, "blobId": git_sha1(self.data) if self.large else self.digest}
            if self.large:
                entry["lfs"] = {"sha256": self.digest, "size": self.size, "pointerSize": 134}
        return entry


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, body=b"", headers=(), length=None):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def note(self, place):
        hub = self.server.hub
        with hub.lock:
            hub.requests.append((place, self.command, self.path, dict(self.headers)))

    def send_file(self, name, file):
        """The file, or the part that is asked for, as the hub's script for it wants: see `Hub.mishaps`."""
        hub = self.server.hub
        with hub.lock:
            script = hub.mishaps.get(name, [])
            mishap = script.pop(0) if script else None
        headers = [] if file.large else [("ETag", f'"{file.digest}"')]
        data, status = file.data, 200
        asked = self.headers.get("Range")
        if asked and mishap != "ignore range":
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(data):
                return self.reply(416)
            headers.append(("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}"))
            data, status = data[start:], 206
        if mishap == "wrong range":
            headers = [("Content-Range", f"bytes 1-{len(file.data) - 1}/{len(file.data)}")]
        if isinstance(mishap, int):
            return self.reply(mishap, b"a mishap", [("Retry-After", "0")])
        if isinstance(mishap, tuple) and mishap[0] == "cut":
            self.reply(status, data[: mishap[1]], headers, len(data))
            self.wfile.flush()
            self.close_connection = True
            return None
        if isinstance(mishap, tuple) and mishap[0] == "hold":  # sends some, then waits for the test's event
            self.reply(status, data[: mishap[1]], headers, len(data))
            self.wfile.flush()
            hub.held.set()
            mishap[2].wait(60)
            with contextlib.suppress(OSError):
                self.wfile.write(data[mishap[1] :])
            return None
        if mishap == "flip":
            data = bytes([data[0] ^ 1]) + data[1:]
        return self.reply(status, data, headers)


class HubHandler(Handler):
    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        self.note("hub")
        hub = self.server.hub
        url = urllib.parse.urlsplit(self.path)
        parts = url.path.strip("/").split("/")
        if hub.refusal:
            status, code = hub.refusal
            headers = [("X-Error-Code", code)] if code else []
            return self.reply(status, b'{"error":"refused \\u001b[31m"}', headers)
        if hub.token and self.headers.get("Authorization") != f"Bearer {hub.token}":
            return self.reply(401, b"{}", [("X-Error-Code", "GatedRepo")])
        if parts[:2] == ["api", "models"] and parts[4:5] == ["revision"]:
            if "/".join(parts[2:4]) == hub.old_name:  # a renamed repository
                return self.reply(307, headers=[("Location", self.path.replace(hub.old_name, hub.name))])
            if "/".join(parts[2:4]) != hub.name:
                return self.reply(404, b"{}", [("X-Error-Code", "RepoNotFound")])
            if urllib.parse.unquote(parts[5]) not in hub.revisions:
                return self.reply(404, b"{}", [("X-Error-Code", "RevisionNotFound")])
            blobs = "blobs=true" in url.query and hub.says_blobs
            listing = {
                "id": hub.name,
                "sha": COMMIT,
                "siblings": [file.describe(name, blobs) for name, file in hub.files.items()],
            }
            return self.reply(200, json.dumps(listing if hub.listing is None else hub.listing).encode())
        if parts[2:4] == ["resolve", COMMIT]:
            name = urllib.parse.unquote("/".join(parts[4:]))
            file = hub.files.get(name)
            if file is None:
                return self.reply(404, b"{}", [("X-Error-Code", "EntryNotFound")])
            if not file.large:
                return self.send_file(name, file)
            headers = [
                ("Location", f"{hub.storage_url}/{urllib.parse.quote(name)}?signature=secret"),
                ("X-Repo-Commit", COMMIT),
                ("X-Linked-ETag", f'"{file.digest}"'),
                ("X-Linked-Size", str(file.size)),
                ("ETag", '"of the redirect"'),
            ]
            return self.reply(302, b"over there", headers)
        return self.reply(404)


class StorageHandler(Handler):
    def do_GET(self):
        self.note("storage")
        name = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path[1:])
        self.send_file(name, self.server.hub.files[name])


class Hub:
    """One model, `ORG/model`, on two ports. Attributes may be changed while it runs.

    mishaps   for a file's name what happens to the next requests for it, one after the other: a status, ("cut", N) after N
              bytes, ("hold", N, event), "flip" (a wrong bit), "ignore range", "wrong range"; then it is served well
    requests  (place, method, path, headers) of each
    """

    name = "ORG/model"
    old_name = "OLD/model"

    def __init__(self, files):
        self.files = files
        self.revisions = {"main", COMMIT}
        self.token = None
        self.refusal = None
        self.listing = None
        self.says_blobs = True
        self.mishaps = {}
        self.requests = []
        self.held = threading.Event()
        self.lock = threading.Lock()
        self.servers = [self._start(HubHandler), self._start(StorageHandler)]
        self.url, self.storage_url = (f"http://127.0.0.1:{server.server_port}" for server in self.servers)

    def _start(self, handler):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        server.hub = self
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return server

    def close(self):
        for server in self.servers:
            server.shutdown()
            server.server_close()

    def asked(self, place, name):
        """The headers of the requests for a file."""
        with self.lock:
            return [headers for where, _, path, headers in self.requests if where == place and name in path]


@contextlib.contextmanager
def serve(files):
    hub = Hub(files)
    try:
        yield hub
    finally:
        hub.close()
