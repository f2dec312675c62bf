"""Put an audio LLM together: weights, feature extractor, tokeniser, prompts, LoRA."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from isogloss.errors import ModelError
from isogloss.models._checkpoint import Checkpoint
from isogloss.models._llm_families import AUDIO, TEXT, Family, TokenId
from isogloss.models._llm_guess import GuessedHearing, guess_class, guess_decoder
from isogloss.models._llm_load import ADAPTER_CONFIG, ADAPTER_WEIGHTS, Lora, load_llm, lora_files
from isogloss.models._llm_sound import DeclaredHearing, Hearing
from isogloss.models._llm_tekken import TEKKEN, Tekken
from isogloss.models._llm_towers import Parts, Prompt, tap_specs
from isogloss.models._tokens import Tokeniser, load_tokeniser
from isogloss.models._weights import model_class

if TYPE_CHECKING:
    import torch

    from isogloss.models.speech_llm import SpeechLlm


def build(
    settings: "SpeechLlm",
    checkpoint: Checkpoint,
    family: Family,
    *,
    declared: bool,
    device: "torch.device",
) -> Parts:
    """Load everything that both towers share.

    Raises:
        ModelError: A file is missing or does not fit the others.
    """
    kind = model_class(family.model) if declared else guess_class(checkpoint)
    # First what is small, so that what is missing shows before gigabytes are read.
    tokeniser = _tokeniser(checkpoint)
    audio = _around(settings.prompt, family, checkpoint, tokeniser)
    hearing: Hearing | None = None
    if declared:
        config, everything = family.config(checkpoint), settings.pool == "all"
        hearing = DeclaredHearing(family, checkpoint, config, pool_all=everything)
    files = None if settings.lora == "never" else _lora_files(family, checkpoint)
    model = load_llm(checkpoint, kind, without=family.without, dtype=settings.dtype, device=device)
    if not declared:
        family = replace(family, decoder=guess_decoder(model, checkpoint))
    decoder = model.get_submodule(family.decoder)
    decoder.config.use_cache = False
    before, _, after = settings.text_prompt.partition(TEXT)
    prompt = Prompt(
        tokeniser,
        audio=audio,
        token=family.audio_token(checkpoint),
        text=(before, after),
        limit=getattr(decoder.config, "max_position_embeddings", None),
        vocabulary=model.get_input_embeddings().weight.shape[0],
        name=checkpoint.name,
    )
    heard, _, layers, _ = family.sizes_of(checkpoint)
    return Parts(
        model=model,
        specs=tap_specs(family, (heard, layers), normed=settings.last_layer == "normed"),
        hearing=hearing or GuessedHearing(model, checkpoint),
        prompt=prompt,
        pad=getattr(decoder.config, "pad_token_id", None) or 0,
        lora=None if files is None else Lora(decoder, *files, name=checkpoint.name),
    )


def _tokeniser(checkpoint: Checkpoint) -> Tokeniser:
    tekken = checkpoint.file(TEKKEN)
    if tekken is not None and checkpoint.file("tokenizer.json") is None:
        return Tekken(tekken)
    return load_tokeniser(checkpoint.folder())


def _lora_files(family: Family, checkpoint: Checkpoint) -> tuple[Path, Path] | None:
    files = lora_files(family, checkpoint)
    if files is not None or family.lora is None:
        return files
    if checkpoint.config.get("has_lora_adapter", True):
        folder = f"{family.lora}/" if family.lora else ""
        raise ModelError(
            f"{checkpoint.name} has no {folder}{ADAPTER_CONFIG} and {ADAPTER_WEIGHTS}, the "
            f"LoRA that {family.title} hears speech with; download them, or set lora: never"
        )
    return None


def _around(
    prompt: str, family: Family, checkpoint: Checkpoint, tokeniser: Tokeniser
) -> tuple[list[int], list[int]]:
    """Ids before and after a recording."""
    if prompt:
        before, _, after = prompt.partition(AUDIO)
        first, last = (tokeniser.pieces(p) if p else [] for p in (before, after))
    else:
        first, last = (_id(token, family, checkpoint, tokeniser) for token in family.around)
    return first, last


def _id(
    token: str | TokenId, family: Family, checkpoint: Checkpoint, tokeniser: Tokeniser
) -> list[int]:
    if not token:
        return []
    if isinstance(token, TokenId):
        return [family.config(checkpoint).integer(token.keys, token.default)]
    found = tokeniser.id(token)
    if found is None:
        raise ModelError(
            f"{checkpoint.name}: its tokeniser lacks {token}, which opens or closes a recording "
            f'for {family.title}; write the prompt out as prompt: "...{AUDIO}..."'
        )
    return [found]
