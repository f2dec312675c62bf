"""Amounts and messages as people and log files want them."""

_ALLOWED = "\u200c\u200d"
"""Joiners, which spelling needs in Persian and in many languages of India."""
_ASCII = str.maketrans({"…": "...", "–": "-", "’": "'", "×": "x", "→": "->"})


def size(number: float) -> str:
    """A number of bytes for people.

    >>> size(2_500_000)
    '2.5 MB'
    """
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def span(seconds: float) -> str:
    """A duration for people, rounded as an estimate deserves.

    >>> span(4000)
    '1.1 h'
    """
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"


def clock(seconds: float) -> str:
    """An exact duration.

    >>> clock(93784)
    '26:03:04'
    """
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def count(number: float) -> str:
    """An amount of what is counted, which need not be whole.

    >>> count(12.0), count(2.5)
    ('12', '2.5')
    """
    return f"{number:.0f}" if number == int(number) else f"{number:.1f}"


def pace(rate: float, unit: str) -> str:
    """A rate in the unit of time that keeps it readable.

    >>> pace(0.05, "input")
    '3.0 inputs/min'
    """
    for factor, per in ((1, "s"), (60, "min")):
        if rate * factor >= 1:
            return f"{rate * factor:.1f} {unit}s/{per}"
    return f"{rate * 3600:.1f} {unit}s/h"


def plain(message: str) -> str:
    r"""One line without anything that moves a cursor, however odd the name of a file is.

    >>> print(plain("a\x1b[2Jb"))
    a\x1b[2Jb
    """
    text = " ".join(message.splitlines())
    return "".join(c if c.isprintable() or c in _ALLOWED else ascii(c)[1:-1] for c in text)


def written(text: str, encoding: str | None) -> str:
    """A text with what an encoding lacks replaced or escaped."""
    encoding = encoding or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_ASCII).encode(encoding, "backslashreplace").decode(encoding)
    return text
