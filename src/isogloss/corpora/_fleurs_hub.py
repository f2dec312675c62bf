"""FLEURS on the Hugging Face hub: exactly the files that are needed, at a pinned revision."""

import importlib
from pathlib import Path
from threading import Lock
from typing import Any

from isogloss.corpora._fleurs_layout import Place, parquet_splits
from isogloss.errors import CorpusError, MissingExtraError
from isogloss.languages import Language

REPOSITORY = "google/fleurs"
REVISION = "70bb2e84b976b7e960aa89f1c648e09c59f894dd"
"""A commit of its main branch, with a TSV and a tar.gz for each language and split."""
PARQUET = "refs/convert/parquet"
"""The branch with the hub's own Parquet copy, made of the main branch."""


class HubError(CorpusError):
    """The hub as a whole cannot be used, so that no other language needs to be tried."""


class Hub:
    """The files of one revision. Safe to use from several threads.

    Args:
        revision: Commit, tag or branch of the main form.
        split: ``train``, ``dev`` or ``test``.
    """

    def __init__(self, revision: str, split: str) -> None:
        self.revision, self.split = revision, split
        self._lock = Lock()
        self._unreachable = ""
        self._copy: tuple[str, tuple[str, ...]] | None = None

    def place(self, known: Language, *, speech: bool) -> Place:
        """Fetch the table of a language, and its recordings if they are asked for.

        What the main form lacks is looked for in the Parquet copy.

        Args:
            known: The language.
            speech: Whether recordings are needed.

        Raises:
            CorpusError: The hub has no such files.
            HubError: It cannot be reached, or has no such revision.
            MissingExtraError: huggingface_hub is not installed.
        """
        home, split = f"data/{known.fleurs}", self.split
        table = self._fetch(f"{home}/{split}.tsv", self.revision)
        archive = None
        if table and speech:
            archive = self._fetch(f"{home}/audio/{split}.tar.gz", self.revision)
        if table and (archive or not speech):
            commit = table.parents[len(Path(home).parts)].name
            return Place(known, f"{known.fleurs}/{split}.tsv", table, archive, commit=commit)
        commit, files = self._parquet()
        for name in parquet_splits(split):
            start = f"{known.fleurs}/{name}/"
            shards = [f for f in files if f.startswith(start) and f.endswith(".parquet")]
            found = [path for f in shards if (path := self._fetch(f, commit))]
            if found and len(found) == len(shards):
                label = f"{known.fleurs}/{split}.parquet"
                return Place(known, label, parquet=tuple(found), commit=commit)
        raise CorpusError(
            f"{REPOSITORY} has neither {home}/{split}.tsv with its archive at {self.revision}, nor "
            f"{known.fleurs}/{split} at {PARQUET}"
        )

    def _fetch(self, file: str, revision: str) -> Path | None:
        """A file in the hub's cache on this machine; None if the revision lacks it."""
        hub, errors = _modules()
        try:
            path = hub.hf_hub_download(
                REPOSITORY,
                file,
                repo_type="dataset",
                revision=revision,
                local_files_only=bool(self._unreachable),
            )
        except errors.RevisionNotFoundError as error:
            raise HubError(
                f'{REPOSITORY} has no revision "{revision}"; corpus.revision takes a commit, tag '
                "or branch, such as main"
            ) from error
        except errors.LocalEntryNotFoundError as error:  # a subclass of EntryNotFoundError
            self._unreachable = self._unreachable or _reason(error.__cause__ or error)
            raise HubError(self._absent(file)) from error
        except errors.EntryNotFoundError:
            return None
        except errors.HFValidationError as error:
            raise HubError(f'corpus.revision: "{revision}" is no revision: {error}') from error
        except Exception as error:  # transport errors differ between versions of the hub's client
            self._unreachable = self._unreachable or _reason(error)
            raise HubError(self._absent(file)) from error
        return Path(path)

    def _absent(self, file: str) -> str:
        return (
            f"{file} of {REPOSITORY} is not in the hub's cache on this machine, and the hub cannot "
            f"be reached ({self._unreachable}); give corpus.path the folder of a copy"
        )

    def _parquet(self) -> tuple[str, tuple[str, ...]]:
        """The commit of the Parquet copy, and its files."""
        hub, _ = _modules()
        with self._lock:
            if self._copy is None:
                try:
                    info = hub.HfApi().dataset_info(REPOSITORY, revision=PARQUET, timeout=30)
                except Exception as error:
                    raise CorpusError(
                        f"{REPOSITORY} lacks files at {self.revision}, and its Parquet copy cannot "
                        f"be listed ({_reason(error)})"
                    ) from error
                names = sorted(file.rfilename for file in info.siblings or ())
                self._copy = (str(info.sha), tuple(names))
            return self._copy


def _modules() -> tuple[Any, Any]:
    try:
        import huggingface_hub
    except ImportError as error:
        raise MissingExtraError("fetching FLEURS from the Hugging Face hub", "hf") from error
    return huggingface_hub, importlib.import_module("huggingface_hub.errors")


def _reason(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"
