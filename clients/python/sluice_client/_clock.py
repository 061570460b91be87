"""Time as the clients see it. A test gives them a clock of its own, so that nobody waits."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any, Coroutine, Optional, TypeVar

from .errors import DeadlineExceededError, deadline_exceeded

T = TypeVar("T")


class Clock:
    """Real time. Whoever replaces it replaces all of it."""

    def now(self) -> float:
        """Seconds since some moment; never goes back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def wait(self, condition: threading.Condition, seconds: Optional[float]) -> None:
        """Until the condition, which the caller holds, is notified or so much time has passed."""
        condition.wait(seconds)

    async def sleep_async(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def wait_async(self, event: asyncio.Event, seconds: Optional[float]) -> None:
        """Until the event is set, by others or because so much time has passed."""
        if seconds is None:
            await event.wait()
            return
        timer = asyncio.get_running_loop().call_later(seconds, event.set)
        try:
            await event.wait()
        finally:
            timer.cancel()


async def within(seconds: Optional[float], what: Coroutine[Any, Any, T]) -> T:
    """As asyncio.wait_for, which before Python 3.12 forgets that it was cancelled when `what` is done at that moment.
    Raises asyncio.TimeoutError."""
    task = asyncio.ensure_future(what)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
        if not done:
            raise asyncio.TimeoutError
        return task.result()
    finally:
        task.cancel()


class Deadline:
    """When a request has to be done."""

    def __init__(self, clock: Clock, seconds: Optional[float]) -> None:
        self._clock = clock
        self._seconds = seconds
        self._at = None if seconds is None else clock.now() + seconds

    def left(self) -> Optional[float]:
        """Seconds, more than 0; None: there is no deadline. Raises DeadlineExceededError when it has passed."""
        if self._at is None:
            return None
        left = self._at - self._clock.now()
        if left <= 0:
            raise deadline_exceeded(self._seconds)
        return left

    def left_at_most(self, seconds: float) -> float:
        """The same, for what has a limit of its own."""
        left = self.left()
        return seconds if left is None else min(left, seconds)

    def allows(self, seconds: float) -> bool:
        """Whether it is further away than this."""
        return self._at is None or self._at - self._clock.now() > seconds

    def exceeded(self) -> DeadlineExceededError:
        return deadline_exceeded(self._seconds)
