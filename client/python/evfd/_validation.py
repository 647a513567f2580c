"""The names of objects, checked before they go out."""

from __future__ import annotations

import re
from typing import Sequence

from evfd import errors

MOST_PER_CALL = 253  # As many descriptors as one message can carry. unix(7)
MOST_BYTES = 255

_SEGMENT = re.compile(r"[A-Za-z0-9._@:+-]+", re.ASCII)


def _is_name(text: str) -> bool:
    return len(text) <= MOST_BYTES and all(
        _SEGMENT.fullmatch(segment) and segment not in (".", "..") for segment in text.split("/")
    )


def check(name: str) -> str:
    """The same name; InvalidError if it is none."""
    if not isinstance(name, str):
        raise TypeError(f"a name is a str, not {type(name).__name__}")
    if not _is_name(name):
        raise errors.make(
            errors.InvalidError,
            f"'{name}' is no name: use 1 to {MOST_BYTES} bytes, segments of letters, digits and "
            "._@:+- joined by single slashes, none of them '.' or '..'",
            name,
        )
    return name


def check_all(names: Sequence[str]) -> list[str]:
    """The same names; InvalidError for a malformed one, for twins, and for too many or none."""
    if not 1 <= len(names) <= MOST_PER_CALL:
        raise errors.make(
            errors.InvalidError,
            f"name 1 to {MOST_PER_CALL} objects at a time, not {len(names)}",
        )
    checked = [check(name) for name in names]
    if len(set(checked)) < len(checked):
        raise errors.make(errors.InvalidError, "name each object once")
    return checked
