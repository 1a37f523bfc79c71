"""The store in a SQLite file: several processes of one machine."""

from agentreg.extensions.coordination.sqlite.backend import SQLiteBackend

__all__ = ["SQLiteBackend"]
