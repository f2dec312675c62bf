"""Read the recordings of one language: from an archive, a folder or Parquet files.

An archive is read as a stream. Nothing is ever written under a path that it names: members are
matched by the last part of their name, and their bytes are kept under their digest.
"""

import gzip
import hashlib
import itertools
import tarfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING

from isogloss.corpora._fleurs_layout import Place
from isogloss.corpora._fleurs_rows import base_name
from isogloss.corpora._fleurs_store import ClipStore, FleursClip, Index, Measured, measure
from isogloss.corpora._parquet import readable, survive
from isogloss.digests import file_digest
from isogloss.errors import CorpusError, OutputError
from isogloss.guarded import open_regular
from isogloss.guarded import size as in_words

if TYPE_CHECKING:
    from typing import Self

LARGEST = 2**26
"""Bytes of the largest recording that is read from an archive: 35 minutes at 16 kHz and 16 bits."""
LARGEST_HEADER = 2**20
"""Bytes of the largest header in an archive that names a member or says more of it."""
_HEADERS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
MOST_UNPACKED = 2**34
"""Bytes of an archive once it is unpacked; the largest of FLEURS have three GiB."""
MOST_MEMBERS = 1_000_000
_SLICE = 16
"""Rows of a Parquet file that are in memory at a time."""


class Recordings:
    """The recordings of one language and split.

    Args:
        place: Where its files are.
        split: Its split.
        store: The cache.
    """

    def __init__(self, place: Place, split: str, store: ClipStore) -> None:
        self.place, self.split, self.store = place, split, store
        self.index = Index()
        self._folder: Path | None = None

    def read(self, wanted: Sequence[str]) -> None:
        """Find and measure the recordings of these file names; :attr:`index` has the result.

        Files in a folder are used where they lie, if all are there. Otherwise the archive is
        read, if there is one.

        Raises:
            OutputError: The cache cannot be written.
            OSError: The archive, folder or Parquet file cannot be read at all.
        """
        place, names = self.place, frozenset(wanted)
        if place.parquet:
            key: object = [file_digest(path) for path in place.parquet]
            self.index = self._packed(key, names)
        elif place.folder and (place.archive is None or names <= _listed(place.folder)):
            self._folder = place.folder
            self.index = self._in_folder(place.folder, names)
        elif place.archive:
            self.index = self._packed(file_digest(place.archive), names)
        else:
            self.index = Index(absent=names)

    @property
    def source(self) -> str:
        """What holds the recordings, for messages."""
        if self.place.parquet:
            return "the Parquet file"
        if self._folder:
            return f"the folder {self._folder.name}"
        return self.place.archive.name if self.place.archive else f"audio/{self.split}.tar.gz"

    def clip(self, file: str) -> FleursClip:
        """The recording of a file name that the index has."""
        found = self.index.clips[file]
        path = self._folder / file if self._folder else self.store.path(found.sha256)
        label = self.place.clip_label(file, self.split)
        return FleursClip(path, label=label, content=found.sha256, length=found.seconds)

    def _packed(self, content: object, names: frozenset[str]) -> Index:
        known = self.store.index(content)
        if known:
            used = [clip for name, clip in known.clips.items() if name in names]
            if names <= {*known.clips, *known.absent} and self.store.has(used):
                return known
            names |= {*known.clips, *known.absent}
        if self.place.parquet:
            found = self._from_parquet(names)
        else:
            found = self._from_archive(self.place.archive, names)
        self.store.save(content, found)
        return found

    def _from_archive(self, path: Path | None, names: frozenset[str]) -> Index:
        clips: dict[str, Measured] = {}
        ignored: Counter[str] = Counter()
        problem = ""
        try:
            for member, file in _members(path) if path else ():
                name = base_name(member.name)
                if reason := _passed_over(member, name, names, clips):
                    ignored[reason] += not member.isdir()
                elif file:
                    data = file.read()
                    clips[name] = self.store.keep(data, self.place.clip_label(name, self.split))
        except OutputError:
            raise
        except (tarfile.TarError, EOFError, zlib.error, OSError, ValueError) as error:
            problem = f"{type(error).__name__}: {error}"
        return Index(clips, names - set(clips), dict(+ignored), problem)

    def _from_parquet(self, names: frozenset[str]) -> Index:
        import polars as pl

        clips: dict[str, Measured] = {}
        ignored: Counter[str] = Counter()
        problem = ""
        try:
            survive(*self.place.parquet, column="audio")
            for path in self.place.parquet:
                with readable(path):
                    content = pl.col("audio").struct.field("bytes")
                    rows = pl.scan_parquet(path).select("path", content)
                    count = int(rows.select(pl.len()).collect().item())
                for start in range(0, count, _SLICE):
                    with readable(path):
                        part = rows.slice(start, _SLICE).collect().rows()
                    for file, data in part:
                        name = base_name(str(file or ""))
                        if name in clips or name not in names:
                            ignored["listed again" if name else "without a file name"] += 1
                        elif isinstance(data, bytes) and len(data) > LARGEST:
                            ignored[_too_large()] += 1
                        elif isinstance(data, bytes):
                            label = self.place.clip_label(name, self.split)
                            clips[name] = self.store.keep(data, label)
        except CorpusError as error:
            problem = str(error)
        return Index(clips, names - set(clips), dict(+ignored), problem)

    def _in_folder(self, folder: Path, names: frozenset[str]) -> Index:
        known, clips = self.store.files(folder), dict[str, Measured]()
        files = dict(known)
        for name in sorted(names & _listed(folder)):
            stat = (folder / name).stat()
            before = known.get(name, {})
            if [before.get("size"), before.get("time")] == [stat.st_size, stat.st_mtime_ns]:
                with suppress(KeyError, TypeError):  # the cache is damaged: it is measured anew
                    clips[name] = Measured(**before["measured"])
                    continue
            label = self.place.clip_label(name, self.split)
            try:
                with open_regular(folder / name) as file:
                    sha256 = hashlib.file_digest(file, "sha256").hexdigest()
                clips[name] = measure(folder / name, label, sha256, stat.st_size)
            except OSError as error:
                reason = f"{label}: cannot be read: {error.strerror or error}"
                clips[name] = Measured("", stat.st_size, error=reason)
                continue
            files[name] = {
                "size": stat.st_size, "time": stat.st_mtime_ns, "measured": asdict(clips[name]),
            }  # fmt: skip
        if files != known:
            self.store.save_files(folder, files)
        return Index(clips, names - set(clips))


