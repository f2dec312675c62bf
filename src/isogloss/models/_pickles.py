"""Read ``.pt``, ``.pth`` and ``.bin`` files without running what is in them. Imports torch.

A pickle is a program. Only those that build tensors and plain containers are read; anything else is
refused with the name of what it asks for.
"""

import pickle
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isogloss.errors import ModelError, choices
from isogloss.models._headers import read_header

if TYPE_CHECKING:
    from torch import Tensor

_ASKED = re.compile(r"unsupported (?:global: )?(?:global|class) (\S+)", re.IGNORECASE)
_ADVICE = ("weights only load failed", "check the documentation", "please file", "(")


def read_pickle(path: Path) -> Any:
    """Read a file that :func:`torch.save` wrote, onto the CPU and as late as its tensors are used.

    Torch's own reader runs nothing, but takes any time and memory that a pickle asks for, so the
    file is looked through before.

    Raises:
        ModelError: It cannot be read, or holds more than tensors, numbers, text and containers.
    """
    import torch

    read_header(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an unusual protocol
            try:
                return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            except RuntimeError as error:
                if "mmap" not in str(error):
                    raise
                # Files in the format before PyTorch 1.6 cannot be mapped.
                return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        asked = _ASKED.search(str(error))
        if asked is None:
            raise _damaged(path, error) from error
        raise ModelError(
            f"{path} holds more than weights: it asks for {asked[1]}, and a pickle that does so "
            "can run any code. It is not read. Use a file that holds tensors alone, or convert it "
            "to safetensors where you trust it"
        ) from error
    except (
        OSError,
        RuntimeError,
        ValueError,
        EOFError,
        LookupError,
        TypeError,
        AttributeError,
    ) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> ModelError:
    lines = (line.strip() for line in str(error).splitlines())
    told = (line for line in lines if line and not line.lower().startswith(_ADVICE))
    reason = next(told, type(error).__name__)
    return ModelError(
        f"{path} cannot be read, so the download is incomplete or damaged, or it holds no weights "
        f"of PyTorch: {reason}"
    )


def state_in(content: Any, path: Path, *inside: str) -> "dict[str, Tensor]":
    """Find the tensors in what a checkpoint file holds.

    Args:
        content: What :func:`read_pickle` returned.
        path: For messages.
        inside: Keys to go down by, where they are there; such as ``"model"``.

    Returns:
        Name -> tensor, without entries that are no tensors.

    Raises:
        ModelError: There is no mapping from names to tensors.
    """
    import torch

    for key in inside:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping):
        raise ModelError(f"{path} holds a {type(content).__name__} and no named weights")
    found = {str(k): v for k, v in content.items() if isinstance(v, torch.Tensor)}
    if not found:
        raise ModelError(
            f"{path} holds no weights where they are expected; it has "
            f"{choices([str(k) for k in content], 8)}"
        )
    return found


def tensors_in(path: Path, *inside: str) -> "dict[str, Tensor]":
    """Read the tensors of a checkpoint file; see :func:`read_pickle` and :func:`state_in`."""
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except (OSError, SafetensorError) as error:
            raise _damaged(path, error) from error
    return state_in(read_pickle(path), path, *inside)


def fill(module: Any, tensors: "Mapping[str, Tensor]", *, what: str, path: Path | str) -> None:
    """Put weights into a module, all of them and nothing else.

    Args:
        module: Takes them, in the precision that it has.
        tensors: Under the module's own names.
        what: What messages call the module.
        path: Where they come from, for messages.

    Raises:
        ModelError: One is missing, left over, or of another shape.
    """
    wanted = module.state_dict()
    for problem, names in (
        ("lacks", sorted(wanted.keys() - tensors.keys())),
        ("has weights that do not belong there:", sorted(tensors.keys() - wanted.keys())),
        ("has weights of another size:", _misshaped(wanted, tensors)),
    ):
        if names:
            raise ModelError(
                f"{path} does not hold the {what}: it {problem} {choices(names, 5)}. Random "
                "numbers will not be put in their place; check that it is the right file"
            )
    module.load_state_dict(dict(tensors), strict=True)


def _misshaped(wanted: "Mapping[str, Tensor]", tensors: "Mapping[str, Tensor]") -> Sequence[str]:
    return [
        f"{name} ({tuple(tensors[name].shape)} instead of {tuple(wanted[name].shape)})"
        for name in sorted(wanted.keys() & tensors.keys())
        if tensors[name].shape != wanted[name].shape
    ]
