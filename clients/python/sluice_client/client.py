"""The client for ordinary, blocking code. START HERE; `AsyncClient` has the same methods to be awaited."""

from __future__ import annotations

import random
from typing import Any, Callable, Iterator, Literal, Optional, Protocol, Sequence, Tuple, TypeVar, Union, overload

from . import _requests, types
from ._clock import Clock, Deadline
from ._requests import Request
from ._retry import RetryPolicy
from ._sync_http import HttpTransport
from .errors import SluiceError

T = TypeVar("T")


class _Source(Protocol):
    """Where a stream's pieces come from."""

    @property
    def trailer(self) -> Optional[types.Trailer]: ...

    @property
    def request_id(self) -> Optional[str]: ...

    def next(self) -> Optional[types.Delta]:
        """None at the end, when `trailer` is there."""

    def close(self) -> None: ...

    def abandon(self) -> None:
        """As close, from wherever the garbage collector runs."""


class _Transport(Protocol):
    def call(self, request: Request, deadline: Deadline) -> Tuple[Any, types.About]: ...

    def stream(self, request: Request, deadline: Deadline) -> _Source: ...

    def status(self, options: Optional[types.RequestOptions], deadline: Deadline) -> types.Status: ...

    def close(self) -> None: ...


class Stream(Iterator[types.Delta]):
    """The pieces of an answer as they come.

        with client.completions.create(prompt="Once", stream=True) as stream:
            for delta in stream:
                print(delta.text, end="")
        print(stream.usage)

    Leaving the block, or `close`, before the end cancels the request. Its errors are those of requests; what has begun
    is never sent again. One thread at a time may read it.
    """

    def __init__(self, source: _Source) -> None:
        self._source = source

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> types.Delta:
        delta = self._source.next()
        if delta is None:
            raise StopIteration
        return delta

    @property
    def trailer(self) -> Optional[types.Trailer]:
        """What is known when the stream has come to its end; None until then."""
        return self._source.trailer

    @property
    def usage(self) -> Optional[types.Usage]:
        """The same; None, too, if the server was told not to send it."""
        trailer = self._source.trailer
        return trailer.usage if trailer is not None else None

    @property
    def request_id(self) -> Optional[str]:
        """What the server's log calls the request: over HTTP from the beginning, over Sluice RPC at the end."""
        return self._source.request_id

    def close(self) -> None:
        self._source.close()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self._source.abandon()


