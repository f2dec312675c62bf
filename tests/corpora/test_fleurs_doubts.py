import math

import numpy as np
import pytest

from fleurs_tree import make_tree, sound, wav
from isogloss.corpora import CORPORA
from isogloss.corpora._fleurs_doubts import FEWEST, Take, doubts
from isogloss.corpora._fleurs_store import measure
from isogloss.selection import select

Fleurs = CORPORA.get("fleurs")


def takes(n=100, spread=0.25, seed=0):
    """Recordings as a language has them: 0.08 s a character, with pauses at both ends."""
    rng = np.random.default_rng(seed)
    characters = rng.integers(40, 260, n)
    seconds = np.exp(rng.normal(0, spread, n)) * 0.08 * characters + rng.uniform(0.3, 1.5, n)
    pairs = zip(characters, seconds, strict=True)
    return [Take(int(c), float(s), float(s), span=0.4, quiet=0.2) for c, s in pairs]


def kinds(found):
    return {i: doubt.kind for i, doubt in found.items()}


@pytest.mark.parametrize("spread", [0.05, 0.25, 0.4])
def test_no_false_alarms(spread):
    assert not any(doubts(takes(700, spread, seed)) for seed in range(30))


def test_few_false_alarms_with_heavy_tails():
    rng = np.random.default_rng(1)
    found = 0
    for _ in range(30):
        pace = 0.22 * rng.standard_t(10, 700)
        some = [Take(100, float(np.exp(x)) * 8, None, 0.4, 0.2) for x in pace]
        found += len(doubts(some))
    assert found < 15  # of 21000


@pytest.mark.parametrize(
    ("take", "kind", "words"),
    [
        (Take(100, 8, 8, 1e-3, 0.2), "silent", "is silent: its samples span 0.001 of 2"),
        (Take(100, 8, 8, 0.4, 0.97), "silent", "is silent in 97% of its 8.00 s"),
        (Take(100, 0.84, 0.84, 0.4, 0.2), "truncated", "lasts only 0.84 s"),
        (Take(100, 4, 8, 0.4, 0.2), "truncated", "cut short: it lasts 4.00 s, the table says 8.00"),
        (Take(100, 8, 4, 0.4, 0.2), "longer", "lasts 8.00 s, the table says 4.00 s"),
        (Take(200, 1.8, 1.8, 0.4, 0.2), "pace", "lasts 1.80 s for 200 characters.. times shorter"),
        (Take(60, 45, 45, 0.4, 0.2), "pace", "lasts 45.00 s for 60 characters.. times longer"),
        (Take(0, 8, 8, 0.4, 0.2), None, ""),
        (Take(100, 8, None, 0.4, 0.94), None, ""),
        (Take(100, 8, 8.09, 0.4, 0.2), None, ""),
        (Take(100, 8, 7.91, 0.4, 0.2), None, ""),
        (Take(100, 1.0, None, 2.1e-3, 0.2), "pace", "times shorter"),
    ],
)
def test_each_kind(take, kind, words):
    found = doubts([*takes(), take])
    assert kinds(found) == ({100: kind} if kind else {})
    if kind:
        reason = found[100].reason
        parts = words.split("..")
        assert all(part in reason for part in parts), reason


def test_what_is_looked_for_does_not_set_the_scale():
    some = takes(100)
    odd = [Take(100, 1.1, 1.1, 0.4, 0.2)] * 30
    assert kinds(doubts([*some, *odd])) == dict.fromkeys(range(100, 130), "pace")


def test_speakers_who_all_keep_one_pace():
    some = [Take(100, 8 + 0.001 * i, None, 0.4, 0.2) for i in range(FEWEST)]
    assert not doubts([*some, Take(100, 15.8, None, 0.4, 0.2)])
    found = doubts([*some, Take(100, 16.2, None, 0.4, 0.2)])
    assert {i: d.reason for i, d in found.items()} == {
        FEWEST: "lasts 16.20 s for 100 characters, 2.0 times longer than usual in the language"
    }
    # Of fewer the pace is not known.
    assert not doubts([*some[1:], Take(100, math.e * 30, None, 0.4, 0.2)][-FEWEST + 1 :])


