"""How a command ends other than well."""

from __future__ import annotations

__all__ = ["DONE", "INTERRUPTED", "REFUSED", "UNREAD", "USAGE", "CommandError", "UsageError"]

DONE = 0
REFUSED = 1
USAGE = 2
INTERRUPTED = 130
UNREAD = 141


class CommandError(Exception):
    """The command could not do it; the text says why, and what to do."""

    code = REFUSED


class UsageError(CommandError):
    """The command was called with something that it can't work with."""

    code = USAGE
