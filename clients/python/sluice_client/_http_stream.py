"""The pieces of a stream over HTTP, out of its events. The sync and the async client share it."""

from __future__ import annotations

import json
from collections import deque
from typing import Any, Deque, Dict, Mapping, Optional

from . import _http, types
from .errors import ProtocolError, SluiceError, connection_lost, from_event, protocol_broken


class HttpPieces:
    """deltas   what has come and was not read yet
    error    what has ended the stream before its time, behind the deltas
    trailer  set when the stream is complete
    """

    def __init__(self, headers: Mapping[str, str]) -> None:
        self.about = types.about_from_headers(headers)
        self.deltas: Deque[types.Delta] = deque()
        self.error: Optional[SluiceError] = None
        self.trailer: Optional[types.Trailer] = None
        self._events = _http.EventParser()
        self._told: Dict[str, Any] = {}

    def feed(self, body: bytes) -> None:
        try:
            self._read(body)
        except ProtocolError as broken:
            self.error = broken

    def feed_end(self) -> None:
        """The response is complete."""
        if self.trailer is None and self.error is None:
            self.error = connection_lost("The stream ended without [DONE].", retryable=False)

    def _read(self, body: bytes) -> None:
        for data in self._events.feed(body):
            if self.trailer is not None:
                raise protocol_broken("The stream goes on after its end.")
            if data == b"[DONE]":
                self.trailer = types.trailer_from(self._told, self.about)
                continue
            try:
                event = json.loads(data)
            except ValueError:
                raise protocol_broken(f"An event is no JSON: {data!r:.100}") from None
            if not isinstance(event, dict):
                raise protocol_broken(f"An event is no object: {data!r:.100}")
            if isinstance(event.get("error"), dict):
                self.error = from_event(event["error"], self.about.request_id)
                return
            for name in ("id", "model", "usage", "system_fingerprint", "service_tier"):
                if event.get(name) is not None:
                    self._told[name] = event[name]
            self.deltas.extend(types.deltas_from_event(event))
