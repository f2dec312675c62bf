"""Read the configuration of a model that is made of others. No torch."""

from collections.abc import Mapping
from typing import Any

from isogloss.errors import ModelError
from isogloss.models._files import whole


class Config:
    """A configuration with sections, of which released files leave out what is the default.

    Args:
        values: The content.
        name: What messages call it.
    """

    def __init__(self, values: Mapping[str, Any], name: str) -> None:
        self._values, self._name = values, name

    def section(self, path: str) -> "Config":
        """What stands below a dotted path; the whole for an empty path.

        Raises:
            ModelError: Something else than a section stands there.
        """
        values = self._values
        for key in filter(None, path.split(".")):
            values = values.get(key) or {}
            if not isinstance(values, Mapping):
                raise ModelError(
                    f'{self._name}: "{key}" in config.json must be a section with settings, not '
                    f"{repr(values)[:60]}"
                )
        return Config(values, f"{self._name}, {path}" if path else self._name)

    def integer(self, keys: tuple[str, ...], default: int | None = None) -> int:
        """The first of these keys that is there.

        Raises:
            ModelError: It is no positive whole number, or missing without a default.
        """
        found = ((k, self._values[k]) for k in keys if self._values.get(k) is not None)
        key, value = next(found, (keys[0], default))
        if not whole(value, key):
            raise ModelError(
                f'{self._name}: "{key}" in config.json must be a whole number above 0 as models '
                f"have, not {repr(value)[:60]}"
            )
        return value
