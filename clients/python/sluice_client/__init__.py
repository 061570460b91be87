"""A client of the Sluice model server, over HTTP and over its binary protocol.

    from sluice_client import Client

    with Client("http://127.0.0.1:8000") as client:
        print(client.completions.create(prompt="In the beginning", max_tokens=16).text)

`Client` is for blocking code and threads, `AsyncClient` for asyncio; `errors` has the exceptions, `types` what requests
are given and what they give back.
"""

from ._clock import Clock
from ._requests import VERSION as __version__
from .async_client import AsyncClient, AsyncStream
from .client import Client, Stream
from .errors import (
    AuthenticationError,
    ClientClosedError,
    ConflictError,
    DeadlineExceededError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    ProtocolError,
    RateLimitError,
    RequestCancelledError,
    RequestError,
    ServerError,
    SluiceError,
    TransportError,
    UnavailableError,
)
from .types import (
    About,
    Choice,
    Completion,
    Delta,
    Model,
    RequestOptions,
    Status,
    TokenLogprob,
    Tokens,
    Trailer,
    Usage,
)

__all__ = [
    "About",
    "AsyncClient",
    "AsyncStream",
    "AuthenticationError",
    "Choice",
    "Client",
    "ClientClosedError",
    "Clock",
    "Completion",
    "ConflictError",
    "DeadlineExceededError",
    "Delta",
    "InvalidRequestError",
    "Model",
    "NotFoundError",
    "PermissionDeniedError",
    "ProtocolError",
    "RateLimitError",
    "RequestCancelledError",
    "RequestError",
    "RequestOptions",
    "ServerError",
    "SluiceError",
    "Status",
    "Stream",
    "TokenLogprob",
    "Tokens",
    "Trailer",
    "TransportError",
    "UnavailableError",
    "Usage",
    "__version__",
]
