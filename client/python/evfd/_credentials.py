"""The credentials of this process as a daemon sees them.

A daemon authorizes a connection by the credentials that the kernel recorded at connect(2): see
SO_PEERCRED in unix(7).
"""

from __future__ import annotations

import os

#: The effective user, the effective group and the supplementary groups.
Credentials = tuple[int, int, tuple[int, ...]]


def credentials_now() -> Credentials:
    """Return the credentials that the kernel would record for a connection made now."""
    return os.geteuid(), os.getegid(), tuple(os.getgroups())
