import importlib
import json

import numpy as np
import pytest

from isogloss.corpora.base import Recording, Utterance
from isogloss.errors import ItemError
from isogloss.extraction.budgets import LEAST, Budget
from isogloss.extraction.encode import encode
from isogloss.interrupts import Interrupted
from isogloss.languages import language
from isogloss.models.base import Features, Tap, Tower

ENG = language("eng")


class Counter(Tower):
    """Pools the character codes of a text; fails in the ways that models fail."""

    modality = "text"
    taps = (Tap("in", 2, 0.0), Tap("1", 3, 1.0))

    def __init__(self, memory=10**9, max_batch=None):
        self.memory, self.max_batch = memory, max_batch
        self.batches = []

    def features(self, item, spoken):
        assert spoken is ENG
        if "refused" in item:
            raise ItemError("no token is left")
        codes = np.array([ord(c) for c in item], dtype=np.float32)
        return Features({"codes": codes}, len(codes), "shouted" if item.isupper() else "")

    def encode(self, batch):
        longest = max(f.length for f in batch)
        if longest * len(batch) > self.memory:
            raise type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory")
        self.batches.append([f.length for f in batch])
        means = np.array([f.values["codes"].mean() for f in batch], dtype=np.float32)
        one = np.where(means > 1000, np.nan, means)
        return {"in": np.stack([means, means], 1), "1": np.stack([one, one, one], 1)}


def rows(*texts):
    return [Utterance(str(i), "eng", text) for i, text in enumerate(texts)]


TEXTS = ["a" * n for n in (5, 1, 9, 3, 7, 2, 8)]


def test_rows_come_back_in_the_order_of_the_sentences():
    tower = Counter()
    texts = ["b", "aaaa", "cc"]
    found = encode(tower, rows(*texts), ENG, budget=100)
    assert found.rows == [0, 1, 2]
    assert (found.lengths, found.seconds) == ([1, 4, 2], [])
    np.testing.assert_array_equal(found.arrays["in"][:, 0], [98, 97, 99])
    assert found.arrays["1"].shape == (3, 3)
    assert found.arrays["1"].dtype == np.float32


@pytest.mark.parametrize("budget", [9, 12, 20, 1000])
def test_batches_stay_within_the_budget_and_run_longest_first(budget):
    tower = Counter()
    encode(tower, rows(*TEXTS), ENG, budget=budget)
    assert all(max(b) * len(b) <= budget for b in tower.batches)
    lengths = [n for b in tower.batches for n in b]
    assert lengths == sorted(lengths, reverse=True)
    assert len(lengths) == len(TEXTS)


def test_an_item_larger_than_the_budget_runs_alone():
    tower = Counter()
    encode(tower, rows("a" * 50, "a", "a"), ENG, budget=10)
    assert tower.batches == [[50], [1, 1]]


def test_the_towers_own_limit_holds():
    tower = Counter(max_batch=2)
    encode(tower, rows(*TEXTS), ENG, budget=1000)
    assert max(map(len, tower.batches)) == 2


def test_batches_that_do_not_fit_are_halved_and_the_rest_goes_on():
    small, large = Counter(memory=18), Counter()
    a = encode(small, rows(*TEXTS, "a" * 30), ENG, budget=1000)
    b = encode(large, rows(*TEXTS), ENG, budget=1000)
    assert all(max(n) * len(n) <= 18 for n in small.batches)
    assert a.failed == {7: "does not fit in memory (30 time steps)"}
    assert a.rows == b.rows == list(range(7))
    np.testing.assert_array_equal(a.arrays["1"], b.arrays["1"])


def test_failed_sentences_are_named_and_the_others_stay():
    found = encode(Counter(), rows("fine", "refused", "✓✓✓", "GOOD"), ENG, budget=100)
    assert found.rows == [0, 3]
    assert found.failed == {
        1: "no token is left",
        2: 'the model gives NaN or infinity at tap "1"',
    }
    assert found.notes == {"shouted": 1}
    assert len(found.arrays["in"]) == 2


def test_errors_of_the_model_are_not_hidden():
    class Broken(Counter):
        def encode(self, batch):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        encode(Broken(), rows("a"), ENG, budget=10)


