"""Checkpoints with random weights, of any size, in the layout of the released ones."""

import gzip
import json
import shutil
from importlib.resources import files

import numpy as np

BANKS = "seamless_m4t.feature_extraction_seamless_m4t:SeamlessM4TFeatureExtractor"
MELS = "whisper.feature_extraction_whisper:WhisperFeatureExtractor"
WHISPER_TOKENS = ("endoftext", "startoftranscript", "en", "translate", "transcribe", "notimestamps")


def seamless(folder, *, version, layers, width, ffn=None):
    """Both encoders of SeamlessM4T, without what follows them."""
    name = "SeamlessM4Tv2" if version == 2 else "SeamlessM4T"
    module = f"seamless_m4t{'_v2' if version == 2 else ''}"
    path = f"{module}.modeling_{module}:{name}"
    config = {
        "vocab_size": _seamless_files(folder), "hidden_size": width, "encoder_layers": layers,
        "speech_encoder_layers": layers, "encoder_ffn_dim": ffn or 8 * width,
        "encoder_attention_heads": width // 64 or 1, "speech_encoder_attention_heads": width // 64,
        "speech_encoder_intermediate_size": 4 * width, "max_position_embeddings": 4096,
    }  # fmt: skip
    parts = {"text_encoder.": f"{path}Encoder", "speech_encoder.": f"{path}SpeechEncoder"}
    ties = {"text_encoder.embed_tokens.weight": "shared.weight"}
    return _write(folder, config, parts, ties, module)


def whisper(folder, *, layers, width, seconds=10):
    """Encoder and decoder of Whisper, with a shorter window."""
    size = _bytes_tokeniser(folder, [f"<|{n}|>" for n in WHISPER_TOKENS])
    _class("whisper.feature_extraction_whisper:WhisperFeatureExtractor")(
        chunk_length=seconds
    ).save_pretrained(folder)
    config = {
        "vocab_size": size, "d_model": width, "encoder_layers": layers, "decoder_layers": layers,
        "encoder_attention_heads": width // 64, "decoder_attention_heads": width // 64,
        "encoder_ffn_dim": 4 * width, "decoder_ffn_dim": 4 * width, "pad_token_id": 256,
        "bos_token_id": 256, "eos_token_id": 256, "max_source_positions": 50 * seconds,
        "decoder_start_token_id": 257,
    }  # fmt: skip
    path = "whisper.modeling_whisper:Whisper"
    parts = {"model.encoder.": f"{path}Encoder", "model.decoder.": f"{path}Decoder"}
    return _write(folder, config, parts, {}, "whisper")


def qwen2_audio(folder, *, layers, width, decoder, vocabulary=32_000):
    """An audio LLM: Whisper's encoder with its window of 30 s, and a decoder with its head."""
    import torch

    from isogloss.models._weights import quiet

    special = ["<|endoftext|>", "<|AUDIO|>", "<|audio_bos|>", "<|audio_eos|>"]
    _byte_pairs(folder, special)
    _class(MELS)(feature_size=128).save_pretrained(folder)
    cls = _class("qwen2_audio.modeling_qwen2_audio:Qwen2AudioForConditionalGeneration")
    config = {
        "audio_config": {
            "model_type": "qwen2_audio_encoder", "d_model": width, "encoder_layers": layers,
            "encoder_attention_heads": width // 64, "encoder_ffn_dim": 4 * width,
            "num_mel_bins": 128, "max_source_positions": 1500,
        },
        "text_config": {
            "model_type": "qwen2", "hidden_size": decoder, "intermediate_size": 4 * decoder,
            "num_hidden_layers": layers, "num_attention_heads": decoder // 64,
            "num_key_value_heads": decoder // 64, "vocab_size": vocabulary,
            "max_position_embeddings": 4096,
        },
        "audio_token_index": 1,
    }  # fmt: skip
    torch.manual_seed(0)
    with quiet():
        cls(cls.config_class(**config)).save_pretrained(folder)
    return folder


def xlm_roberta(folder, *, layers, width):
    """A text encoder of the towers."""
    size = _bytes_tokeniser(folder, ["<s>", "<pad>", "</s>", "<unk>"])
    config = {
        "vocab_size": size, "hidden_size": width, "num_hidden_layers": layers, "pad_token_id": 257,
        "num_attention_heads": width // 64, "intermediate_size": 4 * width,
        "max_position_embeddings": 1100,
    }  # fmt: skip
    parts = {"roberta.": "xlm_roberta.modeling_xlm_roberta:XLMRobertaModel"}
    return _write(folder, config, parts, {}, "xlm-roberta", add_pooling_layer=False)


