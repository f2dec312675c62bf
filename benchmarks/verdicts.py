"""How often findings are claimed where there is nothing: ``python benchmarks/verdicts.py``.

Studies are drawn in which no claim holds, and claims are tested as in a run. Printed is the share
of them with p of at most .05, which should be .05: with the sentences held fixed (``given``), and
with halves of the sentences (``halves``). "Any" is the share of studies in which Holm's adjustment
lets any claim pass.

``--only scores`` and ``--only gaps`` draw scores from a model of them; ``--only views`` draws
activations and scores them by SVCCA. ``--studies`` is their number.
"""

import argparse
import os
import sys
from collections import defaultdict
from pathlib import Path

for _name in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{_name}_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).parent))

import numpy as np  # noqa: E402
from harness import Table as Printed  # noqa: E402
from harness import show  # noqa: E402

from isogloss.analyses import _claims_gaps, _claims_lingual, _claims_modal  # noqa: E402
from isogloss.analyses._claims import Column, Table  # noqa: E402
from isogloss.analyses._crossfit import Crossfit  # noqa: E402
from isogloss.analyses._gap_table import MODAL, TEXT  # noqa: E402
from isogloss.findings import statistics  # noqa: E402
from isogloss.findings.statistics import holm  # noqa: E402
from isogloss.languages import RESOURCE_LEVELS, languages  # noqa: E402
from isogloss.similarity import MEASURES  # noqa: E402

BLOCKS, SPLITS = 64, 12
statistics.PERMUTATIONS = 1999
LAYERS = 12
COLUMNS = ["studies", "claim", "given", "halves"]