class Client:
    """A client of one server. Thread-safe; not to be used across a fork.

    url            http://HOST:PORT, or srp://HOST:PORT for the binary protocol, which needs msgpack
    api_key        none: the server must serve anybody
    timeout        seconds for a request altogether: retries, waiting, and a stream's last piece. None: as long as the
                   server allows
    max_retries    how often a request that was refused for now (429, 503), or whose connection broke before anything
                   came of the answer, is sent again
    stream_credit  items of each stream that may wait for their reader (binary protocol)
    crc32c         checksums of frames, for networks that are not to be trusted (binary protocol); slow in Python
    clock, chance  time, and random numbers in [0, 1): for tests

    Nothing is connected before the first request.
    """

    def __init__(
        self,
        url: str,
        api_key: Optional[str] = None,
        *,
        timeout: Optional[float] = 120.0,
        max_retries: int = 2,
        stream_credit: int = 64,
        crc32c: bool = False,
        clock: Optional[Clock] = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        scheme, address = _requests.parse_url(url)
        self._timeout = timeout
        self._clock = clock or Clock()
        self._policy = RetryPolicy(max_retries, chance)
        self._transport: _Transport
        if scheme == "http":
            self._transport = HttpTransport(address, api_key)
        else:
            from ._session import HelloOptions
            from ._sync_srp import SrpTransport

            hello = HelloOptions(f"sluice-client/{_requests.VERSION}", api_key, stream_credit, crc32c)
            self._transport = SrpTransport(address, hello, self._clock)
        self.completions = Completions(self)
        self.chat = Chat(self)
        self.models = Models(self)

    def tokenize(
        self,
        prompt: Optional[str] = None,
        *,
        messages: Optional[Sequence[types.Message]] = None,
        options: Optional[types.RequestOptions] = None,
        **params: Any,
    ) -> types.Tokens:
        """The tokens of a text, or of a conversation as the model sees it."""
        request = _requests.tokenize_request(prompt, messages, params, options)
        return types.tokens_from(self._call(request)[0])

    def detokenize(
        self, tokens: Sequence[int], *, options: Optional[types.RequestOptions] = None, **params: Any
    ) -> str:
        """The text of tokens."""
        return types.text_from(self._call(_requests.detokenize_request(tokens, params, options))[0])

    def status(self, *, options: Optional[types.RequestOptions] = None) -> types.Status:
        """Whether the server takes requests. A server that is not ready is no error here."""
        return self._retrying(options, lambda deadline: self._transport.status(options, deadline))

    def close(self) -> None:
        """Closes all connections; over the binary protocol what runs on them fails with ClientClosedError."""
        self._transport.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _call(self, request: Request) -> Tuple[Any, types.About]:
        return self._retrying(request.options, lambda deadline: self._transport.call(request, deadline))

    def _stream(self, request: Request) -> Stream:
        return Stream(self._retrying(request.options, lambda deadline: self._transport.stream(request, deadline)))

    def _retrying(self, options: Optional[types.RequestOptions], attempt: Callable[[Deadline], T]) -> T:
        timeout = options.timeout if options is not None and options.timeout is not None else self._timeout
        deadline = Deadline(self._clock, timeout)
        failures = 0
        while True:
            try:
                return attempt(deadline)
            except SluiceError as error:
                failures += 1
                wait = self._policy.wait(error, failures, deadline)
                if wait is None:
                    raise
            self._clock.sleep(wait)


class Completions:
    def __init__(self, client: Client) -> None:
        self._client = client

    @overload
    def create(
        self,
        *,
        prompt: types.Prompt,
        stream: Literal[False] = False,
        options: Optional[types.RequestOptions] = None,
        **params: Any,
    ) -> types.Completion: ...

    @overload
    def create(
        self,
        *,
        prompt: types.Prompt,
        stream: Literal[True],
        options: Optional[types.RequestOptions] = None,
        **params: Any,
    ) -> Stream: ...

    @overload
    def create(
        self,
        *,
        prompt: types.Prompt,
        stream: bool,
        options: Optional[types.RequestOptions] = None,
        **params: Any,
    ) -> Union[types.Completion, Stream]: ...

    def create(
        self,
        *,
        prompt: types.Prompt,
        stream: bool = False,
        options: Optional[types.RequestOptions] = None,
        **params: Any,
    ) -> Union[types.Completion, Stream]:
        """A continuation of the prompt. `params` as the HTTP interface has them: model, max_tokens, temperature, ..."""
        request = _requests.completion_request(prompt, stream, params, options)
        return self._client._stream(request) if stream else types.completion_from(*self._client._call(request))


class Chat:
    def __init__(self, client: Client) -> None:
        self._client = client

    @overload
    def create(
        self,
        *,
        messages: Sequence[types.Message],
        stream: Literal[False] = False,
        options: Optional[types.RequestOptions] = None,
        **params: Any,
    ) -> types.Completion: ...

    @overload
    def create(
        self,
        *,
        messages: Sequence[types.Message],
        stream: Literal[True],
        options: Optional[types.RequestOptions] = None,
        **params: Any,
    ) -> Stream: ...

    @overload
    def create(
        self,
        *,
        messages: Sequence[types.Message],
        stream: bool,
        options: Optional[types.RequestOptions] = None,
        **params: Any,
    ) -> Union[types.Completion, Stream]: ...

    def create(
        self,
        *,
        messages: Sequence[types.Message],
        stream: bool = False,
        options: Optional[types.RequestOptions] = None,
        **params: Any,
    ) -> Union[types.Completion, Stream]:
        """The next message of a conversation. `params` as the HTTP interface has them."""
        request = _requests.chat_request(messages, stream, params, options)
        return self._client._stream(request) if stream else types.completion_from(*self._client._call(request))


class Models:
    def __init__(self, client: Client) -> None:
        self._client = client

    def list(self, *, options: Optional[types.RequestOptions] = None) -> Tuple[types.Model, ...]:
        """What the server serves; the first is what it takes where a request names no model."""
        request = Request(_requests.MODELS, {}, options or types.RequestOptions())
        return types.models_from(self._client._call(request)[0])
