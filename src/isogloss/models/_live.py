"""Find an encoder inside a model in memory, as it is and where it is. Imports torch when called."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from isogloss.errors import ModelError, choices

if TYPE_CHECKING:
    from torch import Tensor, nn


def living(
    model: "nn.Module", expected: "nn.Module", *, what: str, checkpoint: str, unused: str | None
) -> "nn.Module":
    """Find the one encoder of a class and size.

    Wrappers are looked through (DistributedDataParallel, a compiled model, adapters of PEFT): a
    tensor may be missing where a module of another kind stands in its place.

    Args:
        model: The model.
        expected: The encoder that the configuration describes; its tensors need no memory.
        what: What messages call it.
        checkpoint: What messages call the configuration.
        unused: Pattern of parameters that may be missing.

    Raises:
        ModelError: There is none, none of that size, or several.
    """
    kind = type(expected)
    found = [(name, m) for name, m in model.named_modules() if isinstance(m, kind)]
    if not found:
        raise ModelError(
            f"the model in memory, a {type(model).__name__}, holds no {what} of {checkpoint}: "
            f"none of its modules is a {kind.__name__}"
        )
    problems = [next(_misfits(m, expected, unused), "") for _, m in found]
    fitting = [pair for pair, problem in zip(found, problems, strict=True) if not problem]
    if not fitting:
        name = found[0][0] or "itself"
        raise ModelError(
            f"the {what} of the model in memory ({name}) is not that of {checkpoint}: {problems[0]}"
        )
    if len(fitting) > 1:
        raise ModelError(
            f"the model in memory holds several that may be the {what} of {checkpoint}: "
            f"{choices([name or 'itself' for name, _ in fitting], 4)}; pass the part that is meant"
        )
    return fitting[0][1]


def _misfits(module: "nn.Module", expected: "nn.Module", unused: str | None) -> Iterator[str]:
    """What keeps an encoder from being the expected one."""
    from torch.nn import ModuleList

    has: dict[str, Tensor] = dict(module.named_parameters(remove_duplicate=False))
    for name, layers in expected.named_modules():
        if isinstance(layers, ModuleList):
            own = _below(module, name)
            if isinstance(own, ModuleList) and len(own) != len(layers):
                yield f"{name} has {len(own)} entries, but the configuration asks for {len(layers)}"
    for name, tensor in expected.named_parameters(remove_duplicate=False):
        shape = tuple(tensor.shape)
        if name in has:
            # Shards and quantised weights keep another shape than they stand for.
            own_shape = tuple(has[name].shape)
            if own_shape != shape:
                yield f"{name} is {own_shape}, but the configuration asks for {shape}"
            continue
        if unused and re.search(unused, name):
            continue
        above = name.rpartition(".")[0]
        there = _below(module, above)
        if there is None or type(there) is type(_below(expected, above)):
            yield f"it has no {name}"


def _below(module: "nn.Module", path: str) -> "nn.Module | None":
    try:
        return module.get_submodule(path)
    except AttributeError:
        return None
