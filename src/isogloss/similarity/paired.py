"""What measures have in common that set one view matrix beside another."""

from abc import abstractmethod
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from isogloss.errors import MeasureError
from isogloss.settings import setting
from isogloss.similarity.base import Floats, Measure, Rows, Score, undefined
from isogloss.similarity.partial import Nuisance, nuisance
from isogloss.similarity.shuffles import Shuffles
from isogloss.similarity.threads import one_thread
from isogloss.similarity.view import UndefinedError, View

MIN_SENTENCES = 3


class Paired(Measure):
    """Base of measures that need three things: a form of each view, their relation, its null.

    Subsets of sentences, confounds, degenerate input, shuffles and warnings are handled here, so a
    measure says only

    * :meth:`form`: what it makes of one view on some sentences, such as a basis or distances;
    * :meth:`relate`: the score of two forms;
    * :meth:`shuffled`: the scores of two forms with the sentences of the second one in other
      orders, in which only what depends on the order is computed again.
    """

    keeps: ClassVar[bool] = False
    """Whether the features are needed, beyond the inner products of sentences."""

    zscore: bool = setting(
        False,
        role="analysis",
        help="Divide each feature by its standard deviation first, so that none dominates.",
    )

    @abstractmethod
    def form(self, view: View, rows: Rows, out: Nuisance | None) -> Any:
        """Make of a view, on some sentences and without confounds, what is compared.

        Its rows are the sentences, less as many as there are confounds: with confounds they must
        come by :attr:`Nuisance.reduction`, or shuffling them is no null.

        Raises:
            UndefinedError: It is not defined for them.
        """

    @abstractmethod
    def relate(self, a: Any, b: Any, n: int) -> Score:
        """Score two forms of n rows (sentences less confounds); no null is needed."""

    @abstractmethod
    def shuffled(self, a: Any, b: Any, orders: Rows) -> Floats:
        """Scores of two forms with the rows of the second one in other orders.

        Args:
            a: First form.
            b: Second form.
            orders: (permutations × rows).
        """

    def prepare(self, x: ArrayLike) -> View:
        """Check a view and form what its comparisons share.

        Args:
            x: (sentences × features), any real type.

        Raises:
            MeasureError: It is no matrix of real numbers, or has no features.
        """
        return View(x, zscore=self.zscore, keep=self.keeps)

    @one_thread()
    def compare(
        self,
        a: View,
        b: View,
        *,
        rows_a: Rows | None = None,
        rows_b: Rows | None = None,
        covariates: ArrayLike | Nuisance | None = None,
        shuffles: Shuffles | None = None,
    ) -> Score:
        """Compare two prepared views, on a subset of their sentences if rows are given.

        The score is NaN, with a reason, if there are fewer than three sentences (beyond the
        confounds), if one of those compared holds a value that is not finite, or if a view does
        not vary between them.

        Args:
            a: First view, from :meth:`prepare`.
            b: Second view.
            rows_a: Row numbers into the first view, in the order of the common sentences.
            rows_b: Row numbers into the second view, aligned with ``rows_a``.
            covariates: (sentences × confounds) of the compared sentences, to be taken out of both
                views by linear regression; None for the plain score.
            shuffles: Permutations for the null; None for none.

        Raises:
            MeasureError: The numbers of sentences differ, a row does not exist, or the covariates
                are no finite matrix with a row per sentence.
        """
        rows_a, rows_b = _rows(a, rows_a), _rows(b, rows_b)
        n = rows_a.size
        if n != rows_b.size:
            raise MeasureError(
                f"the views must have the same sentences, but {_size(a, n)} are compared with "
                f"{_size(b, rows_b.size)}; pass rows_a and rows_b to say which belong together"
            )
        if n < MIN_SENTENCES:
            return undefined(n, f"at least {MIN_SENTENCES} sentences are needed, there are {n}")
        out = nuisance(covariates, n)
        spent = out.count if out else 0
        if n - spent < MIN_SENTENCES:
            return undefined(
                n,
                f"at least {MIN_SENTENCES} sentences are needed beyond the {spent} confounds, "
                f"there are {n}",
                covariates=spent,
            )
        if self.info.equal_width and a.shape[1] != b.shape[1]:
            return undefined(
                n,
                f"the views must have the same number of features, but they have {a.shape[1]} "
                f"and {b.shape[1]}",
                covariates=spent,
            )
        forms = []
        for name, view, rows in (("first", a, rows_a), ("second", b, rows_b)):
            bad = rows[np.isin(rows, view.bad)] if view.bad.size else view.bad
            if bad.size:
                many = "1 sentence" if bad.size == 1 else f"{bad.size} sentences"
                reason = f"has NaN or infinity in {many}, first in row {bad.min()}"
                return undefined(n, f"the {name} view {reason}", covariates=spent)
            try:
                forms.append(self.form(view, rows, out))
            except UndefinedError as error:
                return undefined(n, f"the {name} view {error}", covariates=spent)
        x, y = forms
        try:
            score = self.relate(x, y, n - spent)
        except UndefinedError as error:
            return undefined(n, str(error), covariates=spent)
        null = np.empty(0)
        if shuffles is not None and shuffles.count:
            null = self.shuffled(x, y, shuffles.orders(n, out.kept if out else None))
        return replace(
            score,
            n=n,
            covariates=spent,
            null=null,
            range=self.info.range,
            larger_is_more_similar=self.info.larger_is_more_similar,
            warnings=(*score.warnings, *_view_warnings(a, b), *_repeated(a, b, rows_a, rows_b)),
        )


def _rows(view: View, rows: Rows | None) -> Rows:
    if rows is None:
        return np.arange(view.shape[0], dtype=np.intp)
    found = np.asarray(rows)
    if found.ndim != 1 or (found.size and found.dtype.kind not in "iu"):
        raise MeasureError(
            f"rows must be a list of row numbers, not {found.dtype} of shape {found.shape}"
        )
    outside = found[(found < 0) | (found >= view.shape[0])]
    if outside.size:
        raise MeasureError(f"row {outside[0]} does not exist in a view of shape {view.shape}")
    return np.ascontiguousarray(found, dtype=np.intp)


def _size(view: View, n: int) -> str:
    return f"{n} rows of shape {view.shape}"


def _repeated(a: View, b: View, rows_a: Rows, rows_b: Rows) -> tuple[str, ...]:
    """Warn of sentences that come twice: shuffling takes that apart, so chance is too low."""
    if a.same is None or b.same is None:
        return ()
    pairs = set(zip(a.same[rows_a].tolist(), b.same[rows_b].tolist(), strict=True))
    extra = rows_a.size - len(pairs)
    if not extra:
        return ()
    what = "1 sentence repeats another" if extra == 1 else f"{extra} sentences repeat others"
    return (f"{what} in both views, so that chance and p-values are too low",)


def _view_warnings(a: View, b: View) -> tuple[str, ...]:
    return tuple(
        f"the {name} view: {warning}"
        for name, view in (("first", a), ("second", b))
        for warning in view.warnings
    )
