"""Your own sentences: one table with a row for each sentence, language and recording."""

import os
from collections import Counter
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import ClassVar, Literal

from isogloss.audio import LONGEST, FileClip
from isogloss.corpora._columns import Columns
from isogloss.corpora._tables import Row, Table, read_table
from isogloss.corpora.base import (
    MEASURED,
    Corpus,
    CorpusInfo,
    CorpusSource,
    Dropped,
    Utterance,
)
from isogloss.errors import CorpusError, StudyError, choices, unknown
from isogloss.guarded import NO_FILE
from isogloss.languages import language
from isogloss.settings import setting


class Manifest(CorpusSource):
    """A JSON lines, CSV, TSV or Parquet table with the columns of a NeMo manifest."""

    info: ClassVar[CorpusInfo] = CorpusInfo(
        title="Your own table of sentences and recordings (JSON lines, CSV, TSV, Parquet)",
        languages="any of the known ones, in any of their codes",
        speech="any files that libsndfile reads",
        licence="that of your data",
    )

    source: Literal["manifest"] = setting("manifest", role="identity", help="Kind of corpus.")
    path: Path = setting(
        role="identity",
        help="The table: .jsonl, .jsonl.gz, .csv, .tsv or .parquet, with the columns id, lang, "
        "text and audio_filepath.",
    )
    split: str | None = setting(
        None, role="identity", help="Use only rows whose column split says this."
    )
    text_field: Literal["text", "raw_text"] = setting(
        "text", role="identity", help="Column that holds the text to encode."
    )

    outside: bool = setting(
        False,
        role="runtime",
        help="Whether the table may name recordings outside its own folder. A table of unknown "
        "origin could have any file of this machine read.",
    )
    longest: float = setting(
        LONGEST,
        role="scope",
        gt=0,
        allow_inf_nan=False,
        help="Seconds of the longest recording to use; longer ones are left out and named.",
    )

    def identity(self) -> dict[str, object]:
        """The settings that name this corpus; of the path only the file's own name.

        A study goes on when its folder was moved or is used from another place. Two tables of one
        name cannot be mixed up, since units are named by the content of their sentences.
        """
        return {**super().identity(), "path": self.path.name}

    def load(self) -> Corpus:
        """Read the table and look whether each recording is there; none is opened.

        Raises:
            CorpusError: The file is missing, damaged or empty, lacks a column, contradicts
                itself, or names a recording outside its folder although ``outside`` is not set;
                the message names row, column, language and sentence.
        """
        table = read_table(self.path.expanduser().absolute())
        columns = Columns(table)
        for name in ("id", "lang", *(("split",) if self.split else ())):
            columns.require(name)
        either = {"text": self.text_field, "speech": "audio_filepath"}
        for modality in self.modalities:
            columns.refuse_nested(either[modality])
        columns.require(*(either[m] for m in self.modalities))
        if self.text_field == "raw_text" and "text" in self.modalities:
            columns.require("raw_text")
        rows = self._of_split(table, columns)
        return _Reader(self, table, columns).read(rows)

    def _of_split(self, table: Table, columns: Columns) -> tuple[tuple[int, Row], ...]:
        if self.split is None:
            return table.rows
        splits = Counter(columns.text(n, row, "split") for n, row in table.rows)
        if self.split not in splits:
            present = sorted(s for s in splits if s)
            raise CorpusError(f"{table.path}: {unknown('split', self.split, present)}")
        return tuple((n, r) for n, r in table.rows if columns.text(n, r, "split") == self.split)


