"""A page of the browser, and everything that it complains of."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from typing_extensions import Self

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage

# What the browser itself says when nobody answers, or somebody refuses. A page can't keep it from saying so.
_NETWORK = ("Failed to load resource", "WebSocket connection to")
_LISTEN = """
    window.violations = [];
    document.addEventListener("securitypolicyviolation", (event) => window.violations.push(event.violatedDirective));
"""


class Watched:
    """A page, with what its console said.

    Attributes:
        page: Playwright's.
        bears_outages: Set where a test makes requests fail.
    """

    def __init__(self, browser: Browser) -> None:
        self._context = browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
        self.page = self._context.new_page()
        self.page.set_default_timeout(20_000)
        self.page.add_init_script(_LISTEN)
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.problems.append(f"uncaught: {error}"))
        self.problems: list[str] = []
        self.bears_outages = False

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(message.text)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._context.close()

    def check(self) -> None:
        """Fail if there was an error, a warning, or something that the security policy forbids."""
        expected = _NETWORK if self.bears_outages else ()
        assert [each for each in self.problems if not each.startswith(expected)] == []
        assert self.page.evaluate("window.violations") == []

    # -- what the page shows --------------------------------------------------

    def open(self, url: str, view: str = "agents") -> None:
        """Open a view, and wait until the page is up to date."""
        from playwright.sync_api import expect

        self.page.goto(f"{url}/#/{view}")
        expect(self.page.locator("#link")).to_have_attribute("data-state", "live")

    def names(self) -> list[str]:
        """The names in the rows that are in the document, from above."""
        found: list[str] = self.page.locator("tr.row td[data-column=name] a").all_inner_texts()
        return found
