"""What requests are given, and what they give back. The same for both protocols."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from .errors import ProtocolError, protocol_broken

Message = Mapping[str, Any]
"""One message of a conversation: {"role": "user", "content": "..."}."""

Prompt = Union[str, Sequence[str], Sequence[int], Sequence[Sequence[int]]]
"""One text, several texts, or token ids of one or of several."""

Token = Union[str, bytes]
"""The text of a token; its bytes where they are no text, as half a character is."""


@dataclass(frozen=True)
class RequestOptions:
    """What belongs to a request but not to its body.

    timeout          seconds for all of it, retries and the last piece of a stream included; tells the server, too.
                     None: as the client has it
    request_id       what the server's log calls it
    idempotency_key  the server executes requests with the same key once, and gives all of them the same answer
    traceparent, tracestate  as W3C Trace Context has them
    strict           unknown parameters are an error
    partial_ok       at the deadline what is there is an answer
    """

    timeout: Optional[float] = None
    request_id: Optional[str] = None
    idempotency_key: Optional[str] = None
    traceparent: Optional[str] = None
    tracestate: Optional[str] = None
    strict: bool = False
    partial_ok: bool = False


@dataclass(frozen=True)
class About:
    """What is told of an answer beside it.

    ignored_params  parameters that had no effect
    degraded        how the answer is less than what was asked for, because the server was under pressure
    replayed        the answer of an earlier request with the same idempotency key
    """

    request_id: Optional[str] = None
    ignored_params: Tuple[str, ...] = ()
    degraded: Optional[str] = None
    replayed: bool = False


@dataclass(frozen=True)
class Usage:
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cached_tokens: int = 0


@dataclass(frozen=True)
class TokenLogprob:
    """A token, the logarithm of its probability (None for the first of a prompt), and the likeliest in its place."""

    token: Token
    logprob: Optional[float]
    top: Tuple[Tuple[Token, float], ...] = ()


@dataclass(frozen=True)
class Choice:
    """One text. `stop_reason` is the stop string or token id that ended it."""

    index: int
    text: str
    finish_reason: Optional[str]
    stop_reason: Union[str, int, None] = None
    logprobs: Optional[Tuple[TokenLogprob, ...]] = None


@dataclass(frozen=True)
class Completion:
    """The answer to a completion or chat. `raw` is all of it, as HTTP has it in its body."""

    id: str
    model: str
    created: int
    choices: Tuple[Choice, ...]
    usage: Usage
    system_fingerprint: Optional[str]
    service_tier: Optional[str]
    about: About
    raw: Mapping[str, Any] = field(repr=False)

    @property
    def text(self) -> str:
        """Of the first choice."""
        return self.choices[0].text if self.choices else ""


@dataclass(frozen=True)
class Delta:
    """A piece of one choice of a stream. Only the binary protocol tells the ids of its tokens."""

    index: int
    text: str
    token_ids: Tuple[int, ...] = ()
    finish_reason: Optional[str] = None
    stop_reason: Union[str, int, None] = None
    logprobs: Optional[Tuple[TokenLogprob, ...]] = None


@dataclass(frozen=True)
class Trailer:
    """What is known when a stream has ended."""

    id: Optional[str]
    model: Optional[str]
    usage: Optional[Usage]
    system_fingerprint: Optional[str]
    service_tier: Optional[str]
    about: About


@dataclass(frozen=True)
class Model:
    id: str
    state: Optional[str]
    max_model_len: Optional[int]
    capabilities: Tuple[str, ...]
    raw: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Tokens:
    tokens: Tuple[int, ...]
    count: int
    max_model_len: Optional[int]


@dataclass(frozen=True)
class Status:
    """ready     requests are taken; if not, `reasons` says why
    draining  the server is shutting down; None over HTTP, where `reasons` says so
    """

    ready: bool
    reasons: Tuple[str, ...]
    draining: Optional[bool]
    version: Optional[str]
    models: Tuple[str, ...]


# --- from what crossed the wire ---------------------------------------------------------------------------------------
# A value of another type than the interface has is the server's mistake and said so, instead of appearing later as a
# strange attribute.


def _wrong(what: str, value: Any) -> ProtocolError:
    return protocol_broken(f"The server's answer has no usable {what}, but {value!r:.100}.")


def _map(value: Any, what: str) -> Dict[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(what, value)
    return value


def _list(value: Any, what: str) -> List[Any]:
    if not isinstance(value, (list, tuple)):
        raise _wrong(what, value)
    return list(value)


def _int(value: Any, what: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _wrong(what, value)
    return value


def _str(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise _wrong(what, value)
    return value


def _optional_str(value: Any, what: str) -> Optional[str]:
    return None if value is None else _str(value, what)


def _optional_int(value: Any, what: str) -> Optional[int]:
    return None if value is None else _int(value, what)


def _float(value: Any, what: str) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise _wrong(what, value)
    return float(value)


def _token(value: Any) -> Token:
    if not isinstance(value, (str, bytes)):
        raise _wrong("token", value)
    return value


def _stop_reason(value: Any) -> Union[str, int, None]:
    if value is not None and not isinstance(value, (str, int)):
        raise _wrong("stop_reason", value)
    return value


def _usage(value: Any) -> Usage:
    usage = _map(value, "usage")
    details = usage.get("prompt_tokens_details")
    return Usage(
        prompt_tokens=_int(usage.get("prompt_tokens"), "usage.prompt_tokens"),
        completion_tokens=_int(usage.get("completion_tokens"), "usage.completion_tokens"),
        total_tokens=_int(usage.get("total_tokens"), "usage.total_tokens"),
        cached_tokens=_int(details.get("cached_tokens", 0), "cached_tokens") if isinstance(details, dict) else 0,
    )


def about_from_rpc(value: Any) -> About:
    """The last element of a RESPONSE, which may be missing, or the trailer of an END."""
    if value is None:
        return About()
    told = _map(value, "map of what is told beside the answer")
    return About(
        request_id=_optional_str(told.get("request_id"), "request_id"),
        ignored_params=_names(_optional_str(told.get("ignored_params"), "ignored_params")),
        degraded=_optional_str(told.get("degraded"), "degraded"),
        replayed=told.get("replayed") is True,
    )


def about_from_headers(headers: Mapping[str, str]) -> About:
    return About(
        request_id=headers.get("x-request-id"),
        ignored_params=_names(headers.get("x-sluice-ignored-params")),
        degraded=headers.get("x-sluice-degraded"),
        replayed=headers.get("idempotent-replayed") == "true",
    )


def _names(text: Optional[str]) -> Tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip()) if text else ()


def completion_from(body: Any, about: About) -> Completion:
    answer = _map(body, "object")
    return Completion(
        id=_str(answer.get("id"), "id"),
        model=_str(answer.get("model"), "model"),
        created=_int(answer.get("created"), "created"),
        choices=tuple(map(_choice, _list(answer.get("choices"), "choices"))),
        usage=_usage(answer.get("usage")),
        system_fingerprint=_optional_str(answer.get("system_fingerprint"), "system_fingerprint"),
        service_tier=_optional_str(answer.get("service_tier"), "service_tier"),
        about=about,
        raw=answer,
    )


def _choice(value: Any) -> Choice:
    choice = _map(value, "choice")
    if "message" in choice:
        text = _optional_str(_map(choice["message"], "message").get("content"), "content") or ""
    else:
        text = _str(choice.get("text"), "text")
    return Choice(
        index=_int(choice.get("index"), "index"),
        text=text,
        finish_reason=_optional_str(choice.get("finish_reason"), "finish_reason"),
        stop_reason=_stop_reason(choice.get("stop_reason")),
        logprobs=_logprobs_from_body(choice.get("logprobs")),
    )


def _logprobs_from_body(value: Any) -> Optional[Tuple[TokenLogprob, ...]]:
    if value is None:
        return None
    logprobs = _map(value, "logprobs")
    if "content" in logprobs:
        return tuple(map(_chat_logprob, _list(logprobs["content"] or (), "logprobs.content")))
    tokens = _list(logprobs.get("tokens"), "logprobs.tokens")
    values = _list(logprobs.get("token_logprobs"), "logprobs.token_logprobs")
    tops = _list(logprobs.get("top_logprobs"), "logprobs.top_logprobs")
    if not len(tokens) == len(values) == len(tops):
        raise _wrong("logprobs: their lists differ in length", value)
    return tuple(
        TokenLogprob(
            token=_token(token),
            logprob=None if logprob is None else _float(logprob, "logprob"),
            top=tuple((name, _float(number, "logprob")) for name, number in _map(top or {}, "top_logprobs").items()),
        )
        for token, logprob, top in zip(tokens, values, tops)
    )


def _chat_logprob(value: Any) -> TokenLogprob:
    entry = _map(value, "logprob")
    return TokenLogprob(
        token=_chat_token(entry),
        logprob=_float(entry.get("logprob"), "logprob"),
        top=tuple(
            (_chat_token(_map(top, "top_logprobs")), _float(top.get("logprob"), "logprob"))
            for top in _list(entry.get("top_logprobs") or (), "top_logprobs")
        ),
    )


def _chat_token(entry: Mapping[str, Any]) -> Token:
    """HTTP shows half a character as U+FFFD; its bytes stand beside it."""
    token = _str(entry.get("token"), "token")
    octets = entry.get("bytes")
    if "\ufffd" not in token or not isinstance(octets, list):
        return token
    try:
        data = bytes(octets)
    except (TypeError, ValueError):
        raise _wrong("bytes of a token", octets) from None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def deltas_from_event(event: Mapping[str, Any]) -> List[Delta]:
    """The pieces of one event of a stream over HTTP. What only names a role is none."""
    deltas = []
    for value in _list(event.get("choices"), "choices"):
        choice = _map(value, "choice")
        if "delta" in choice:
            text = _optional_str(_map(choice["delta"], "delta").get("content"), "content") or ""
        else:
            text = _str(choice.get("text"), "text")
        delta = Delta(
            index=_int(choice.get("index"), "index"),
            text=text,
            finish_reason=_optional_str(choice.get("finish_reason"), "finish_reason"),
            stop_reason=_stop_reason(choice.get("stop_reason")),
            logprobs=_logprobs_from_body(choice.get("logprobs")),
        )
        if delta.text or delta.finish_reason or delta.logprobs:
            deltas.append(delta)
    return deltas


def delta_from_item(value: Any) -> Delta:
    """The element of an ITEM."""
    item = _map(value, "item")
    return Delta(
        index=_int(item.get("c", 0), "c"),
        text=_str(item.get("t", ""), "t"),
        token_ids=tuple(_int(token, "token id") for token in _list(item.get("k", ()), "k")),
        finish_reason=_optional_str(item.get("f"), "f"),
        stop_reason=_stop_reason(item.get("s")),
        logprobs=None if item.get("l") is None else tuple(map(_item_logprob, _list(item["l"], "l"))),
    )


def _item_logprob(value: Any) -> TokenLogprob:
    entry = _map(value, "logprob")
    logprob = entry.get("logprob")
    top = []
    for pair in _list(entry.get("top", ()), "top"):
        if not isinstance(pair, list) or len(pair) < 2:
            raise _wrong("pair in top", pair)
        top.append((_token(pair[0]), _float(pair[1], "logprob")))
    return TokenLogprob(
        token=_token(entry.get("token")),
        logprob=None if logprob is None else _float(logprob, "logprob"),
        top=tuple(top),
    )


def trailer_from(value: Mapping[str, Any], about: About) -> Trailer:
    return Trailer(
        id=_optional_str(value.get("id"), "id"),
        model=_optional_str(value.get("model"), "model"),
        usage=None if value.get("usage") is None else _usage(value["usage"]),
        system_fingerprint=_optional_str(value.get("system_fingerprint"), "system_fingerprint"),
        service_tier=_optional_str(value.get("service_tier"), "service_tier"),
        about=about,
    )


def models_from(body: Any) -> Tuple[Model, ...]:
    models = []
    for value in _list(_map(body, "object").get("data"), "data"):
        model = _map(value, "model")
        models.append(
            Model(
                id=_str(model.get("id"), "id"),
                state=_optional_str(model.get("state"), "state"),
                max_model_len=_optional_int(model.get("max_model_len"), "max_model_len"),
                capabilities=_strings(model.get("capabilities"), "capabilities"),
                raw=model,
            )
        )
    return tuple(models)


def tokens_from(body: Any) -> Tokens:
    answer = _map(body, "object")
    return Tokens(
        tokens=tuple(_int(token, "token id") for token in _list(answer.get("tokens"), "tokens")),
        count=_int(answer.get("count"), "count"),
        max_model_len=_optional_int(answer.get("max_model_len"), "max_model_len"),
    )


def text_from(body: Any) -> str:
    return _str(_map(body, "object").get("prompt"), "prompt")


def status_from_rpc(body: Any) -> Status:
    status = _map(body, "object")
    return Status(
        ready=status.get("ready") is True,
        reasons=_strings(status.get("reasons"), "reasons"),
        draining=status.get("draining") is True,
        version=_optional_str(status.get("version"), "version"),
        models=_strings(status.get("models"), "models"),
    )


def status_from_http(ready: Any, version: Any, models: Any) -> Status:
    """The bodies of /ready, /version and /v1/models."""
    readiness = _map(ready, "object")
    return Status(
        ready=readiness.get("status") == "ready",
        reasons=_strings(readiness.get("reasons"), "reasons"),
        draining=None,
        version=_optional_str(_map(version, "object").get("version"), "version"),
        models=tuple(model.id for model in models_from(models)),
    )


def _strings(value: Any, what: str) -> Tuple[str, ...]:
    return tuple(_str(element, what) for element in _list(value or (), what))
