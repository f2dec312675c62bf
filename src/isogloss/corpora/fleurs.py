"""FLEURS: sentences of FLORES-101, read aloud in 102 languages by up to three speakers each."""

import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator

from isogloss.audio import import_soundfile
from isogloss.corpora._fleurs_hub import REPOSITORY, REVISION, Hub
from isogloss.corpora._fleurs_layout import Place, find, other_splits
from isogloss.corpora._fleurs_reader import Part, Rules, TextField, failed, read_language
from isogloss.corpora._fleurs_store import ClipStore
from isogloss.corpora.base import Corpus, CorpusInfo, CorpusSource
from isogloss.errors import CorpusError, OutputError, choices
from isogloss.languages import Language, languages, resolve
from isogloss.settings import setting

_WORKERS = 4
"""Languages that are read at a time; each has one recording in memory."""


def _same_split(value: Any) -> Any:
    return "dev" if value == "validation" else value


class Fleurs(CorpusSource):
    """Read speech with transcripts that are parallel over 102 languages."""

    info: ClassVar[CorpusInfo] = CorpusInfo(
        title="FLEURS, from a folder or from the Hugging Face hub",
        languages="102; up to 350 sentences of the test split in each",
        speech="read aloud, one to three speakers a sentence",
        licence="CC-BY-4.0",
    )

    source: Literal["fleurs"] = setting("fleurs", role="identity", help="Kind of corpus.")
    path: Path | None = setting(
        None,
        role="identity",
        help="Folder of a copy: TSV with archives or folders of recordings, or Parquet files. If "
        "left out, what is needed is fetched from the hub.",
    )
    revision: str = setting(
        REVISION,
        role="identity",
        help=f"Commit, tag or branch of {REPOSITORY} on the hub; of no meaning with a path.",
    )
    split: Annotated[Literal["test", "dev", "train"], BeforeValidator(_same_split)] = setting(
        "test", role="identity", help="Split to use; validation is another name for dev."
    )
    text_field: TextField = setting(
        "transcription",
        role="identity",
        help="transcription: lower case with little punctuation, as the study uses it; "
        "raw_transcription: as written.",
    )
    join_spaced: bool = setting(
        False,
        role="identity",
        help="Join the characters of texts that have a space between all of them, as Mandarin "
        "transcriptions do.",
    )
    suspicious: Literal["keep", "exclude"] = setting(
        "keep",
        role="scope",
        help="What to do with recordings that are silent, cut short, or of a length far off their "
        "text. They are listed either way.",
    )
    cache: Path | None = setting(
        None,
        role="runtime",
        help="Folder for recordings that are taken out of archives and for what was measured of "
        "them; if left out, `fleurs` in $ISOGLOSS_CACHE or in the user's cache.",
    )

    def identity(self) -> dict[str, object]:
        """The settings that name this corpus, without where it is read from.

        Units are named by the content of their sentences and recordings, which is the same in a
        folder, in an archive and on the hub.
        """
        named = super().identity()
        return {key: value for key, value in named.items() if key not in ("path", "revision")}

    def load(self) -> Corpus:
        """Read the tables, and find and measure the recordings if speech is asked for.

        Recordings in archives are taken out once and kept; that takes seconds to minutes for a
        language, in the first run only.

        Raises:
            CorpusError: No language of those asked for can be read, or there is no such folder.
            MissingExtraError: A package for reading recordings or for the hub is not installed.
            OutputError: The cache cannot be written.
            StudyError: ``languages`` names an unknown language.
        """
        if "speech" in self.modalities:
            import_soundfile()
        parts = self._local() if self.path else self._hub()
        usable = [part for part in parts if not part.failure]
        if not usable:
            others = f" (and {len(parts) - 1} more languages)" if len(parts) > 1 else ""
            raise CorpusError(f"{parts[0].code}: {parts[0].failure}{others}")
        return Corpus(
            name="fleurs",
            utterances=tuple(u for part in parts for u in part.utterances),
            licence=self.info.licence,
            description=f"FLEURS, split {self.split}, {self.text_field}, {len(usable)} languages",
            dropped=tuple(d for part in parts for d in part.dropped),
            notes=(
                *self._origins(usable),
                *self._failures(parts),
                *(n for p in parts for n in p.notes),
            ),
            counts={part.code: part.counts for part in parts if part.counts},
        )

    def _local(self) -> list[Part]:
        root = (self.path or Path()).expanduser().absolute()
        if not root.is_dir():
            what = "is a file, not a folder" if root.exists() else "does not exist"
            raise CorpusError(f"{root}: the folder of FLEURS {what}")
        table = languages()
        places: dict[str, Place] = {}
        parts: dict[str, Part] = {}
        for code in resolve(self.languages) or table:
            if place := find(root, table[code], self.split):
                places[code] = place
            elif others := other_splits(root, table[code]):
                reason = f"the folder has no split {self.split} of it, only {choices(others)}"
                parts[code] = failed(code, None, reason)
        if not places and not parts:
            asked = [table[code].fleurs for code in resolve(self.languages)] or ["de_de"]
            alone = (root / f"{self.split}.tsv").is_file()
            hint = "; it is the folder of one language: give the one above it" if alone else ""
            raise CorpusError(
                f"{root}: holds none of {choices(asked, 6)} in a layout of FLEURS: "
                f"data/{asked[0]}/{self.split}.tsv with audio/{self.split}.tar.gz or "
                f"audio/{self.split}/ beside it, or {asked[0]}/{self.split}/*.parquet{hint}"
            )
        parts |= self._each(tuple(places), lambda known: places[known.code])
        return [parts[code] for code in sorted(parts)]

    def _hub(self) -> list[Part]:
        codes = tuple(sorted(resolve(self.languages)))
        if not codes:
            raise CorpusError(
                "FLEURS on the hub has 102 languages, up to a gigabyte each; name those you want "
                "in corpus.languages, such as paper-seamless, or give corpus.path"
            )
        hub, speech = Hub(self.revision, self.split), "speech" in self.modalities
        return list(self._each(codes, lambda known: hub.place(known, speech=speech)).values())

    def _each(self, codes: tuple[str, ...], locate: Callable[[Language], Place]) -> dict[str, Part]:
        rules = Rules(
            split=self.split,
            text_field=self.text_field,
            join_spaced=self.join_spaced,
            suspicious=self.suspicious,
            speech="speech" in self.modalities,
        )
        store = ClipStore(_cache_folder(self.cache))

        def read(code: str) -> Part:
            place = None
            try:
                place = locate(languages()[code])
                return read_language(place, rules, store)
            except OutputError:
                raise
            except (CorpusError, OSError) as error:
                return failed(code, place, str(error))

        with ThreadPoolExecutor(min(_WORKERS, os.cpu_count() or 1)) as pool:
            return dict(zip(codes, pool.map(read, codes), strict=True))

    def _failures(self, parts: list[Part]) -> list[str]:
        # Of languages that were asked for the selection says it.
        unasked = [] if self.languages else [part for part in parts if part.failure]
        return [f"{part.code}: left out ({part.failure})" for part in unasked]

    def _origins(self, parts: list[Part]) -> list[str]:
        places = [part.place for part in parts if part.place]
        if self.path:
            layouts = Counter(place.layout for place in places)
            return ["Read from a folder: " + choices(f"{k} ({n})" for k, n in layouts.items())]
        commits = Counter((p.commit, "as Parquet" if p.parquet else "") for p in places)
        return [
            f"Read from {REPOSITORY} on the hub at commit {commit} {how}".rstrip() + f" ({n})"
            for (commit, how), n in commits.items()
        ]


def _cache_folder(given: Path | None) -> Path:
    if given:
        return given.expanduser().absolute()
    root = os.environ.get("ISOGLOSS_CACHE")
    if root:
        return Path(root).expanduser() / "fleurs"
    from platformdirs import user_cache_path

    return user_cache_path("isogloss") / "fleurs"
