"""Own speech against the closest partner's text, with the partner chosen on other sentences."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isogloss.analyses._claims import Table
from isogloss.analyses._gap_table import MODAL, TEXT
from isogloss.findings import statistics
from isogloss.findings.statistics import Estimate, Halves
from isogloss.similarity.over_languages import FEWEST_IN_PAIRS

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Crossfit:
    """Scores on halves of the sentences as arrays."""

    names: tuple[str, ...]
    text: Floats
    """(splits × 2 × languages × languages): texts of two languages; NaN where undefined."""
    own: Floats
    """(splits × 2 × languages): text and speech of one."""

    @classmethod
    def of(cls, table: Table) -> "Crossfit":
        """Take the arrays out of a table with halves."""
        own = {row: i for i, row in enumerate(table.rows)}
        names = tuple(sorted({x for row in table.rows for x in row}))
        halves = np.empty((0, 2, *table.values.shape)) if table.halves is None else table.halves
        splits = len(halves)
        text = np.full((splits, 2, len(names), len(names)), np.nan)
        speech = np.full((splits, 2, len(names)), np.nan)
        modal, lingual = table.of(MODAL), table.of(TEXT)
        for i, a in enumerate(names):
            if modal and (a, a) in own:
                speech[:, :, i] = halves[:, :, own[a, a], modal[0]]
            for j, b in enumerate(names):
                if lingual and (a, b) in own and a != b:
                    both = halves[:, :, own[a, b], lingual[0]]
                    text[:, :, i, j] = text[:, :, j, i] = both
        return cls(names, text, speech)

    def gaps(self, without: int | None = None) -> tuple[Floats, NDArray[np.intp]]:
        """Partner's text less own speech on each half, the partner chosen on the other half.

        Args:
            without: Number of a language to leave out, by itself and as a partner.

        Returns:
            (splits × 2 × languages) differences, NaN where undefined; and the partners' numbers.
        """
        chosen_on = np.where(np.isnan(self.text), -np.inf, self.text)[:, ::-1]
        if without is not None:
            chosen_on = chosen_on.copy()
            chosen_on[..., without] = -np.inf
        partner = chosen_on.argmax(axis=-1)
        best = np.take_along_axis(self.text, partner[..., None], axis=-1)[..., 0]
        none = np.isneginf(chosen_on.max(axis=-1))
        found = np.where(none, np.nan, best - self.own)
        if without is not None:
            found[..., without] = np.nan
        return found, partner

    def overall(self) -> Estimate:
        """Test the mean over languages: the jackknife over languages, and shared sentences.

        Without a language, the others choose their partners anew. The variance over sentences that
        all languages share is added as :func:`isogloss.findings.statistics.mean` does.
        """
        gaps, _ = self.gaps()
        kept = np.flatnonzero(~np.isnan(gaps).any(axis=(0, 1)))
        count = int(kept.size)
        if count < FEWEST_IN_PAIRS:
            reason = f"it takes {FEWEST_IN_PAIRS} languages with all scores, there are {count}"
            return Estimate(float("nan"), count=count, reason=reason)
        effect = float(gaps[:, :, kept].mean())
        left = []
        for k in kept:
            others, _ = self.gaps(int(k))
            left.append(float(np.nanmean(others[:, :, kept[kept != k]])))
        spread = np.array(left)
        variance = (count - 1) / count * float(((spread - spread.mean()) ** 2).sum())
        common, steady = statistics.shared_noise(Halves(gaps[:, :, kept], 1.0))
        total = variance + common
        if not total > 0:
            return Estimate(effect, count=count, reason="all languages have the same value")
        freedom = total**2 / (variance**2 / (count - 1) + common**2 / steady)
        return statistics.student(effect, total, freedom, count, "")

    def single(self, i: int) -> tuple[Estimate, str]:
        """Test one language, over sentences; and the partner that was chosen most often.

        Where several partners are about as close, which one is chosen hangs on the other half,
        and the halves are not quite independent. The variance is therefore at least that with a
        partner that stays the same, averaged over the choices.
        """
        gaps, partner = self.gaps()
        own = gaps[:, :, i]
        if np.isnan(own).any():
            return statistics.of_halves(own), ""
        apart = self.text[:, :, i] - self.own[:, :, i, None]
        fixed = ((apart[:, 0] - apart[:, 1]) ** 2).mean(axis=0) / 4
        counts = np.bincount(partner[:, :, i].ravel(), minlength=len(self.names))
        least = float(fixed[counts > 0] @ counts[counts > 0]) / counts.sum()
        return statistics.of_halves(own, least), self.names[int(counts.argmax())]