class Clip:
    """A recording of so many equal samples; unreadable ones are of length 1 and 2."""

    def __init__(self, n, value=98):
        self.n, self.value, self.name = n, value, f"{n}.wav"

    def seconds(self):
        if self.n == 1:
            raise ItemError("1.wav is missing")
        return float(self.n)

    def read(self):
        if self.n == 2:
            raise ItemError("2.wav is empty")
        return Recording(np.full(self.n, self.value, np.float32), "resampled")


class Listener(Counter):
    modality = "speech"

    def features(self, item, spoken):
        return Features({"codes": item}, len(item))


def spoken(*takes):
    return [Utterance(sentence, "eng", clip=Clip(*clip)) for sentence, *clip in takes]


def test_recordings_that_cannot_be_read_are_named():
    utterances = spoken(("1", 1), ("2", 2), ("3", 3), ("4", 4))
    done = []
    found = encode(Listener(), utterances, ENG, budget=100, advance=done.append)
    assert found.rows == [2, 3]
    assert found.failed == {0: "1.wav is missing", 1: "2.wav is empty"}
    assert found.notes == {"resampled": 2}
    assert found.seconds == [3 / 16000, 4 / 16000]
    assert sum(done) == 4


def test_takes_of_a_sentence_are_rows_of_their_own():
    utterances = spoken(("a", 3, 1), ("b", 3, 2), ("a", 5, 3), ("b", 4, 4), ("a", 9, 5))
    found = encode(Listener(), utterances, ENG, budget=8)
    assert found.rows == [0, 1, 2, 3, 4]
    assert found.lengths == [3, 3, 5, 4, 9]
    np.testing.assert_array_equal(found.arrays["in"][:, 0], [1, 2, 3, 4, 5])


def test_the_next_take_stands_for_a_sentence_whose_first_fails():
    utterances = spoken(
        ("a", 2), ("b", 3, 1), ("c", 1), ("d", 4, 2000), ("a", 5, 2), ("b", 4, 2000), ("d", 6, 3),
        ("a", 6, 4), ("b", 7, 5),
    )  # fmt: skip
    found = encode(Listener(), utterances, ENG, budget=8)
    assert found.rows == [4, 1, 6, 7, 8]  # a, b, d, then the second takes of a and b
    np.testing.assert_array_equal(found.arrays["in"][:, 0], [2, 1, 3, 4, 5])
    nan = 'the model gives NaN or infinity at tap "1"'
    assert found.failed == {
        0: "2.wav is empty; another recording takes its place",
        2: "1.wav is missing",
        3: f"{nan}; another recording takes its place",
        5: f"{nan}; its sentence keeps another",
    }


def test_after_running_out_of_memory_batches_stay_smaller():
    tower, budget = Counter(memory=LEAST * 3), Budget(LEAST * 8)
    encode(tower, rows(*["a" * 64] * 100), ENG, budget=budget)
    assert budget.frames == LEAST * 2
    # 32 and 16 texts did not fit; from then on 8 at a time.
    assert {len(b) for b in tower.batches[4:-1]} == {8}


def test_the_models_tensors_are_gone_before_a_smaller_batch_is_tried():
    import weakref

    class Held:
        pass

    class Leaky(Counter):
        held = None

        def encode(self, batch):
            if self.held is not None:
                assert self.held() is None, "the failed batch is still in memory"
            if len(batch) > 2:
                tensor = Held()
                self.held = weakref.ref(tensor)
            return super().encode(batch)

    tower = Leaky(memory=8)
    found = encode(tower, rows(*["aaaa"] * 8), ENG, budget=1000)
    assert found.rows == list(range(8))
    assert tower.held is not None


class Kept(list):
    """What an encoding handed over, as it comes back from a file."""

    def __call__(self, arrays, fields):
        self.append(({k: v.copy() for k, v in arrays.items()}, json.loads(json.dumps(fields))))


class Stopping:
    """Asked to stop after so many batches."""

    def __init__(self, batches):
        self.left = batches

    def __call__(self):
        self.left -= 1
        return self.left <= 0


