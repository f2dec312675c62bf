"""Text and fonts for plotly.js, which reads tags and entities in every label."""

import html
import re
import textwrap
import unicodedata
from functools import cache
from typing import Any

from isogloss.figures import plan


def escape(text: str) -> str:
    """Make a text inert in plotly's labels, which know tags, entities, line breaks and templates.

    A ``%{…}`` would be replaced by a value of the point; its first character as an entity is not.
    """
    return html.escape(text, quote=False).replace("%{", "&#37;{").replace("\n", "<br>")


def wrapped(text: str, width: int) -> str:
    """Break an axis name over lines, which plotly does not do by itself."""
    return escape("\n".join(textwrap.wrap(plan.one_line(text), width)))


def folded(text: str, width: int = 56) -> str:
    """Break the lines of a text of any script, so that a hover box stays inside the page.

    A line that is too long is broken at spaces, or between letters where there are none, but not
    before a combining mark. Lines with letters that run from right to left are isolated, so that
    their full stop stands at their end.

    Args:
        text: Plain text; its line breaks are kept.
        width: In letters; those of Chinese, Japanese and Korean count as two.
    """
    lines = [part for line in text.split("\n") for part in _broken(line, width)]
    return "\n".join(f"\u2068{line}\u2069" if _runs_left(line) else line for line in lines)


def _broken(line: str, width: int) -> list[str]:
    if len(line) * 2 <= width:
        return [line]
    out, used = [""], 0
    for word in re.findall(r"\S+\s*|\s+", line):
        if used and used + _cells(word.rstrip()) > width:
            out, used = [*out, ""], 0
        for letter in _letters(word):
            if used and used + _cells(letter) > width and not letter.isspace():
                out, used = [*out, ""], 0
            out[-1] += letter
            used += _cells(letter)
    return [part.strip() for part in out]


def _letters(word: str) -> list[str]:
    """Letters with the marks and joiners that belong to them."""
    out: list[str] = []
    for character in word:
        if out and (_cells(character) == 0 or out[-1][-1] == "\u200d"):
            out[-1] += character
        else:
            out.append(character)
    return out


def _cells(text: str) -> int:
    """Columns that a text takes up."""
    return sum(map(_wide, text))


@cache
def _wide(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Mc", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _runs_left(line: str) -> bool:
    return any(unicodedata.bidirectional(c) in ("R", "AL") for c in line)


def font(colour: str, size: int) -> dict[str, Any]:
    """A font whose colour is a name of the theme."""
    return {"color": f"@{colour}", "size": size}
