"""Draw docs/images/architecture.svg: the package's modules, and who imports whom.

The arrows are read from the source with `ast`; the places on the sheet are
given below. An arrow that follows from others is left out. One that would
point up, or a module without a place, is an error: the picture would be
wrong, or the architecture.

    python docs/scripts/architecture_svg.py
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs" / "images" / "architecture.svg"
CONTENTS = "agentreg"  # the room of agentreg/__init__.py

MARGIN, GUTTER, PAD, COLUMN, GAP, HEIGHT = 6, 34, 14, 190, 30, 62
ROWS = (20, 126, 220, 326, 422, 516, 610, 704, 798, 892)  # the top of each row
INK, SOFT, LINE = "#0f172a", "#334155", "#6e7b8f"


@dataclass(frozen=True)
class Room:
    """A module's place: columns and row, its kind, and what it is, in at most two lines."""

    first: int
    last: int
    row: int
    kind: str
    caption: tuple[str, ...]

    @property
    def left(self) -> float:
        return MARGIN + GUTTER + self.first * (COLUMN + GAP)

    @property
    def right(self) -> float:
        return MARGIN + GUTTER + self.last * (COLUMN + GAP) + COLUMN

    @property
    def top(self) -> float:
        return ROWS[self.row]

    @property
    def bottom(self) -> float:
        return self.top + HEIGHT

    @property
    def centre(self) -> float:
        return (self.left + self.right) / 2

    @property
    def middle(self) -> float:
        return (self.top + self.bottom) / 2


ROOMS = {
    "demo": Room(0, 2, 0, "program", ("agents at work on files, in one process", "and in several")),
    "extensions.service": Room(3, 3, 0, "extension", ("all of it over HTTP",)),
    "cli": Room(4, 4, 0, "program", ("the command agentreg",)),
    "extensions.load_balancing": Room(0, 0, 1, "extension", ("who is least busy; pickers",)),
    "extensions.health": Room(1, 1, 1, "extension", ("who answers",)),
    "extensions.persistence": Room(2, 2, 1, "extension", ("saved as JSON, restored",)),
    "extensions.capabilities": Room(3, 3, 1, "extension", ("who can do what",)),
    "extensions.coordination": Room(4, 4, 1, "extension", ("who is there in all", "processes and machines")),
    "extensions.resources": Room(0, 0, 2, "extension", ("who may have how much;", "conflicts, pipelines")),
    "extensions.monitoring": Room(1, 1, 2, "extension", ("metrics, alerts,", "recovery")),
    "extensions.definitions": Room(4, 4, 2, "extension", ("recipes for agents:", "files, versions, servers")),
    CONTENTS: Room(
        0,
        3,
        3,
        "core",
        (
            "the contents page: every public name of the core, and so",
            "the one seam: subscribe, revision, extension_state, on_call",
        ),
    ),
    "pytest_plugin": Room(4, 4, 3, "testing", ("the fixture and the option",)),
    "orchestra": Room(1, 1, 4, "core", ("one run over a topology,", "and its clean-up")),
    "pool": Room(3, 3, 4, "core", ("interchangeable agents,", "lent and given back")),
    "topology": Room(0, 0, 5, "core", ("names and arrows",)),
    "agent": Room(2, 2, 5, "core", ("BaseAgent and Agent:", "they register themselves")),
    "lending": Room(3, 3, 5, "core", ("who holds what,", "who waits in line")),
    "testing": Room(4, 4, 5, "testing", ("isolated_registry()",)),
    "model": Room(1, 1, 6, "core", ("messages, model settings,", "providers")),
    "registry": Room(2, 2, 6, "heart", ("AgentRegistry: who is", "there, by name")),
    "subscription": Room(2, 2, 7, "core", ("who listens, and how", "they are told")),
    "table": Room(2, 2, 8, "core", ("names, entries, revision;", "the one lock")),
    "errors": Room(0, 1, 9, "core", ("what can go wrong",)),
    "events": Room(2, 2, 9, "core", ("what happened to a name",)),
}
COLOURS = {  # fill, border
    "program": ("#fef3c7", "#d97706"),
    "extension": ("#dcfce7", "#16a34a"),
    "core": ("#dbeafe", "#3b82f6"),
    "heart": ("#bfdbfe", "#1d4ed8"),
    "testing": ("#f3e8ff", "#9333ea"),
}
BANDS = (  # first row, last row, last column, what it is
    (0, 0, 4, "programs"),
    (1, 2, 4, "extensions"),
    (3, 9, 4, "core"),
)
NOTES = (
    "Arrows that follow from others are left out.",
    "",
    "Programs put the parts together; nobody imports them.",
    "Extensions import no other extension, but that",
    "coordination uses capabilities, the service all.",
    "The core needs typing-extensions, nothing else.",
)
# How an arrow runs, where the places of its ends don't say: v down, h across; and how far below the middle it starts.
RUNS = {
    ("extensions.definitions", CONTENTS): ("hv", 16),
    ("demo", "extensions.definitions"): ("hvh", 19),
    ("demo", "extensions.coordination"): ("vhv", 0),
    ("testing", "registry"): ("vh", 0),
    ("registry", "errors"): ("hvh", 0),
    ("demo", "testing"): ("hvh", 19),
    ("lending", "table"): ("hvh", 19),
}


