"""The four official files of SALMONN, small, in the layouts that they were released in."""

import io
import json
from functools import cache
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file

from isogloss.models._weights import quiet

GOLDEN = Path(__file__).parent / "golden" / "salmonn.safetensors"
"""Made by the official code: small random weights, inputs, and the values that it gave."""
LAYERS, WIDTH, RANK, ALPHA = 4, 128, 8, 32
"""Of the small Vicuna and its low-rank updates."""
NAMES = ["in", *map(str, range(1, LAYERS + 1))]
TEXTS = [
    "All human beings are born free and equal in dignity and rights.",
    "Hello!",
    "អ្នក and 漢字 are spelt in bytes.",
]
_CORPUS = [*TEXTS[:2], "USER: <Speech> </Speech> ASSISTANT: everyone has the right to life.", "rig"]
_BIAS = "self_attn.relative_attention_bias.weight"


@cache
def golden():
    return load_file(GOLDEN)


def below(prefix):
    return {k.removeprefix(prefix): v for k, v in golden().items() if k.startswith(prefix)}


def released_beats():
    """The original shares one table between layers, so a saved state names it in each."""
    stored = json.loads(GOLDEN.with_suffix(".json").read_text(encoding="utf-8"))
    cfg = {k.removeprefix("cfg/"): v for k, v in stored.items() if k.startswith("cfg/")}
    model = below("beats/")
    for i in range(1, cfg["encoder_layers"]):
        model[f"encoder.layers.{i}.{_BIAS}"] = model[f"encoder.layers.0.{_BIAS}"]
    return {"cfg": cfg, "model": model}


def write_all(root):
    """Write the four and return where they are, as settings."""
    write_whisper(root / "whisper")
    write_vicuna(root / "vicuna")
    torch.save(released_beats(), root / "BEATs_iter3.pt")
    torch.save(released_checkpoint(), root / "salmonn_7b_v0.pth")
    return {
        "whisper": str(root / "whisper"),
        "vicuna": str(root / "vicuna"),
        "beats": str(root / "BEATs_iter3.pt"),
        "checkpoint": str(root / "salmonn_7b_v0.pth"),
    }


def write_vicuna(folder):
    """A small Llama with the tokeniser in the form of the released one."""
    from sentencepiece import SentencePieceTrainer

    model = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(_CORPUS * 4),
        model_writer=model,
        model_type="bpe",
        vocab_size=340,
        character_coverage=1.0,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        num_threads=1,
        minloglevel=2,
    )
    llama = transformers.LlamaConfig(
        vocab_size=340,
        hidden_size=WIDTH,
        intermediate_size=192,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        max_position_embeddings=256,
        pad_token_id=0,
    )
    torch.manual_seed(1)
    with quiet():
        whole = transformers.LlamaForCausalLM(llama)
        for name, value in whole.named_parameters():  # norms that a test cannot miss
            value.data = 1 + 0.3 * torch.randn_like(value) if "norm" in name else 4 * value.data
        whole.save_pretrained(folder)
    (folder / "tokenizer.model").write_bytes(model.getvalue())


def write_whisper(folder, width=64, mels=80):
    config = transformers.WhisperConfig(
        vocab_size=60,
        num_mel_bins=mels,
        d_model=width,
        encoder_layers=2,
        decoder_layers=1,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=96,
        decoder_ffn_dim=32,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
    )
    torch.manual_seed(2)
    with quiet():
        transformers.WhisperForConditionalGeneration(config).save_pretrained(folder)
        transformers.WhisperFeatureExtractor(feature_size=mels).save_pretrained(folder)


def released_checkpoint():
    """The golden weights as ``salmonn_7b_v0.pth`` has them: trained parts and optimiser state."""
    model = below("f/")
    rng = torch.Generator().manual_seed(3)
    for i in range(LAYERS):
        at = f"llama_model.base_model.model.model.layers.{i}.self_attn."
        model[f"{at}rotary_emb.inv_freq"] = torch.ones(16)
        for matrix in ("q_proj", "v_proj"):
            for factor, shape in (("A", (RANK, WIDTH)), ("B", (WIDTH, RANK))):
                drawn = 0.1 * torch.randn(shape, generator=rng)
                model[f"{at}{matrix}.lora_{factor}.default.weight"] = drawn
    parameter = torch.nn.Parameter(torch.zeros(3))
    optimizer = torch.optim.AdamW([parameter])
    parameter.sum().backward()
    optimizer.step()
    options = {"lora": True, "lora_rank": RANK, "lora_alpha": ALPHA, "lora_dropout": 0.1}
    options |= {"second_per_window": 0.333333, "second_stride": 0.333333}
    return {
        "model": model,
        "optimizer": optimizer.state_dict(),
        "config": {"model": options, "run": {"seed": 42}},
        "scaler": {"scale": 65536.0},
        "epoch": 7,
    }