def wav2vec2(folder, *, layers, width):
    """A speech encoder of the towers, as XLS-R: norms come first."""
    _class("wav2vec2.feature_extraction_wav2vec2:Wav2Vec2FeatureExtractor")(
        return_attention_mask=True
    ).save_pretrained(folder)
    config = {
        "hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": width // 64,
        "intermediate_size": 4 * width, "do_stable_layer_norm": True, "conv_bias": True,
        "feat_extract_norm": "layer", "conv_dim": [width] * 7, "num_conv_pos_embeddings": 32,
    }  # fmt: skip
    return _write(folder, config, {"wav2vec2.": "wav2vec2.modeling_wav2vec2:Wav2Vec2Model"}, {},
                  "wav2vec2")  # fmt: skip


def sentences(count, *, shortest=60, longest=110):
    """English sentences of the Universal Declaration of Human Rights, by their length in bytes."""
    rows = gzip.decompress((files("isogloss") / "data" / "udhr.jsonl.gz").read_bytes()).splitlines()
    texts = [r["text"] for r in map(json.loads, rows) if r["lang"] == "eng"]
    return [t for t in texts if shortest <= len(t.encode()) <= longest][:count]


def sound(seconds, seed):
    """Noise with a moving tone, 16 kHz."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * 16_000)) / 16_000
    tone = np.sin(2 * np.pi * (150 + 60 * time * (seed % 7 + 1)) * time)
    return (0.1 * tone + 0.05 * rng.standard_normal(len(time))).astype(np.float32)


def _class(path):
    from isogloss.models._weights import model_class

    return model_class(path)


def _write(folder, config, parts, ties, kind, **arguments):
    import torch
    from safetensors.torch import save_file

    from isogloss.models._weights import quiet

    torch.manual_seed(0)  # what is kept of a module as it is built
    tensors, generator = {}, torch.Generator().manual_seed(0)
    for prefix, path in parts.items():
        cls = _class(path)
        with quiet():
            settings = cls.config_class(**config)
            module = cls(settings, **arguments)
        for name, value in module.state_dict().items():
            tensors[prefix + name] = _drawn(name, value, generator)
    for name, other in ties.items():
        tensors[other] = tensors.pop(name)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    written = {**settings.to_dict(), "model_type": kind}
    (folder / "config.json").write_text(json.dumps(written), encoding="utf-8")
    return folder


def _drawn(name, value, generator):
    """Matrices that keep the scale of what they multiply, so that every layer matters."""
    import torch

    if not value.is_floating_point() or "running" in name or "embed_positions" in name:
        return value.clone()
    noise = torch.randn(value.shape, generator=generator)
    if value.dim() < 2 or name.endswith(("original0", "weight_g")):
        gain = 0.1 if name.endswith("bias") else 1.0
        return 0.1 * noise if gain < 1 else value + 0.2 * noise * value.abs().mean()
    inputs = value.shape[1] if "embed" in name else value[0].numel()
    return noise / inputs**0.5


def _bytes_tokeniser(folder, special):
    """One token per byte; returns the number of ids."""
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokeniser = Tokenizer(models.BPE({c: i for i, c in enumerate(alphabet)}, []))
    tokeniser.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokeniser.add_special_tokens([AddedToken(t, special=True) for t in special])
    tokeniser.save(str(folder / "tokenizer.json"))
    return tokeniser.get_vocab_size()


def _byte_pairs(folder, special):
    """Byte pairs of English, about three bytes a token."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokeniser = Tokenizer(models.BPE())
    tokeniser.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=1000, special_tokens=special, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    tokeniser.train_from_iterator(sentences(1000, shortest=1, longest=10_000), trainer)
    tokeniser.save(str(folder / "tokenizer.json"))


def _seamless_files(folder):
    """The tokeniser and feature extractor of the tiny checkpoint; returns the number of ids."""
    from isogloss.models._tiny import cached_tiny_seamless

    tiny = cached_tiny_seamless()
    for name in ("sentencepiece.bpe.model", "added_tokens.json", "tokenizer_config.json",
                 "preprocessor_config.json"):  # fmt: skip
        shutil.copy(tiny / name, folder / name)
    return json.loads((tiny / "config.json").read_text(encoding="utf-8"))["vocab_size"]
