"""Measure and break text in the font that matplotlib brings along."""

from isogloss.figures import plan, style

LABEL_LIMIT = 28
"""Category labels are cut to so many characters; the report's hover has them whole."""

SMALL, TEXT, HEAD = 8.0, 9.0, 11.0
"""Font sizes in points: ticks and legend, axes and panels, title."""


def line_height(size: float) -> float:
    """Height of one line of text in inches."""
    return size * 1.25 / 72


class Ruler:
    """Measures text in inches."""

    def __init__(self) -> None:
        from matplotlib.backends.backend_agg import RendererAgg

        # 720 dots per inch: at screen resolution, hinting rounds the widths.
        self._renderer = RendererAgg(1, 1, 720)  # type: ignore[no-untyped-call]
        self._seen: dict[tuple[str, float, bool], float] = {}

    def width(self, text: str, size: float, *, bold: bool = False) -> float:
        """Width of one line of text."""
        from matplotlib.font_manager import FontProperties

        key = (text, size, bold)
        if key not in self._seen:
            weight = "bold" if bold else "normal"
            font = FontProperties(family=style.FONT, size=size, weight=weight)
            measure = self._renderer.get_text_width_height_descent
            self._seen[key] = measure(text, font, False)[0] / 720  # type: ignore[no-untyped-call]
        return self._seen[key]

    def widest(self, texts: list[str], size: float, *, bold: bool = False) -> float:
        """Width of the widest of several lines."""
        return max((self.width(t, size, bold=bold) for t in texts), default=0.0)

    def wrap(self, text: str, size: float, room: float, *, bold: bool = False) -> list[str]:
        """Break a text into lines no wider than ``room``, inside a word only if it is too long."""
        lines = [""]
        for word in plan.one_line(text).split(" "):
            joined = f"{lines[-1]} {word}".strip()
            if self.width(joined, size, bold=bold) <= room:
                lines[-1] = joined
                continue
            lines.append("")
            for letter in word:
                if lines[-1] and self.width(lines[-1] + letter, size, bold=bold) > room:
                    lines.append("")
                lines[-1] += letter
        return [line for line in lines if line]

    def balance(self, text: str, size: float, room: float) -> list[str]:
        """Break a text into as few lines as :meth:`wrap`, of more equal widths."""
        lines = self.wrap(text, size, room)
        while len(lines) > 1:
            room *= 0.95
            tighter = self.wrap(text, size, room)
            # A break inside a word would look like two words.
            if len(tighter) > len(lines) or " ".join(tighter) != " ".join(lines):
                break
            lines = tighter
        return lines
