"""The lock of this package: held for a few instructions, and never while foreign code runs."""

from __future__ import annotations

import os
import threading

__all__ = ["lock"]

lock = threading.RLock()
"""Guards answers, waiters, names that were given and decisions in memory. A finalizer may come back to it."""

if hasattr(os, "register_at_fork"):
    # a child must not inherit it from a thread that it doesn't have
    os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)
