"""Refusals: what goes wrong with definitions and their stores, in the words of the command line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agentreg import RegistryError
from agentreg.cli.errors import CommandError, UsageError
from agentreg.demo.printable import printable

if TYPE_CHECKING:
    from agentreg.extensions.definitions import NotStoredError

__all__ = ["refusals"]

_EXTRAS = {"yaml": "definitions", "watchfiles": "definitions", "tomli": "definitions", "httpx": "http"}


@contextmanager
def refusals() -> Iterator[None]:
    """Let the errors of definitions end the command: one line on standard error, and 1."""
    try:
        yield
    except (CommandError, BrokenPipeError):
        raise
    except ImportError as error:
        raise CommandError(_missing(error)) from error
    except (RegistryError, OSError) as error:
        raise CommandError(printable(_told(error))) from error
    except ValueError as error:  # what came in with the arguments is not fit for it
        raise UsageError(printable(str(error))) from error


def _missing(error: ImportError) -> str:
    extra = _EXTRAS.get(error.name or "")
    if extra is None or "pip install" in str(error):
        return str(error)
    return f'this command needs the package that is imported as {error.name!r}: pip install "agentreg[{extra}]"'


def _told(error: RegistryError | OSError) -> str:
    from agentreg.extensions.definitions import DefinitionExistsError, NotStoredError, VersionConflictError

    if isinstance(error, VersionConflictError):
        return (
            f"definition {error.name!r} is at version {error.current}, not at {error.replaces} which was to be "
            f"replaced: nothing was changed; look at version {error.current} (agentreg definitions diff), then pass "
            f"--replaces {error.current}"
        )
    if isinstance(error, DefinitionExistsError):
        return (
            f"definition {error.name!r} is in the store already, in version {error.version}; "
            "agentreg definitions update FILE makes a new version of it"
        )
    if isinstance(error, NotStoredError):
        return _not_stored(error)
    return str(error)


def _not_stored(error: NotStoredError) -> str:
    if error.version is not None:
        return f"definition {error.name!r} has no version {error.version}; agentreg definitions history lists them"
    if not error.nearest:
        return f"the store has no definition {error.name!r}, nor anything like it; agentreg definitions list shows all"
    return f"the store has no definition {error.name!r}; the nearest names are {', '.join(map(repr, error.nearest))}"
