"""The client for asyncio: what `client.py` has, to be awaited."""

from __future__ import annotations

import random
from typing import (
    Any,
    AsyncIterator,
    Awaitable,
    Callable,
    Literal,
    Optional,
    Protocol,
    Sequence,
    Tuple,
    TypeVar,
    Union,
    overload,
)

from . import _requests, types
from ._async_http import AsyncHttpTransport
from ._clock import Clock, Deadline
from ._requests import Request
from ._retry import RetryPolicy
from .errors import SluiceError

T = TypeVar("T")


class _Source(Protocol):
    """Where a stream's pieces come from."""

    @property
    def trailer(self) -> Optional[types.Trailer]: ...

    @property
    def request_id(self) -> Optional[str]: ...

    async def next(self) -> Optional[types.Delta]:
        """None at the end, when `trailer` is there."""

    def close(self) -> None: ...

    def abandon(self) -> None:
        """As close, from wherever the garbage collector runs."""


class _Transport(Protocol):
    async def call(self, request: Request, deadline: Deadline) -> Tuple[Any, types.About]: ...

    async def stream(self, request: Request, deadline: Deadline) -> _Source: ...

    async def status(self, options: Optional[types.RequestOptions], deadline: Deadline) -> types.Status: ...

    async def close(self) -> None: ...


class AsyncStream(AsyncIterator[types.Delta]):
    """The pieces of an answer as they come.

        async with await client.completions.create(prompt="Once", stream=True) as stream:
            async for delta in stream:
                print(delta.text, end="")
        print(stream.usage)

    Leaving the block, or `close`, before the end cancels the request. Its errors are those of requests; what has begun
    is never sent again. One task at a time may read it.
    """

    def __init__(self, source: _Source) -> None:
        self._source = source

    def __aiter__(self) -> AsyncStream:
        return self

    async def __anext__(self) -> types.Delta:
        delta = await self._source.next()
        if delta is None:
            raise StopAsyncIteration
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

    async def close(self) -> None:
        self._source.close()

    async def __aenter__(self) -> AsyncStream:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._source.close()

    def __del__(self) -> None:
        self._source.abandon()


class AsyncClient:
    """A client of one server, for one event loop.

    The parameters are those of `Client`.

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
            self._transport = AsyncHttpTransport(address, api_key)
        else:
            from ._async_srp import AsyncSrpTransport
            from ._session import HelloOptions

            hello = HelloOptions(f"sluice-client/{_requests.VERSION}", api_key, stream_credit, crc32c)
            self._transport = AsyncSrpTransport(address, hello, self._clock)
        self.completions = AsyncCompletions(self)
        self.chat = AsyncChat(self)
        self.models = AsyncModels(self)

    async def tokenize(
        self,
        prompt: Optional[str] = None,
        *,
        messages: Optional[Sequence[types.Message]] = None,
        options: Optional[types.RequestOptions] = None,
        **params: Any,
    ) -> types.Tokens:
        """The tokens of a text, or of a conversation as the model sees it."""
        request = _requests.tokenize_request(prompt, messages, params, options)
        return types.tokens_from((await self._call(request))[0])

    async def detokenize(
        self, tokens: Sequence[int], *, options: Optional[types.RequestOptions] = None, **params: Any
    ) -> str:
        """The text of tokens."""
        return types.text_from((await self._call(_requests.detokenize_request(tokens, params, options)))[0])

    async def status(self, *, options: Optional[types.RequestOptions] = None) -> types.Status:
        """Whether the server takes requests. A server that is not ready is no error here."""
        return await self._retrying(options, lambda deadline: self._transport.status(options, deadline))

    async def close(self) -> None:
        """Closes all connections; over the binary protocol what runs on them fails with ClientClosedError."""
        await self._transport.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _call(self, request: Request) -> Tuple[Any, types.About]:
        return await self._retrying(request.options, lambda deadline: self._transport.call(request, deadline))

    async def _stream(self, request: Request) -> AsyncStream:
        return AsyncStream(
            await self._retrying(request.options, lambda deadline: self._transport.stream(request, deadline))
        )

    async def _retrying(
        self, options: Optional[types.RequestOptions], attempt: Callable[[Deadline], Awaitable[T]]
    ) -> T:
        timeout = options.timeout if options is not None and options.timeout is not None else self._timeout
        deadline = Deadline(self._clock, timeout)
        failures = 0
        while True:
            try:
                return await attempt(deadline)
            except SluiceError as error:
                failures += 1
                wait = self._policy.wait(error, failures, deadline)
                if wait is None:
                    raise
            await self._clock.sleep_async(wait)


class AsyncCompletions:
    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    @overload
    async def create(
        self,
        *,
        prompt: types.Prompt,
        stream: Literal[False] = False,
        options: Optional[types.RequestOptions] = None,
        **params: Any,
    ) -> types.Completion: ...

    @overload
    async def create(
        self,
        *,
        prompt: types.Prompt,
        stream: Literal[True],
        options: Optional[types.RequestOptions] = None,
        **params: Any,
    ) -> AsyncStream: ...

    @overload
    async def create(
        self,
        *,
        prompt: types.Prompt,
        stream: bool,
        options: Optional[types.RequestOptions] = None,
        **params: Any,
    ) -> Union[types.Completion, AsyncStream]: ...

    async def create(
        self,
        *,
        prompt: types.Prompt,
        stream: bool = False,
        options: Optional[types.RequestOptions] = None,
        **params: Any,
    ) -> Union[types.Completion, AsyncStream]:
        """A continuation of the prompt. `params` as the HTTP interface has them: model, max_tokens, temperature, ..."""
        request = _requests.completion_request(prompt, stream, params, options)
        if stream:
            return await self._client._stream(request)
        return types.completion_from(*await self._client._call(request))


class AsyncChat:
    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    @overload
    async def create(
        self,
        *,
        messages: Sequence[types.Message],
        stream: Literal[False] = False,
        options: Optional[types.RequestOptions] = None,
        **params: Any,
    ) -> types.Completion: ...

    @overload
    async def create(
        self,
        *,
        messages: Sequence[types.Message],
        stream: Literal[True],
        options: Optional[types.RequestOptions] = None,
        **params: Any,
    ) -> AsyncStream: ...

    @overload
    async def create(
        self,
        *,
        messages: Sequence[types.Message],
        stream: bool,
        options: Optional[types.RequestOptions] = None,
        **params: Any,
    ) -> Union[types.Completion, AsyncStream]: ...

    async def create(
        self,
        *,
        messages: Sequence[types.Message],
        stream: bool = False,
        options: Optional[types.RequestOptions] = None,
        **params: Any,
    ) -> Union[types.Completion, AsyncStream]:
        """The next message of a conversation. `params` as the HTTP interface has them."""
        request = _requests.chat_request(messages, stream, params, options)
        if stream:
            return await self._client._stream(request)
        return types.completion_from(*await self._client._call(request))


class AsyncModels:
    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def list(self, *, options: Optional[types.RequestOptions] = None) -> Tuple[types.Model, ...]:
        """What the server serves; the first is what it takes where a request names no model."""
        request = Request(_requests.MODELS, {}, options or types.RequestOptions())
        return types.models_from((await self._client._call(request))[0])
