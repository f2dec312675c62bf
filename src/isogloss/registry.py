"""Find models, corpora, measures and analyses: one file each in its room, or an entry point.

A module of the room's package whose name does not start with an underscore, and which defines one
subclass of the room's base class, is found by its file name, so a new built-in part needs no edit
elsewhere. Other packages add parts through the entry-point group of the room: ``isogloss.corpora``,
``isogloss.models``, ``isogloss.measures``, ``isogloss.analyses``.
"""

import importlib
import pkgutil
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

from isogloss.errors import IsoglossError, StudyError, unknown

T = TypeVar("T")


class Registry(Generic[T]):
    """The parts of one kind, by name, imported only when asked for.

    Args:
        kind: What a part is called in messages, such as ``"corpus"``.
        package: Dotted name of the package that holds the built-in parts.
        base: The class that every part derives from.
        skip: Modules of the package that are not parts.
    """

    def __init__(
        self, kind: str, package: str, base: type[T], skip: frozenset[str] = frozenset({"base"})
    ) -> None:
        self.kind, self.package, self.base, self.skip = kind, package, base, skip
        self.group = "isogloss." + package.rpartition(".")[2]

    @cached_property
    def _builtin(self) -> tuple[str, ...]:
        path = importlib.import_module(self.package).__path__
        names = [m.name for m in pkgutil.iter_modules(path) if not m.name.startswith("_")]
        return tuple(sorted(n for n in names if n not in self.skip))

    @cached_property
    def _plugins(self) -> dict[str, EntryPoint]:
        found = entry_points(group=self.group)
        return {p.name: p for p in found if p.name not in self._builtin}

    def names(self) -> list[str]:
        """Names of all parts, built-in ones first."""
        return [*self._builtin, *sorted(self._plugins)]

    def origin(self, name: str) -> str:
        """The distribution that brings a part."""
        if name in self._builtin:
            return "isogloss"
        dist = self._plugins[name].dist
        return dist.name if dist else "unknown"

    def version(self, name: str) -> str:
        """What tells the code of a plug-in from its earlier versions; empty for built-in parts."""
        if name in self._builtin:
            return ""
        dist = self._plugins[name].dist
        return f"{dist.name} {dist.version}" if dist else "unknown"

    def name_of(self, part: type[T]) -> str:
        """The name under which a part was found."""
        package, _, module = part.__module__.rpartition(".")
        if package == self.package:
            return module
        for name, plugin in self._plugins.items():
            if plugin.load() is part:
                return name
        raise LookupError(f"{part.__qualname__} was not found through the {self.kind} registry")

    def get(self, name: str) -> type[T]:
        """Import and return the class of a part.

        Raises:
            StudyError: There is no such part; the nearest name is in the message.
            IsoglossError: A plug-in does not define a part of this kind.
        """
        if name in self._builtin:
            module = importlib.import_module(f"{self.package}.{name}")
            for value in vars(module).values():
                if (
                    isinstance(value, type)
                    and issubclass(value, self.base)
                    and value.__module__ == module.__name__
                ):
                    return value
            raise IsoglossError(f"{module.__name__} defines no {self.kind}")
        if name in self._plugins:
            return self._load(self._plugins[name])
        raise StudyError(unknown(self.kind, name, self.names()))

    def loadable(self) -> tuple[dict[str, type[T]], list[str]]:
        """All parts that can be imported, and a message for each that cannot."""
        parts, broken = {}, []
        for name in self.names():
            try:
                parts[name] = self.get(name)
            except IsoglossError as error:
                broken.append(str(error))
        return parts, broken

    def _load(self, plugin: EntryPoint) -> type[T]:
        called = f'the plug-in "{plugin.name}" of {self.origin(plugin.name)} ({plugin.value})'
        try:
            value = plugin.load()
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise IsoglossError(f"{called} cannot be loaded ({reason})") from error
        if not (isinstance(value, type) and issubclass(value, self.base)):
            raise IsoglossError(
                f"{called} is no {self.kind}: it must be a subclass of "
                f"{self.base.__module__}.{self.base.__name__}"
            )
        for attribute in ("info", "title", "question"):
            declared = attribute in self.base.__annotations__
            if declared and not hasattr(value, attribute):
                raise IsoglossError(f"{called} lacks the class attribute `{attribute}`")
        return value