def modules(package: Path) -> dict[str, Path]:
    """Room name -> file, or folder for what is drawn as one room."""
    found = {CONTENTS: package / "__init__.py"}
    for path in sorted(package.iterdir()):
        if path.suffix == ".py" and not path.stem.startswith("__"):
            found[path.stem] = path
        elif (path / "__init__.py").exists() and path.name != "extensions":
            found[path.name] = path
    for path in sorted((package / "extensions").iterdir()):
        if (path.suffix == ".py" and path.stem != "__init__") or (path / "__init__.py").exists():
            found[f"extensions.{path.stem}"] = path
    return found


def imports(package: Path) -> dict[tuple[str, str], bool]:
    """(who, whom) -> whether it is imported at once, rather than when it is first needed."""
    rooms = modules(package)
    found: dict[tuple[str, str], bool] = {}
    for room, path in rooms.items():
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            for target, at_once in _imported(file, rooms):
                if target != room:
                    found[room, target] = found.get((room, target), False) or at_once
    return found


def _imported(file: Path, rooms: Iterable[str]) -> Iterator[tuple[str, bool]]:
    for node, at_once in _statements(ast.parse(file.read_text(encoding="utf-8")), True):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name.split(".")[0] == CONTENTS:
                inside = [room for room in rooms if f"{name}.".startswith(f"{CONTENTS}.{room}.")]
                yield (max(inside, key=len) if inside else CONTENTS), at_once


def _statements(node: ast.AST, at_once: bool) -> Iterator[tuple[ast.AST, bool]]:
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        return
    yield node, at_once
    inner = at_once and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    for child in ast.iter_child_nodes(node):
        yield from _statements(child, inner)


def reduced(arrows: dict[tuple[str, str], bool]) -> dict[tuple[str, str], bool]:
    """The arrows without those that follow from others."""
    targets: dict[str, set[str]] = {}
    for start, end in arrows:
        targets.setdefault(start, set()).add(end)

    def reached(room: str) -> set[str]:
        return {end for target in targets.get(room, ()) for end in ({target} | reached(target))}

    implied = {(start, end) for start, end in arrows for other in targets[start] if end in reached(other)}
    return {arrow: at_once for arrow, at_once in arrows.items() if arrow not in implied}


def draw(package: Path) -> str:
    """The picture of *package*, as SVG.

    Raises:
        SystemExit: a module has no place here, or an arrow would point up.
    """
    rooms = modules(package)
    for room in rooms:
        if room not in ROOMS:
            raise SystemExit(f"{rooms[room]}: the module has no place in the picture; give it one in ROOMS")
    arrows = imports(package)
    for start, end in arrows:
        if ROOMS[start].row > ROOMS[end].row:
            raise SystemExit(f"{rooms[start]}: it imports {end}, which stands above it in the picture")
    present = {name: room for name, room in ROOMS.items() if name in rooms}
    width = ROOMS["cli"].right + PAD + MARGIN
    height = ROWS[-1] + HEIGHT + PAD + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
        f'height="{height:g}" role="img" aria-labelledby="title about" '
        'font-family="system-ui, -apple-system, Segoe UI, Roboto, Helvetica, Arial, DejaVu Sans, sans-serif">',
        '<title id="title">The modules of agentreg, and who imports whom</title>',
        f'<desc id="about">{escape("; ".join(_sentence(arrow) for arrow in sorted(reduced(arrows))))}</desc>',
        '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" '
        f'orient="auto-start-reverse"><path d="M 0 1 L 9 5 L 0 9 z" fill="{LINE}"/></marker></defs>',
        *(_band(*band) for band in BANDS),
        *(_arrow(start, end, at_once) for (start, end), at_once in sorted(reduced(arrows).items())),
        *(_room(name, room) for name, room in present.items()),
        _legend(),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _sentence(arrow: tuple[str, str]) -> str:
    return f"{arrow[0]} imports {arrow[1]}"


def _band(first: int, last: int, column: int, label: str) -> str:
    edge = Room(0, column, first, "", ()).right + PAD
    top, bottom = ROWS[first] - PAD, ROWS[last] + HEIGHT + PAD
    x, y = MARGIN + 21, (top + bottom) / 2
    return (
        f'<rect x="{MARGIN}" y="{top}" width="{edge - MARGIN:g}" height="{bottom - top}" rx="12" fill="{LINE}" '
        f'fill-opacity="0.09" stroke="{LINE}" stroke-opacity="0.35"/>'
        f'<text x="{x:g}" y="{y:g}" font-size="13" letter-spacing="0.6" text-anchor="middle" fill="{LINE}" '
        f'transform="rotate(-90 {x:g} {y:g})">{escape(label)}</text>'
    )