def test_silence_is_measured(tmp_path):
    rng = np.random.default_rng(0)
    speech = sound(16_000, [1])
    cases = {
        "speech": (speech, 0.0),
        "half": (np.concatenate([speech, np.zeros(16_000, "<i2")]), 0.5),
        "noise": ((rng.normal(size=32_000) * 10).astype("<i2"), 1.0),
        "click": (
            np.concatenate([np.zeros(32_000, "<i2"), np.full(320, 20_000, "<i2")]),
            100 / 101,
        ),
    }
    for name, (samples, quiet) in cases.items():
        path = tmp_path / f"{name}.wav"
        path.write_bytes(wav(samples))
        found = measure(path, name, "", 0)
        assert found.quiet == pytest.approx(quiet, abs=1e-9)
        assert found.frames == len(samples)
        assert found.span == pytest.approx(np.ptp(samples.astype(float)) / 2**15, rel=1e-4)
    assert measure(tmp_path / "absent.wav", "a/b.wav", "", 0).error == (
        "a/b.wav: there is no such file"
    )


@pytest.fixture
def planted(tmp_path):
    """English as it should be, and German with three bad takes; one is its sentence's only one."""
    made = make_tree(tmp_path / "t", ("deu", "eng"), 30, odd=False, takes=(2,), packed=False)
    rows = made.rows["deu"]
    alone = rows[0].sentence
    table = made.tables["deu"]
    kept = [
        line
        for row, line in zip(rows, table.read_text().splitlines(), strict=True)
        if row is rows[0] or row.sentence != alone
    ]
    table.write_text("\n".join(kept) + "\n")
    others = [r for r in rows if r.sentence != alone]
    folder = made.archives["deu"]
    (folder / rows[0].file).write_bytes(wav((np.arange(rows[0].samples) % 2) * 20))
    (folder / others[0].file).write_bytes(wav(sound(others[0].samples // 2, [2])))
    (folder / others[1].file).write_bytes(wav(sound(others[1].samples * 9, [3])))
    second = table.read_text().replace(str(others[1].samples), str(others[1].samples * 9))
    table.write_text(second)
    return made, {rows[0]: "silent", others[0]: "truncated", others[1]: "pace"}


@pytest.mark.parametrize("suspicious", ["keep", "exclude"])
def test_suspicious_recordings_are_listed_and_kept_or_not(planted, tmp_path, suspicious):
    made, bad = planted
    source = Fleurs(path=made.folder, cache=tmp_path / "cache", suspicious=suspicious)
    corpus = source.load()
    (note,) = [n for n in corpus.notes if "suspicious" in n]
    kept = suspicious == "keep"
    assert note.startswith(
        f"deu: 3 recordings are suspicious and {'kept' if kept else 'left out'} "
        "(1 silent, 1 truncated, 1 of a length far off the text): "
    )
    heard = {u.clip.name for u in corpus.utterances if u.clip}
    for row in bad:
        assert f"{row.sentence} (row" in note
        assert (f"de_de/test/{row.file}" in heard) == kept
    dropped = [(d.sentence, d.modality) for d in corpus.dropped]
    assert sorted(dropped) == ([] if kept else sorted((r.sentence, "speech") for r in bad))
    assert all(d.reason.startswith("de_de/test/") and "row" in d.origin for d in corpus.dropped)
    selection = select(corpus, seed=0)
    alone = next(r.sentence for r, kind in bad.items() if kind == "silent")
    speech = [u.sentence for u in selection.items["deu", "speech"]]
    # Another take of the sentence stands in, if there is one.
    assert len(speech) == (30 if kept else 29)
    assert (alone in speech) == kept
    assert len(selection.items["deu", "text"]) == 30
    chosen = {u.clip.name for u in selection.items["deu", "speech"]}
    assert kept or not chosen & {f"de_de/test/{r.file}" for r in bad}
    assert corpus.counts["deu"] == (59, 30)
