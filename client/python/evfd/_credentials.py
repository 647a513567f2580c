"""Who this process is to a daemon that it connects to now.

A daemon goes by what the kernel tells of the moment of connect(2): see SO_PEERCRED in unix(7).
"""

from __future__ import annotations

import os

#: The effective user and group, and the supplementary groups.
Credentials = tuple[int, int, tuple[int, ...]]


def credentials_now() -> Credentials:
    return os.geteuid(), os.getegid(), tuple(os.getgroups())
