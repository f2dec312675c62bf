"""Leave everything as it was: random numbers, modes, buffers and whatever modules keep."""

import random
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import nn

_OWN = {"_parameters", "_buffers", "_modules"}
"""Entries of a module that hold its parts; every other one is an attribute."""


@contextmanager
def same_randomness() -> Iterator[None]:
    """Give back the random states of Python, NumPy and PyTorch on all devices that are in use.

    PyTorch is left alone where nobody has imported it, and a device that nobody has used stays
    unused, since asking for its state would start it.
    """
    python, numpy = random.getstate(), np.random.get_state(legacy=False)  # noqa: NPY002
    devices = _device_states()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        for restore, state in devices:
            restore(state)


def _device_states() -> list[tuple[Any, Any]]:
    torch: Any = sys.modules.get("torch")
    if torch is None:
        return []
    found = [(torch.set_rng_state, torch.get_rng_state())]
    if torch.cuda.is_initialized():
        found.append((torch.cuda.set_rng_state_all, torch.cuda.get_rng_state_all()))
    for name in ("mps", "xpu"):
        device = getattr(torch, name, None)
        # Not every version of PyTorch can be asked.
        there = getattr(device, "is_available", lambda: False)()
        if device is not None and there and getattr(device, "is_initialized", lambda: True)():
            found.append((device.set_rng_state, device.get_rng_state()))
    return found


@contextmanager
def evaluating(model: "nn.Module") -> Iterator[None]:
    """Run a model in evaluation mode, without gradients and in its own precision.

    Afterwards every attribute of every module is the object that it was: modes (also of parts that
    were in evaluation mode all along), buffers with their values, and tensors that a module keeps
    for the next call, such as positions. Parameters and gradients are never touched. What is
    compiled runs as written, since compiled code does not see hooks that are added later.

    Args:
        model: The model.
    """
    import torch

    kept = [_Kept(module) for module in model.modules()]
    with ExitStack() as stack:
        stack.callback(_restore, kept)
        for module in model.modules():
            # Not eval(), which a model may override to do more than that.
            module.training = False
        stack.enter_context(torch.no_grad())
        for device in {p.device.type for p in model.parameters()}:
            stack.enter_context(torch.autocast(device, enabled=False))
        if any(getattr(m, "_compiled_call_impl", None) is not None for m in model.modules()):
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        yield


class _Kept:
    """What a module holds besides its parameters and parts."""

    def __init__(self, module: "nn.Module") -> None:
        self.module = module
        self.attributes = {k: v for k, v in vars(module).items() if k not in _OWN}
        self.buffers: dict[str, torch.Tensor | None] = dict(module._buffers)
        self.contents = [
            _Content(buffer)
            for buffer in self.buffers.values()
            if buffer is not None and not buffer.is_inference()
        ]

    def restore(self) -> None:
        """Put everything back."""
        own = vars(self.module)
        for name in [k for k in own if k not in _OWN and k not in self.attributes]:
            del own[name]
        own.update(self.attributes)
        self.module._buffers.clear()
        self.module._buffers.update(self.buffers)
        for content in self.contents:
            content.restore()


class _Content:
    """The values of a buffer, and where they lie."""

    def __init__(self, buffer: "torch.Tensor") -> None:
        import torch

        self.buffer, self.version = buffer, buffer._version
        self.data = buffer.data
        self.value = buffer.detach().clone()
        plain = type(buffer) is torch.Tensor and buffer.layout == torch.strided
        self.comparable = plain and not (buffer.is_meta or buffer.is_quantized)

    def restore(self) -> None:
        """Put the values back, where they have changed: each write counts up the version.

        The version alone does not tell, since it does not count what is done through ``data``.
        """
        if not self.comparable:
            if self.buffer._version != self.version:
                self.buffer.copy_(self.value)
            return
        if _lies(self.buffer) != _lies(self.data):
            self.buffer.data = self.data  # it was given another memory
        if not _same_bits(self.data, self.value):
            self.data.copy_(self.value)


def _lies(tensor: "torch.Tensor") -> tuple[Any, ...]:
    return tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype, tensor.device


def _same_bits(a: "torch.Tensor", b: "torch.Tensor") -> bool:
    """Whether two tensors of one shape and type hold the same bits, those of NaN included."""
    import torch

    x, y = (t.contiguous().reshape(-1).view(torch.uint8) for t in (a, b))
    return torch.equal(x, y)


def _restore(kept: list[_Kept]) -> None:
    import torch

    with torch.no_grad():
        for one in kept:
            one.restore()
