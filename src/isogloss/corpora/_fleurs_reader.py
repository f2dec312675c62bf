"""From the files of one language to its utterances, and what is to be said about them."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from isogloss.corpora._fleurs_audio import Recordings
from isogloss.corpora._fleurs_doubts import KINDS, Doubt, Take, doubts
from isogloss.corpora._fleurs_layout import Place
from isogloss.corpora._fleurs_rows import Row, Rows, is_spaced, join_spaced, read_parquet, read_tsv
from isogloss.corpora._fleurs_store import ClipStore, UnreadClip
from isogloss.corpora.base import SAMPLING_RATE, Clip, Dropped, Utterance
from isogloss.errors import choices

TextField = Literal["transcription", "raw_transcription"]


@dataclass(frozen=True)
class Rules:
    """How a language is read."""

    split: str
    text_field: TextField
    join_spaced: bool
    suspicious: Literal["keep", "exclude"]
    speech: bool


@dataclass
class Part:
    """What one language gives."""

    code: str
    utterances: list[Utterance] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    counts: tuple[int, int] | None = None
    place: Place | None = None
    failure: str = ""
    """Why the language cannot be used at all."""


def read_language(place: Place, rules: Rules, store: ClipStore) -> Part:
    """Read the table and, if it is asked for, the recordings of a language.

    Args:
        place: Where its files are.
        rules: How it is read.
        store: The cache of packed recordings.

    Raises:
        CorpusError: Its table cannot be read.
        OSError: Its recordings cannot be read at all.
        OutputError: The cache cannot be written.
    """
    if place.table is not None:
        rows = read_tsv(place.table, place.label)
    else:
        rows = read_parquet(place.parquet, place.label)
    part = Part(place.language.code, counts=rows.counts, place=place)
    for bad in rows.bad:
        reason = f"{rows.where(bad.number)} {bad.reason}"
        part.dropped.append(Dropped(part.code, bad.sentence or "?", None, reason, place.label))
    _Reader(part, place, rules, rows).read(store)
    return part


class _Reader:
    def __init__(self, part: Part, place: Place, rules: Rules, rows: Rows) -> None:
        self.part, self.place, self.rules, self.rows = part, place, rules, rows
        self.texts = {row.number: self._text(row) for row in rows.rows}
        self.recordings: Recordings | None = None
        self.doubts: dict[int, Doubt] = {}
        self.listed: dict[str, int] = {}

    def read(self, store: ClipStore) -> None:
        if self.rules.speech:
            self.recordings = Recordings(self.place, self.rules.split, store)
            self.recordings.read([row.file for row in self.rows.rows if row.file])
            self.doubts = self._doubts(self.recordings)
        for row in self.rows.rows:
            where, text = self.rows.where(row.number), self.texts[row.number]
            if not text:
                self._drop(row, "text", f"has no {self.rules.text_field}")
            clip = self._clip(row)
            if text or clip is not None:
                self.part.utterances.append(
                    Utterance(
                        sentence=row.sentence,
                        language=self.part.code,
                        text=text or None,
                        clip=clip,
                        speaker=row.speaker,
                        gender=row.gender,
                        split=self.rules.split,
                        origin=where,
                    )
                )
        self._note_texts()
        if self.recordings:
            self._note_recordings(self.recordings)

    def _text(self, row: Row) -> str:
        text = row.raw if self.rules.text_field == "raw_transcription" else row.text
        return join_spaced(text) if self.rules.join_spaced else text

    def _clip(self, row: Row) -> Clip | None:
        first = self.listed.setdefault(row.file, row.number)
        label = self.place.clip_label(row.file, self.rules.split)
        if not row.file:
            reason = "names no recording"
        elif first != row.number:
            reason = f"{label} is already that of row {first}"
        elif self.recordings is None:
            return UnreadClip(label)
        else:
            reason = self._unusable(row, self.recordings, label)
            if not reason:
                return self.recordings.clip(row.file)
        self._drop(row, "speech", reason)
        return None

    def _unusable(self, row: Row, recordings: Recordings, label: str) -> str:
        found = recordings.index.clips.get(row.file)
        if found is None:
            ends = ", which cannot be read to its end" if recordings.index.problem else ""
            return f"{label} is not in {recordings.source}{ends}"
        if not found.error and row.number in self.doubts and self.rules.suspicious == "exclude":
            return f"{label} {self.doubts[row.number].reason}"
        return found.error

    def _drop(self, row: Row, modality: Literal["text", "speech"], reason: str) -> None:
        where = self.rows.where(row.number)
        self.part.dropped.append(Dropped(self.part.code, row.sentence, modality, reason, where))

    def _doubts(self, recordings: Recordings) -> dict[int, Doubt]:
        """Row number -> doubt about its recording."""
        clips = recordings.index.clips
        heard = [r for r in self.rows.rows if r.file in clips and not clips[r.file].error]
        takes = [
            Take(
                # White space does not count: some texts have it between all characters.
                characters=len("".join((row.text or row.raw).split())),
                seconds=clips[row.file].seconds,
                announced=None if row.samples is None else row.samples / SAMPLING_RATE,
                span=clips[row.file].span,
                quiet=clips[row.file].quiet,
            )
            for row in heard
        ]
        return {heard[i].number: doubt for i, doubt in doubts(takes).items()}

    def _note_texts(self) -> None:
        code, notes = self.part.code, self.part.notes
        originals = [
            r.raw if self.rules.text_field != "transcription" else r.text for r in self.rows.rows
        ]
        if spaced := sum(map(is_spaced, originals)):
            notes.append(
                f"{code}: the characters of {spaced} of {len(originals)} texts were spaced out, "
                + (
                    "and are joined"
                    if self.rules.join_spaced
                    else "and are used so (corpus.join_spaced joins them)"
                )
            )
        texts: dict[str, set[str]] = defaultdict(set)
        for row in self.rows.rows:
            texts[row.sentence].add(self.texts[row.number])
        several = sorted((s for s, found in texts.items() if len(found - {""}) > 1), key=_by_number)
        if several:
            notes.append(
                f"{code}: {len(several)} sentences have more than one text, and every recording "
                f"keeps that of its row: {choices(several)}"
            )

    def _note_recordings(self, recordings: Recordings) -> None:
        code, notes, index = self.part.code, self.part.notes, recordings.index
        if index.problem:
            notes.append(
                f"{code}: {recordings.source} cannot be read to its end ({index.problem}); "
                f"{len(index.clips)} of its recordings were"
            )
        if index.ignored:
            passed = choices(f"{n} {reason}" for reason, n in sorted(index.ignored.items()))
            notes.append(f"{code}: passed over in {recordings.source}: {passed}")
        if self.doubts:
            notes.append(self._doubtful())

    def _doubtful(self) -> str:
        rows = {row.number: row for row in self.rows.rows}
        counts = Counter(doubt.kind for doubt in self.doubts.values())
        kinds = ", ".join(f"{counts[kind]} {name}" for kind, name in KINDS.items() if counts[kind])
        kept = self.rules.suspicious == "keep"
        each = (
            f"{rows[n].sentence} (row {n}) {doubt.reason}"
            for n, doubt in sorted(self.doubts.items())
        )
        number = len(self.doubts)
        what = f"{number} recordings are" if number > 1 else "1 recording is"
        return (
            f"{self.part.code}: {what} suspicious and {'kept' if kept else 'left out'} ({kinds}): "
            + "; ".join(each)
        )


def _by_number(sentence: str) -> tuple[int, str]:
    return (int(sentence) if sentence.isdecimal() else 0, sentence)


def failed(
    code: str, place: Place | None, reason: str, sentences: Sequence[str] = ("all",)
) -> Part:
    """What is left of a language that cannot be read."""
    label = place.label if place else ""
    dropped = [Dropped(code, s, None, reason, label) for s in sentences]
    return Part(code, dropped=dropped, place=place, failure=reason)
