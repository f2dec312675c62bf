"""YAML of strangers: plain values only, in bounded time and memory.

The safe loader of PyYAML makes no foreign objects, but it follows aliases whatever they stand for,
takes tags of its own, and lets the second of two equal keys win in silence.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

import yaml

from isogloss.guarded import size

LARGEST = 2**18
"""Characters of the longest text that is read."""
DEEPEST = 20
"""Lists and mappings inside each other."""
MOST = 20_000
"""Values of a text, with those that aliases stand for."""

LONGEST_NUMBER = 1000
"""Characters of the longest text that begins like a number."""


def parse(text: str) -> Any:
    """Read a YAML document that holds text, numbers, truth values, lists and mappings.

    Args:
        text: The document.

    Raises:
        ValueError: It is no YAML; is longer than 256 KiB, nested more than 20 deep, or has more
            than 20000 values, each alias counted as all that it stands for; has a tag, or a key
            twice in one mapping. The message is one line and names the line of the text.
    """
    if len(text) > LARGEST:
        raise ValueError(f"is longer than {size(LARGEST)}")
    try:
        _look(text)
    except yaml.YAMLError as error:
        raise _invalid(error) from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise _invalid(error) from None
    except (ValueError, OverflowError) as error:  # a date that is none, a number without digits
        raise ValueError(f"holds a value that cannot be read: {error}") from None


def _invalid(error: yaml.YAMLError) -> ValueError:
    return ValueError(f"is not valid YAML: {' '.join(str(error).split())}")


@dataclass
class _Open:
    """A list or mapping whose end has not come yet."""

    event: Any
    before: int
    """Values that came before it."""
    keys: set[Hashable] | None
    """Those of a mapping."""
    at_key: bool = field(default=True)


def _look(text: str) -> None:
    """Follow the text event by event, and stop at the first that is not taken."""
    count, opened = 0, list[_Open]()
    sizes: dict[str, int] = {}
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.CollectionEndEvent):
            closed = opened.pop()
            if closed.event.anchor:
                sizes[closed.event.anchor] = count - closed.before
            continue
        if not isinstance(event, yaml.NodeEvent):
            continue
        node: Any = event
        where = f"line {node.start_mark.line + 1}: "
        if opened and opened[-1].keys is not None:
            if opened[-1].at_key:
                _once(node, opened[-1].keys, where)
            opened[-1].at_key = not opened[-1].at_key
        if isinstance(node, yaml.AliasEvent):
            if node.anchor not in sizes:
                raise ValueError(f"{where}the alias *{node.anchor} stands for nothing, or itself")
            count += sizes[node.anchor]
        else:
            if node.tag is not None:
                tag = node.tag.replace("tag:yaml.org,2002:", "!!")
                raise ValueError(f"{where}the tag {tag} is not taken; write a plain value")
            count += 1
            if isinstance(node, yaml.ScalarEvent):
                _short(node, where)
                sizes |= {node.anchor: 1} if node.anchor else {}
            else:
                mapping = isinstance(node, yaml.MappingStartEvent)
                opened.append(_Open(node, count - 1, set() if mapping else None))
        if len(opened) > DEEPEST:
            raise ValueError(f"{where}lists and mappings are nested more than {DEEPEST} deep")
        if count > MOST:
            raise ValueError(f"{where}more than {MOST} values, those of aliases counted in")


def _once(node: Any, keys: set[Hashable], where: str) -> None:
    if not isinstance(node, yaml.ScalarEvent) or node.value == "<<":
        return
    if node.value in keys:
        raise ValueError(f'{where}the key "{node.value}" stands twice; remove one')
    keys.add(node.value)


def _short(node: Any, where: str) -> None:
    # 1:30:00 is a number to the base of 60, and reading it takes a time that grows as a square.
    numeric = not node.style and node.value[:1] in ("+", "-", ".", *"0123456789")
    if numeric and len(node.value) > LONGEST_NUMBER:
        raise ValueError(f"{where}a number of {len(node.value)} characters")
