"""What can go wrong, as one tree of exceptions.

SluiceError
    RequestError                what the server answered, or would have
        InvalidRequestError         400 and other 4xx: the request is wrong
        AuthenticationError         401
        PermissionDeniedError       403
        NotFoundError               404
        ConflictError               409
        RateLimitError              429: not let in, on purpose; worth a retry
        RequestCancelledError       499
        ServerError                 500 and other 5xx
            UnavailableError            503: not now; worth a retry
        DeadlineExceededError       504, or the client's own time ran out
    TransportError              the server was not reached, or is gone
        ProtocolError               one side broke the protocol
    ClientClosedError           the client was closed
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Any, Mapping, Optional


class SluiceError(Exception):
    """What every exception of this package has.

    code         a word of a closed list: "model_not_found", "overloaded", "connection_lost", ...
    type         the kind of it, as OpenAI's interface names it
    param        the field of the request that a client should look at
    http_status  the status that says the same over HTTP; None where no server has said anything
    retryable    whether the same request may succeed later
    retry_after  seconds before which it will not; None: nothing is known
    request_id   what the server's log calls the request
    """

    def __init__(
        self,
        message: str,
        *,
        code: Optional[str] = None,
        type: Optional[str] = None,
        param: Optional[str] = None,
        http_status: Optional[int] = None,
        retryable: bool = False,
        retry_after: Optional[float] = None,
        request_id: Optional[str] = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.type = type
        self.param = param
        self.http_status = http_status
        self.retryable = retryable
        self.retry_after = retry_after
        self.request_id = request_id

    def __str__(self) -> str:
        status = "" if self.http_status is None else f" ({self.http_status})"
        return f"{self.code}{status}: {self.message}" if self.code else self.message

    def again(self) -> SluiceError:
        """Another exception that says the same, for one more of those who wait for a lost connection."""
        return type(self)(
            self.message,
            code=self.code,
            type=self.type,
            param=self.param,
            http_status=self.http_status,
            retryable=self.retryable,
            retry_after=self.retry_after,
            request_id=self.request_id,
        )


class RequestError(SluiceError):
    pass


class InvalidRequestError(RequestError):
    pass


class AuthenticationError(RequestError):
    pass


class PermissionDeniedError(RequestError):
    pass


class NotFoundError(RequestError):
    pass


class ConflictError(RequestError):
    pass


class RateLimitError(RequestError):
    pass


class RequestCancelledError(RequestError):
    pass


class ServerError(RequestError):
    pass


class UnavailableError(ServerError):
    pass


class DeadlineExceededError(RequestError):
    pass


class TransportError(SluiceError):
    pass


class ProtocolError(TransportError):
    pass


class ClientClosedError(SluiceError):
    pass


_CLASSES = {
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    429: RateLimitError,
    499: RequestCancelledError,
    503: UnavailableError,
    504: DeadlineExceededError,
}

# An error inside a stream comes without a status: it is the one its code has elsewhere, or the one of its type.
_STATUS_OF_CODE = {
    "backend_lost": 503,
    "breaker_open": 503,
    "draining": 503,
    "no_replica": 503,
    "not_ready": 503,
    "shed_after_accept": 503,
}
_STATUS_OF_TYPE = {
    "permission_error": 403,
    "rate_limit_error": 429,
    "server_error": 500,
    "timeout_error": 504,
}
_NEVER_RETRIED = ("poison_request", "deadline_exceeded")


def class_of(http_status: int) -> type[RequestError]:
    found = _CLASSES.get(http_status)
    if found is None:
        found = ServerError if http_status >= 500 else InvalidRequestError
    return found


def is_retryable(http_status: int) -> bool:
    """What the server's binary protocol says by `retryable`; over HTTP, `x-should-retry: false` says otherwise."""
    return http_status in (408, 409, 429) or http_status >= 500


def _text(value: Any) -> Optional[str]:
    return value if isinstance(value, str) else None


def from_rpc(error: Mapping[str, Any]) -> RequestError:
    """The error map of a RESPONSE or END."""
    status = error.get("http")
    if not isinstance(status, int) or isinstance(status, bool):
        status = 500
    after = error.get("retry_after_ms")
    return class_of(status)(
        _text(error.get("message")) or "The server told no reason.",
        code=_text(error.get("code")),
        type=_text(error.get("type")),
        param=_text(error.get("param")),
        http_status=status,
        retryable=error.get("retryable") is True,
        retry_after=after / 1000 if isinstance(after, (int, float)) and after >= 0 else None,
        request_id=_text(error.get("request_id")),
    )


def from_http(status: int, headers: Mapping[str, str], body: Any) -> RequestError:
    """A response that is no success.

    headers  their names in lower case
    body     parsed JSON, or the text of something that is none
    """
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        # Not Sluice: a proxy perhaps. Its page is shown by its beginning.
        error = {"message": " ".join(body.split())[:200] if isinstance(body, str) else None}
    return class_of(status)(
        _text(error.get("message")) or f"The server answered with status {status}.",
        code=_text(error.get("code")),
        type=_text(error.get("type")),
        param=_text(error.get("param")),
        http_status=status,
        retryable=is_retryable(status) and headers.get("x-should-retry") != "false",
        retry_after=_retry_after(headers),
        request_id=headers.get("x-request-id"),
    )


def from_event(error: Mapping[str, Any], request_id: Optional[str]) -> RequestError:
    """An error inside a stream of HTTP."""
    code = _text(error.get("code"))
    kind = _text(error.get("type"))
    status = _STATUS_OF_CODE.get(code or "") or _STATUS_OF_TYPE.get(kind or "", 400)
    return class_of(status)(
        _text(error.get("message")) or "The server told no reason.",
        code=code,
        type=kind,
        param=_text(error.get("param")),
        http_status=status,
        retryable=is_retryable(status) and code not in _NEVER_RETRIED,
        request_id=request_id,
    )


def _retry_after(headers: Mapping[str, str]) -> Optional[float]:
    exact = headers.get("retry-after-ms", "")
    if exact.isdecimal():
        return int(exact) / 1000
    value = headers.get("retry-after", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        # A proxy may name a moment: what counts is how long that is after the response, by the same clock.
        wait = parsedate_to_datetime(value) - parsedate_to_datetime(headers.get("date", ""))
        return max(0.0, wait.total_seconds())
    except (TypeError, ValueError, IndexError):
        return None


def deadline_exceeded(seconds: Optional[float]) -> DeadlineExceededError:
    """The client's own time ran out before the server said anything."""
    return DeadlineExceededError(
        f"The answer did not come within {seconds:g} s." if seconds is not None else "The answer did not come in time.",
        code="deadline_exceeded",
        type="timeout_error",
    )


def connection_lost(reason: str, *, retryable: bool) -> TransportError:
    return TransportError(reason, code="connection_lost", type="connection_error", retryable=retryable)


def not_connected(reason: str) -> TransportError:
    return TransportError(reason, code="connection_failed", type="connection_error", retryable=True)


def protocol_broken(message: str, code: str = "protocol_error") -> ProtocolError:
    return ProtocolError(message, code=code, type="connection_error")


def client_closed() -> ClientClosedError:
    return ClientClosedError("The client was closed.", code="client_closed")
