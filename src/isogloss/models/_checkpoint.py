"""Find a checkpoint, in a folder or on the Hugging Face hub, and name its content. No torch here.

A folder is used as it stands. A hub id is resolved to a commit once per process; planning fetches
nothing but ``config.json``, and loading fetches only the files that Isogloss reads.
"""

import importlib
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from isogloss.errors import MissingExtraError, ModelError, choices
from isogloss.models._files import (
    CONFIG,
    MARKER,
    content_digest,
    read_json,
    wanted,
    whole,
)

_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")


class Checkpoint(ABC):
    """Files of a model, wherever they are."""

    name: str
    """What the user wrote."""

    @abstractmethod
    def file(self, name: str) -> Path | None:
        """One file, fetched if need be; None if the checkpoint lacks it."""

    @abstractmethod
    def folder(self) -> Path:
        """A local folder with everything that loading reads."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Name the content: a commit of the hub, or a digest of the files."""

    @property
    def short_name(self) -> str:
        """The last part of the name, for titles and file names."""
        return Path(self.name).expanduser().resolve().name

    @cached_property
    def config(self) -> dict[str, Any]:
        """The model's configuration.

        Raises:
            ModelError: There is no configuration, or it cannot be read.
        """
        path = self.file(CONFIG)
        if path is None:
            raise ModelError(
                f"{self.name} is no checkpoint: it has no {CONFIG}. {self._content()}"
                "Give the folder that holds config.json beside the weights"
            )
        config = read_json(path)
        if not isinstance(config.get("model_type"), str):
            raise ModelError(f'{path} names no "model_type", so it is no transformers checkpoint')
        return config

    @property
    def model_type(self) -> str:
        """What transformers calls the architecture.

        Raises:
            ModelError: There is no readable configuration.
        """
        return str(self.config["model_type"])

    def integer(self, key: str, default: int | None = None) -> int:
        """A positive whole number of the configuration.

        Raises:
            ModelError: It is missing without a default, or is something else.
        """
        value = self.config.get(key, default)
        if not whole(value, key):
            raise ModelError(
                f'{self.name}: "{key}" in {CONFIG} must be a whole number above 0 as models have, '
                f"not {repr(value)[:60]}"
            )
        return value

    @property
    def untrained(self) -> bool:
        """Whether the checkpoint says of itself that its weights are random."""
        path = self.file(MARKER)
        return path is not None and read_json(path).get("untrained") is True

    def _content(self) -> str:
        return ""


@dataclass(frozen=True)
class FolderCheckpoint(Checkpoint):
    """A checkpoint in a folder of this machine."""

    name: str
    path: Path

    def file(self, name: str) -> Path | None:
        """The file, if it is there."""
        path = self.path / name
        return path if path.is_file() else None

    def folder(self) -> Path:
        """The folder itself."""
        return self.path

    def fingerprint(self) -> str:
        """A digest of weights, configuration and tokeniser; see :func:`content_digest`."""
        return f"sha256:{content_digest(self.path)}"

    def _content(self) -> str:
        return f"It holds: {choices(sorted(p.name for p in self.path.iterdir()))}. "


@dataclass(frozen=True)
class HubCheckpoint(Checkpoint):
    """A checkpoint on the Hugging Face hub, or in its cache."""

    name: str
    revision: str | None

    def file(self, name: str) -> Path | None:
        """Fetch one file at the resolved commit."""
        commit, files = _hub_commit(self.name, self.revision)
        if files is None:
            return _cached_file(self.name, name, commit)
        if name not in files:
            return None
        hub = _hub()
        try:
            if CONFIG not in files:
                # By the revision's own name, so that the cache knows it without the hub.
                path = Path(hub.hf_hub_download(self.name, name, revision=self.revision))
                if commit in path.parts:
                    return path
            return Path(hub.hf_hub_download(self.name, name, revision=commit))
        except Exception as error:  # transport errors differ between versions of the hub's client
            raise _unreachable(self.name, error) from error

    def folder(self) -> Path:
        """Fetch configuration, tokeniser and weights; safetensors where there are any."""
        commit, files = _hub_commit(self.name, self.revision)
        if files is None:
            return _cached_folder(self.name, commit)
        fetched = [path for name in wanted(files) if (path := self.file(name))]
        if not fetched:
            raise ModelError(f"{self.name} on the hub holds no file of a checkpoint")
        return fetched[0].parent

    def fingerprint(self) -> str:
        """The commit that the revision stands for."""
        return f"commit:{_hub_commit(self.name, self.revision)[0]}"

    @property
    def short_name(self) -> str:
        """The repository's name without its owner."""
        return self.name.rpartition("/")[2]


