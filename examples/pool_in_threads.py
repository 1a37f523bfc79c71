"""Four threads, each with an event loop of its own, share a pool of two.

It prints:

    20 pages, 2 browsers, at most 2 at a time
    nobody holds a member: True
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from agentreg import AgentPool, BaseAgent, create_agent_pool_sync


class Browser(BaseAgent):
    """Pretends to fetch a page."""

    async def run(self, prompt: Any, **kwargs: Any) -> str:
        await asyncio.sleep(0.005)
        return f"{prompt}, read by {self.name}"


async def fetch(pool: AgentPool, page: str) -> str:
    """Wait for a browser, use it, give it back."""
    async with pool.aborrow(page) as browser:
        text: str = await browser.run(page)
        return text


async def fetch_all(pool: AgentPool, pages: list[str]) -> list[str]:
    """Fetch the pages side by side, as far as there are browsers."""
    return await asyncio.gather(*(fetch(pool, page) for page in pages))


def main() -> None:
    """Start the threads, and look at the pool's statistics."""
    pool: AgentPool = create_agent_pool_sync(Browser, 2, name="browser")

    def work(number: int) -> list[str]:
        return asyncio.run(fetch_all(pool, [f"{number}/{page}.html" for page in range(5)]))

    with ThreadPoolExecutor(4) as threads:
        pages = [page for batch in threads.map(work, range(4)) for page in batch]
    statistics = pool.get_statistics()
    print(f"{len(pages)} pages, {len(pool)} browsers, at most {statistics['peak_concurrent_usage']} at a time")
    print("nobody holds a member:", pool.get_available_count() == len(pool))
    asyncio.run(pool.cleanup())


if __name__ == "__main__":
    main()
