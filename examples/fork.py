"""A forked child has the same agents, and a registry that works; the parent doesn't notice.

It prints:

    child: ['parent-agent', 'child-agent']
    child, cleared: []
    parent: ['parent-agent']
"""

import os
import sys

from agentreg import AgentRegistry


class Worker:
    """Any object will do."""


def in_child() -> None:
    """Register one more, then start empty."""
    worker = Worker()
    AgentRegistry.register(worker, "child-agent")
    print("child:", AgentRegistry.names())
    AgentRegistry.clear()
    print("child, cleared:", AgentRegistry.names(), flush=True)


def main() -> None:
    """Fork, wait for the child, and look."""
    if not hasattr(os, "fork"):
        sys.exit("this system can't fork")
    worker = Worker()
    AgentRegistry.register(worker, "parent-agent")
    child = os.fork()
    if child == 0:
        in_child()
        os._exit(0)
    os.waitpid(child, 0)
    print("parent:", AgentRegistry.names())
    del worker


if __name__ == "__main__":
    main()