class _Reader:
    """Turns the rows of one table into utterances, and sees that they agree with each other."""

    def __init__(self, source: Manifest, table: Table, columns: Columns) -> None:
        self.source, self.table, self.columns = source, table, columns
        self.utterances: list[Utterance] = []
        self.dropped: list[Dropped] = []
        self.strangers: dict[str, int] = {}
        self.texts: dict[tuple[str, str], tuple[str, int]] = {}
        self.recordings: dict[tuple[str, str, FileClip], int] = {}
        self.lost: list[tuple[str, FileClip, int]] = []
        self.home = Path(os.path.realpath(table.path.parent))
        self.folders: dict[Path, Path] = {}

    def read(self, rows: tuple[tuple[int, Row], ...]) -> Corpus:
        further = self.columns.further(rows)
        kept = [c for c in further if c.name not in MEASURED]
        for i, (number, row) in enumerate(rows):
            cells = ((c.name, c.values[i]) for c in kept)
            self._row(number, row, {name: cell for name, cell in cells if cell is not None})
        path = self.table.path
        if self.lost and len(self.lost) == len(self.recordings):
            cell, clip, number = self.lost[0]
            raise CorpusError(
                f"{path}: none of its {len(self.lost)} recordings can be found. Relative paths are "
                f'looked up from the folder of the manifest: "{cell}" ({self.table.unit} {number}) '
                f"becomes {clip.path}"
            )
        notes = [doubt for c in kept for doubt in c.doubts]
        if kept:
            kinds = (f"{c.name} ({'numbers' if c.numeric else 'text'})" for c in kept)
            notes.append(f"Further columns: {choices(kinds, 24)}")
        notes += [
            f'The column "{c.name}" is not used: Isogloss counts {c.name} itself'
            for c in further
            if c.name in MEASURED
        ]
        if self.strangers:
            notes.append(
                "Rows in languages that Isogloss does not know were left out: "
                + choices(f"{code} ({n})" for code, n in self.strangers.items())
            )
        return Corpus(
            name=path.name.partition(".")[0] or path.name,
            utterances=tuple(self.utterances),
            licence="not stated by the manifest",
            description=f"{len(rows)} rows of {path.name}",
            dropped=tuple(self.dropped),
            notes=tuple(notes),
        )

    def _row(self, number: int, row: Row, further: dict[str, str | float]) -> None:
        columns, where = self.columns, f"{self.table.path.name} {self.table.unit} {number}"
        sentence = columns.required(number, row, "id")
        code = columns.required(number, row, "lang")
        try:
            known = language(code).code
        except StudyError as error:
            if self.source.languages:  # others may be in the table, as long as nobody asks for them
                self.strangers[code] = self.strangers.get(code, 0) + 1
                return
            raise CorpusError(f"{columns.at(number, 'lang')}: {error}") from None
        text = columns.text(number, row, self.source.text_field)
        clip, cell = self._clip(number, row)
        if text is None and clip is None:
            raise CorpusError(
                f"{self.table.where(number)} ({known}, sentence {sentence}): has neither text nor "
                "recording; give it one or remove the row"
            )
        if text is not None:
            self._same_text(known, sentence, text, number)
        if clip is not None:
            self._new_recording(known, sentence, clip, number)
            reason = self._absent(cell, clip) if "speech" in self.source.modalities else ""
            if reason:
                self.lost.append((cell, clip, number))
                self.dropped.append(Dropped(known, sentence, "speech", reason, where))
                clip = None
        if text is not None or clip is not None:
            speaker, gender, split = (
                columns.text(number, row, c) for c in ("speaker", "gender", "split")
            )
            self.utterances.append(
                Utterance(sentence, known, text, clip, speaker, gender, split, where, further)
            )

    def _clip(self, number: int, row: Row) -> tuple[FileClip | None, str]:
        cell = self.columns.text(number, row, "audio_filepath")
        if cell is None:
            return None, ""
        offset = self.columns.seconds(number, row, "offset")
        duration = self.columns.seconds(number, row, "duration") or None
        path = Path(os.path.normpath(self.table.path.parent / cell))
        if "speech" in self.source.modalities and not self.source.outside:
            self._within(path, cell, number)
        return FileClip(path, offset, duration, self.source.longest), cell

    def _within(self, path: Path, cell: str, number: int) -> None:
        """Refuse a recording outside the folder of the table, be it through a link."""
        folder = self.folders.get(path.parent)
        if folder is None:
            folder = self.folders[path.parent] = Path(os.path.realpath(path.parent))
        # Most of a path is that of the files beside it, and asking for all of it takes its time.
        target = Path(os.path.realpath(path)) if path.is_symlink() else folder / path.name
        if not target.is_relative_to(self.home):
            leads = "" if target == path else f" (it leads to {target})"
            raise CorpusError(
                f'{self.columns.at(number, "audio_filepath")}: "{_short(cell)}" lies outside the '
                f"folder of the manifest{leads}. A manifest of unknown origin could have any file "
                "of this machine read; if you trust this one, set corpus.outside to true"
            )

    def _absent(self, cell: str, clip: FileClip) -> str:
        if "://" in cell:
            return f"{cell} is an address; download it and give the path of the file"
        try:
            stat = clip.path.stat()
        except OSError as error:
            return f"{clip.path}: {error.strerror or error}"
        if S_ISDIR(stat.st_mode):
            return f"{clip.path}: is a folder, not a recording"
        if not S_ISREG(stat.st_mode):
            return f"{clip.path}: {NO_FILE}"
        return "" if stat.st_size else f"{clip.path}: empty, the file has 0 bytes"

    def _same_text(self, code: str, sentence: str, text: str, number: int) -> None:
        first, row = self.texts.setdefault((sentence, code), (text, number))
        if first != text:
            raise CorpusError(
                f"{self.table.path}: sentence {sentence} in {code} has two texts: "
                f'"{_short(first)}" ({self.table.unit} {row}) and "{_short(text)}" '
                f"({self.table.unit} {number}). One id is one sentence: correct the id or the text"
            )

    def _new_recording(self, code: str, sentence: str, clip: FileClip, number: int) -> None:
        row = self.recordings.setdefault((sentence, code, clip), number)
        if row != number:
            raise CorpusError(
                f"{self.table.path}: {clip.name} is listed twice for sentence {sentence} in "
                f"{code}: {self.table.unit}s {row} and {number}; remove one"
            )


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:59]}…"
