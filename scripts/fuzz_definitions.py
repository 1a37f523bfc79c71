"""Throw mutated definitions at the parser until the time is over, and say what it can't stand.

    python scripts/fuzz_definitions.py --minutes 10

Half of the inputs are real files, cut, spliced and mutated byte by byte; the
other half is put together by hypothesis from lines that matter to the
parser. An input that raises anything but the parser's own errors, gives
something that is no plain JSON, or takes more time than its length allows
is printed and kept; then the exit code is 1.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from agentreg.extensions.definitions import FAMILIES, DefinitionError, NotAnAgent, Problem, parse

CORPUS = Path(__file__).parent.parent / "tests" / "extensions" / "definitions" / "corpus"
GRACE, PER_BYTE = 0.05, 2e-6  # seconds that any input may take, and each of its bytes
FAMILY_NAMES = list(FAMILIES)
PIECES = [
    *(b"---\n", b"...\n", b"\n", b"\r\n", b"\r", b"\t", b" ", b"  ", b"\0", b"\xef\xbb\xbf", b"\xff\xfe", b"\xc2\x85"),
    *(b"name: ", b"description: ", b"tools: ", b"  tools: ", b"disallowedTools: ", b"permissionMode: ", b"model: "),
    *(
        b"|",
        b">",
        b"|-\n",
        b">2\n",
        b"- ",
        b"? ",
        b": ",
        b":",
        b"#",
        b" #",
        b"&a ",
        b"*a",
        b"!!str ",
        b"!x ",
        b"<<: *a",
    ),
    *(b"[", b"]", b"{", b"}", b"(", b")", b",", b"'", b'"', b'"""', b"'''", b"\\", b"\\n", b"%YAML 1.1\n", b"@", b"`"),
    *(
        b"\xe2\x80\xa8",
        b"\xf0\x9f\x98\x80",
        b"\xed\xa0\x80",
        b"\xc0\x80",
        b"= ",
        b"[a.b]\n",
        b"a.b = 1\n",
        b"1979-05-27",
    ),
]
LINES = st.one_of(
    st.sampled_from([piece.decode("utf-8", "replace") for piece in PIECES]),
    st.builds(
        "{}{}: {}".format,
        st.sampled_from(["", " ", "  ", "\t", "- "]),
        st.sampled_from(["name", "description", "tools", "user", "hooks", "permissionMode", "x y", "'tools'", "<<"]),
        st.one_of(st.sampled_from(["|", ">", "", "a: b", "[a, b]", "'x", "*a", "&a x", "# no"]), st.text(max_size=20)),
    ),
)


class Fuzzer:
    """Counts what comes of inputs, and keeps what must not be."""

    def __init__(self, keep: Path) -> None:
        self.outcomes: Counter[str] = Counter()
        self.found = 0
        self.slowest = (0.0, 0)  # seconds, bytes
        self._keep = keep

    def try_one(self, data: bytes, family: str) -> None:
        """Parse *data* and look at what comes of it."""
        started = time.thread_time()
        try:
            outcome = _outcome(data, family)
        except Exception:
            self._report(data, family, traceback.format_exc())
            return
        seconds = time.thread_time() - started
        self.outcomes[outcome] += 1
        self.slowest = max(self.slowest, (seconds, len(data)))
        if seconds > GRACE + PER_BYTE * len(data):
            again = min(_seconds(data, family) for _ in range(5))  # the machine may have been busy
            if again > GRACE + PER_BYTE * len(data):
                self._report(data, family, f"took {again:.3f} seconds for {len(data):,} bytes")

    def _report(self, data: bytes, family: str, what: str) -> None:
        self.found += 1
        self._keep.mkdir(parents=True, exist_ok=True)
        path = self._keep / f"{family}-{hashlib.sha256(data).hexdigest()[:12]}"
        path.write_bytes(data)
        print(f"{path}: {what}", file=sys.stderr)


def _outcome(data: bytes, family: str) -> str:
    try:
        made = parse(data, path="fuzz.md", family=family)
    except (DefinitionError, NotAnAgent) as error:
        _check(str(error), error.problem)
        return type(error).__name__
    json.dumps(made.to_dict(), ensure_ascii=False, allow_nan=False).encode()
    assert made.name, "an empty name"
    assert made.description or family == "opencode", "an empty description"
    return "warns" if made.warnings else "loads"


def _check(text: str, problem: Problem) -> None:
    json.dumps(problem.to_dict()).encode()
    assert text.startswith(f"fuzz.md:{problem.line}:{problem.column}: "), "a message of another form"
    assert min(problem.line, problem.column) > 0, "a place before the first"


def _seconds(data: bytes, family: str) -> float:
    started = time.thread_time()
    _outcome(data, family)
    return time.thread_time() - started


def _mutated(data: bytes, others: list[bytes], chance: random.Random) -> bytes:
    text = bytearray(data)
    if chance.random() < 0.7:
        del text[chance.randrange(200, 3000) :]  # most of what matters is at the beginning
    for _ in range(chance.randrange(1, 8)):
        place = chance.randrange(len(text) + 1)
        kind = chance.randrange(6)
        if kind == 0:
            text[place:place] = chance.choice(PIECES)
        elif kind == 1:
            text[place : place + chance.randrange(1, 30)] = b""
        elif kind == 2 and text:
            text[place % len(text)] = chance.randrange(256)
        elif kind == 3:
            other = chance.choice(others)
            text[place:place] = other[: chance.randrange(1, 400)]
        elif kind == 4:
            text[place:place] = chance.choice(PIECES) * chance.choice([2, 50, 3000, 30000])
        else:
            text[place:place] = text[max(0, place - chance.randrange(1, 300)) : place] * chance.choice([1, 2, 40])
    return bytes(text[:1_000_000])


def _from_files(fuzzer: Fuzzer, files: list[bytes], chance: random.Random, until: float) -> None:
    while time.monotonic() < until:
        fuzzer.try_one(_mutated(chance.choice(files), files, chance), chance.choice(FAMILY_NAMES))


def _from_lines(fuzzer: Fuzzer, number: int, until: float) -> None:
    @seed(number)
    @settings(
        max_examples=2000,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(LINES, max_size=15), st.sampled_from(FAMILY_NAMES), st.booleans())
    def run(lines: list[str], family: str, complete: bool) -> None:
        if time.monotonic() < until:
            text = "\n".join(["---", *(["name: a", "description: b"] if complete else []), *lines, "---", "Body"])
            fuzzer.try_one(text.encode("utf-8", "replace"), family)

    run()


def main() -> int:
    """Fuzz for as long as was asked; 1 if something was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1.0, help="how long; default: 1")
    parser.add_argument("--seed", type=int, default=None, help="for the same inputs again; default: another each time")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-findings"), help="where findings are put")
    asked = parser.parse_args()
    number = asked.seed if asked.seed is not None else random.SystemRandom().randrange(2**32)
    chance, fuzzer = random.Random(number), Fuzzer(asked.keep)
    files = [path.read_bytes() for path in sorted(CORPUS.rglob("*.md"))]
    files.append(b'name = "a"\ndescription = "b"\ndeveloper_instructions = """\nc\n"""\n[mcp_servers.x]\nurl = "y"\n')
    end = time.monotonic() + 60 * asked.minutes
    while (now := time.monotonic()) < end:
        _from_files(fuzzer, files, chance, min(now + 5, end))
        now = time.monotonic()
        _from_lines(fuzzer, chance.randrange(2**32), min(now + 5, end))
    seconds, length = fuzzer.slowest
    print(f"seed {number}: {sum(fuzzer.outcomes.values()):,} inputs, {dict(fuzzer.outcomes)}")
    print(f"slowest: {seconds:.3f} s for {length:,} bytes; findings: {fuzzer.found}")
    return 1 if fuzzer.found else 0


if __name__ == "__main__":
    sys.exit(main())
