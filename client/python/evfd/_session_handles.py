"""The state of a session that outlives a call.

The state consists of the session's subscriptions and of the objects whose lifetime is the session.
"""

from __future__ import annotations

from typing import Any, Mapping

from evfd._connection import Parameters

# A session that has recorded this many objects at one time never counts as empty again, and records
# no further objects. A limit is needed because an object stays recorded after another client has
# deleted it.
_MAX_OBJECTS = 1024


class SessionHandles:
    """Records the objects and subscriptions of a session from the calls that succeeded."""

    def __init__(self) -> None:
        # True once there were too many objects to record. From that moment, the session never
        # counts as empty.
        self._has_overflowed = False
        self._objects: set[str] = set()
        self._subscriptions: set[str] = set()

    def __bool__(self) -> bool:
        return self._has_overflowed or bool(self._objects or self._subscriptions)

    def add(self, method: str, parameters: Parameters, reply: Mapping[str, Any]) -> None:
        """Record the handles that a call of this session created."""
        if method in ("CreateEvent", "Arm"):
            if parameters["lifetime"] == "session" and reply["created"]:
                self._add_object(parameters["name"])
        elif method == "Open":
            tokens = [opened.get("subscription") for opened in reply["objects"]]
            self._subscriptions.update(token for token in tokens if token is not None)

    def remove(self, method: str, parameters: Parameters) -> None:
        """Remove the handles that a call of any session ended."""
        if method == "Delete":
            self._objects.difference_update(item["name"] for item in parameters["items"])
        elif method == "Unsubscribe":
            self._subscriptions.discard(parameters["subscription"])

    def _add_object(self, name: str) -> None:
        if self._has_overflowed:
            return
        self._objects.add(name)
        if len(self._objects) == _MAX_OBJECTS:
            self._has_overflowed = True
            self._objects.clear()
