"""Make terms.json: words that CLDR has in every language of the demo model, and how it puts lists.

    npm pack cldr-annotations-full@48.2.0 cldr-dates-full@48.2.0 cldr-misc-full@48.2.0
    python terms.py FOLDER        # where each package is unpacked under its own name

The terms are the short names of emoji, the days and the months. A term is kept if it is one or two
short words in every language, the word of no other term there, and no part of another one.
"""

import json
import re
import sys
from pathlib import Path

LOCALES = {
    "cmn": "zh", "eng": "en", "fin": "fi", "fra": "fr", "hye": "hy",
    "kat": "ka", "mar": "mr", "rus": "ru", "swh": "sw", "tur": "tr",
}  # fmt: skip
"""ISO 639-3 code -> locale of CLDR."""

PACKAGES = {
    name: f"{name}@48.2.0"
    for name in ("cldr-annotations-full", "cldr-dates-full", "cldr-misc-full")
}
_NOT_LATIN = ("cmn", "hye", "kat", "mar", "rus")
_WORDS, _LETTERS = 2, 16
_TERMS = 96


def terms(folder: Path) -> list[dict[str, str]]:
    """Language -> word, for every term that fits, the shortest first."""
    found = {
        code: {**_names(folder, locale), **_dates(folder, locale)}
        for code, locale in LOCALES.items()
    }
    shared = [key for key in found["eng"] if all(key in names for names in found.values())]
    rows = [{code: found[code][key] for code in LOCALES} for key in shared]
    rows = [row for row in rows if all(map(_fits, row.values())) and row["eng"].isalpha()]
    rows = [row for row in rows if not any(re.search("[A-Za-zÀ-ž]", row[c]) for c in _NOT_LATIN)]
    for code in LOCALES:
        words = [_plain(row[code]) for row in rows]
        rows = [
            row
            for row, word in zip(rows, words, strict=True)
            if sum(word in other for other in words) == 1
        ]
    dates = [row for row in rows if row["eng"] in _dates(folder, "en").values()]
    others = [row for row in rows if row not in dates]
    others.sort(key=lambda row: (sum(map(len, row.values())), row["eng"]))
    return sorted([*dates, *others[: _TERMS - len(dates)]], key=lambda row: row["eng"])


def lists(folder: Path) -> dict[str, dict[str, str]]:
    """Language -> how CLDR joins two terms, and the start, middle and end of more."""
    found = {}
    for code, locale in LOCALES.items():
        path = folder / "cldr-misc-full" / "main" / locale / "listPatterns.json"
        patterns = json.loads(path.read_text())["main"][locale]["listPatterns"]
        found[code] = patterns["listPattern-type-standard"]
    return found


def _names(folder: Path, locale: str) -> dict[str, str]:
    path = folder / "cldr-annotations-full" / "annotations" / locale / "annotations.json"
    known = json.loads(path.read_text())["annotations"]["annotations"]
    # Emoji only: the names of signs such as "proportion" are the typographer's, not the speaker's.
    return {
        key: value["tts"][0]
        for key, value in known.items()
        if "tts" in value and len(key) == 1 and ord(key) > 0x1F000
    }


def _dates(folder: Path, locale: str) -> dict[str, str]:
    path = folder / "cldr-dates-full" / "main" / locale / "ca-gregorian.json"
    calendar = json.loads(path.read_text())["main"][locale]["dates"]["calendars"]["gregorian"]
    return {
        f"{part} {key}": word
        for part in ("days", "months")
        for key, word in calendar[part]["stand-alone"]["wide"].items()
    }


def _fits(word: str) -> bool:
    return (
        len(word) <= _LETTERS
        and len(word.split()) <= _WORDS
        and not re.search(r"[\d(),:;/“”\"!?]", word)
    )


def _plain(word: str) -> str:
    return word.casefold()


def main() -> None:
    """Write terms.json beside this file."""
    folder = Path(sys.argv[1])
    made = {"packages": PACKAGES, "lists": lists(folder), "terms": terms(folder)}
    text = json.dumps(made, ensure_ascii=False, indent=0, sort_keys=True)
    Path(__file__).with_name("terms.json").write_text(text + "\n", encoding="utf-8")
    print(f"{len(made['terms'])} terms in {len(LOCALES)} languages")


if __name__ == "__main__":
    main()
