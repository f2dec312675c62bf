"""The languages Isogloss knows: the 36 of the study, with the codes that corpora and models use."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from isogloss.errors import StudyError, unknown

SETS: dict[str, tuple[str, ...]] = {
    "paper-seamless": ("in_seamless_salmonn",),
    "paper-salmonn": ("in_seamless_salmonn",),
    "paper-sonar": ("in_sonar",),
    "paper-common": ("in_seamless_salmonn", "in_sonar"),
}
"""Names for several languages at once -> the fields that must hold: the study's 30 for each model
(Table 1), and the 24 of them that all have, since SONAR hears six others."""
RESOURCE_LEVELS = ("high", "medium", "low")


@dataclass(frozen=True)
class Language:
    """One language. Codes that a system lacks are empty strings."""

    code: str
    """ISO 639-3."""
    name: str
    script: str
    """ISO 15924."""
    family: str
    resource: str
    """high, medium or low, as in Table 1 of the study."""
    in_seamless_salmonn: bool
    """Among the study's 30 languages for SeamlessM4T and SALMONN."""
    in_sonar: bool
    """Among the study's 30 languages for SONAR."""
    fleurs: str
    seamless: str
    flores200: str
    sonar_text: str
    sonar_speech: str
    sonar_speech_licence: str
    whisper: str
    espeak: str
    """Voice of espeak-ng, or empty if it has none."""
    note: str


@cache
def languages() -> dict[str, Language]:
    """All known languages by ISO 639-3 code, in alphabetical order."""
    with (files("isogloss") / "data" / "languages.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {
        row["paper_code"]: Language(
            code=row["paper_code"],
            name=row["name"],
            script=row["script_iso15924"],
            family=row["family"],
            resource=row["resource"],
            in_seamless_salmonn=row["in_seamless_salmonn"] == "1",
            in_sonar=row["in_sonar"] == "1",
            fleurs=row["fleurs_code"],
            seamless=row["seamless_code"],
            flores200=row["flores200_code"],
            sonar_text=row["sonar_text_code"],
            sonar_speech=row["sonar_speech_encoder"],
            sonar_speech_licence=row["sonar_speech_licence"],
            whisper=row["whisper_code"],
            espeak=row["espeak_ng_voice"],
            note=row["note"],
        )
        for row in sorted(rows, key=lambda row: row["paper_code"])
    }


@cache
def _aliases() -> dict[str, str]:
    known = languages()
    aliases: dict[str, str] = {}
    # A later code never takes a name that an earlier system already uses for another language.
    for attribute in ("code", "fleurs", "flores200", "whisper", "seamless", "sonar_text", "name"):
        for language in known.values():
            value = getattr(language, attribute).casefold().replace("-", "_")
            if value:
                aliases.setdefault(value, language.code)
    return aliases


def language(code: str) -> Language:
    """Look a language up by ISO 639-3 code, name, or code of FLEURS, FLORES-200 or Whisper.

    >>> language("de_de").code, language("zho_Hans").code, language("sw").name
    ('deu', 'cmn', 'Swahili')

    Raises:
        StudyError: It is none of the known languages; the nearest one is in the message.
    """
    found = _aliases().get(code.strip().casefold().replace("-", "_"))
    if found is None:
        raise StudyError(
            unknown("language", code, (*languages(), *SETS))
            + ". `isogloss languages` lists them with their other codes"
        )
    return languages()[found]


def resolve(names: Iterable[str]) -> dict[str, str]:
    """Look up languages and sets of languages.

    >>> list(resolve(["de_de", "Swahili"])), len(resolve(["paper-sonar"]))
    (['deu', 'swh'], 30)

    Args:
        names: What :func:`language` knows, or names of :data:`SETS`.

    Returns:
        ISO 639-3 code -> the set that brought it, or nothing for a language that was named.

    Raises:
        StudyError: It is neither.
    """
    found: dict[str, str] = {}
    for name in names:
        if name in SETS:
            for code, known in languages().items():
                if all(getattr(known, field) for field in SETS[name]):
                    found.setdefault(code, name)
        else:
            found[language(name).code] = ""
    return found
