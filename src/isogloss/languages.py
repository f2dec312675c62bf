"""The languages Isogloss knows: the 102 of FLEURS, with the codes that corpora and models use.

Where each column of the table comes from is in ``docs/corpora.md``.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from operator import itemgetter

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
UNKNOWN = "unknown"
"""The resource level of the languages that the study's Table 1 does not have."""


@dataclass(frozen=True)
class Language:
    """One language. Codes that a system lacks are empty strings."""

    code: str
    """ISO 639-3, of the individual language where FLORES-200 has it rather than a macrolanguage."""
    name: str
    script: str
    """ISO 15924."""
    family: str
    resource: str
    """high, medium or low, as in Table 1 of the study; unknown for languages it does not have."""
    in_seamless_salmonn: bool
    """Among the study's 30 languages for SeamlessM4T and SALMONN."""
    in_sonar: bool
    """Among the study's 30 languages for SONAR."""
    published_utterances: int | None
    """Utterances in the test split of FLEURS, as Table 1 of the study gives them."""
    published_sentences: int | None
    """Distinct sentences of these, as Table 1 of the study gives them."""
    fleurs: str
    fleurs_alias: str
    """What the second release of FLEURS calls the language's folder, where that differs."""
    seamless: str
    """Code of the text encoder of SeamlessM4T; empty for what it only hears, such as Xhosa."""
    flores101: str
    flores200: str
    flores_plus: str
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
    return {row["paper_code"]: _read(row) for row in sorted(rows, key=itemgetter("paper_code"))}


def _read(row: dict[str, str]) -> Language:
    utterances, sentences = row["n_test_original"], row["n_test_dedup"]
    return Language(
        code=row["paper_code"],
        name=row["name"],
        script=row["script_iso15924"],
        family=row["family"],
        resource=row["resource"] or UNKNOWN,
        in_seamless_salmonn=row["in_seamless_salmonn"] == "1",
        in_sonar=row["in_sonar"] == "1",
        published_utterances=int(utterances) if utterances else None,
        published_sentences=int(sentences) if sentences else None,
        fleurs=row["fleurs_code"],
        fleurs_alias=row["fleurs_alias"],
        seamless=row["seamless_code"] if "Tx" in row["seamless_source"] else "",
        flores101=row["flores101_code"],
        flores200=row["flores200_code"],
        flores_plus=row["flores_plus_code"],
        sonar_text=row["sonar_text_code"],
        sonar_speech=row["sonar_speech_encoder"],
        sonar_speech_licence=row["sonar_speech_licence"],
        whisper=row["whisper_code"],
        espeak=row["espeak_ng_voice"],
        note=row["note"],
    )


def level(code: str) -> str:
    """Resource level of a language by its ISO 639-3 code; unknown if it is none of the known."""
    known = languages().get(code)
    return known.resource if known else UNKNOWN


def studied_level(code: str) -> str:
    """Resource level of a language in the study's Table 1; empty for one that it does not have."""
    found = level(code)
    return found if found in RESOURCE_LEVELS else ""


def rank(name: str) -> int:
    """Place of a resource level in order from high to low; whatever is none comes last.

    >>> sorted(["unknown", "low", "high"], key=rank)
    ['high', 'low', 'unknown']
    """
    return RESOURCE_LEVELS.index(name) if name in RESOURCE_LEVELS else len(RESOURCE_LEVELS)


def name_of(code: str) -> str:
    """Name of a language by its ISO 639-3 code; the code if it is none of the known."""
    known = languages().get(code)
    return known.name if known else code


_NAMES = (
    "code", "fleurs", "fleurs_alias", "flores200", "whisper", "seamless", "sonar_text",
    "flores101", "name",
)  # fmt: skip


@cache
def _aliases() -> dict[str, str]:
    aliases: dict[str, str] = {}
    # A later code never takes a name that an earlier system already uses for another language.
    for attribute in _NAMES:
        for language in languages().values():
            if value := getattr(language, attribute):
                aliases.setdefault(_plain(value), language.code)
    for language in languages().values():  # de, fil, nb: how FLEURS abbreviates the language
        aliases.setdefault(language.fleurs.partition("_")[0], language.code)
    return aliases


def _plain(code: str) -> str:
    return code.strip().casefold().replace("-", "_")


def language(code: str) -> Language:
    """Look a language up by ISO 639-3 code, name, or code of FLEURS, FLORES-200 or Whisper.

    >>> language("de_de").code, language("zho_Hans").code, language("sw").name
    ('deu', 'cmn', 'Swahili')

    Raises:
        StudyError: It is none of the known languages; the nearest one is in the message.
    """
    found = _aliases().get(_plain(code))
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
