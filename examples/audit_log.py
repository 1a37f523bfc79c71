"""An extension on the registry's seam: a log that is exact, whatever other threads do.

It prints:

    1 AgentRegistered ann
    2 AgentRegistered bob
    3 AgentUnregistered bob (collected)
    after a storm of 8 threads: no gap True, nothing missing True
"""

import threading

from agentreg import AgentRegistered, AgentRegistry, AgentUnregistered, RegistryEvent, Resync


class AuditLog:
    """What came and went since it was opened."""

    def __init__(self) -> None:
        self.events: list[RegistryEvent] = []
        self.subscription = AgentRegistry.subscribe(self.events.append)

    def close(self) -> None:
        """End it; the registry calls this when it is cleared or its isolation ends."""
        self.subscription.close()

    def present(self) -> dict[str, str]:
        """Agent name -> class name, by replaying the log."""
        names = dict(self.subscription.listing)
        for event in self.events.copy():
            if isinstance(event, AgentRegistered):
                names[event.name] = event.class_name
            elif isinstance(event, AgentUnregistered):
                del names[event.name]
            elif isinstance(event, Resync):
                names = dict(event.listing)
        return names


class AuditMixin:
    """What a registry class gains: a log of who came and went."""

    @classmethod
    def audit(cls) -> AuditLog:
        """The log, which has heard of everything up to now."""
        log = AgentRegistry.extension_state(AuditLog, AuditLog)
        _ = AgentRegistry.revision
        return log


class AuditedRegistry(AuditMixin, AgentRegistry):
    """`AgentRegistry` with a log."""


class Worker:
    """Any object will do."""


def storm(number: int, kept: list[Worker]) -> None:
    """Register many agents; unregister a third, keep a third, drop a third."""
    for turn in range(100):
        worker = Worker()
        name = AgentRegistry.register(worker, f"worker-{number}-{turn}")
        if turn % 3 == 0:
            AgentRegistry.unregister_if_same(name, worker)
        elif turn % 3 == 1:
            kept.append(worker)


def main() -> None:
    """Make a little history, then a lot of it."""
    log = AuditedRegistry.audit()
    ann, bob = Worker(), Worker()
    AuditedRegistry.register(ann, "ann")
    AuditedRegistry.register(bob, "bob")
    del bob
    for event in AuditedRegistry.audit().events:
        if isinstance(event, AgentRegistered):
            print(event.revision, "AgentRegistered", event.name)
        elif isinstance(event, AgentUnregistered):
            print(event.revision, "AgentUnregistered", event.name, f"({event.reason})")

    kept: list[Worker] = []
    threads = [threading.Thread(target=storm, args=(number, kept)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    revisions = [event.revision for event in AuditedRegistry.audit().events]
    no_gap = revisions == list(range(1, len(revisions) + 1))
    nothing_missing = log.present() == dict.fromkeys(AgentRegistry.names(), "Worker")
    print(f"after a storm of 8 threads: no gap {no_gap}, nothing missing {nothing_missing}")


if __name__ == "__main__":
    main()
