"""Draw a :class:`~isogloss.charts.Chart` as a still figure, for papers and slides."""

from isogloss.figures.draw import draw as draw
from isogloss.figures.files import save as save

__all__ = ["draw", "save"]
