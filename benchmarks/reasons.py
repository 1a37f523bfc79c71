"""Reasons: why a target is missed. Written by hand, and shown for as long as it is."""

from __future__ import annotations

from figures import Row

__all__ = ["reason"]

STEPS = (
    "Each of the two calls takes the lock, checks the name, keeps the revision and looks whether somebody listens; on "
    "a busy machine the ratio moves by a tenth."
)
SHARED = (
    "The threads share one interpreter: in the same time, the writer beside agentreg's readers gets several times as "
    "much done as the one beside marsys', at the readers' expense."
)
# the beginning of what was done -> why it takes what it takes
REASONS = {
    "drop, with what the next operation sweeps": (
        "The drop itself only appends to a deque, because nothing else may run inside a finalizer. The next operation "
        "then looks the entry up, checks that it is the very one, removes it and counts the revision: four steps in "
        "Python, later, where marsys takes one at once. Over an agent's whole short life it is made up for by what "
        "registering costs."
    ),
    "register_agent + deregister_agent, events delivered": (
        "Both deliver the events to one listener. agentreg also makes a token and a weak reference, checks every text, "
        "keeps the change for watchers and searches it by words; the two are equal within the noise."
    ),
    "register_agent + deregister_agent, events queued only": (
        "Here kaizen's listener is not paid for, only the queue; what agentreg does besides (a token, a weak "
        "reference, checks, a log of changes, an index that its search uses) is."
    ),
    "find_agents_by_capability, 50 hits, 1,000,000 records": (
        "The steps are the same at every size. Of a thousand records all are in the processor's cache, of a million "
        "none of the fifty; on a busy machine the median passes its limit, too."
    ),
    "bulk registrations, 1,000,000 records": (
        "Each record goes into five tables (ids, runtimes, ranks, capabilities, their holders) that no cache holds any "
        "more; of 1,000 records it is some 120,000 a second."
    ),
    "get by": SHARED,
    "all() by": SHARED,
    "register + unregister_if_same": STEPS,
    "POST /heartbeat": (
        "Of a beat's cost, uvicorn's is the greater part; the rest is some five microseconds, and the writing of the "
        "beats, once or twice a second. While other programs want the processors, few requests come through, and what "
        "is done once a second weighs more."
    ),
    "4,462 agents beating": (
        "A bare application that answers as many requests takes the greater part of it: on a busy machine each of 149 "
        "requests a second finds the processor's cache full of others' memory."
    ),
    "GET /registry/agents/{id}": (
        "It goes through the router, whose matching and layers cost as much as uvicorn itself; the record is kept as "
        "JSON."
    ),
    "WebSocket, 1,000 readers, 200 changes a second, part of a core": (
        "Nearly all of it is twenty thousand calls of the system a second, one for each reader and tick; a longer tick "
        "would have fewer, and longer delays."
    ),
    "WebSocket, 1,000 readers": (
        "A delay has the tick of 50 ms in it, and the commit; it is time on the wall, which other programs share."
    ),
    "start until /health": (
        "Time on the wall: half a second of processor to import what is needed, a third to read 10,000 records."
    ),
    "agentreg ": "Time on the wall, of which a busy machine takes several times as much.",
    "search, 50 hits, rare word, 100,000": (
        "A limit in microseconds depends on the machine's phase: on an idle one it is met (10 to 14 microseconds)."
    ),
}


def reason(row: Row) -> str:
    """Why *row* misses its target, as far as somebody has found out."""
    return next((why for work, why in REASONS.items() if row.work.startswith(work)), "Not looked into yet.")
