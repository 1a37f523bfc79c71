"""Draw docs/images/lease.svg: the states of a record, and what leads from one to another.

The names and the time-outs are the package's own.

    python docs/scripts/lease_svg.py
"""

from __future__ import annotations

from html import escape
from pathlib import Path

from agentreg.extensions.coordination import AgentDirectoryConfig, AgentStatus

PICTURE = Path(__file__).resolve().parents[1] / "images" / "lease.svg"
WIDTH, HEIGHT = 952, 412
INK, SOFT, LINE = "#0f172a", "#334155", "#6e7b8f"
FONT = "system-ui, -apple-system, Segoe UI, Roboto, Helvetica, Arial, DejaVu Sans, sans-serif"
GREEN, AMBER, RED, GREY = ("#dcfce7", "#16a34a"), ("#fef3c7", "#d97706"), ("#fee2e2", "#dc2626"), ("#e2e8f0", "#64748b")


def draw() -> str:
    """The picture, as SVG."""
    config = AgentDirectoryConfig()
    lapse = f"heartbeat_timeout ({config.heartbeat_timeout:g} s)"
    removal = f"auto_deregister_timeout ({config.auto_deregister_timeout:g} s)"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'role="img" aria-labelledby="title about" font-family="{FONT}">',
        '<title id="title">The states of a record</title>',
        f'<desc id="about">Registering makes a record active. Without a beat for {lapse}, active and degraded become '
        "unhealthy; a beat gives back the status that was. Without one for "
        f"{removal}, a record of any status is gone. update_agent_status sets any status; deregistering, collection, "
        "the end of the process, a shutdown and a replacement end any record.</desc>",
        '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" '
        f'orient="auto-start-reverse"><path d="M 0 1 L 9 5 L 0 9 z" fill="{LINE}"/></marker></defs>',
        f'<rect x="1" y="1" width="{WIDTH - 2}" height="{HEIGHT - 2}" rx="12" fill="#f8fafc" stroke="{LINE}" '
        'stroke-opacity="0.35"/>',
        f'<rect x="96" y="44" width="184" height="222" rx="12" fill="{LINE}" fill-opacity="0.09" stroke="{LINE}" '
        'stroke-opacity="0.35"/>',
        _box(104, 62, AgentStatus.ACTIVE.value, "it can be given work", GREEN),
        _box(104, 186, AgentStatus.DEGRADED.value, "it works, not as it should", AMBER),
        _box(486, 108, AgentStatus.UNHEALTHY.value, "overdue, or said to be ill", RED),
        _box(486, 232, AgentStatus.OFFLINE.value, "said to be away", GREY),
        _box(766, 62, "gone", "no trace is left", ("#ffffff", "#94a3b8"), height=232),
        f'<circle cx="30" cy="93" r="7" fill="{LINE}"/>',
        _arrow("M 38 93 L 102 93"),
        _label(36, 82, "register"),
        _arrow("M 282 122 L 484 122"),
        _label(383, 96, "no beat for", "middle"),
        _label(383, 113, lapse, "middle"),
        _arrow("M 484 158 L 282 158"),
        _label(383, 176, "a beat: back to the", "middle"),
        _label(383, 193, "status it had", "middle"),
        _arrow("M 656 139 L 764 139"),
        _arrow("M 656 263 L 764 263"),
        _label(709, 170, "no beat for", "middle"),
        _label(709, 187, "auto_deregister_", "middle"),
        _label(709, 204, f"timeout ({config.auto_deregister_timeout:g} s):", "middle"),
        _label(709, 221, "expired", "middle", italic=True),
        f'<path d="M 96 318 L 96 326 L 654 326 L 654 318" fill="none" stroke="{LINE}" stroke-width="1.6"/>',
        _arrow("M 654 326 L 838 326 Q 848 326 848 316 L 848 296"),
        _label(366, 348, "from any status:", "middle"),
        _label(366, 367, "deregistered · shutdown · collected · died · replaced", "middle", italic=True),
        _label(366, 396, "update_agent_status sets any of the four; setting active counts as a beat.", "middle"),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _box(left: int, top: int, name: str, caption: str, colours: tuple[str, str], height: int = 62) -> str:
    middle = left + 84
    fill, border = colours
    first = top + height / 2 - 4
    return (
        f'<rect x="{left}" y="{top}" width="{2 * (middle - left):g}" height="{height}" rx="8" fill="{fill}" '
        f'stroke="{border}" stroke-width="1.3"/>'
        f'<text x="{middle:g}" y="{first:g}" font-size="15.5" font-weight="600" text-anchor="middle" '
        f'fill="{INK}">{escape(name)}</text>'
        f'<text x="{middle:g}" y="{first + 19:g}" font-size="12" text-anchor="middle" fill="{SOFT}">'
        f"{escape(caption)}</text>"
    )


def _arrow(path: str) -> str:
    return f'<path d="{path}" fill="none" stroke="{LINE}" stroke-width="1.6" marker-end="url(#head)"/>'


def _label(x: int, y: int, text: str, anchor: str = "start", italic: bool = False) -> str:
    style = ' font-style="italic"' if italic else ""
    return f'<text x="{x}" y="{y}" font-size="13" text-anchor="{anchor}" fill="{SOFT}"{style}>{escape(text)}</text>'


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")
    print(PICTURE)
