"""The implementation under test: found by its name, called in silence, its answer read."""

import contextlib
import functools
import importlib
import importlib.util
import inspect
import io
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

from isogloss.conformance.answer import Answer, read
from isogloss.errors import MissingExtraError, StudyError, choices, unknown
from isogloss.similarity.base import Measure
from isogloss.similarity.measures import MEASURES
from isogloss.similarity.shuffles import Shuffles
from isogloss.specs import parse, write


@dataclass(frozen=True, kw_only=True)
class Target:
    """A similarity measure as a function of two arrays (sentences × features)."""

    function: Callable[..., Any]
    name: str
    measure: Measure | None = None
    """The measure of Isogloss behind it, if there is one."""
    transpose: bool = False
    """Pass (features × sentences)."""
    distance: bool = False
    """It returns 1 − similarity."""
    torch: bool = False
    """Pass tensors of PyTorch."""
    options: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, x: Any, y: Any, *, as_is: bool = False, **more: Any) -> Answer:
        """Score two views.

        Args:
            x: (sentences × features).
            y: (sentences × features).
            as_is: Pass these very arrays instead of copies.
            **more: Further keyword arguments of the function.
        """
        views = [self._passed(v if as_is else np.array(v)) for v in (x, y)]
        sink = io.StringIO()
        with (
            contextlib.redirect_stdout(sink),
            contextlib.redirect_stderr(sink),
            warnings.catch_warnings(),
            np.errstate(all="ignore"),
        ):
            warnings.simplefilter("ignore")
            try:
                raw = self.function(*views, **self.options, **more)
                value = read(raw)
            except (Exception, SystemExit) as error:
                return Answer(error=error)
        return Answer(1 - value if self.distance else value, raw=raw)

    def takes(self, keyword: str) -> bool:
        """Whether the function has a parameter of this name."""
        try:
            found = inspect.signature(self.function).parameters.get(keyword)
        except (TypeError, ValueError):
            return False
        return found is not None and found.kind in (found.POSITIONAL_OR_KEYWORD, found.KEYWORD_ONLY)

    def _passed(self, view: Any) -> Any:
        view = view.T if self.transpose else view
        if not self.torch:
            return view
        try:
            import torch
        except ImportError:
            raise MissingExtraError("passing tensors", "hf") from None
        try:
            return torch.from_numpy(view)
        except ValueError:
            # Tensors know no negative strides.
            return torch.from_numpy(view.copy())


def of_measure(measure: Measure, name: str = "") -> Target:
    """A measure of Isogloss as a target."""

    def score(x: Any, y: Any, *, permutations: int = 0, seed: int = 0) -> Any:
        shuffles = Shuffles(permutations, seed) if permutations else None
        return measure.compare(measure.prepare(x), measure.prepare(y), shuffles=shuffles)

    return Target(function=score, name=name or type(measure).__name__, measure=measure)


def find(what: Any, **settings: Any) -> Target:
    """Make a target from a function, a measure of Isogloss, or the text that names one.

    Args:
        what: A function of two arrays; a measure of Isogloss or its line, such as
            ``"svcca(share=0.95)"``; or where to import a function, ``"package.module:function"``
            or ``"path/to/file.py:function"``.
        **settings: ``transpose``, ``distance``, ``torch`` and ``options`` of :class:`Target`.

    Raises:
        StudyError: It cannot be found, imported or called.
    """
    name = what if isinstance(what, str) else _name(what)
    if isinstance(what, str):
        what = _imported(what) if ":" in what.partition("(")[0] else _measure(what)
        name = write(MEASURES, what, defaults=False) if isinstance(what, Measure) else name
    if isinstance(what, type) and issubclass(what, Measure):
        what, settings["options"] = what(**settings.get("options") or {}), {}
    if isinstance(what, Measure):
        if settings.get("options"):
            raise StudyError(
                f"options of a measure of Isogloss are written in brackets, such as "
                f"{name.partition('(')[0]}(option=value)"
            )
        target = of_measure(what, name)
        what = target.function
        settings["measure"] = target.measure
    if not callable(what):
        raise StudyError(f"{name} is {type(what).__name__}, not a function of two arrays")
    settings["options"] = dict(settings.get("options") or {})
    try:
        inspect.signature(what).bind(None, None, **settings["options"])
    except TypeError as error:
        keywords = f" and {choices(settings['options'])}" if settings["options"] else ""
        raise StudyError(f"{name} does not take two arrays{keywords}: {error}") from None
    except ValueError:
        pass  # Compiled functions may have no signature.
    return Target(function=what, name=name, **settings)


def _measure(line: str) -> Measure:
    try:
        return parse(MEASURES, line)
    except StudyError as error:
        if line.partition("(")[0].strip() in MEASURES.names():
            raise
        raise StudyError(f"{error}. A function of your own is written module:function") from None


def _name(what: Any) -> str:
    while isinstance(what, functools.partial):
        what = what.func
    return str(getattr(what, "__name__", type(what).__name__))


def _imported(text: str) -> Any:
    where, _, attribute = text.rpartition(":")
    if not where or not attribute:
        raise StudyError(f'"{text}" is not written as module:function or path/to/file.py:function')
    module = _file(Path(where)) if where.endswith(".py") else _module(where)
    try:
        return attrgetter(attribute)(module)
    except AttributeError:
        names = [n for n in dir(module) if not n.startswith("_")]
        message = unknown(f"name in {where}", attribute, names)
        raise StudyError(message) from None


def _module(name: str) -> Any:
    if not re.fullmatch(r"\w+(\.\w+)*", name):
        raise StudyError(f'"{name}" is no name of a module; a file must end in .py')
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    return _loaded(name, lambda: importlib.import_module(name))


def _file(path: Path) -> Any:
    if not path.is_file():
        near = [p.name for p in path.parent.glob("*.py")] if path.parent.is_dir() else []
        raise StudyError(f"there is no file {path}; its folder has: {choices(sorted(near))}")
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise StudyError(f"{path} is no Python file")
    module, loader = importlib.util.module_from_spec(spec), spec.loader

    def run() -> Any:
        # Dataclasses and pickles look their module up.
        sys.modules.setdefault(path.stem, module)
        loader.exec_module(module)
        return module

    return _loaded(str(path), run)


def _loaded(name: str, load: Callable[[], Any]) -> Any:
    try:
        sink = io.StringIO()
        with (
            quiet(),
            contextlib.redirect_stdout(sink),
            contextlib.redirect_stderr(sink),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            return load()
    except (Exception, SystemExit) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise StudyError(
            f"{name} cannot be imported ({reason}); modules are looked for in this folder and in "
            "the environment"
        ) from None


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Swallow what compiled code writes to standard output and error, as LAPACK does on NaN."""
    try:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        kept = [os.dup(1), os.dup(2)]
    except (AttributeError, OSError, ValueError):
        yield
        return
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        for number, copy in zip((1, 2), kept, strict=True):
            os.dup2(copy, number)
            os.close(copy)
        os.close(nothing)
