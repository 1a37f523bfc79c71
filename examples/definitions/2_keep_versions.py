"""A store keeps every version of a definition, and lets nobody overwrite another's work.

It prints:

    created scout, version 1
    ann makes version 2
    bob is told: version 2 is the latest, not 1
    bob makes version 3
    1 created: Look.
    2 updated: Look twice.
    3 updated: Look twice. Be quick.
    4 rolled back: Look.
    found by its tag: scout
    removed: None, with 4 versions in its history
"""

import tempfile
from pathlib import Path

from agentreg.extensions.definitions import DefinitionStore, VersionConflictError

SCOUT = "---\nname: scout\ndescription: Looks around\ntags: search, quick\n---\nLook."


def edit(ann: DefinitionStore, bob: DefinitionStore) -> None:
    """Two programs look at one version; the second to write is told, and looks again."""
    seen_by_ann, seen_by_bob = ann.require("scout"), bob.require("scout")
    twice = seen_by_ann.content.replace("Look.", "Look twice.")
    print("ann makes version", ann.update("scout", twice, replaces=seen_by_ann.version).version)
    try:
        bob.update("scout", seen_by_bob.content + " Be quick.", replaces=seen_by_bob.version)
    except VersionConflictError as error:
        print(f"bob is told: version {error.current} is the latest, not {error.replaces}")
    latest = bob.require("scout")
    print("bob makes version", bob.update("scout", latest.content + " Be quick.", replaces=latest.version).version)


def look_back(store: DefinitionStore) -> None:
    """Bring the first version back, and print them all."""
    store.rollback("scout", 1)
    for stored in store.history("scout"):
        print(f"{stored.version} {stored.change}: {stored.definition.body}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "definitions.db")
        with DefinitionStore(path) as first, DefinitionStore(path) as second:
            created = first.create(SCOUT)
            print(f"created {created.name}, version {created.version}")
            edit(first, second)
            look_back(first)
            print("found by its tag:", *(found.name for found in second.query({"tags": {"$regex": "^sea"}})))
            second.remove("scout")
            print(f"removed: {first.get('scout')}, with {len(first.history('scout'))} versions in its history")
