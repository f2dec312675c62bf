"""Pooling in hooks against the definition of a masked mean."""

import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from isogloss.pooling import Recorder, TapError, TapSpec  # noqa: E402


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, hidden_states, times=1):
        for _ in range(times):
            hidden_states = self.linear(hidden_states)
        return hidden_states, "weights"


class Shorten(nn.Module):
    """Halves time, dropping an odd last step."""

    def forward(self, x):
        return x[:, : x.shape[1] // 2 * 2].unflatten(1, (-1, 2)).mean(2)


class Toy(nn.Module):
    """Two blocks, the second called by keyword, and a module that halves time."""

    def __init__(self, width=4):
        super().__init__()
        self.first, self.second = Block(width), Block(width)
        self.shorten = Shorten()
        self.unused = nn.Identity()

    def forward(self, x, times=1):
        x = self.first(x, times)[0]
        x = self.second(hidden_states=x)[0]
        return self.shorten(x)


TAPS = [
    TapSpec("in", "first", "in"),
    TapSpec("1", "first"),
    TapSpec("mid", "second", "in"),
    TapSpec("2", "second"),
]


def masks(lengths, time):
    return torch.arange(time) < torch.tensor(lengths)[:, None]


@settings(deadline=None, max_examples=30)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    extra=st.integers(0, 3),
    seed=st.integers(0, 99),
)
def test_masked_mean_is_the_definition(lengths, extra, seed):
    torch.manual_seed(seed)
    toy, x = Toy(), torch.randn(len(lengths), max(lengths) + extra, 4)
    with (
        torch.inference_mode(),
        Recorder(toy, TAPS).pooling({"time": masks(lengths, x.shape[1])}) as pooled,
    ):
        toy(x)
    with torch.no_grad():
        one = toy.first(x)[0]
        two = toy.second(one)[0]
    for name, whole in (("in", x), ("1", one), ("mid", one), ("2", two)):
        for row, length in enumerate(lengths):
            wanted = whole[row, :length].double().mean(0)
            assert torch.allclose(pooled[name][row].double(), wanted, atol=1e-6)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_padding_cannot_leak(bad):
    toy, x = Toy(), torch.randn(2, 5, 4)
    x[0, 3:] = bad
    with torch.inference_mode(), Recorder(toy, TAPS).pooling({"time": masks([3, 5], 5)}) as pooled:
        toy(x)
    assert all(torch.isfinite(value).all() for value in pooled.values())
    assert torch.allclose(pooled["in"][0], x[0, :3].mean(0))


def test_mask_with_holes():
    """Special tokens are holes in a mask, not its end."""
    mask = torch.tensor([[False, True, True, False, True]])
    x = torch.randn(1, 5, 4)
    toy = Toy()
    with Recorder(toy, TAPS[:1]).pooling({"time": mask}) as pooled:
        toy(x)
    assert torch.allclose(pooled["in"][0], x[0, [1, 2, 4]].mean(0))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_low_precision_is_averaged_in_float32(dtype):
    """A mean of 30,000 equal values overflows or stalls if it is summed in the input's type."""
    x = torch.full((1, 30_000, 2), 3.0, dtype=dtype)
    root = nn.Sequential(nn.Identity())
    with Recorder(root, [TapSpec("x", "0")]).pooling({"time": torch.ones(1, 30_000)}) as pooled:
        root(x)
    assert pooled["x"].dtype == torch.float32
    assert pooled["x"].numpy() == pytest.approx(np.full((1, 2), 3.0), rel=1e-6)


def test_each_tap_has_its_own_length():
    toy, x = Toy(), torch.randn(2, 8, 4)
    taps = [TAPS[3], TapSpec("len", "shorten", length="short")]
    lengths = {"time": masks([8, 5], 8), "short": masks([4, 2], 4)}
    with Recorder(toy, taps).pooling(lengths) as pooled:
        after = toy(x)
    assert torch.allclose(pooled["len"][0], after[0].mean(0))
    assert torch.allclose(pooled["len"][1], after[1, :2].mean(0))
    with (
        pytest.raises(TapError, match=r'"len" has batch × time \(2, 4\).*"short" has \(2, 8\)'),
        Recorder(toy, taps).pooling({**lengths, "short": lengths["time"]}),
    ):
        toy(x)


def hooks(root):
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in root.modules())


def test_wrong_time_is_refused_and_hooks_go():
    toy = Toy()
    with (
        pytest.raises(TapError, match=r'tap "in" has batch × time \(2, 5\)'),
        Recorder(toy, TAPS).pooling({"time": masks([3, 4], 4)}),
    ):
        toy(torch.randn(2, 5, 4))
    assert hooks(toy) == 0


