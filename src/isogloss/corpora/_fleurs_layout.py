"""Where the files of a language lie in a folder of FLEURS, in any of the layouts in use."""

from dataclasses import dataclass
from pathlib import Path

from isogloss.languages import Language

OLD_HOME = "home/vaxelrod/FLEURS/oss2_obfuscated"
"""Where the archives of the second release put a language."""
_ARCHIVES = ("tar.gz", "tgz", "tar")


@dataclass(frozen=True)
class Place:
    """The files of one language and split."""

    language: Language
    label: str
    """What messages call the table: ``de_de/test.tsv``."""
    table: Path | None = None
    """The TSV, unless the language is in Parquet files."""
    archive: Path | None = None
    """The recordings packed beside the TSV."""
    folder: Path | None = None
    """The recordings extracted beside the TSV."""
    parquet: tuple[Path, ...] = ()
    """Files with rows and recordings."""
    commit: str = ""
    """The commit of the hub that they are from."""

    @property
    def layout(self) -> str:
        """What it is, in words."""
        if self.parquet:
            return "Parquet files"
        if self.folder is None:
            return "TSV and archives" if self.archive else "TSV"
        return "TSV and folders of recordings"

    def clip_label(self, file: str, split: str) -> str:
        """The name of a recording, the same in all layouts: ``de_de/test/1.wav``.

        A choice among recordings goes by this name, so it must not depend on how they are stored.
        """
        return f"{self.language.fleurs}/{split}/{file}"


def homes(root: Path, known: Language) -> tuple[Path, ...]:
    """The folders that a language may have below a root, by preference."""
    found: list[Path] = []
    for name in (known.fleurs, known.fleurs_alias):
        if name:
            found += [
                root / "data" / name,
                root / name,
                root / name / OLD_HOME / name,
                root / OLD_HOME / name,
            ]
            # Extracted under the new name, with the old one inside.
            if name == known.fleurs_alias:
                found.append(root / known.fleurs / OLD_HOME / name)
    return tuple(found)


def find(root: Path, known: Language, split: str) -> Place | None:
    """Find the files of a language; TSV goes before Parquet.

    Args:
        root: Folder of the copy.
        known: The language.
        split: ``train``, ``dev`` or ``test``.

    Returns:
        None if neither a TSV nor a Parquet file of the split is there.
    """
    label = f"{known.fleurs}/{split}.tsv"
    there = [home for home in homes(root, known) if home.is_dir()]
    for home in there:
        table = home / f"{split}.tsv"
        if table.is_file():
            return Place(known, label, table, _archive(home, split), _folder(home, split))
    for home in there:
        if files := _parquet(home, split):
            return Place(known, label.replace(".tsv", ".parquet"), parquet=files)
    return None


def other_splits(root: Path, known: Language) -> tuple[str, ...]:
    """The splits of a language that are there."""
    return tuple(s for s in ("train", "dev", "test") if find(root, known, s))


def parquet_splits(split: str) -> tuple[str, ...]:
    """What Parquet copies call a split, by preference."""
    return ("validation", "dev") if split == "dev" else (split,)


def _archive(home: Path, split: str) -> Path | None:
    places = [folder / f"{split}.{end}" for folder in (home / "audio", home) for end in _ARCHIVES]
    return next((p for p in places if p.is_file()), None)


def _folder(home: Path, split: str) -> Path | None:
    places = (home / "audio" / split, home / split)
    return next((p for p in places if p.is_dir()), None)


def _parquet(home: Path, split: str) -> tuple[Path, ...]:
    for name in parquet_splits(split):
        for pattern in (f"{name}/*.parquet", f"{name}-*.parquet", f"fleurs-{name}*.parquet"):
            files = tuple(sorted(p for p in home.glob(pattern) if p.is_file()))
            if files:
                return files
    return ()