class _Bounded:
    """What an archive unpacks to, up to a bound."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._left = file, MOST_UNPACKED

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise tarfile.ReadError(f"it unpacks to more than {in_words(MOST_UNPACKED)}")
        return data


class _Header(tarfile.TarInfo):
    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "Self":
        found = super().frombuf(buf, encoding, errors)
        # Headers of further names and attributes are read whole, whatever size they claim.
        if found.type in _HEADERS and found.size > LARGEST_HEADER:
            raise tarfile.ReadError(f"a header claims {found.size} bytes")
        return found


def _members(path: Path) -> Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]:
    """The members of an archive, one at a time, each with its bytes while it is the current one."""
    with open_regular(path) as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        # gzip's own reader and not tarfile's, which does not look at the checksum in the end.
        plain = _Bounded(gzip.GzipFile(fileobj=raw) if packed else raw)  # type: ignore[arg-type]
        with tarfile.open(fileobj=plain, mode="r|", tarinfo=_Header) as archive:  # type: ignore[call-overload]
            for number in itertools.count():
                member = archive.next()
                if member is None:
                    break
                # tarfile would go on skipping what is claimed long after the file has ended.
                if not 0 <= member.size <= MOST_UNPACKED or number >= MOST_MEMBERS:
                    raise tarfile.ReadError(
                        f"member {number + 1} claims {member.size} bytes; at most {MOST_MEMBERS} "
                        f"members of {in_words(MOST_UNPACKED)} together are read"
                    )
                archive.members.clear()  # it keeps them all
                wanted = member.isreg() and member.size <= LARGEST
                yield member, archive.extractfile(member) if wanted else None
        while packed and plain.read(2**20):
            pass


def _passed_over(
    member: tarfile.TarInfo, name: str, names: frozenset[str], clips: dict[str, Measured]
) -> str:
    if not member.isreg():
        return "no regular files"
    if name not in names:
        return "not in the table"
    if member.size > LARGEST:
        return _too_large()
    return "packed again under the same name" if name in clips else ""


def _too_large() -> str:
    return f"larger than {in_words(LARGEST)}"


def _listed(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir() if entry.is_file()}
