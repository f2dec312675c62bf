"""The errors a user can cause, each printed as one message without a traceback.

    IsoglossError
    ├── StudyError         a key or value of the study, or a command-line option, is wrong (exit 2)
    ├── CorpusError        a corpus cannot be read, or does not fit the study
    ├── ModelError         a checkpoint cannot be loaded whole, or a tap does not exist
    ├── ItemError          one sentence cannot be used; the rest go on
    ├── MeasureError       two views cannot be compared at all
    ├── StoreError         a store is damaged, or belongs to another study
    │   └── OutputError    a file cannot be written
    └── MissingExtraError  a part needs a package that an optional extra installs

Anything else that escapes is a bug of Isogloss and keeps its traceback.
"""

import difflib
from collections.abc import Iterable


class IsoglossError(Exception):
    """Base of every error that a user can put right."""

    exit_code = 1


class StudyError(IsoglossError):
    """A key or value of a study is wrong."""

    exit_code = 2


class CorpusError(IsoglossError):
    """A corpus cannot be read or does not fit the study."""


class ModelError(IsoglossError):
    """A model cannot be loaded whole, or lacks a tap."""


class ItemError(IsoglossError):
    """One sentence cannot be used. It is dropped, counted and named; the others go on."""


class MeasureError(IsoglossError, ValueError):
    """Two views cannot be compared."""


class StoreError(IsoglossError):
    """A store is damaged or belongs to another study."""


class OutputError(StoreError, OSError):
    """A file cannot be written: no permission, no space, or something else in its place."""


class MissingExtraError(IsoglossError, ImportError):
    """A part of Isogloss needs packages that were not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f'{what} needs the extra "{extra}": pip install "isogloss[{extra}]"')


def choices(values: Iterable[str], limit: int = 12) -> str:
    """List valid values for a message, cut after ``limit`` of them."""
    names = [str(v) for v in values]
    if len(names) <= limit:
        return ", ".join(names) if names else "none"
    return ", ".join(names[:limit]) + f" … ({len(names)} in all)"


def unknown(kind: str, value: object, valid: Iterable[str]) -> str:
    """Build the message for a name that does not exist: nearest match first, then the valid ones.

    >>> unknown("measure", "svca", ["svcca", "cka"])
    'unknown measure "svca"; did you mean "svcca"? Valid: svcca, cka'
    """
    names = [str(v) for v in valid]
    lowered = {n.lower(): n for n in reversed(names)}
    near = difflib.get_close_matches(str(value).lower(), list(lowered), n=1, cutoff=0.5)
    hint = f'; did you mean "{lowered[near[0]]}"?' if near else "."
    return f'unknown {kind} "{value}"{hint} Valid: {choices(names)}'
