"""These tests need the packages of the extra ``service``."""

from __future__ import annotations

from importlib.util import find_spec

_NEEDED = ("httpx", "msgspec", "platformdirs", "prometheus_client", "starlette", "uvicorn", "websockets", "yaml")

if any(find_spec(name) is None for name in _NEEDED):
    collect_ignore_glob = ["test_*.py"]
