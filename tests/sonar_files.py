"""Small SONAR checkpoints, written in the layouts of the released files from golden weights."""

import json
import re
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import torch
from safetensors.torch import load_file

from isogloss.models.sonar import Sonar

GOLDEN = Path(__file__).parent / "golden" / "sonar.safetensors"
"""Made by the official code: small random weights, inputs, and the value at every tap."""
LENGTHS = json.loads(GOLDEN.with_suffix(".json").read_text())
CONFIG = {
    "encoder_layers": 3,
    "d_model": 32,
    "encoder_attention_heads": 4,
    "speech_encoder_layers": 3,
    "hidden_size": 32,
    "speech_encoder_attention_heads": 4,
    "pooler_attention_heads": 4,
}
FILES = {"deu": "spenc.v3ap.deu.pt", "eng": "spenc.eng.pt", "ben": "spenc.v5ap.ben.pt"}
PIECES = 130
LANGUAGES = 202

_W2V = "encoder.w2v_model."
_SPEECH_TO_FAIRSEQ = (
    (r"^encoder_frontend\.post_extract_layer_norm\.", f"{_W2V}layer_norm."),
    (r"^encoder_frontend\.model_dim_proj\.", f"{_W2V}post_extract_proj."),
    (r"^layer_norm\.", f"{_W2V}encoder.layer_norm."),
    (r"^encoder\.layers\.(\d+)\.layer_norm\.", rf"{_W2V}encoder.layers.\1.final_layer_norm."),
    (r"^encoder\.layers\.(\d+)\.conv_layer_norm\.", r"encoder.layers.\1.conv.layer_norm."),
    (r"^encoder\.layers\.(\d+)\.ffn(.)_layer_norm\.", r"encoder.layers.\1.ffn\2.layer_norm."),
    (r"^encoder\.layers\.(\d+)\.", rf"{_W2V}encoder.layers.\1."),
    (r"\.conv\.", ".conv_module."),
    (r"\.(ffn.)\.inner_proj\.", r".\1.w_1."),
    (r"\.(ffn.)\.output_proj\.", r".\1.w_2."),
    (r"(w2v_model.*\.self_attn)\.([qkv])_proj\.", r"\1.linear_\2."),
    (r"(w2v_model.*\.self_attn)\.output_proj\.", r"\1.linear_out."),
    (r"\.sdpa\.r_proj\.", ".linear_pos."),
    (r"\.sdpa\.([uv])_bias$", r".pos_bias_\1"),
    (r"^encoder_pooler\.decoder_frontend\.embed\.", "decoder.embed_tokens."),
    (r"^encoder_pooler\.projection_out\.weight$", "decoder.embed_out"),
    (r"^encoder_pooler\.", ""),
    (r"\.encoder_decoder_attn", ".encoder_attn"),
    (r"\.output_proj\.", ".out_proj."),
    (r"\.ffn\.inner_proj\.", ".fc1."),
    (r"\.ffn\.out_proj\.", ".fc2."),
    (r"\.ffn_layer_norm\.", ".final_layer_norm."),
)
_TEXT_TO_FAIRSEQ = (
    (r"^encoder_frontend\.embed\.", "embed_tokens."),
    (r"^encoder\.layers\.", "layers."),
    (r"\.ffn\.inner_proj\.", ".fc1."),
    (r"\.ffn\.output_proj\.", ".fc2."),
    (r"\.output_proj\.", ".out_proj."),
    (r"\.ffn_layer_norm\.", ".final_layer_norm."),
)


@cache
def golden():
    return load_file(GOLDEN)


def inputs(name):
    """Golden values below a name."""
    return SimpleNamespace(**{
        key.removeprefix(f"{name}/"): value
        for key, value in golden().items()
        if key.startswith(f"{name}/") and "/" not in key.removeprefix(f"{name}/")
    })  # fmt: skip


def state(modality):
    """Golden weights under fairseq2's names, with a vocabulary for all languages."""
    start = f"{modality}/state/"
    found = {k.removeprefix(start): v for k, v in golden().items() if k.startswith(start)}
    if modality == "text":
        known = found["encoder_frontend.embed.weight"]
        torch.manual_seed(1)
        rest = torch.randn(PIECES + LANGUAGES + 4 - len(known), known.shape[1]) / 6
        found["encoder_frontend.embed.weight"] = torch.cat([known, rest])
    return found


def as_fairseq(modality):
    """The same weights as fairseq stored them, with what it stored beside them."""
    found, table = {}, _SPEECH_TO_FAIRSEQ if modality == "speech" else _TEXT_TO_FAIRSEQ
    for name, tensor in state(modality).items():
        for pattern, replacement in table:
            name = re.sub(pattern, replacement, name)
        found[name] = tensor
    if modality == "speech":
        found[f"{_W2V}mask_emb"] = torch.ones(32)
        for end in ("bias", "weight_g", "weight_v"):
            found[f"{_W2V}encoder.pos_conv.0.{end}"] = torch.ones(2)
        found["decoder.version"] = torch.tensor([3.0])
        found["decoder.embed_positions._float_tensor"] = torch.zeros(1)
        return found
    embeddings = found["embed_tokens.weight"]
    # <pad> <unk> <s> </s> become <s> <pad> </s> <unk>.
    order = torch.cat([torch.tensor([2, 0, 3, 1]), torch.arange(4, len(embeddings))])
    more = {"version": torch.tensor([3.0]), "embed_positions._float_tensor": torch.zeros(1)}
    return {**found, "embed_tokens.weight": embeddings[order], **more}


def write_tokeniser(path, pieces=PIECES):
    from sentencepiece import SentencePieceTrainer

    texts = ["Alle Menschen sind frei und gleich an Würde und Rechten geboren."] * 3
    texts += ["All human beings are born free and equal in dignity and rights.", "Ja!"] * 3
    SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_prefix=str(path.with_suffix("")),
        vocab_size=pieces,
        model_type="bpe",
        hard_vocab_limit=True,
        minloglevel=2,
    )


def write(folder, layout="fairseq2", languages=("deu", "eng")):
    """Write text encoder, tokeniser, and speech encoders, all but the first with another bias."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    write_tokeniser(folder / "sentencepiece.source.256000.model")
    beside = {"optimizer": {"state": {0: {"step": 3}}}, "epoch": 2}
    make, key = (state, "model") if layout == "fairseq2" else (as_fairseq, "state_dict")
    torch.save({key: make("text"), **beside}, folder / "sonar_text_encoder.pt")
    for shift, code in enumerate(languages):
        weights = make("speech")
        name = next(n for n in weights if re.search(r"(model_dim|post_extract)_proj\.bias$", n))
        weights[name] = weights[name] + shift * torch.linspace(-1, 1, len(weights[name]))
        torch.save({"model": weights, **beside}, folder / FILES[code])
    return folder


def sonar(folder, **settings):
    return Sonar(text=str(folder), speech=str(folder), **settings)
