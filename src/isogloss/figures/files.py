"""Write figures to files, whole or not at all, the same bytes for the same data."""

import io
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from isogloss.charts import Chart
from isogloss.errors import IsoglossError, choices
from isogloss.figures import plan
from isogloss.figures.draw import draw, house_style
from isogloss.storage import atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("pdf", "png")


def save(
    chart: Chart,
    folder: str | Path,
    *,
    formats: Iterable[str] = FORMATS,
    dark: bool = True,
    dpi: int = 200,
    light: "Figure | None" = None,
) -> list[Path]:
    """Draw a chart and write it as ``NAME.pdf`` and ``NAME.png``, and ``NAME-dark.png``.

    Title and caption go into the files' metadata; dates do not, so equal data gives equal bytes.

    Args:
        chart: What to draw; ``chart.name`` names the files.
        folder: Made if it does not exist.
        formats: Among ``pdf`` and ``png``.
        dark: Whether to write the PNG on a dark background as well.
        dpi: Dots per inch of the PNG.
        light: The chart as :func:`isogloss.figures.draw` gave it, if it has been drawn.

    Returns:
        The files written.

    Raises:
        MissingExtraError: matplotlib is not installed.
        IsoglossError: The chart cannot be drawn, a format is unknown, or a file cannot be written.
    """
    wanted = list(dict.fromkeys(formats))
    if unknown := [f for f in wanted if f not in FORMATS]:
        raise IsoglossError(f'figures cannot be saved as "{unknown[0]}"; use {choices(FORMATS)}')
    light = light or draw(chart)
    written = []
    for name in wanted:
        path = Path(folder) / f"{chart.name}.{name}"
        write_whole(path, encode(light, chart, name, dpi=dpi))
        written.append(path)
    if dark and "png" in wanted:
        path = Path(folder) / f"{chart.name}-dark.png"
        write_whole(path, encode(draw(chart, theme="dark"), chart, "png", dpi=dpi))
        written.append(path)
    return written


def encode(figure: "Figure", chart: Chart, name: str, *, dpi: int = 200) -> bytes:
    """A drawn chart as the bytes of a ``pdf`` or ``png`` file."""
    metadata: dict[str, str | None] = {"Title": plan.title(chart)}
    if name == "pdf":
        metadata |= {"Subject": chart.caption, "Creator": "Isogloss", "CreationDate": None}
    else:
        metadata |= {"Description": chart.caption, "Software": "Isogloss"}
    buffer = io.BytesIO()
    with house_style():
        figure.savefig(buffer, format=name, dpi=dpi, metadata=metadata)
    return buffer.getvalue()


def picture(chart: Chart, *, dpi: int = 130, light: "Figure | None" = None) -> bytes:
    """A chart as a small PNG (256 colours) to be put into a page.

    Args:
        chart: What to draw.
        dpi: Dots per inch.
        light: The chart as :func:`isogloss.figures.draw` gave it, if it has been drawn; it has
            this ``dpi`` afterwards.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    figure = light or draw(chart)
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    with house_style():
        canvas.draw()  # type: ignore[no-untyped-call]
    size = canvas.get_width_height(physical=True)
    pixels = canvas.buffer_rgba()  # type: ignore[no-untyped-call]
    image = Image.frombuffer("RGBA", size, pixels, "raw", "RGBA", 0, 1)
    buffer = io.BytesIO()
    # Of the methods for 256 colours, the one whose worst pixel is least off.
    method = Image.Quantize.MAXCOVERAGE
    small = image.convert("RGB").quantize(256, method=method, dither=Image.Dither.NONE)
    small.save(buffer, format="PNG")
    return buffer.getvalue()


def write_whole(path: str | Path, content: bytes) -> Path:
    """Write a file whole or not at all.

    Raises:
        IsoglossError: It cannot be written; what was there before is still there.
    """
    path = Path(path)
    try:
        atomic.write_bytes(path, content)
    except OSError as error:
        raise IsoglossError(
            f"cannot write {path}: {error.strerror or error}. "
            "Name a file in a folder that you may write to"
        ) from error
    return path
