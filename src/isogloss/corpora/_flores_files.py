"""The files of FLORES in the forms in which it was published."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from isogloss.corpora._parquet import plain_columns, read_frame, readable, require
from isogloss.errors import CorpusError, choices
from isogloss.guarded import read_bytes
from isogloss.languages import Language

if TYPE_CHECKING:
    import polars as pl

PASSWORD = "multilingual machine translation"  # noqa: S105 - published, to keep crawlers out
_ARCHIVES = (".zip", ".tar.gz", ".tgz")
LARGEST = 2**26
"""Bytes of the largest file of one language; the real ones have less than one million."""
_COLUMNS = ("iso_639_3", "iso_15924", "text")


@dataclass(frozen=True)
class Texts:
    """The sentences of one language."""

    path: Path
    code: str
    """The language's code there, such as ``eng_Latn``."""
    form: str
    """What it is, in words."""
    sentences: dict[str, str]
    """Id -> text."""
    unit: Literal["line", "id"]
    """What the ids are: numbers of lines from 1, or the table's own ids."""

    @property
    def name(self) -> str:
        """Folder and file, for messages."""
        return f"{self.path.parent.name}/{self.path.name}"


def codes(known: Language) -> tuple[str, ...]:
    """What FLORES-200, FLORES+ and FLORES-101 call a language, by preference."""
    # Cantonese: FLEURS reads the text of zho_Hant; a copy may have yue_Hant alone.
    named = (known.flores200, known.flores_plus, known.flores101, known.sonar_text)
    script = f"{known.code}_{known.script}"
    return tuple(dict.fromkeys((*named, *((script,) if known.code == "yue" else ()))))


def read_texts(root: Path, split: str, wanted: Sequence[Language]) -> dict[str, Texts]:
    """Read the languages that are there.

    Args:
        root: The unpacked folder, a folder that holds it, or one Parquet table.
        split: ``devtest`` or ``dev``.
        wanted: Languages to look for.

    Returns:
        ISO 639-3 code -> texts.

    Raises:
        CorpusError: Nothing can be read there.
    """
    if root.is_file() and root.name.lower().endswith(_ARCHIVES):
        raise CorpusError(_packed(root))
    if root.is_file():
        return _from_table([root], split, wanted)
    if not root.is_dir():
        raise CorpusError(f"{root}: there is no such folder")
    homes = [root, *sorted(p for p in root.iterdir() if p.is_dir())]
    for home in homes:
        for pattern, form in (
            ("{code}.{split}", "FLORES, one file a language"),
            ("{split}.{code}", "FLORES+, one file a language"),
            ("{code}.parquet", "FLORES+, one Parquet file a language"),
        ):
            found = {}
            for known in wanted:
                for code in codes(known):
                    path = home / split / pattern.format(code=code, split=split)
                    if path.is_file():
                        parquet = path.suffix == ".parquet"
                        read = _read_parquet if parquet else _read_lines
                        found[known.code] = read(path, code, form)
                        break
            if found:
                return found
    for home in (h for base in homes for h in (base / split, base)):
        if tables := sorted(home.glob("*.parquet")):
            return _from_table(tables, split, wanted)
    raise CorpusError(_nothing(root, split, wanted))


def _nothing(root: Path, split: str, wanted: Sequence[Language]) -> str:
    there = (p for folder in (root, root / split) if folder.is_dir() for p in folder.iterdir())
    packed = sorted(p for p in there if p.name.lower().endswith(_ARCHIVES))
    if packed:
        return _packed(packed[0])
    asked = choices((known.flores200 for known in wanted), 4)
    code = wanted[0].flores200 if wanted else "eng_Latn"
    return (
        f"{root}: holds none of {asked} in a form of FLORES: {split}/{code}.{split}, "
        f"{split}/{split}.{code}, {split}/{code}.parquet or one Parquet table"
    )


def _packed(path: Path) -> str:
    if not path.name.lower().endswith(".zip"):
        return f"{path}: is still packed; unpack it and give the folder as corpus.path"
    return (
        f"{path}: is still packed. Unpack it and give the folder as corpus.path; its maintainers "
        f'publish the password, "{PASSWORD}", which only keeps crawlers out: '
        f"unzip -P '{PASSWORD}' {path.name}"
    )


def _read_lines(path: Path, code: str, form: str) -> Texts:
    try:
        data = read_bytes(path, LARGEST)
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise CorpusError(f"{path} line {line}: is not UTF-8; unpack it anew") from error
    # Not splitlines(): a sentence may hold U+2028 or U+0085.
    lines = text.removesuffix("\n").split("\n") if text else []
    sentences = {str(n): line.strip() for n, line in enumerate(lines, 1)}
    return Texts(path, code, form, sentences, "line")


def _read_parquet(path: Path, code: str, form: str) -> Texts:
    return _of_frame(_frame(path, "text"), path, code, form)


def _frame(path: Path, *columns: str) -> "pl.DataFrame":
    """The columns of a table that hold one value a row; those named must be there."""

    def wanted(schema: "pl.Schema") -> list[str]:
        found = plain_columns(schema)
        require(path, found, *columns)
        return found

    return read_frame(path, wanted)


def _of_frame(frame: "pl.DataFrame", path: Path, code: str, form: str) -> Texts:
    own = "id" in frame.columns
    with readable(path):
        ids = frame["id"].to_list() if own else range(1, len(frame) + 1)
        texts = frame["text"].to_list()
    sentences: dict[str, str] = {}
    for key, text in zip(ids, texts, strict=True):
        if str(key) in sentences:
            raise CorpusError(f"{path}: {code} has the id {key} twice; keep one of its varieties")
        sentences[str(key)] = str(text or "").strip()
    return Texts(path, code, form, sentences, "id" if own else "line")


def _from_table(paths: Sequence[Path], split: str, wanted: Sequence[Language]) -> dict[str, Texts]:
    """Read tables that hold several languages, told apart by columns."""
    import polars as pl

    found: dict[str, Texts] = {}
    present: set[str] = set()
    for path in paths:
        frame = _frame(path)
        lacking = [c for c in _COLUMNS if c not in frame.columns]
        if lacking:
            raise CorpusError(
                f'{path}: has no column "{lacking[0]}"; a table of all languages has '
                f"{choices(_COLUMNS)} and, if there are both, split"
            )
        labels = pl.concat_str("iso_639_3", "iso_15924", separator="_")
        with readable(path):
            if "split" in frame.columns:
                frame = frame.filter(pl.col("split") == split)
            parts = list(frame.group_by(labels, maintain_order=True))
        for (code,), part in parts:
            present.add(str(code))
            for known in wanted:
                before = found.get(known.code)
                order = codes(known)
                if code in order and (
                    before is None or order.index(code) < order.index(before.code)
                ):
                    form = "FLORES+, a Parquet table"
                    found[known.code] = _of_frame(part, path, str(code), form)
    if not found:
        raise CorpusError(
            f"{choices(map(str, paths), 3)}: has no rows of the split {split} in the languages "
            f"asked for; it has {choices(sorted(present))}"
        )
    return found
