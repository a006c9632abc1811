"""What the HTML pages have in common: no script, nothing fetched, light or dark as the reader's screen is."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape


def document(*, title: str, style: str, header: str, sections: Iterable[str], footer: str) -> str:
    """A whole page.

    Args:
        title, header, sections, footer: as HTML, in which what comes from users is escaped.
        style: CSS.
    """
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{title}</title><style>{style}</style></head><body>"
        f"{header}<main>{''.join(sections)}</main><footer>{footer}</footer></body></html>\n"
    )


def section(anchor: str, title: str, body: str) -> str:
    """A titled part of the page; nothing where there is nothing to show."""
    return f"<section id='{anchor}'><h2>{escape(title)}</h2>{body}</section>" if body else ""


def grid(parts: Iterable[str]) -> str:
    """Panels side by side; nothing where all are empty."""
    drawn = "".join(f"<div class='panel'>{part}</div>" for part in parts if part)
    return f"<div class='grid'>{drawn}</div>" if drawn else ""
