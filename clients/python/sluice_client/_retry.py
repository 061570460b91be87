"""When a request is sent again, and how long to wait before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Optional

from ._clock import Deadline
from .errors import SluiceError, TransportError

# Over HTTP and in the binary protocol: what the server has refused, or could not take, without having done anything.
_STATUSES = (429, 503)


@dataclass(frozen=True)
class RetryPolicy:
    """max_retries   how often a request is sent again at the most
    first_wait    seconds before the first time; doubles with each further one
    longest_wait  where the doubling ends
    longest_told  a server that says to come back later than this is not waited for
    chance        numbers in [0, 1): clients that fail together do not come back together
    """

    max_retries: int
    chance: Callable[[], float]
    first_wait: float = 0.25
    longest_wait: float = 8.0
    longest_told: float = 120.0

    def wait(self, error: SluiceError, failures: int, deadline: Deadline) -> Optional[float]:
        """Seconds to wait before the request is sent again; None: the error is final.

        failures  how often it has failed, this time included
        deadline  of the request; nobody waits in vain
        """
        if failures > self.max_retries or not error.retryable:
            return None
        if not isinstance(error, TransportError) and error.http_status not in _STATUSES:
            return None
        most = min(self.longest_wait, self.first_wait * 2.0 ** (failures - 1))
        wait = most * (0.5 + 0.5 * self.chance())
        if error.retry_after is not None:
            if error.retry_after > self.longest_told:
                return None
            wait = max(wait, error.retry_after)
        return wait if deadline.allows(wait) else None
