#!/usr/bin/env python3
"""Streams a completion with nothing but the standard library.

    stream.py [PROMPT] [HOST:PORT]
"""
import http.client
import json
import sys

prompt = sys.argv[1] if len(sys.argv) > 1 else "In the beginning"
connection = http.client.HTTPConnection(sys.argv[2] if len(sys.argv) > 2 else "127.0.0.1:8000")
body = json.dumps({"prompt": prompt, "max_tokens": 64, "stream": True})
connection.request("POST", "/v1/completions", body, {"Content-Type": "application/json"})
response = connection.getresponse()
if response.status != 200:
    sys.exit(json.load(response)["error"]["message"])
print(prompt, end="", flush=True)
for line in response:
    if not line.startswith(b"data: ") or line == b"data: [DONE]\n":
        continue
    event = json.loads(line[6:])
    if "error" in event:
        sys.exit("\n" + event["error"]["message"])
    print(event["choices"][0]["text"], end="", flush=True)
print()
