"""Audio LLMs without a declaration: recognised by their configuration, read at the decoder only.

The model itself says how many audio tokens a recording makes, since nothing else does. Its tower
and projector are not read: which of their time steps are padding would be a guess.
"""

import inspect
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isogloss.corpora.base import SAMPLING_RATE
from isogloss.errors import ItemError, ModelError, choices
from isogloss.models._checkpoint import Checkpoint
from isogloss.models._llm_families import FAMILIES, Family
from isogloss.models._llm_sound import Hearing, Sounds, finite
from isogloss.models._tower import Samples
from isogloss.models._weights import quiet

_AUDIO = ("audio_config", "encoder_config", "speech_config")
_TOKENS = ("audio_token_id", "audio_token_index")
_REFUSED = {
    "gemma3n": "its decoder layers pass on four versions of every position at once (AltUp), of "
    "which none is the layer's output, and its vision part needs a further package (timm). Gemma 4 "
    "can be read",
}
_MASKS = ("input_features_mask", "feature_attention_mask", "audio_attention_mask")


def family_of(checkpoint: Checkpoint) -> tuple[Family, bool]:
    """The declaration of a checkpoint, and whether it is one; else what its configuration says.

    Raises:
        ModelError: It has none, and its configuration is not that of an audio LLM.
    """
    kind = checkpoint.model_type
    if kind in _REFUSED:
        raise ModelError(
            f'{checkpoint.name} is a "{kind}" model, which cannot be read: {_REFUSED[kind]}'
        )
    declared = FAMILIES.get(kind.removesuffix("_thinker"))
    if declared is not None:
        return declared, True
    config = checkpoint.config
    audio = next((key for key in _AUDIO if isinstance(config.get(key), dict)), None)
    token = next((key for key in _TOKENS if isinstance(config.get(key), int)), None)
    lacking = [
        what
        for what, found in (
            (f"a tower ({choices(_AUDIO)})", audio),
            ("a decoder (text_config)", config.get("text_config")),
            (f"an audio token ({choices(_TOKENS)})", token),
        )
        if not found
    ]
    if lacking or audio is None or token is None:
        raise ModelError(
            f'{checkpoint.name} is a "{kind}" model, which is none of the declared audio LLMs '
            f"({choices(FAMILIES, 20)}), and its config.json names no {' and no '.join(lacking)}. "
            f'Add a declaration for "{kind}" to FAMILIES in models/_llm_families.py'
        )
    return _undeclared(kind, audio, token), False


def _undeclared(kind: str, audio: str, token: str) -> Family:
    def unknown(frames: int, config: object) -> int:
        raise NotImplementedError("the model is asked instead")

    return Family(
        title=kind,
        model="",
        sound="whisper",
        steps=unknown,
        tokens=unknown,
        defaults=(0, 0, 0, 0),
        audio=audio,
        token=(token,),
        alone=True,
    )


def guess_class(checkpoint: Checkpoint) -> Any:
    """The class without an output head that transformers has for a checkpoint.

    Raises:
        ModelError: It knows no such model.
    """
    from transformers import AutoConfig, AutoModel

    try:
        with quiet():
            config = AutoConfig.from_pretrained(str(checkpoint.folder()), trust_remote_code=False)
            return AutoModel._model_mapping[type(config)]
    except (KeyError, ValueError, OSError) as error:
        raise ModelError(
            f'{checkpoint.name} is a "{checkpoint.model_type}" model, which this version of '
            "transformers does not know; code that comes with a checkpoint is never run"
        ) from error


def guess_decoder(model: Any, checkpoint: Checkpoint) -> str:
    """Path of the decoder.

    Raises:
        ModelError: There is none with layers and a final norm, or speech cannot be encoded alone.
    """
    decoder = model.get_decoder()
    paths = [path for path, module in model.named_modules() if module is decoder]
    lacking = [
        f"{name} in its decoder" for name in ("layers", "norm") if not hasattr(decoder, name)
    ]
    lacking += [] if paths else ["a decoder"]
    if not hasattr(model, "get_audio_features"):
        lacking.append("get_audio_features")
    elif further := _further(model.get_audio_features):
        lacking.append(f"get_audio_features that works without {choices(further)}")
    if lacking:
        raise ModelError(
            f"{checkpoint.name}: {type(model).__name__} lacks {' and '.join(lacking)}. Add a "
            f'declaration for "{checkpoint.model_type}" to FAMILIES in models/_llm_families.py'
        )
    return paths[0]


def _further(function: Any) -> list[str]:
    """What it must be given beside features and their mask."""
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind in named
        and parameter.default is inspect.Parameter.empty
        and name not in ("input_features", *_MASKS)
    ]


class GuessedHearing(Hearing):
    """Features by the checkpoint's own extractor; the model counts the tokens.

    Args:
        model: The model.
        checkpoint: Its files.

    Raises:
        ModelError: The feature extractor cannot be made.
    """

    def __init__(self, model: Any, checkpoint: Checkpoint) -> None:
        from transformers import AutoFeatureExtractor

        self._model, self._name = model, checkpoint.name
        self._lock = threading.Lock()
        try:
            with quiet():
                self._extractor: Any = AutoFeatureExtractor.from_pretrained(
                    str(checkpoint.folder()), trust_remote_code=False
                )
        except Exception as error:  # each extractor raises its own
            raise ModelError(
                f"{checkpoint.name}: its feature extractor cannot be made: {error}"
            ) from error
        taken = inspect.signature(model.forward).parameters
        self._mask = next((name for name in _MASKS if name in taken), None)
        self._taken = frozenset(taken)
        self._counted = frozenset(inspect.signature(model.get_audio_features).parameters)

    def __call__(self, samples: Samples) -> Sounds:
        """Make the features, and ask the model for the number of tokens."""
        import torch

        samples = finite(samples)
        longest = getattr(self._extractor, "n_samples", None)
        if len(samples) < SAMPLING_RATE // 10 or (longest and len(samples) > longest):
            allowed = "0.1 s or more" if not longest else f"0.1 to {longest / SAMPLING_RATE:.0f} s"
            raise ItemError(
                f"the recording lasts {len(samples) / SAMPLING_RATE:.2f} s, and the model hears "
                f"{allowed}"
            )
        made = self._extractor(
            samples, sampling_rate=SAMPLING_RATE, return_tensors="pt", return_attention_mask=True
        )
        values = {k: v.numpy() for k, v in made.items() if isinstance(v, torch.Tensor)}
        if self._mask is not None and "attention_mask" in values:
            values[self._mask] = values.pop("attention_mask")
        values = {k: v for k, v in values.items() if k in self._taken and k != "attention_mask"}
        first = next(self._model.parameters())
        given = {
            k: torch.from_numpy(v).to(first.device, first.dtype if v.dtype.kind == "f" else None)
            for k, v in values.items()
            if k in self._counted
        }
        # One at a time, or threads that prepare inputs would fill the memory of a GPU.
        with self._lock, torch.inference_mode():
            found = self._model.get_audio_features(**given, return_dict=True).pooler_output
        count = len(found) if found.dim() == 2 else found.shape[0] * found.shape[1]
        return Sounds(values, count, count, count, count)

    def inputs(self, batch: Sequence[Sounds]) -> dict[str, NDArray[Any]]:
        """Those of the only recording."""
        (sounds,) = batch
        return sounds.given

    def masks(self, batch: Sequence[Sounds]) -> dict[str, NDArray[np.bool_]]:
        """None: neither tower nor projector is read."""
        return {}
