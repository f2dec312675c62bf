"""What the layouts of encoder pairs share: names, relative depth, and what stands beside what."""

from collections.abc import Sequence

from isogloss.models.base import Tap, TapPair

INPUT = "in"


def layer_taps(layers: int, width: int) -> tuple[Tap, ...]:
    """Taps ``in``, ``1`` … of an encoder with layers of one width."""
    return tuple(Tap(str(i) if i else INPUT, width, i / layers) for i in range(layers + 1))


def paper_layers(layers: int) -> tuple[str, ...]:
    """The layers that the study reads (its appendix B), carried over to any depth.

    It reads the input, the first layer, every even one, and the last two.

    >>> paper_layers(6)
    ('in', '1', '2', '4', '5', '6')
    """
    kept = {1, layers - 1, layers, *range(2, layers + 1, 2)}
    return (INPUT, *(str(i) for i in sorted(kept) if i > 0))


def pairs_by_depth(text: Sequence[Tap], speech: Sequence[Tap]) -> tuple[TapPair, ...]:
    """Set each text tap beside the speech tap of the nearest relative depth.

    Inputs stand beside inputs only. Between two equally near layers the shallower one is taken.
    The label is the common name, or ``text|speech`` where the names differ.
    """
    pairs = []
    for tap in text:
        if tap.name == INPUT:
            beside = speech[0]
        else:
            # Rounded, since 1/2 - 1/3 and 2/3 - 1/2 differ in floating point.
            beside = min(speech[1:], key=lambda s: round(abs(s.depth - tap.depth), 9))
        label = tap.name if tap.name == beside.name else f"{tap.name}|{beside.name}"
        pairs.append(TapPair(label, tap.name, beside.name, tap.depth))
    return tuple(pairs)
