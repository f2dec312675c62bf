"""Correlation of two language × language matrices, whose pairs share languages.

A pair of languages says little that is new beside the other pairs of its two languages, so the
p-value of an ordinary correlation, which takes all pairs for independent, is far too small
(``docs/tokens.md`` has the rates). Here languages are what is permuted and left out, not pairs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from isogloss.errors import MeasureError
from isogloss.similarity.base import Floats, Rows
from isogloss.similarity.correlation import SAME, Correlation, interval, ordinary_p
from isogloss.similarity.relabelled import drawn_orders, relabelled, residual, span, unit

FEWEST = 4
"""Languages needed for a correlation."""
Method = Literal["pearson", "spearman"]
_NAN = float("nan")


def mantel(
    language_a: Sequence[str],
    language_b: Sequence[str],
    x: ArrayLike,
    y: ArrayLike,
    *,
    control: ArrayLike | None = None,
    method: Method = "pearson",
    permutations: int = 9999,
    seed: int = 0,
) -> Correlation:
    """Correlate two matrices; see :func:`mantel_all`, which this is for one pair of them."""
    ys = np.asarray(y, dtype=np.float64)[:, None]
    options: dict[str, Any] = {"permutations": permutations, "seed": seed, "method": method}
    return mantel_all(language_a, language_b, x, ys, control=control, **options)[0]


def mantel_all(
    language_a: Sequence[str],
    language_b: Sequence[str],
    x: ArrayLike,
    ys: ArrayLike,
    *,
    control: ArrayLike | None = None,
    method: Method = "pearson",
    permutations: int = 9999,
    seed: int = 0,
) -> tuple[Correlation, ...]:
    """Correlate a matrix with several others, under the same permutations of its languages.

    Rows and columns of ``x`` are permuted together, so each language keeps all its pairs. That
    takes languages for exchangeable if nothing is related: who a language is may not shape both
    matrices by ways of their own. Kinship of languages does, and the p-value is then too small,
    if less so than the ordinary one (Guillot and Rousset 2013, Methods in Ecology and Evolution
    4:336).

    With ``control`` the correlation is that of what a linear regression on it leaves of both
    matrices, and the residuals of ``x`` are what is permuted, and taken free of ``control`` again
    in each order (double semi-partialling). So ``control`` keeps its relation to ``ys``, and only
    what ``x`` has beyond it must be exchangeable. Permuting ``x`` itself would break its relation
    to ``control`` as well, and so test that too.

    The interval is a jackknife over languages on Fisher's z, each left out with all its pairs.
    What is peculiar to single pairs counts about twice in it, so it is wide where there is
    nothing else; see ``docs/tokens.md`` for its coverage.

    Source: Mantel 1967, Cancer Research 27:209; with a control Dekker, Krackhardt and Snijders
    2007, Psychometrika 72:563; the jackknife of Quenouille and Tukey; the correction for several
    matrices Westfall and Young 1993, section 2.5, with |r| as the statistic.

    Args:
        language_a: (pairs,) first language of each pair.
        language_b: (pairs,) second language. A pair has no order, and is given once.
        x: (pairs,) entries of the matrix that is permuted; NaN for a missing one.
        ys: (pairs × matrices) entries of the others; NaN for missing ones.
        control: (pairs,) or (pairs × q) entries of matrices that are held fixed.
        method: Pearson's correlation, or Spearman's, in which ``control`` is ranked too.
        permutations: Largest number of random orders. If there are no more orders than that, all
            are looked at, and the p-value is exact.
        seed: Of the orders.

    Returns:
        One for each column of ``ys``. r is NaN with a reason for fewer than 4 languages, and where
        a matrix is constant; the interval for fewer than 6, and where leaving out a language
        leaves no correlation.

    Raises:
        MeasureError: The lengths differ, or a pair is given twice or is of one language with
            itself.
    """
    given = _read(language_a, language_b, x, ys, control)
    usable = np.asarray(~np.isnan(np.column_stack([given.x, given.control])).any(axis=1))
    known = ~np.isnan(given.ys) & usable[:, None]
    patterns: dict[bytes, list[int]] = {}
    for column in range(known.shape[1]):
        patterns.setdefault(known[:, column].tobytes(), []).append(column)
    found: dict[int, Correlation] = {}
    for columns in patterns.values():
        part = _kept(given, known[:, columns[0]], columns, ranked=method == "spearman")
        found |= dict(zip(columns, _correlate(part, permutations, seed), strict=True))
    return _together([found[column] for column in range(known.shape[1])])


@dataclass(frozen=True)
class _Given:
    """Matrices as lists of pairs, whose languages are indices into all that were given."""

    first: Rows
    second: Rows
    count: int
    x: Floats
    ys: Floats
    control: Floats


def _read(
    language_a: Sequence[str],
    language_b: Sequence[str],
    x: ArrayLike,
    ys: ArrayLike,
    control: ArrayLike | None,
) -> _Given:
    own, others = np.asarray(x, np.float64), np.asarray(ys, np.float64)
    held = np.empty((own.size, 0)) if control is None else np.asarray(control, np.float64)
    held = held[:, None] if held.ndim == 1 else held
    lengths = {len(language_a), len(language_b), own.size, len(others), len(held)}
    if len(lengths) > 1 or own.ndim != 1 or others.ndim != 2:
        raise MeasureError(f"languages and matrices must be lists of one length, not {lengths}")
    seen: set[frozenset[str]] = set()
    for a, b in zip(language_a, language_b, strict=True):
        if a == b:
            raise MeasureError(f'a pair must be of two languages, not "{a}" twice')
        if {a, b} in seen:
            raise MeasureError(f"the pair {a} and {b} is given twice")
        seen.add(frozenset((a, b)))
    index = {name: i for i, name in enumerate(sorted({*language_a, *language_b}))}
    first, second = (
        np.array([index[n] for n in names], np.intp) for names in (language_a, language_b)
    )
    return _Given(first, second, len(index), own, others, held)


def _kept(given: _Given, known: NDArray[np.bool_], columns: list[int], *, ranked: bool) -> _Given:
    """The known pairs of some columns; as ranks among themselves if asked for."""
    parts = (given.x[known][:, None], given.ys[known][:, columns], given.control[known])
    x, ys, control = (stats.rankdata(p, axis=0) if ranked and p.size else p for p in parts)
    return _Given(given.first[known], given.second[known], given.count, x[:, 0], ys, control)


def _correlate(given: _Given, permutations: int, seed: int) -> list[Correlation]:
    used = np.unique(np.concatenate([given.first, given.second]))
    pairs, q, columns = len(given.x), given.control.shape[1], given.ys.shape[1]
    whole = Correlation(_NAN, pairs, len(used))
    if len(used) < FEWEST:
        reason = f"at least {FEWEST} languages are needed, there are {len(used)}"
        return [replace(whole, reason=reason)] * columns
    basis = span(given.control, pairs)
    x, ys = residual(basis, given.x[:, None]), residual(basis, given.ys)
    rs, outs = _rs(given), _without_each(given, used)
    orders, exact = drawn_orders(len(used), permutations, seed)
    first, second = np.searchsorted(used, given.first), np.searchsorted(used, given.second)
    nulls = relabelled(orders, first, second, x[:, 0], unit(ys), basis)
    made = []
    for column, r in enumerate(rs):
        if np.isnan(r):
            beyond = " beyond the control" if q else ""
            made.append(replace(whole, reason=f"a matrix is the same for all pairs{beyond}"))
            continue
        null, size = nulls[:, column], len(orders) + 1
        made.append(
            replace(
                whole,
                r=float(r),
                p_ordinary=ordinary_p(float(r), pairs, basis.shape[1] - 1),
                p_mantel=(1 + int((np.abs(null) >= abs(r) - SAME).sum())) / size,
                p_greater=(1 + int((null >= r - SAME).sum())) / size,
                permutations=len(orders),
                exact=exact,
                null=null,
                left_out=outs[:, column],
                **interval(float(r), outs[used, column]),
            )
        )
    return made


def _rs(given: _Given) -> Floats:
    """The correlation with each matrix; NaN where one of them is constant."""
    basis = span(given.control, len(given.x))
    x, ys = residual(basis, given.x[:, None]), residual(basis, given.ys)
    defined = x.any() & ys.any(axis=0)
    return np.where(defined, np.clip(unit(ys).T @ unit(x)[:, 0], -1, 1), np.nan)


def _without_each(given: _Given, used: Rows) -> Floats:
    """(languages given × matrices) correlations without each language; NaN for one not used."""
    found = np.full((given.count, given.ys.shape[1]), np.nan)
    for language in used:
        rest = (given.first != language) & (given.second != language)
        if rest.sum() > given.control.shape[1] + 2:
            found[language] = _rs(_kept(given, rest, list(range(found.shape[1])), ranked=False))
    return found


def _together(found: list[Correlation]) -> tuple[Correlation, ...]:
    """Correct for having looked at all: how often the largest |r| of an order is as large."""
    nulls = [f.null for f in found if f.null.size]
    if len({null.size for null in nulls}) != 1:
        return tuple(found)
    largest = np.max([np.abs(null) for null in nulls], axis=0)

    def corrected(one: Correlation) -> Correlation:
        hits = int((largest >= abs(one.r) - SAME).sum())
        return replace(one, p_all=(1 + hits) / (1 + largest.size))

    return tuple(corrected(one) if one.null.size else one for one in found)
