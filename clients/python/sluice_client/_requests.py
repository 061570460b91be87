"""What a request is before a protocol is chosen for it, and how each protocol spells it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple
from urllib.parse import urlsplit

from . import _http
from .types import Message, Prompt, RequestOptions

VERSION = "0.1.0"
DEFAULT_PORTS = {"http": 8000, "srp": 8001}


@dataclass(frozen=True)
class Method:
    """A method by its names in both protocols."""

    rpc: str
    verb: str
    path: str


COMPLETIONS = Method("completions.create", "POST", "/v1/completions")
CHAT = Method("chat.create", "POST", "/v1/chat/completions")
MODELS = Method("models.list", "GET", "/v1/models")
TOKENIZE = Method("tokenize", "POST", "/v1/tokenize")
DETOKENIZE = Method("detokenize", "POST", "/v1/detokenize")
STATUS = Method("status", "GET", "")  # HTTP has three pages for it
READY = Method("", "GET", "/ready")
SERVER_VERSION = Method("", "GET", "/version")


@dataclass(frozen=True)
class Request:
    method: Method
    params: Mapping[str, Any]
    options: RequestOptions = RequestOptions()

    @property
    def is_stream(self) -> bool:
        return self.params.get("stream") is True


def completion_request(
    prompt: Prompt, stream: bool, params: Dict[str, Any], options: Optional[RequestOptions]
) -> Request:
    return Request(
        COMPLETIONS, _with_stream({"prompt": _as_lists(prompt), **params}, stream), options or RequestOptions()
    )


def chat_request(
    messages: Sequence[Message], stream: bool, params: Dict[str, Any], options: Optional[RequestOptions]
) -> Request:
    body = {"messages": [dict(message) for message in messages], **params}
    return Request(CHAT, _with_stream(body, stream), options or RequestOptions())


def tokenize_request(
    prompt: Optional[str],
    messages: Optional[Sequence[Message]],
    params: Dict[str, Any],
    options: Optional[RequestOptions],
) -> Request:
    if (prompt is None) == (messages is None):
        raise TypeError("tokenize takes either prompt or messages")
    what: Dict[str, Any] = {"prompt": prompt} if messages is None else {"messages": [dict(one) for one in messages]}
    return Request(TOKENIZE, {**what, **params}, options or RequestOptions())


def detokenize_request(tokens: Sequence[int], params: Dict[str, Any], options: Optional[RequestOptions]) -> Request:
    return Request(DETOKENIZE, {"tokens": list(tokens), **params}, options or RequestOptions())


def _with_stream(params: Dict[str, Any], stream: bool) -> Dict[str, Any]:
    if stream:
        params["stream"] = True
    return params


def _as_lists(prompt: Prompt) -> Any:
    """Any sequence will do for a caller; on the wire there are lists."""
    if isinstance(prompt, str):
        return prompt
    return [element if isinstance(element, (str, int)) else list(element) for element in prompt]


# --- where to --------------------------------------------------------------------------------------------------------


def parse_url(url: str) -> Tuple[str, Tuple[str, int]]:
    """The scheme, and host and port. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        raise ValueError(f"the url must be http://HOST:PORT or srp://HOST:PORT, got {url!r}")
    if parts.path not in ("", "/") or parts.query or parts.fragment or parts.username is not None:
        raise ValueError(f"the url must end after host and port, got {url!r}")
    return parts.scheme, (parts.hostname, parts.port or DEFAULT_PORTS[parts.scheme])


# --- Sluice RPC ------------------------------------------------------------------------------------------------------


def rpc_meta(options: RequestOptions, seconds_left: Optional[float]) -> Dict[str, Any]:
    meta: Dict[str, Any] = {}
    if seconds_left is not None:
        meta["deadline_ms"] = _whole_ms(seconds_left)
    for name in ("request_id", "idempotency_key", "traceparent", "tracestate"):
        value = getattr(options, name)
        if value is not None:
            meta[name] = value
    for name in ("strict", "partial_ok"):
        if getattr(options, name):
            meta[name] = True
    return meta


# --- HTTP ------------------------------------------------------------------------------------------------------------

_HEADERS = {
    "request_id": "X-Request-Id",
    "idempotency_key": "Idempotency-Key",
    "traceparent": "traceparent",
    "tracestate": "tracestate",
}


def http_bytes(request: Request, host: str, api_key: Optional[str], seconds_left: Optional[float]) -> bytes:
    """The whole request. Raises ValueError or TypeError where it cannot be one."""
    headers: Dict[str, str] = {"Host": host, "User-Agent": f"sluice-client/{VERSION}"}
    if api_key is not None:
        headers["Authorization"] = f"Bearer {api_key}"
    for name, header in _HEADERS.items():
        value = getattr(request.options, name)
        if value is not None:
            headers[header] = value
    if request.options.strict:
        headers["x-sluice-strict"] = "1"
    if request.options.partial_ok:
        headers["x-sluice-partial-ok"] = "1"
    body = None
    if request.method.verb == "POST":
        headers["Content-Type"] = "application/json"
        if seconds_left is not None:
            headers["x-request-timeout-ms"] = str(_whole_ms(seconds_left))
        params = dict(request.params)
        if request.is_stream and "stream_options" not in params:
            params["stream_options"] = {"include_usage": True}
        body = json.dumps(params, allow_nan=False, separators=(",", ":")).encode()
    return _http.request_bytes(request.method.verb, request.method.path, headers, body)


def _whole_ms(seconds: float) -> int:
    """At least one; no more than the protocol can say, which is seven weeks."""
    return min(max(1, int(seconds * 1000)), 2**32 - 1)


def requests_of_http_status(options: Optional[RequestOptions]) -> List[Request]:
    return [Request(method, {}, options or RequestOptions()) for method in (READY, SERVER_VERSION, MODELS)]
