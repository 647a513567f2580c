"""Validates object names before a call is sent."""

from __future__ import annotations

import re
from typing import Sequence

from evfd import errors

# The most names in one call: one message cannot carry more descriptors than this. See unix(7).
MAX_NAMES = 253
MAX_BYTES = 255

_SEGMENT = re.compile(r"[A-Za-z0-9._@:+-]+", re.ASCII)


def _is_name(text: str) -> bool:
    return len(text) <= MAX_BYTES and all(
        _SEGMENT.fullmatch(segment) and segment not in (".", "..") for segment in text.split("/")
    )


def check_name(name: str) -> str:
    """Return the name; raise InvalidError if the name is malformed."""
    if not isinstance(name, str):
        raise TypeError(f"a name is a str, not {type(name).__name__}")
    if not _is_name(name):
        raise errors.InvalidError(
            f"'{name}' is not a valid name: use 1 to {MAX_BYTES} bytes, segments of letters, "
            "digits and ._@:+- joined by single slashes, none of them '.' or '..'",
            name,
        )
    return name


def check_names(names: Sequence[str]) -> list[str]:
    """Return the names of a call.

    Raise InvalidError if a name is malformed or occurs twice, or if the number of names is out of
    range.
    """
    if not 1 <= len(names) <= MAX_NAMES:
        raise errors.InvalidError(f"name 1 to {MAX_NAMES} objects at a time, not {len(names)}")
    checked = [check_name(name) for name in names]
    if len(set(checked)) < len(checked):
        raise errors.InvalidError("name each object once")
    return checked