MIXED = ["a" * 30, "refused", "✓✓✓", "GOOD", *("b" * n for n in range(1, 25)), "SHOUT"]


def whole(found):
    return found.rows, found.lengths, found.seconds, found.failed, dict(found.notes)


@pytest.mark.parametrize("batches", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("lost", [False, True])
def test_a_stopped_unit_goes_on_at_the_same_border(batches, lost):
    undisturbed = Counter()
    a = encode(undisturbed, rows(*MIXED), ENG, budget=60)
    done, seen, advanced = Kept(), [], []
    for _ in range(30):
        tower = Counter()
        try:
            b = encode(tower, rows(*MIXED), ENG, budget=60, done=done, keep=done,
                       stop=Stopping(batches), advance=advanced.append)  # fmt: skip
            break
        except Interrupted:
            if lost and len(done) == 3:
                done.pop(1)  # a damaged piece; what is in it is made again
                lost = None
        finally:
            seen += tower.batches
    assert whole(a) == whole(b)
    for tap in a.arrays:
        np.testing.assert_array_equal(a.arrays[tap], b.arrays[tap])
    assert {tuple(batch) for batch in seen} == {tuple(batch) for batch in undisturbed.batches}
    if lost is False:
        assert sorted(seen) == sorted(undisturbed.batches)
        assert len(done) == len(undisturbed.batches) // batches - (
            len(undisturbed.batches) % batches == 0
        )


def test_rows_are_kept_now_and_then(monkeypatch):
    monkeypatch.setattr(importlib.import_module("isogloss.extraction.encode"), "KEEP_EVERY", 0.0)
    tower, kept = Counter(), Kept()
    found = encode(tower, rows(*MIXED), ENG, budget=60, keep=kept)
    lengths = [[row["length"] for row in fields["rows"]] for _, fields in kept]
    nan = next(i for i, (a, b) in enumerate(zip(lengths, tower.batches, strict=True)) if a != b)
    lengths[nan].append(3)
    assert [sorted(piece) for piece in lengths] == [sorted(batch) for batch in tower.batches]
    named = [row["utterance"] for _, fields in kept for row in fields["rows"]]
    assert sorted(named) == sorted(found.rows)
    failed = [int(i) for _, fields in kept for i in fields["failed"]]
    assert sorted(failed) == sorted(found.failed) == [1, 2]
    again = encode(Counter(), rows(*MIXED), ENG, budget=60, done=kept)
    assert whole(again) == whole(found)


def test_nothing_is_kept_in_the_first_minutes_of_a_unit_that_ends():
    kept = Kept()
    encode(Counter(), rows(*MIXED), ENG, budget=60, keep=kept)
    assert kept == []


def test_a_stop_after_the_last_batch_ends_the_unit():
    found = encode(Counter(), rows("aa", "b"), ENG, budget=60, keep=Kept(), stop=lambda: True)
    assert found.rows == [0, 1]


@pytest.mark.parametrize("taps", [["in"], ["in", "2"]])
def test_rows_of_other_taps_are_made_again(taps):
    fields = {"rows": [{"utterance": 0, "length": 1, "seconds": None, "notes": []}], "failed": {}}
    wrong = {tap: np.zeros((1, 3), np.float32) for tap in taps}
    found = encode(Counter(), rows("aa", "b"), ENG, budget=60, done=[(wrong, fields)])
    np.testing.assert_array_equal(found.arrays["in"][:, 0], [97, 98])
    fields["rows"][0]["utterance"] = 2
    right = {"in": np.zeros((1, 2), np.float32), "1": np.zeros((1, 3), np.float32)}
    assert encode(Counter(), rows("aa", "b"), ENG, budget=60, done=[(right, fields)]).rows == [0, 1]


def test_texts_are_batched_by_their_tokens():
    class Words(Counter):
        """Long words are single tokens, so that the longest text is the shortest input."""

        def features(self, item, spoken):
            made = super().features(item, spoken)
            return Features(made.values, len(item.split()))

    tower = Words()
    encode(tower, rows("a b c d", "aaaaaaaaaaaaaaaaaa", "a b c", "aaaaaaa aaaaa"), ENG, budget=6)
    assert tower.batches == [[4], [3, 2], [1]]
