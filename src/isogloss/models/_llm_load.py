"""Load an audio LLM without its output head, whole or not at all; and its speech-only LoRA.

Imports torch when called.
"""

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isogloss.errors import ModelError, choices
from isogloss.models._checkpoint import Checkpoint
from isogloss.models._files import read_json, weight_files
from isogloss.models._headers import read_header
from isogloss.models._llm_families import Family
from isogloss.models._weights import quiet, refuse_layers_beyond

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

_NOWHERE = "no-adapter"
ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_INNER = ("base_model.model.", "model.", "language_model.model.", "language_model.")
"""What stands before a module's name in a LoRA, outermost first."""
_PLAIN: dict[str, Any] = {
    "use_dora": False,
    "fan_in_fan_out": False,
    "bias": "none",
    "rank_pattern": {},
    "alpha_pattern": {},
    "modules_to_save": None,
}


def load_llm(
    checkpoint: Checkpoint,
    model: Any,
    *,
    without: Mapping[str, Any],
    dtype: str,
    device: "torch.device",
) -> Any:
    """Build a model and fill it with a checkpoint's weights.

    transformers itself reads the files, since it knows under which names each family was released
    and how the experts of a mixture are put together.

    Args:
        checkpoint: Where the configuration and the weights are.
        model: The model's class.
        without: Values that replace those of the configuration, to leave out parts. The tensors
            of those parts are not read.
        dtype: Precision that the weights are turned into, whatever they were stored in.
        device: Where it goes.

    Raises:
        ModelError: A weight is missing, has another shape, or cannot be read.
    """
    import torch

    folder = checkpoint.folder()
    for file in weight_files(folder):
        if file.suffix != ".safetensors":
            read_header(file)  # transformers would take any time and memory that it asks for
    with quiet():
        try:
            config = copy.deepcopy(model.config_class.from_pretrained(str(folder)))
            for path, value in without.items():
                _replace(config, path, value)
            module, report = model.from_pretrained(
                str(folder),
                config=config,
                dtype=getattr(torch, dtype),
                ignore_mismatched_sizes=True,  # so that they are reported here, by name
                output_loading_info=True,
                # Where peft is installed, a LoRA beside the weights would be put in, and on.
                adapter_kwargs={"subfolder": _NOWHERE},
            )
        except Exception as error:  # safetensors, pickle and transformers each raise their own
            raise ModelError(
                f"{checkpoint.name} cannot be loaded as {model.__name__}: {_first_line(error)}"
            ) from error
    _check(report, checkpoint, model.__name__)
    refuse_layers_beyond(module, report["unexpected_keys"], checkpoint.name)
    return module.eval().requires_grad_(False).to(device)


def _replace(config: Any, path: str, value: Any) -> None:
    *sections, key = path.split(".")
    for section in sections:
        config = getattr(config, section, None)
    if config is not None and hasattr(config, key):
        setattr(config, key, value)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _check(report: Mapping[str, Any], checkpoint: Checkpoint, what: str) -> None:
    missing = sorted(report["missing_keys"])
    if missing:
        raise ModelError(
            f"{checkpoint.name}: the weights of {what} are incomplete, {len(missing)} missing: "
            f"{choices(missing, 5)}. Random numbers will not be put in their place; "
            "download the checkpoint again"
        )
    wrong = [
        f"{key} is {tuple(stored)}, but the configuration asks for {tuple(wanted)}"
        for key, stored, wanted in sorted(report["mismatched_keys"])
    ]
    if wrong:
        raise ModelError(
            f"{checkpoint.name}: {len(wrong)} weights of {what} do not fit its config.json: "
            f"{choices(wrong, 3)}"
        )
    errors = [str(e) for e in report.get("error_msgs") or ()]
    if errors:
        raise ModelError(f"{checkpoint.name}: {what} cannot be loaded: {choices(errors, 2)}")


