import json

import pytest

from isogloss.extraction.budgets import (
    ELSEWHERE,
    LEAST,
    MOST,
    ON_CPU,
    SHARE,
    Budget,
    MeasuredBudget,
    budget_for,
    cache_folder,
    out_of_memory,
)
from isogloss.models.base import Features, Tap

KEY = {"model": "m", "device": "d", "modality": "speech", "taps": ["1"]}


OutOfMemoryError = type("OutOfMemoryError", (RuntimeError,), {})
"""Named as PyTorch's own is."""


class Device:
    """Memory that a batch fills with so much for itself, per step, and per step squared."""

    def __init__(self, free, fixed=0, step=0, square=0):
        self.size, self.cost = free, (fixed, step, square)
        self.used, self.calls = 0, []

    def free(self):
        return self.size

    def peak(self, call):
        self.used = 0
        call()
        return self.used

    def encode(self, batch):
        fixed, step, square = self.cost
        longest = max(f.length for f in batch)
        self.calls.append([f.length for f in batch])
        self.used = fixed + len(batch) * longest * (step + square * longest)
        if self.used > self.size:
            raise OutOfMemoryError


def inputs(*lengths):
    return [Features({}, n) for n in lengths]


def learned(device, path=None, lengths=(100, 100)):
    budget = MeasuredBudget(device, path, KEY)
    budget.learn(device.encode, inputs(*lengths))
    return budget


@pytest.mark.parametrize("asked", [1, 700])
@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
def test_what_is_asked_for_wins(asked, device):
    assert budget_for(asked, None, model="m", device=device).frames == asked


@pytest.mark.parametrize("modality", ["text", "speech"])
def test_on_a_cpu_the_budget_is_a_rule(modality):
    class Tower:
        taps = (Tap("1", 2, 0.0),)

    Tower.modality = modality
    budget = budget_for(0, Tower, model="m", device="cpu")
    budget.learn(lambda batch: pytest.fail("nothing is measured"), inputs(5, 5))
    assert budget.frames == ON_CPU[modality]
    assert budget_for(0, Tower, model="m", device="mps").frames == ELSEWHERE
    assert not cache_folder().exists() or not list(cache_folder().glob("*.json"))


def test_halving_follows_the_batch_that_failed():
    budget = Budget(4000)
    budget.halve(3000)
    assert budget.frames == 1500
    budget.halve(100_000)
    assert budget.frames == 750
    for _ in range(5):
        budget.halve(750)
    assert budget.frames == LEAST


@pytest.mark.parametrize("fixed", [0, 200_000])
def test_the_free_memory_is_filled_up_to_a_share(fixed):
    device = Device(10_000_000, fixed=fixed, step=1000)
    frames = learned(device).frames
    assert device.calls == [[100], [100, 100]]
    room = (SHARE * 10_000_000 - fixed) / 1000
    assert frames <= room
    assert frames > room / 2.7  # rounded down, and a fixed cost may be taken for one of steps


def test_a_cost_that_grows_with_the_square_is_seen_at_the_longest():
    device = Device(200_000_000, step=100, square=10)
    frames = learned(device, lengths=(2000, 1900)).frames
    longest = 2000
    device.encode(inputs(*[longest] * (frames // longest)))
    assert device.used <= SHARE * device.size


@pytest.mark.parametrize(("free", "frames"), [(10**15, MOST), (1000, LEAST)])
def test_budgets_lie_between_bounds(free, frames):
    assert learned(Device(free, step=10), lengths=(4, 4)).frames == frames


def test_small_changes_of_memory_change_nothing():
    found = {learned(Device(n, step=1000)).frames for n in range(9_000_000, 11_000_000, 100_000)}
    assert len(found) <= 2


def test_an_input_that_does_not_fit_alone_leaves_the_smallest_budget():
    assert learned(Device(1000, step=1000)).frames == LEAST


def test_errors_of_the_model_are_not_hidden():
    class Broken(Device):
        def encode(self, batch):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        learned(Broken(10**6))


def test_the_next_run_starts_right(tmp_path):
    path = tmp_path / "cost.json"
    device = Device(10_000_000, step=1000)
    frames = learned(device, path).frames
    again = Device(10_000_000, step=1000)
    budget = learned(again, path, lengths=(100, 90))
    assert again.calls == []
    assert budget.frames == frames
    half = Device(5_000_000, step=1000)  # as much is free now
    assert learned(half, path).frames <= frames // 2
    longer = Device(10_000_000, step=1000)
    learned(longer, path, lengths=(500, 500))
    assert longer.calls == [[500], [500, 500]]


def test_a_batch_that_did_not_fit_is_remembered(tmp_path):
    path = tmp_path / "cost.json"
    budget = learned(Device(10_000_000, step=1000), path)
    frames = budget.frames
    budget.halve(frames)
    assert budget.frames == frames // 2
    assert learned(Device(10_000_000, step=1000), path).frames <= frames // 2
    assert MeasuredBudget(Device(10_000_000), path, KEY).frames <= frames // 2


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "null", '"x"', "[" * 100_000, "{}",
        json.dumps({"format": 1, "key": {**KEY, "model": "other"}, "fixed": 0, "step": 1,
                    "longest": 9}),
        json.dumps({"format": 1, "key": KEY, "fixed": 0, "step": 0, "longest": 9}),
        json.dumps({"format": 1, "key": KEY, "fixed": -1, "step": 5, "longest": 9}),
        json.dumps({"format": 1, "key": KEY, "fixed": 0, "step": "NaN", "longest": 9}),
        json.dumps({"format": 1, "key": KEY, "fixed": 0, "step": 1e999, "longest": 9}),
        json.dumps({"format": 1, "key": KEY, "fixed": 0, "step": 5, "longest": None}),
        json.dumps({"format": 2, "key": KEY, "fixed": 0, "step": 5, "longest": 9}),
    ],
)  # fmt: skip
def test_damaged_and_foreign_files_are_measured_over(tmp_path, text):
    path = tmp_path / "cost.json"
    path.write_text(text)
    device = Device(10_000_000, step=1000)
    assert learned(device, path).frames == learned(Device(10_000_000, step=1000)).frames
    assert device.calls == [[100], [100, 100]]
    assert json.loads(path.read_text())["key"] == KEY


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path):
    (tmp_path / "file").write_text("")
    device = Device(10_000_000, step=1000)
    assert learned(device, tmp_path / "file" / "cost.json").frames > LEAST


def test_running_out_of_memory_is_recognised():
    torch = pytest.importorskip("torch")
    assert out_of_memory(MemoryError())
    assert out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
    with pytest.raises(RuntimeError) as found:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert out_of_memory(found.value)
    assert not out_of_memory(RuntimeError("shapes do not match"))
    assert not out_of_memory(ValueError("not enough memory"))