def _room(name: str, room: Room) -> str:
    fill, border = COLOURS[room.kind]
    title = name.removeprefix("extensions.")
    first = room.middle + (-12 if len(room.caption) == 2 else -3)
    lines = [
        f'<rect x="{room.left:g}" y="{room.top}" width="{room.right - room.left:g}" height="{HEIGHT}" rx="8" '
        f'fill="{fill}" stroke="{border}" stroke-width="{2.5 if room.kind == "heart" else 1.3}"/>',
        f'<text x="{room.centre:g}" y="{first:g}" font-size="15.5" font-weight="600" text-anchor="middle" '
        f'fill="{INK}">{title}</text>',
    ]
    for number, line in enumerate(room.caption):
        lines.append(
            f'<text x="{room.centre:g}" y="{first + 18 + 15 * number:g}" font-size="13" text-anchor="middle" '
            f'fill="{SOFT}">{escape(line)}</text>'
        )
    return "".join(lines)


def _arrow(start: str, end: str, at_once: bool) -> str:
    dash = "" if at_once else ' stroke-dasharray="5 4"'
    corners = _path(ROOMS[start], ROOMS[end], *RUNS.get((start, end), ("", 0)))
    return (
        f'<path d="{_rounded(corners)}" fill="none" stroke="{LINE}" stroke-width="1.6" marker-end="url(#head)"{dash}/>'
    )


def _path(start: Room, end: Room, run: str, lower: float) -> list[tuple[float, float]]:
    rightwards = start.centre < end.centre
    leaves = (start.right if rightwards else start.left), start.middle + lower
    enters = (end.left if rightwards else end.right), end.middle
    if run == "vh":
        return [(start.centre, start.bottom), (start.centre, end.middle), enters]
    inwards = 3 * PAD if rightwards else -3 * PAD
    near = enters[0] + inwards, end.top  # the near corner of what is below
    if run == "hv":
        return [leaves, (near[0], leaves[1]), near]
    if run == "vhv":
        between = (start.bottom + end.top) / 2
        return [(leaves[0] - inwards, start.bottom), (leaves[0] - inwards, between), (near[0], between), near]
    if run == "hvh":
        lane = leaves[0] + (GAP if rightwards else -GAP) / 2
        return [leaves, (lane, leaves[1]), (lane, end.middle), enters]
    if start.row == end.row:
        return [leaves, enters]
    low, high = max(start.left, end.left), min(start.right, end.right)
    if low < high:
        return [((low + high) / 2, start.bottom), ((low + high) / 2, end.top)]
    return [leaves, (end.centre, start.middle), (end.centre, end.top)]


def _rounded(corners: list[tuple[float, float]], radius: float = 10) -> str:
    steps = [f"M {corners[0][0]:g} {corners[0][1]:g}"]
    for before, corner, after in zip(corners, corners[1:], corners[2:], strict=False):
        for other, word in ((before, "L"), (after, "Q")):
            dx, dy = other[0] - corner[0], other[1] - corner[1]
            length = abs(dx) + abs(dy)
            x, y = corner[0] + dx / length * radius, corner[1] + dy / length * radius
            steps.append(f"L {x:g} {y:g}" if word == "L" else f"Q {corner[0]:g} {corner[1]:g} {x:g} {y:g}")
    steps.append(f"L {corners[-1][0]:g} {corners[-1][1]:g}")
    return " ".join(steps)


def _legend() -> str:
    left, top = Room(3, 3, 7, "", ()).left + 8, ROWS[7] + 34
    parts = []
    for number, (dash, text) in enumerate(
        (("", "imports"), (' stroke-dasharray="5 4"', "imports when it is first needed"))
    ):
        x = left + 140 * number
        parts.append(
            f'<path d="M {x:g} {top} L {x + 40:g} {top}" stroke="{LINE}" stroke-width="1.6" '
            f'marker-end="url(#head)"{dash}/><text x="{x + 50:g}" y="{top + 4.5:g}" font-size="13" fill="{LINE}">'
            f"{escape(text)}</text>"
        )
    for number, text in enumerate(NOTES):
        y = top + 30 + 21 * number
        parts.append(f'<text x="{left:g}" y="{y}" font-size="13" fill="{LINE}">{escape(text)}</text>')
    return "".join(parts)


if __name__ == "__main__":
    PICTURE.write_text(draw(ROOT / "agentreg"), encoding="utf-8")
    print(PICTURE)