def find(name: str, revision: str | None = None) -> Checkpoint:
    """Tell a folder from a hub id.

    Raises:
        ModelError: It is neither, or a revision was given for a folder.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        if revision is not None:
            raise ModelError(
                f'{name} is a folder, and the revision "{revision}" applies to hub ids only; '
                "leave the revision out, or give the hub id"
            )
        return FolderCheckpoint(name, path)
    if path.is_file():
        raise ModelError(f"{name} is a file; give the folder of the checkpoint")
    if not _HUB_ID.fullmatch(name) or name.startswith("."):
        raise ModelError(
            f"no such folder: {name}. Give the folder of a checkpoint, "
            'or a hub id such as "facebook/seamless-m4t-v2-large"'
        )
    return HubCheckpoint(name, revision)


def hub_files(name: str, revision: str | None = None) -> frozenset[str]:
    """Names of all files of a repository on the hub, or of those in the cache without the hub.

    Raises:
        ModelError: It does not exist or cannot be reached.
    """
    commit, files = _hub_commit(name, revision)
    if files is not None:
        return files
    folder = _cached_folder(name, commit)
    return frozenset(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def _hub() -> Any:
    try:
        import huggingface_hub
    except ImportError as error:
        raise MissingExtraError("fetching a checkpoint from the Hugging Face hub", "hf") from error
    return huggingface_hub


@cache
def _hub_commit(name: str, revision: str | None) -> tuple[str, frozenset[str] | None]:
    """The commit of a revision and its files; None for the files if only the cache was asked."""
    hub, errors = _hub(), importlib.import_module("huggingface_hub.errors")
    try:
        info = hub.HfApi().model_info(name, revision=revision, timeout=15)
        files = frozenset(file.rfilename for file in info.siblings or ())
        if CONFIG in files:
            # Asked for by the revision's own name, so that the cache knows it without the hub.
            path = Path(hub.hf_hub_download(name, CONFIG, revision=revision))
            if path.parent.name != info.sha:
                return _hub_commit(name, path.parent.name)
        return info.sha, files
    except errors.HFValidationError as error:
        raise ModelError(f"{name} is neither a folder nor a hub id: {error}") from error
    except errors.GatedRepoError as error:
        raise ModelError(
            f"{name} asks for its terms to be accepted: open https://huggingface.co/{name}, accept "
            "them, and log in with `hf auth login`"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise ModelError(f'{name} has no revision "{revision}" on the hub') from error
    except errors.RepositoryNotFoundError as error:
        raise ModelError(
            f"there is no folder {name}, and the hub has no such model, or it is private: "
            "check the spelling, or log in with `hf auth login`"
        ) from error
    except Exception as error:  # transport errors differ between versions of the hub's client
        try:
            return _cached_folder(name, revision).name, None
        except OSError:
            raise _unreachable(name, error) from error


def _cached_folder(name: str, revision: str | None) -> Path:
    """Where the cache has a revision, whole or in part.

    Raises:
        OSError: It has none of its files.
    """
    return Path(_hub().snapshot_download(name, revision=revision, local_files_only=True))


def _cached_file(name: str, file: str, revision: str | None) -> Path | None:
    path = _hub().try_to_load_from_cache(name, file, revision=revision)
    return Path(path) if isinstance(path, str) else None


def _unreachable(name: str, error: Exception) -> ModelError:
    reason = (str(error).strip().splitlines() or [""])[0]
    return ModelError(
        f"no such folder: {name}, and the hub cannot be reached ({type(error).__name__}: "
        f"{reason}); give the folder of a downloaded checkpoint"
    )
