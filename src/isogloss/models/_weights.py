"""Load one encoder out of a checkpoint, whole or not at all. Imports torch when called.

Only the tensors of the encoder are read, under the names that its class gives them. A tensor that
is missing or has another shape is an error: transformers would fill it with random numbers.
"""

import importlib
import re
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isogloss.errors import MissingExtraError, ModelError, choices
from isogloss.models._checkpoint import Checkpoint
from isogloss.models._files import weight_files
from isogloss.models._live import living
from isogloss.models._pickles import tensors_in

if TYPE_CHECKING:
    import torch
    from torch import nn

Rename = Callable[[Sequence[str]], Mapping[str, str]]
"""Names in the checkpoint -> {name in the checkpoint: name in the encoder}, wanted ones only."""

_CHATTER = threading.RLock()
_BUILD_ERRORS = (AttributeError, ImportError, KeyError, RuntimeError, TypeError, ValueError)
_SILENT = 60  # above every level of the standard library


def require(what: str) -> None:
    """Check that torch and transformers can be imported.

    Raises:
        MissingExtraError: They cannot.
    """
    try:
        importlib.import_module("torch")
        importlib.import_module("transformers")
    except ImportError as error:
        raise MissingExtraError(what, "hf") from error


def check_device(device: str) -> "torch.device":
    """Parse a device and make sure that this machine has it.

    Raises:
        ModelError: It is no device, or none of this machine.
    """
    import torch

    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(
            f'cannot use the device "{device}": {reason}. Use "cpu", or "cuda" where PyTorch '
            "sees a GPU"
        ) from error
    return found


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers from printing and warning; its own settings come back afterwards."""
    from transformers.utils import logging

    with _CHATTER:
        level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
        logging.set_verbosity(_SILENT)
        logging.disable_progress_bar()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        finally:
            logging.set_verbosity(level)
            if bars:
                logging.enable_progress_bar()


def model_class(path: str) -> Any:
    """Import ``module:Class`` below :mod:`transformers`."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(f"transformers.models.{module}"), name)


def load_encoder(
    checkpoint: Checkpoint,
    model: str,
    *,
    what: str,
    rename: Rename,
    dtype: str,
    device: "torch.device",
    config: Mapping[str, Any] | None = None,
    unused: str | None = None,
    live: "nn.Module | None" = None,
    **arguments: Any,
) -> Any:
    """Build an encoder and fill it with a checkpoint's weights.

    Args:
        checkpoint: Where the configuration and the weights are.
        model: The encoder's class, ``module:Class`` below ``transformers.models``.
        what: What messages call it, such as ``"text encoder"``.
        rename: Picks and renames its tensors.
        dtype: Precision that the weights are turned into, whatever they were stored in.
        device: Where it goes.
        config: Values that replace those of the configuration.
        unused: Pattern of parameters that inference never reads, which may be missing.
        live: A model in memory that holds the encoder. It is returned as it is, and no weight is
            read, moved or turned into ``dtype``.
        arguments: Further arguments of the class.

    Raises:
        ModelError: A weight is missing, has another shape, or cannot be read; or the model in
            memory does not hold one such encoder.
    """
    import torch

    encoder_class = model_class(model)
    if live is not None:
        with quiet():
            settings = encoder_class.config_class.from_dict({**checkpoint.config, **(config or {})})
            with torch.device("meta"):
                expected = encoder_class(settings, **arguments)
        return living(live, expected, what=what, checkpoint=checkpoint.name, unused=unused)
    folder = checkpoint.folder()
    tensors = _read(checkpoint, weight_files(folder), rename, what)
    with quiet():
        try:
            settings = encoder_class.config_class.from_dict({**checkpoint.config, **(config or {})})
            module, report = encoder_class.from_pretrained(
                None,
                config=settings,
                state_dict=tensors,
                dtype=getattr(torch, dtype),
                ignore_mismatched_sizes=True,  # so that they are reported here, by name
                output_loading_info=True,
                **arguments,
            )
        except _BUILD_ERRORS as error:
            raise ModelError(f"{checkpoint.name}: the {what} cannot be built: {error}") from error
    _check(report, checkpoint, what, unused)
    refuse_layers_beyond(module, report["unexpected_keys"], checkpoint.name)
    return module.eval().requires_grad_(False).to(device)