def lora_files(family: Family, checkpoint: Checkpoint) -> tuple[Path, Path] | None:
    """The two files of a family's speech-only LoRA; None if the checkpoint has none."""
    if family.lora is None:
        return None
    folder = f"{family.lora}/" if family.lora else ""
    found = [checkpoint.file(folder + name) for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS)]
    config, weights = found
    return (config, weights) if config and weights else None


class Lora:
    """Low-rank additions to linear modules of a decoder, which can be on or off.

    W x + (alpha / r) · B A x (Hu et al., 2021, arXiv:2106.09685, equation 3). Nothing is merged
    into the weights, so that text can be read without and speech with it from one copy.

    Args:
        decoder: The decoder that the LoRA was trained for.
        config: ``adapter_config.json``, as peft writes it.
        weights: ``adapter_model.safetensors`` beside it.
        name: What messages call the checkpoint.

    Raises:
        ModelError: A tensor fits no module, a module lacks its other half, or the LoRA is of a
            kind that is more than this.
    """

    def __init__(self, decoder: "nn.Module", config: Path, weights: Path, name: str) -> None:
        self.on = False
        said = read_json(config)
        odd = [k for k, plain in _PLAIN.items() if said.get(k) not in (None, plain)]
        rank, alpha = said.get("r"), said.get("lora_alpha")
        if odd or not isinstance(rank, int) or rank < 1 or not isinstance(alpha, (int, float)):
            raise ModelError(
                f"{name}: {config.name} describes a LoRA that is more than W + (alpha / r) B A: "
                f"{choices(odd or ['r', 'lora_alpha'])}"
            )
        self._scale = alpha / rank**0.5 if said.get("use_rslora") else alpha / rank
        halves = self._read(weights, name)
        modules = dict(decoder.named_modules())
        strange = sorted(path for path in halves if path not in modules)
        broken = sorted(path for path, found in halves.items() if set(found) != {"A", "B"})
        if strange or broken or not halves:
            raise ModelError(
                f"{name}: {weights.name} does not fit the decoder; "
                + (f"no such modules: {choices(strange, 3)}" if strange else "")
                + (f"only half of {choices(broken, 3)}" if broken and not strange else "")
                + ("it is empty" if not halves else "")
            )
        for path, found in halves.items():
            self._add(modules[path], found["A"], found["B"], f"{name}: LoRA of {path}")
        self.modules = tuple(halves)

    @staticmethod
    def _read(weights: Path, name: str) -> "dict[str, dict[str, Tensor]]":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            tensors = load_file(weights)
        except (OSError, SafetensorError) as error:
            raise ModelError(f"{name}: {weights.name} cannot be read: {error}") from error
        halves: dict[str, dict[str, Tensor]] = {}
        for key, tensor in tensors.items():
            path, found, rest = key.partition(".lora_")
            if not found or rest.removesuffix(".weight")[:1] not in ("A", "B"):
                raise ModelError(f"{name}: {weights.name} holds {key}, which is no part of a LoRA")
            for prefix in _INNER:
                path = path.removeprefix(prefix)
            halves.setdefault(path, {})[rest[0]] = tensor
        return halves

    def _add(self, module: "nn.Module", a: "Tensor", b: "Tensor", what: str) -> None:
        import torch

        weight = module.weight
        if not isinstance(weight, torch.Tensor) or (b.shape[0], a.shape[1]) != tuple(weight.shape):
            raise ModelError(
                f"{what} is {tuple(b.shape)} × {tuple(a.shape)}, which does not fit its module"
            )
        a, b = (half.to(weight.device, weight.dtype) for half in (a, b))

        def add(_: "nn.Module", given: "tuple[Tensor, ...]", output: "Tensor") -> "Tensor":
            if not self.on:
                return output
            linear = torch.nn.functional.linear
            return output + self._scale * linear(linear(given[0], a), b)

        module.register_forward_hook(add)

    @contextmanager
    def switched(self, on: bool) -> Iterator[None]:
        """Switch it on or off while the block runs; off afterwards."""
        self.on = on
        try:
            yield
        finally:
            self.on = False
