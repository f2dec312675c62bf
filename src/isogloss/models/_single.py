"""Find a checkpoint that is one file: given itself, in a folder, or on the hub. No torch here."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from isogloss.digests import file_digest
from isogloss.errors import ModelError, choices
from isogloss.models._checkpoint import FolderCheckpoint, find, hub_files


@dataclass(frozen=True)
class SingleFile:
    """One file of weights, wherever it is."""

    name: str
    """What the user wrote."""
    local: Path | None
    """Where it lies on this machine; None on the hub."""
    revision: str | None
    member: str
    """Its name in the folder or repository."""

    def path(self) -> Path:
        """Where it can be read; fetched from the hub if need be.

        Raises:
            ModelError: The hub cannot be reached.
        """
        if self.local is not None:
            return self.local
        found = find(self.name, self.revision).file(self.member)
        if found is None:
            raise ModelError(f"{self.name} on the hub has no {self.member}")
        return found

    def fingerprint(self) -> str:
        """Its digest, or the commit and its name on the hub."""
        if self.local is not None:
            return f"sha256:{file_digest(self.local)}"
        return f"{find(self.name, self.revision).fingerprint()}/{self.member}"

    @property
    def short_name(self) -> str:
        """The file's name without its ending."""
        return Path(self.member).stem


def find_file(
    name: str,
    revision: str | None = None,
    *,
    patterns: Sequence[str],
    what: str,
    where: str,
) -> SingleFile:
    """Tell a file from a folder from a hub id, and find the one file that is meant.

    Args:
        name: A file; a folder; or a hub id.
        revision: Branch, tag or commit on the hub.
        patterns: Names that the file may have, by preference; the first pattern with a match
            counts. They are compared with the last part of a path.
        what: What messages call it, such as ``"the BEATs encoder"``.
        where: Where to get it, as a sentence.

    Raises:
        ModelError: There is no such file, or there are several.
    """
    path = Path(name).expanduser()
    if path.is_file():
        if revision is not None:
            raise ModelError(f'{name} is a file, and the revision "{revision}" is for hub ids only')
        return SingleFile(name, path, None, path.name)
    missing = f"{what[:1].upper()}{what[1:]} is one file ({', '.join(patterns)}). {where}"
    if path.suffix in {".pt", ".pth", ".bin", ".safetensors", ".model"}:
        raise ModelError(f"no such file: {name}. {missing}")
    checkpoint = find(name, revision)
    if isinstance(checkpoint, FolderCheckpoint):
        names = [
            str(p.relative_to(checkpoint.path)) for p in checkpoint.path.rglob("*") if p.is_file()
        ]
    else:
        names = sorted(hub_files(name, revision))
    for pattern in patterns:
        found = sorted(n for n in names if fnmatch(Path(n).name, pattern))
        if len(found) > 1:
            raise ModelError(
                f"{name} holds several files that may be {what}: {choices(found, 6)}; name one"
            )
        if found and isinstance(checkpoint, FolderCheckpoint):
            return SingleFile(name, checkpoint.path / found[0], None, found[0])
        if found:
            return SingleFile(name, None, revision, found[0])
    there = choices(sorted(names), 8) if names else "nothing"
    raise ModelError(f"{name} lacks {what}; it holds {there}. {missing}")
