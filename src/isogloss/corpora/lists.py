"""Lists of words of the Unicode CLDR, bundled: what the demo model was not trained on."""

from typing import Any, ClassVar, Literal

from isogloss.corpora._bundled import rows
from isogloss.corpora.base import Corpus, CorpusInfo, CorpusSource, Utterance
from isogloss.errors import StudyError, choices
from isogloss.languages import resolve
from isogloss.settings import setting
from isogloss.synthesis import SynthesisedClip, engine_version


class Lists(CorpusSource):
    """240 lists of two to four everyday words in ten languages, ready without a download.

    They are held out from the training of the checkpoint ``demo``: it knows the words, but has seen
    none of the lists, and heard none of the voices. The speech is synthetic.
    """

    info: ClassVar[CorpusInfo] = CorpusInfo(
        title="240 lists of words from the Unicode CLDR, bundled; held out from the demo model",
        languages="cmn, eng, fin, fra, hye, kat, mar, rus, swh, tur",
        speech="synthesised by espeak-ng: twelve voices of each language, one for each sentence",
        licence="text: Unicode License V3; speech: made on this machine",
    )

    source: Literal["lists"] = setting("lists", role="identity", help="Kind of corpus.")
    part: Literal["held-out", "development"] = setting(
        "held-out",
        role="identity",
        help="held-out: 240 sentences for the end; development: 240 others, which were watched "
        "while the demo model trained.",
    )

    def load(self) -> Corpus:
        """Read the bundled lists; nothing is synthesised yet.

        Raises:
            MissingExtraError: Speech is wanted and espeakng-loader is not installed.
            StudyError: ``languages`` names one that the corpus does not have.
            IsoglossError: espeak-ng cannot be started.
        """
        own = [row for row in rows("lists") if row["part"] == self.part]
        there = dict.fromkeys(row["lang"] for row in own)
        lacking = [code for code in resolve(self.languages) if code not in there]
        if lacking:
            raise StudyError(f"the corpus lists has no {choices(lacking)}; it has {choices(there)}")
        speech = "speech" in self.modalities
        notes = [
            "The sentences are lists of a few words out of 96, so they are easier to tell apart, "
            "and more alike across languages, than sentences of real speech."
        ]
        if speech:
            notes.append(f"The speech is synthetic ({engine_version()}).")
        return Corpus(
            name="lists",
            utterances=tuple(_utterance(row, speech) for row in own),
            licence=self.info.licence,
            description="lists of words of the Unicode CLDR 48 in ten languages, as text and as "
            "synthetic speech",
            synthetic_speech=speech,
            notes=tuple(notes),
        )


def _utterance(row: dict[str, Any], speech: bool) -> Utterance:
    origin = f"lists {row['id']} {row['lang']}"
    if not speech:
        return Utterance(row["id"], row["lang"], row["text"], origin=origin)
    clip = SynthesisedClip(row["text"], row["voice"], rate=row["rate"], pitch=row["pitch"])
    return Utterance(
        row["id"], row["lang"], row["text"], clip, row["voice"], row["gender"], row["part"], origin
    )
