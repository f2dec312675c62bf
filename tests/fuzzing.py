"""What fuzzing needs: values of every kind, documents with something wrong, and one property."""

import copy
import json
import os
import string
from contextlib import contextmanager

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from bounds import bounded
from isogloss.errors import IsoglossError

EXAMPLES = int(os.environ.get("ISOGLOSS_FUZZ", "25"))
"""Examples of each test; many more are asked for by hand."""

fuzzed = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="ISOGLOSS_FUZZ" not in os.environ,
    database=None,
    suppress_health_check=list(HealthCheck),
)

fewer = settings(fuzzed, max_examples=max(1, EXAMPLES // 8))
"""For what starts another process each time."""

ODD = st.sampled_from([
    "", " ", "\0", "\x1b[2J", "\ud800", "\ufeff", "\u202e", "a\nb", "..", "../x", "/", "~", "~x",
    "%{y}", "=1+1", "-", "nan", "1e999", "0x", "null", "[]", "{}", "()", "x" * 5000, "٣", "²",
    "svcca(", "deu", "eng", "speech", "text", "a.wav", "1", "1.5",
])  # fmt: skip
NUMBERS = st.sampled_from([
    0, -1, 1, 2**31, 2**63, 2**64, -(2**63) - 1, 10**400, 0.0, -0.0, 0.5, 1e-300, 1e300,
    float("inf"), float("-inf"), float("nan"),
])  # fmt: skip
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, st.integers(), st.floats(), ODD, st.text())
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ODD | st.text(), inner, max_size=4),
    max_leaves=8,
)
SHORT = st.text(
    string.ascii_letters + string.digits + ".,:;=()[]{}<>&*!|\"'\\\n\t -_#%@?~", max_size=60
)


@st.composite
def changed(draw, document):
    """A document with some of its parts replaced, removed, doubled or added."""
    found = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        place = found
        for _ in range(draw(st.integers(0, 4))):
            inner = [v for v in _values(place) if isinstance(v, dict | list) and v]
            if not inner:
                break
            place = draw(st.sampled_from(inner))
        if isinstance(place, dict):
            keys = list(place) or [""]
            key = draw(st.sampled_from(keys) | (ODD if draw(st.booleans()) else st.just(keys[0])))
        elif place:
            key = draw(st.integers(0, len(place) - 1))
        else:
            continue
        if draw(st.booleans()) or key not in (
            place if isinstance(place, dict) else range(len(place))
        ):
            place[key] = draw(VALUES)
        else:
            del place[key]
        if not found:
            break
    return found


def _values(place):
    return list(place.values()) if isinstance(place, dict) else list(place)


@st.composite
def damaged(draw, content):
    """Bytes with some of them changed, removed, repeated, or put in."""
    data = bytearray(content)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        kind = draw(st.integers(0, 5))
        if kind == 0:
            data[at:at] = draw(st.binary(max_size=16))
        elif kind == 1:
            del data[at : at + draw(st.integers(1, 64))]
        elif kind == 2:
            data[at:] = b""
        elif kind == 3:
            data[at:at] = data[at : at + draw(st.integers(1, 64))]
        elif data:
            data[at] = draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]) | st.integers(0, 255))
    return bytes(data)


@contextmanager
def survives(seconds=120):
    """Nothing but one message of ours may come out of the block, and it must end."""
    try:
        with bounded(seconds):
            yield
    except IsoglossError as error:
        text = str(error)
        assert text.strip()
        assert len(text) < 20_000
        assert "Traceback" not in text


def dumped(value):
    """JSON as anybody may write it: with NaN, and lone surrogates as they are."""
    return json.dumps(value, ensure_ascii=True).encode()
