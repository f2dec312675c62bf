"""Text and fonts for plotly.js, which reads tags and entities in every label."""

import html
import textwrap
from typing import Any

from isogloss.figures import plan


def escape(text: str) -> str:
    """Make a text inert in plotly's labels, which know tags, entities and line breaks."""
    return html.escape(text, quote=False).replace("\n", "<br>")


def wrapped(text: str, width: int) -> str:
    """Break an axis name over lines, which plotly does not do by itself."""
    return escape("\n".join(textwrap.wrap(plan.one_line(text), width)))


def font(colour: str, size: int) -> dict[str, Any]:
    """A font whose colour is a name of the theme."""
    return {"color": f"@{colour}", "size": size}
