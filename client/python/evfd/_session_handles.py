"""What belongs to a session and goes on without a call: objects that last as long as it does, and
descriptors that the daemon feeds."""

from __future__ import annotations

from typing import Any, Mapping

from evfd.channel import Parameters

# Objects that others delete are not taken away, so there is an end to how many are noted.
_MAX_OBJECTS = 1024


class Belongings:
    """By what the calls of this client did."""

    def __init__(self) -> None:
        self._is_for_good = False  # There is too much to be noted.
        self._objects: set[str] = set()
        self._subscriptions: set[str] = set()

    def __bool__(self) -> bool:
        return self._is_for_good or bool(self._objects or self._subscriptions)

    def add(self, method: str, parameters: Parameters, answer: Mapping[str, Any]) -> None:
        """What a call of this session brought, that was done."""
        if method in ("CreateEvent", "Arm"):
            if parameters["lifetime"] == "connection" and answer["created"]:
                self._add_object(parameters["name"])
        elif method == "Open":
            tokens = [opened.get("subscription") for opened in answer["objects"]]
            self._subscriptions.update(token for token in tokens if token is not None)

    def take(self, method: str, parameters: Parameters) -> None:
        """What a call ended, of whichever session."""
        if method == "Delete":
            self._objects.difference_update(parameters["names"])
        elif method == "Unsubscribe":
            self._subscriptions.discard(parameters["subscription"])

    def _add_object(self, name: str) -> None:
        self._objects.add(name)
        if len(self._objects) == _MAX_OBJECTS:
            self._is_for_good = True
