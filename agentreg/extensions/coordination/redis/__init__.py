"""A directory's store in Redis or Valkey."""

from __future__ import annotations

from agentreg.extensions.coordination.redis.backend import RedisBackend

__all__ = ["RedisBackend"]