def test_tap_that_never_runs():
    toy = Toy()
    taps = [*TAPS, TapSpec("ghost", "unused")]
    with (
        pytest.raises(TapError, match="without passing the taps ghost"),
        Recorder(toy, taps).pooling({"time": masks([5], 5)}),
    ):
        toy(torch.randn(1, 5, 4))
    assert hooks(toy) == 0


def test_tap_that_runs_twice():
    toy = Toy()
    with (
        pytest.raises(TapError, match='"inner" ran more than once'),
        Recorder(toy, [TapSpec("inner", "first.linear")]).pooling({"time": masks([5], 5)}),
    ):
        toy(torch.randn(1, 5, 4), times=2)
    assert hooks(toy) == 0


def test_hooks_go_when_the_model_fails():
    toy, attached = Toy(), []
    toy.second.register_forward_pre_hook(lambda *_: attached.append(hooks(toy)))
    toy.shorten = None
    with (
        pytest.raises(TypeError),
        Recorder(toy, TAPS).pooling({"time": masks([5], 5)}),
    ):
        toy(torch.randn(1, 5, 4))
    assert attached == [1 + len(TAPS)]
    assert hooks(toy) == 1


def test_recorder_is_used_again():
    toy = Toy()
    recorder = Recorder(toy, TAPS)
    found = []
    for length in (3, 5):
        x = torch.ones(1, length, 4)
        with recorder.pooling({"time": masks([length], length)}) as pooled:
            toy(x)
        found.append(pooled)
    assert torch.allclose(found[0]["2"], found[1]["2"])


def test_no_sequence_is_kept():
    toy, seen = Toy(), []
    toy.second.register_forward_hook(lambda m, i, out: seen.append(weakref.ref(out[0])))
    with torch.inference_mode(), Recorder(toy, TAPS).pooling({"time": masks([6], 6)}) as pooled:
        toy(torch.randn(1, 6, 4))
    assert seen[0]() is None
    assert all(value.shape == (1, 4) for value in pooled.values())


@pytest.mark.parametrize(
    ("taps", "message"),
    [
        ([TapSpec("a", "first"), TapSpec("a", "second")], "different names"),
        ([TapSpec("a", "third.linear")], "there is no module third.linear"),
    ],
)
def test_bad_taps(taps, message):
    with pytest.raises(TapError, match=message):
        Recorder(Toy(), taps)


def test_bad_masks():
    recorder = Recorder(Toy(), TAPS)
    with pytest.raises(TapError, match='no mask for the length "time"'), recorder.pooling({}):
        pass
    mask = torch.tensor([[True, False], [False, False]])
    with (
        pytest.raises(TapError, match="without a single time step"),
        recorder.pooling({"time": mask}),
    ):
        pass


def test_activation_that_is_no_sequence():
    root = nn.Sequential(nn.Linear(4, 4))
    with (
        pytest.raises(TapError, match=r"must be batch × time × features, but is torch\.Size"),
        Recorder(root, [TapSpec("x", "0")]).pooling({"time": masks([4], 4)}),
    ):
        root(torch.randn(1, 4))


class Pack(nn.Module):
    """Puts the steps of all items one after the other, as some towers do."""

    def forward(self, x, kept):
        return x[kept]


@pytest.mark.parametrize("padded", [False, True])
def test_packed_steps_are_pooled_by_item(padded):
    x, mask = torch.randn(3, 6, 4), masks([6, 2, 4], 6)
    kept = torch.ones(3, 6, dtype=torch.bool) if padded else mask
    tap = TapSpec("x", "0", packed=True)
    root = nn.ModuleList([Pack()])
    with Recorder(root, [tap]).pooling({"time": mask}) as pooled:
        assert root[0](x, kept).shape == (18 if padded else 12, 4)
    for row, length in enumerate((6, 2, 4)):
        assert torch.allclose(pooled["x"][row], x[row, :length].mean(0))


def test_packed_steps_must_be_as_many_as_the_mask_says():
    root, mask = nn.ModuleList([Pack()]), masks([6, 2], 6)
    for packed, message in ((True, r"is torch.Size\(\[9, 4\]\)"), (False, "batch × time")):
        tap = TapSpec("x", "0", packed=packed)
        with pytest.raises(TapError, match=message), Recorder(root, [tap]).pooling({"time": mask}):
            root[0](torch.randn(2, 6, 4), masks([5, 4], 6) if packed else mask)
