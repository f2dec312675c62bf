"""What must not change a score, and what should."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from isogloss.conformance import claim
from isogloss.conformance.case import INVARIANCE, Case, Different, Same, Skipped, Views
from isogloss.conformance.suite import Suite, related

SEEN = 1e-5
"""A smaller change of the score is none to look for."""
LOOSE = 1e-6
"""What epsilon may take from a saturated score."""

Transform = Callable[[Views, np.random.Generator], Views]


@dataclass(frozen=True)
class Kind:
    """A transformation of two views."""

    apply: Transform
    matters: str
    wrong: str
    """What it means if the score follows a transformation that it must not follow."""
    idle: str = "the score does not notice it"
    """What it means if the score does not follow one that it should follow."""
    shown: str = ""
    """Why it matters that the score follows; as ``matters`` if empty."""
    tolerance: float = 1e-8
    tall: bool = False
    """True if it makes sense only with more sentences than features."""


def _each(change: Callable[[np.ndarray, np.random.Generator], np.ndarray]) -> Transform:
    return lambda views, rng: (change(views[0], rng), change(views[1], rng))


def _rotation(d: int, rng: np.random.Generator) -> np.ndarray:
    return np.asarray(np.linalg.qr(rng.standard_normal((d, d)))[0])


def _stretch(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    d = x.shape[1]
    # Weak directions become strong ones and the other way round.
    factors = np.geomspace(1, 30, d)[rng.permutation(d)]
    return np.asarray(x @ _rotation(d, rng) * factors @ _rotation(d, rng))


def _same_rotation(views: Views, rng: np.random.Generator) -> Views:
    turn = _rotation(views[0].shape[1], rng)
    return views[0] @ turn, views[1] @ turn


def _same_order(views: Views, rng: np.random.Generator) -> Views:
    order = rng.permutation(views[0].shape[1])
    return views[0][:, order], views[1][:, order]


def _jointly(views: Views, rng: np.random.Generator) -> Views:
    order = rng.permutation(len(views[0]))
    return views[0][order], views[1][order]


KINDS = {
    "orthogonal": Kind(
        _each(lambda x, rng: x @ _rotation(x.shape[1], rng)),
        "the axes of a hidden layer mean nothing",
        "the score depends on the axes: is there a whitening, or a step feature by feature?",
        "the score does not notice that the axes of the two views no longer match",
        shown="it compares axis with axis",
    ),
    "same orthogonal": Kind(
        _same_rotation,
        "axes that both views share mean nothing by themselves",
        "the score depends on the axes",
    ),
    "features permuted": Kind(
        _each(lambda x, rng: x[:, rng.permutation(x.shape[1])]),
        "the order of the features means nothing",
        "the score depends on the order of the features",
        "the score does not notice that neurons no longer match",
        shown="it compares neuron with neuron",
    ),
    "same features permuted": Kind(
        _same_order,
        "the order of matched features means nothing",
        "the score depends on the order of the features",
    ),
    "scaling": Kind(
        lambda views, rng: (views[0] * 1000, views[1] * 0.002),
        "layers differ in scale by orders of magnitude",
        "the score depends on the scale: a threshold is absolute, or the share of the variance is "
        "compared with the variance itself",
    ),
    "translation": Kind(
        _each(lambda x, rng: x + 20 * rng.standard_normal(x.shape[1])),
        "activations have large means",
        "the features are not centred over the sentences",
        tolerance=1e-7,
    ),
    "scaling of single features": Kind(
        _each(lambda x, rng: x * rng.uniform(0.1, 10, x.shape[1])),
        "every neuron has a scale of its own",
        "the score depends on the scale of single features",
    ),
    "invertible linear": Kind(
        _each(_stretch),
        "only the space that the features span counts, not how it is spanned",
        "the score depends on the variances of directions: is something cut or weighted?",
        "the score does not notice it, so that it keeps all directions; with D ≥ N it says nothing",
        shown="which directions vary most changes, and with them what is kept or weighed",
        tolerance=1e-6,
        tall=True,
    ),
    "shuffled": Kind(
        lambda views, rng: (views[0], views[1][rng.permutation(len(views[1]))]),
        "a score of paired sentences must see that they are paired",
        "",
        "the score does not notice which sentences belong together",
    ),
    "exchanged": Kind(
        lambda views, rng: (views[1], views[0]),
        "it is no matter of order which view comes first",
        "the score is not symmetric",
        "the score is symmetric, though its weights come from one view",
        shown="the weights come from one view only",
    ),
    "jointly": Kind(
        _jointly,
        "the order of the sentences means nothing",
        "the score depends on the order of the sentences: are they split or batched?",
    ),
    "again": Kind(
        lambda views, rng: views,
        "the same input must give the same number",
        "two calls differ: set a seed, or take an exact decomposition",
        tolerance=1e-12,
    ),
}
_NAMES = {
    "orthogonal": "orthogonal map of each view",
    "same orthogonal": "one orthogonal map of both views",
    "features permuted": "features of each view in another order",
    "same features permuted": "features of both in the same other order",
    "scaling": "each view scaled",
    "translation": "each view moved",
    "invertible linear": "invertible linear map of each view",
    "shuffled": "sentences of one view shuffled",
    "exchanged": "views exchanged",
    "jointly": "sentences of both in the same other order",
    "again": "the same call twice",
}


def cases(suite: Suite) -> Iterator[Case]:
    """What the measure is and is not invariant to."""
    keeps = claim.kept(suite)
    tall = related(suite, 60, 8, 6, seed=11)
    wide = related(suite, 40, 70, 55, seed=12)
    # Scaling after a turn changes variances, and epsilon sees that where nothing else does.
    turned = LOOSE if suite.zscore else 0.0
    for name, kind in KINDS.items():
        title = _NAMES.get(name, name)
        rng = np.random.default_rng(13)
        if name in keeps:
            start = (tall,) if kind.tall else (tall, wide)
            yield Same(
                name=title,
                matters=kind.matters,
                pairs=tuple((views, kind.apply(views, rng)) for views in start),
                tolerance=max(kind.tolerance, turned if name == "orthogonal" else 0.0),
                wrong=kind.wrong,
            )
        elif name in suite.changed:
            after = kind.apply(tall, rng)
            if abs(claim.definition(suite, *tall) - claim.definition(suite, *after)) <= SEEN:
                reason = "by the definition the score of these views stays what it is"
                yield Skipped(group=INVARIANCE, name=title, matters="", reason=reason)
                continue
            yield Different(
                name=f"{title} (must show)",
                matters=kind.shown or kind.matters,
                before=tall,
                after=after,
                told=kind.idle,
            )
        elif name in ("orthogonal", "translation", "invertible linear"):
            yield Skipped(
                group=INVARIANCE,
                name=title,
                matters="",
                reason="the measure is not invariant to it, and need not show it",
            )