def refuse_layers_beyond(module: Any, names: Iterable[str], checkpoint: str) -> None:
    """Refuse weights of layers that the configuration does not count.

    Without them a model would be cut short, and its last layer be another one. Other weights that a
    module does not take, such as heads, do no harm.

    Raises:
        ModelError: There are such layers.
    """
    from torch.nn import ModuleList

    beyond = set()
    for name in names:
        parts = name.split(".")
        for i, part in enumerate(parts):
            if part.isdigit():
                try:
                    layers = module.get_submodule(".".join(parts[:i]))
                except AttributeError:
                    break
                # Of none at all is what was left out on purpose, such as images.
                if isinstance(layers, ModuleList) and 0 < len(layers) <= int(part):
                    beyond.add(".".join(parts[: i + 1]))
                    break
    if beyond:
        raise ModelError(
            f"{checkpoint}: the weights have layers that config.json does not count: "
            f"{choices(sorted(beyond), 4)}; the two belong to different checkpoints"
        )


def _check(
    report: Mapping[str, Any], checkpoint: Checkpoint, what: str, unused: str | None
) -> None:
    missing = sorted(
        key for key in report["missing_keys"] if not (unused and re.search(unused, key))
    )
    if missing:
        raise ModelError(
            f"{checkpoint.name}: the weights of the {what} are incomplete, {len(missing)} missing: "
            f"{choices(missing, 5)}. Random numbers will not be put in their place; "
            "download the checkpoint again"
        )
    wrong = [
        f"{key} is {tuple(stored)}, but the configuration asks for {tuple(wanted)}"
        for key, stored, wanted in sorted(report["mismatched_keys"])
    ]
    if wrong:
        raise ModelError(
            f"{checkpoint.name}: {len(wrong)} weights of the {what} do not fit its config.json: "
            f"{choices(wrong, 3)}"
        )


def _read(
    checkpoint: Checkpoint, files: Sequence[Path], rename: Rename, what: str
) -> "dict[str, torch.Tensor]":
    """The wanted tensors under the encoder's names."""
    try:
        stored = [_Weights(path) for path in files]
    except ModelError:
        raise
    except Exception as error:  # safetensors and pickle each raise their own kinds
        raise ModelError(
            f"{checkpoint.name}: the weights cannot be read, so the download is incomplete or "
            f"damaged: {error}"
        ) from error
    names = rename([name for file in stored for name in file.names])
    if not names:
        known = sorted({name.split(".")[0] for file in stored for name in file.names})
        raise ModelError(
            f"{checkpoint.name} has no {what}: none of its weights belongs to one "
            f"(they begin with {choices(known)})"
        )
    return {names[n]: file.read(n) for file in stored for n in file.names if n in names}


class _Weights:
    """One file with tensors, read one at a time."""

    def __init__(self, path: Path) -> None:
        if path.suffix == ".safetensors":
            from safetensors import safe_open

            file = safe_open(path, framework="pt")
            self.names, self.read = list(file.keys()), file.get_tensor
        else:
            tensors = tensors_in(path)
            self.names, self.read = list(tensors), tensors.__getitem__


def below(
    *prefixes: str, probe: str, embeddings: Mapping[str, Sequence[str]] | None = None
) -> Rename:
    """Make a :data:`Rename` for an encoder that sits below a prefix of a larger model.

    Args:
        prefixes: Where it can sit, tried in this order; ``""`` if it may be a model of its own.
        probe: Start of a name below the right prefix.
        embeddings: Encoder's name of a tensor -> names that a whole model stores it under, in
            order of preference, since a tied tensor is stored once.
    """

    def rename(names: Sequence[str]) -> dict[str, str]:
        for prefix in prefixes:
            if any(name.startswith(prefix + probe) for name in names):
                break
        else:
            return {}
        wanted = {n: n.removeprefix(prefix) for n in names if n.startswith(prefix)}
        for target, sources in (embeddings or {}).items():
            if target not in wanted.values():
                tied = [name for name in sources if name in names]
                wanted.update(dict.fromkeys(tied[:1], target))
        return wanted

    return rename
