"""Read the configuration of a model that is made of others. No torch."""

from collections.abc import Mapping
from typing import Any

from isogloss.errors import ModelError


class Config:
    """A configuration with sections, of which released files leave out what is the default.

    Args:
        values: The content.
        name: What messages call it.
    """

    def __init__(self, values: Mapping[str, Any], name: str) -> None:
        self._values, self._name = values, name

    def section(self, path: str) -> "Config":
        """What stands below a dotted path; the whole for an empty path."""
        values = self._values
        for key in filter(None, path.split(".")):
            values = values.get(key) or {}
        return Config(values, f"{self._name}, {path}" if path else self._name)

    def integer(self, keys: tuple[str, ...], default: int | None = None) -> int:
        """The first of these keys that is there.

        Raises:
            ModelError: It is no positive whole number, or missing without a default.
        """
        found = (self._values[k] for k in keys if self._values.get(k) is not None)
        value = next(found, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ModelError(
                f'{self._name}: "{keys[0]}" in config.json must be a whole number above 0, not '
                f"{value!r}"
            )
        return value
