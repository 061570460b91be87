"""A server that speaks as much of OpenAI's interface as a chat needs, and answers as a test wants."""

import contextlib
import http.server
import json
import threading


def piece(text):
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}


def finish(reason):
    return {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, body):
        kind = "text/html" if isinstance(body, bytes) else "application/json"
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.server.fake.headers.append(dict(self.headers))
        self.reply(200, {"object": "list", "data": [{"id": name} for name in self.server.fake.models]})

    def do_POST(self):
        fake = self.server.fake
        fake.headers.append(dict(self.headers))
        fake.requests.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        answer = fake.answers.pop(0)
        if isinstance(answer, tuple):
            return self.reply(*answer)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        with contextlib.suppress(OSError):  # the client may leave
            for event in answer:
                if isinstance(event, threading.Event):
                    event.wait(60)
                    continue
                data = event if isinstance(event, bytes) else b"data: " + json.dumps(event).encode() + b"\n\n"
                self.wfile.write(data)
                self.wfile.flush()
        return None


DONE = b"data: [DONE]\n\n"


class FakeOpenAI:
    """answers   one for each request to come: (status, body), or a list of events: objects, bytes as they are, and
                 threading.Events to wait for
    requests  what was asked
    """

    def __init__(self):
        self.models = ["first", "second"]
        self.answers = []
        self.requests = []
        self.headers = []
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.fake = self
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def say(self, *texts):
        """One more answer that is as it should be."""
        self.answers.append([*map(piece, texts), finish("stop"), DONE])

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@contextlib.contextmanager
def serve():
    fake = FakeOpenAI()
    try:
        yield fake
    finally:
        fake.close()