def names(count):
    """Languages of all resource levels in turn."""
    levels = [[c for c, x in languages().items() if x.resource == r] for r in RESOURCE_LEVELS]
    return sorted(levels[i % 3][i // 3] for i in range(count))


def ring(rows, members):
    near = {frozenset(p) for p in zip(members, (*members[1:], *members[:1]), strict=True)}
    return np.array([a == b or frozenset((a, b)) in near for a, b in rows])


def noisy(rng, truth, shared, own):
    """Scores of all sentences, and of halves of them: (rows × columns), (splits × 2 × …).

    Each block of sentences moves all rows alike (sd ``shared`` over all blocks) and each by itself.
    """
    rows, columns = truth.shape
    scale = np.sqrt(BLOCKS)
    blocks = shared * scale * rng.standard_normal((BLOCKS, 1, columns))
    blocks = blocks + own * scale * rng.standard_normal((BLOCKS, rows, columns))
    sides = []
    for _ in range(SPLITS):
        order = rng.permutation(BLOCKS)
        sides.append([blocks[order[: BLOCKS // 2]].mean(0), blocks[order[BLOCKS // 2 :]].mean(0)])
    return truth + blocks.mean(0), truth + np.array(sides)


def curve(group, labels, modality=None):
    found = []
    for i, label in enumerate(labels):
        depth = 0.0 if label == "in" else 1.0 if label == "len" else int(label) / LAYERS
        text = str(LAYERS) if label == "len" and modality is None else label
        found.append(Column(group, label, i, depth, text, label))
    return found


MODAL_PLACES = ("in", *map(str, range(1, LAYERS + 1)), "len")
LINGUAL_PLACES = ("in", *map(str, range(2, LAYERS + 1, 2)))


def modal(rng, count, shared, rise=0.0):
    members, columns = names(count), curve(_claims_modal.GROUP, MODAL_PLACES)
    truth = 0.5 + 0.06 * rng.standard_normal((count, 1))
    truth = truth + 0.02 * rng.standard_normal((count, len(columns)))
    # Later layers above the initial ones, and the input at their height: half of a dip.
    truth = truth + rise * np.array([c.depth > _claims_modal.INITIAL for c in columns])
    values, halves = noisy(rng, truth, shared, 0.02)
    rows = tuple((x, x) for x in members)
    return Table("raw", rows, tuple(columns), values, halves=halves)


def lingual(rng, count, shared):
    members = names(count)
    rows = tuple((a, b) for i, a in enumerate(members) for b in members[i + 1 :])
    columns = [*curve("speech", LINGUAL_PLACES, 1), *curve("text", LINGUAL_PLACES, 1)]
    place = {x: i for i, x in enumerate(members)}
    of = 0.04 * rng.standard_normal((count, len(columns)))
    truth = np.array([0.4 + of[place[a]] + of[place[b]] for a, b in rows])
    truth = truth + 0.03 * rng.standard_normal(truth.shape)
    values, halves = noisy(rng, truth, shared, 0.02)
    halves = np.where(ring(rows, members)[:, None], halves, np.nan)
    return Table("raw", rows, tuple(columns), values, halves=halves)


def gaps(rng, count, shared, best):
    """Own speech as near as the average partner, or as near as the closest one (``best``).

    With ``best=None`` all partners are as near as own speech is on average, which differs.
    """
    members = names(count)
    pairs = [(a, b) for i, a in enumerate(members) for b in members[i + 1 :]]
    rows = tuple(sorted([*pairs, *((x, x) for x in members)]))
    place = {x: i for i, x in enumerate(members)}
    of = 0.04 * rng.standard_normal(count)
    text = {(a, b): 0.4 + of[place[a]] + of[place[b]] for a, b in pairs}
    text = {pair: value + 0.01 * rng.standard_normal() for pair, value in text.items()}
    # Each language has a twin, so that it is clear who is closest.
    twins = dict(zip(members[::2], members[1::2], strict=True)) if best else {}
    for pair in twins.items():
        text[pair] += 0.2
    near = {x: text[pair] for pair in twins.items() for x in pair}
    if best is None:
        text = dict.fromkeys(text, 0.4)
    truth = np.full((len(rows), 2), np.nan)
    for i, (a, b) in enumerate(rows):
        if a != b:
            truth[i, 1] = text[a, b]
        elif best:
            truth[i, 0] = near[a]
        elif best is None:
            truth[i, 0] = 0.4 + 0.05 * rng.standard_normal()
        else:
            truth[i, 0] = 0.4 + 2 * of[place[a]] + 0.03 * rng.standard_normal()
    columns = (Column(MODAL, "last", 0, 1.0, "t", "s"), Column(TEXT, "last", 0, 1.0, "t", "t"))
    values, halves = noisy(rng, truth, shared, 0.02)
    # A sentence peculiar to own speech moves all cross-modal scores alike.
    return Table("raw", rows, columns, values, halves=halves)


def p_values(table, kind):
    """Claim -> p, with and without halves."""
    from dataclasses import replace

    found = {}
    for how, own in (("given", replace(table, halves=None)), ("halves", table)):
        if kind == "modal":
            made = list(_claims_modal.claims(own))
        elif kind == "lingual":
            made = list(_claims_lingual.claims(own))
        elif kind == "average":
            made = [_claims_gaps.average(own)]
        else:
            made = []
        for claim in made:
            found[claim.name, how] = float("nan") if claim.reason else claim.p_value
    if kind == "closest":
        fit = Crossfit.of(table)
        found["gap closest", "halves"] = fit.overall().p_value
        singles = [fit.single(i)[0].p_value for i in range(len(fit.names))]
        found["gap closest, one language", "halves"] = singles
    return found


def study(make, kind, seeds):
    found = defaultdict(list)
    for seed in seeds:
        for key, p in p_values(make(np.random.default_rng(seed)), kind).items():
            found[key].append(p)
    return found


def fill(table, label, found):
    claims = list(dict.fromkeys(name for name, _ in found))
    family = {}
    for how in ("given", "halves"):
        rows = [found[c, how] for c in claims if (c, how) in found]
        rows = [r for r in rows if np.ndim(r[0]) == 0]
        if rows:
            family[how] = np.mean([np.nanmin(holm(p)) <= 0.05 for p in zip(*rows, strict=True)])
    for claim in claims:
        shares = []
        for how in ("given", "halves"):
            p = np.array(found.get((claim, how), [np.nan]), dtype=float).ravel()
            p = p[~np.isnan(p)]
            shares.append(f"{np.mean(p <= 0.05):.3f}" if p.size else "")
        table.rows.append([label, claim, *shares])
    if len(claims) > 1:
        shares = [f"{family[how]:.3f}" if how in family else "" for how in ("given", "halves")]
        table.rows.append([label, "any, after Holm", *shares])
    for row in table.rows[-len(claims) - (len(claims) > 1) :]:
        print("  ".join(row), file=sys.stderr, flush=True)


def of_scores(studies):
    table = Printed("Claims of scores that hold nothing", ["studies", "claim", "given", "halves"])
    for count in (9, 30):
        for shared in (0.0, 0.02):
            where = f"{count} languages, common noise {shared:g}"
            seeds = [[1, i, count, int(1000 * shared)] for i in range(studies)]

            def drawn(maker, *more, count=count, shared=shared):
                return lambda rng: maker(rng, count, shared, *more)

            fill(table, where, study(drawn(modal), "modal", seeds))
            half = study(drawn(modal, 0.1), "modal", seeds)
            half = {k: v for k, v in half.items() if k[0] == "dips"}
            fill(table, f"{where}, rise without a fall", half)
            fill(table, where, study(drawn(lingual), "lingual", seeds))
    return table


def of_gaps(studies):
    table = Printed("Claims of gaps that do not differ", COLUMNS)
    for count in (10, 30):
        for shared in (0.0, 0.02):
            where = f"{count} languages, common noise {shared:g}"
            seeds = [[3, i, count, int(1000 * shared)] for i in range(studies)]

            def drawn(best, count=count, shared=shared):
                return lambda rng: gaps(rng, count, shared, best)

            fill(table, where, study(drawn(False), "average", seeds))
            fill(table, where, study(drawn(True), "closest", seeds))
            unlike = study(drawn(None), "closest", seeds)
            unlike.pop(("gap closest, one language", "halves"))
            fill(table, f"{where}, own speech differs", unlike)
    return table


# Activations: a view is a meaning that all languages share, one that a language's text and speech
# share, and noise; no tap, modality or language has more of one than another.
N, D = 100, 20


def view(rng, meaning, share):
    spread = np.arange(1, D + 1) ** -0.6
    noise = rng.standard_normal((N, D))
    mixed = (np.sqrt(share) * meaning + np.sqrt(1 - share) * noise) * spread
    return mixed @ np.linalg.qr(rng.standard_normal((D, D)))[0]


def scored(measure, a, b, sides):
    whole = _values(measure.compare(a, b))
    parts = [[measure.compare(a, b, rows_a=r, rows_b=r) for r in s] for s in sides]
    parts = np.array([[_values(score) for score in pair] for pair in parts])
    if len(parts):
        # As in a run: to the room that all sentences leave above chance. Choosing needs no more.
        parts[..., 2] = parts[..., 0]
        parts[..., 0] *= whole[2] / (1 - np.mean(parts[..., 3]))
    return whole[:2], parts


def _values(score):
    return [score.score, score.calibrated, 1 - score.chance, score.chance]


def from_views(seed, count, spread, kind):
    """Tables of raw and of calibrated scores of one study of activations.

    Each tap has a meaning of its own, the hardest case: what is peculiar to the sentences differs
    from tap to tap and is the same in all languages.
    """
    rng = np.random.default_rng(seed)
    measure, members = MEASURES.get("svcca")(), names(count)
    orders = [rng.permutation(N) for _ in range(SPLITS)]
    sides = [(o[: N // 2], o[N // 2 :]) for o in orders]
    if kind == "modal":
        places = curve(_claims_modal.GROUP, ("in", "2", "12", "len"))
        columns, cells = places, [((x, x), i) for i in range(len(places)) for x in members]
    elif kind == "lingual":
        places = [(m, lab) for m in ("speech", "text") for lab in ("in", "2", "12")]
        columns = [c for m in ("speech", "text") for c in curve(m, ("in", "2", "12"), 1)]
        pairs = [(a, b) for i, a in enumerate(members) for b in members[i + 1 :]]
        cells = [(p, i) for i in range(len(columns)) for p in pairs]
    else:
        columns = [Column(MODAL, "x", 0, 1.0, "t", "s"), Column(TEXT, "x", 0, 1.0, "t", "t")]
        pairs = [(a, b) for i, a in enumerate(members) for b in members[i + 1 :]]
        cells = [((x, x), 0) for x in members] + [(p, 1) for p in pairs]
    rows = tuple(sorted({r for r, _ in cells}))
    at = {r: i for i, r in enumerate(rows)}
    near = ring(rows, members) | (kind == "gaps")
    values = np.full((len(rows), len(columns), 2), np.nan)
    halves = np.full((SPLITS, 2, len(rows), len(columns), 4), np.nan)
    meanings = [rng.standard_normal((N, D)) for _ in columns]
    prepared = {}

    def get(language, modality, column):
        key = language, modality, 0 if kind == "gaps" else column
        if key not in prepared:
            share = np.clip(0.6 + spread * rng.standard_normal(), 0.1, 0.95)
            prepared[key] = measure.prepare(view(rng, meanings[key[2]], share))
        return prepared[key]

    for (a, b), i in cells:
        sides_used = sides if near[at[a, b]] else []
        other = "speech" if a == b else "text"
        whole, parts = scored(measure, get(a, "text", i), get(b, other, i), sides_used)
        values[at[a, b], i] = whole
        if len(parts):
            halves[:, :, at[a, b], i] = parts
    # The third is of raw scores as they are, for the closest partner.
    return [
        Table(s, rows, tuple(columns), values[..., min(k, 1)], halves=halves[..., k])
        for k, s in enumerate(("raw", "calibrated", "raw"))
    ]


def of_views(studies):
    table = Printed("Claims of activations that hold nothing", COLUMNS)
    for spread in (0.0, 0.1):
        for kind in ("modal", "lingual", "gaps"):
            count = 9 if kind == "modal" else 8
            seeds = [[2, i, int(100 * spread)] for i in range(studies)]
            made = [from_views(seed, count, spread, kind) for seed in seeds]
            for k, scores in enumerate(("raw", "calibrated")):
                where = f"{count} languages, {'alike' if not spread else 'unlike'}, {scores}"
                found = defaultdict(list)
                # Where languages are unlike, one of the partners is closer than own speech is.
                kinds = (kind,)
                if kind == "gaps":
                    kinds = ("average",) if spread else ("average", "closest")
                for tables in made:
                    for one in kinds:
                        own = tables[2] if one == "closest" and not k else tables[k]
                        for key, p in p_values(own, one).items():
                            found[key].append(p)
                fill(table, where, found)
    return table


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    made = {"scores": of_scores, "gaps": of_gaps, "views": of_views}
    parser.add_argument("--only", nargs="+", choices=made, default=list(made))
    parser.add_argument("--studies", type=int, default=400)
    parser.add_argument("--markdown", type=Path, help="write the tables to this file too")
    options = parser.parse_args()
    show((made[name](options.studies) for name in made if name in options.only), options.markdown)


if __name__ == "__main__":
    main()
