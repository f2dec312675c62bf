"""Load a model so that every number that no checkpoint gave becomes NaN. Imports torch."""

import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

_DRAWN = frozenset(
    {
        "rand", "rand_like", "randn", "randn_like", "normal", "normal_", "uniform_",
        "exponential_", "log_normal_", "cauchy_", "geometric_", "bernoulli", "bernoulli_",
    }
)  # fmt: skip
_UNFILLED = frozenset(
    {
        "empty", "empty_like", "empty_strided", "empty_permuted", "new_empty",
        "new_empty_strided",
    }
)  # fmt: skip
_CONSTANT = frozenset({"fill_", "zero_"})
_STARTS = ("kaiming_", "xavier_", "trunc_normal_", "orthogonal_", "sparse_")
SEED = 20_011_123


class Poison(TorchFunctionMode):
    """What is drawn at random or never filled is NaN; so is a parameter set to a constant.

    Constants are left in buffers and other tensors, which a model may well compute for itself. A
    parameter is to come from the checkpoint, which is read afterwards and overwrites the NaN.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "")
        # What torch.nn.init calls inside is not seen: the mode is off while it handles a call.
        start = getattr(func, "__module__", "") == "torch.nn.init"
        drawn = name in _DRAWN or (start and name.startswith(_STARTS))
        constant = (start or name in _CONSTANT) and isinstance(found, nn.Parameter)
        if constant or drawn or name in _UNFILLED:
            _blank(found)
        return found


def _blank(tensor: Any) -> None:
    if isinstance(tensor, torch.Tensor) and tensor.is_floating_point() and not tensor.is_meta:
        with torch.no_grad():
            tensor.fill_(float("nan"))


@contextmanager
def poisoned() -> Iterator[None]:
    """Everything that is loaded inside is poisoned, and drawn from other seeds than usual."""
    ours, theirs = random.getstate(), np.random.get_state()  # noqa: NPY002
    devices = list(range(torch.cuda.device_count()))
    with torch.random.fork_rng(devices), warnings.catch_warnings(), Poison():
        warnings.simplefilter("ignore")  # values of NaN may well be warned of
        torch.manual_seed(SEED)
        np.random.seed(SEED)  # noqa: NPY002
        random.seed(SEED)
        try:
            yield
        finally:
            random.setstate(ours)
            np.random.set_state(theirs)  # noqa: NPY002


def modules(tower: Any) -> list[nn.Module]:
    """The modules that a tower holds, itself included, as far as its attributes show them."""
    held = [tower, *vars(tower).values()]
    for value in list(held):
        held += value.values() if isinstance(value, dict) else []
        held += value if isinstance(value, (list, tuple)) else []
    found = [value for value in held if isinstance(value, nn.Module)]
    inside = {id(part) for whole in found for part in list(whole.modules())[1:]}
    return [m for m in dict.fromkeys(found) if id(m) not in inside]


def not_filled(tower: Any) -> list[str]:
    """Parameters and buffers that hold NaN."""
    return [
        name
        for module in modules(tower)
        for name, value in [*module.named_parameters(), *module.named_buffers()]
        if value.is_floating_point() and bool(torch.isnan(value).any())
    ]


def parameters(tower: Any) -> tuple[int, int]:
    """Number of parameters of a tower, and their bytes; shared ones once."""
    found = {id(p): p for module in modules(tower) for p in module.parameters()}
    return (
        sum(p.numel() for p in found.values()),
        sum(p.numel() * p.element_size() for p in found.values()),
    )
