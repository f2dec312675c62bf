"""Small random checkpoints of every architecture, saved as transformers saves them."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from isogloss.languages import language

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from isogloss.models._weights import model_class, quiet  # noqa: E402

TEXTS = {
    "deu": [
        "Alle Menschen sind frei und gleich an Würde und Rechten geboren.",
        "Sie sind mit Vernunft begabt.",
        "Jeder hat das Recht auf Leben, Freiheit und Sicherheit der Person, überall und immer.",
    ],
    "eng": ["All human beings are born free and equal in dignity and rights.", "Hello!"],
}
FRAMES = "wav2vec2.feature_extraction_wav2vec2:Wav2Vec2FeatureExtractor"
MELS = "whisper.feature_extraction_whisper:WhisperFeatureExtractor"
BANKS = "seamless_m4t.feature_extraction_seamless_m4t:SeamlessM4TFeatureExtractor"


def tokeniser_json(folder: Path, *, around: tuple[str, str] | None, extra: list[str]) -> int:
    """Train a small BPE and save it as tokenizer.json; returns the vocabulary's size."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

    tokeniser = Tokenizer(models.BPE(unk_token="<unk>"))
    tokeniser.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>", *extra]
    trainer = trainers.BpeTrainer(vocab_size=200, special_tokens=special, show_progress=False)
    tokeniser.train_from_iterator([t for texts in TEXTS.values() for t in texts], trainer)
    if around:
        ids = [(token, tokeniser.token_to_id(token)) for token in around]
        tokeniser.post_processor = processors.TemplateProcessing(
            single=f"{around[0]} $A {around[1]}", special_tokens=ids
        )
    folder.mkdir(parents=True, exist_ok=True)
    tokeniser.save(str(folder / "tokenizer.json"))
    return tokeniser.get_vocab_size()


def save(folder: Path, path: str, config: dict[str, Any], **options: Any) -> Path:
    """Build a model with random weights and save it."""
    torch.manual_seed(0)
    cls = model_class(path)
    with quiet():
        model = cls(cls.config_class(**config)).to(options.pop("dtype", torch.float32))
        for name, value in model.named_parameters():  # norms that a test cannot miss
            if "norm" in name.lower() and value.dim() == 1:
                value.data += 0.3 * torch.randn_like(value)
        model.save_pretrained(folder, **options)
    return folder


def extractor(folder: Path, path: str, **config: Any) -> None:
    model_class(path)(**config).save_pretrained(folder)


def make_bert(
    folder: Path, kind: str = "bert", name: str = "BertForMaskedLM", **options: Any
) -> Path:
    size = tokeniser_json(folder, around=("<s>", "</s>"), extra=[])
    pad = 0 if kind == "bert" else 1
    config = {"vocab_size": size, "hidden_size": 32, "num_hidden_layers": 3}
    config |= {"num_attention_heads": 4, "intermediate_size": 64, "pad_token_id": pad}
    config |= {"max_position_embeddings": 64, **options.pop("config", {})}
    return save(folder, f"{kind}.modeling_{kind}:{name}", config, **options)


def make_distilbert(folder: Path, **options: Any) -> Path:
    size = tokeniser_json(folder, around=("<s>", "</s>"), extra=[])
    config = {"vocab_size": size, "dim": 32, "n_layers": 3, "n_heads": 4, "hidden_dim": 64}
    path = "distilbert.modeling_distilbert:DistilBertForMaskedLM"
    return save(folder, path, {**config, "max_position_embeddings": 64}, **options)


def make_t5(folder: Path, **options: Any) -> Path:
    size = tokeniser_json(folder, around=None, extra=[])
    config = {"vocab_size": size, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 3}
    config |= {"num_decoder_layers": 1, "num_heads": 4, "pad_token_id": 1}
    return save(folder, "t5.modeling_t5:T5ForConditionalGeneration", config, **options)


def make_nllb(folder: Path, **options: Any) -> Path:
    size = tokeniser_json(folder, around=None, extra=["eng_Latn", "deu_Latn"])
    config = {"vocab_size": size + 3, "d_model": 32, "encoder_layers": 3, "decoder_layers": 1}
    config |= {"encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 64}
    config |= {"decoder_ffn_dim": 32, "max_position_embeddings": 64, **options.pop("config", {})}
    path = "m2m_100.modeling_m2m_100:M2M100ForConditionalGeneration"
    return save(folder, path, config, **options)


def make_whisper(folder: Path, **options: Any) -> Path:
    extractor(folder, MELS, feature_size=20, chunk_length=3)
    config = {"vocab_size": 60, "num_mel_bins": 20, "d_model": 32, "encoder_layers": 3}
    config |= {"decoder_layers": 1, "encoder_attention_heads": 4, "decoder_attention_heads": 4}
    config |= {"encoder_ffn_dim": 64, "decoder_ffn_dim": 32, "max_source_positions": 150}
    config |= {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}
    path = "whisper.modeling_whisper:WhisperForConditionalGeneration"
    return save(folder, path, config, **options)


def make_wave(
    folder: Path,
    kind: str = "wav2vec2",
    name: str = "Wav2Vec2ForCTC",
    *,
    layer: bool = True,
    **options: Any,
) -> Path:
    extractor(folder, FRAMES, do_normalize=True, return_attention_mask=layer)
    config = {"vocab_size": 20, "hidden_size": 32, "num_hidden_layers": 3, "intermediate_size": 64}
    config |= {"num_attention_heads": 4, "conv_dim": (16, 16, 16), "conv_kernel": (10, 8, 4)}
    config |= {"conv_stride": (10, 8, 4), "num_conv_pos_embeddings": 16, "conv_bias": layer}
    config |= {"num_conv_pos_embedding_groups": 4, "do_stable_layer_norm": layer}
    config |= {"feat_extract_norm": "layer" if layer else "group", **options.pop("config", {})}
    return save(folder, f"{kind}.modeling_{kind}:{name}", config, **options)


def make_w2vbert(folder: Path, **options: Any) -> Path:
    extractor(folder, BANKS)
    config = {"vocab_size": 20, "hidden_size": 32, "num_hidden_layers": 3, "intermediate_size": 64}
    config |= {"num_attention_heads": 4, "conv_depthwise_kernel_size": 7, "add_adapter": True}
    path = "wav2vec2_bert.modeling_wav2vec2_bert:Wav2Vec2BertForCTC"
    return save(folder, path, config, **options)


MAKERS: dict[str, Callable[..., Path]] = {
    "bert": make_bert,
    "xlm-roberta": lambda f, **o: make_bert(f, "xlm_roberta", "XLMRobertaForMaskedLM", **o),
    "mpnet": lambda f, **o: make_bert(f, "mpnet", "MPNetForMaskedLM", **o),
    "distilbert": make_distilbert,
    "t5": make_t5,
    "nllb": make_nllb,
    "whisper": make_whisper,
    "wav2vec2": make_wave,
    "wav2vec2-group": lambda f, **o: make_wave(f, layer=False, **o),
    "hubert": lambda f, **o: make_wave(f, "hubert", "HubertForCTC", **o),
    "hubert-group": lambda f, **o: make_wave(f, "hubert", "HubertForCTC", layer=False, **o),
    "wavlm": lambda f, **o: make_wave(f, "wavlm", "WavLMForCTC", **o),
    "w2v-bert": make_w2vbert,
}


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folder of a small checkpoint by kind, built once. Tests must not change it."""
    root = tmp_path_factory.mktemp("checkpoints")

    def get(kind: str) -> Path:
        folder = root / kind
        return folder if folder.exists() else MAKERS[kind](folder)

    return get


@pytest.fixture
def makers() -> SimpleNamespace:
    """The functions themselves, for checkpoints that a test wants to differ or to damage."""
    return SimpleNamespace(by_kind=MAKERS, texts=TEXTS, save=save, nllb=make_nllb, wave=make_wave)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The untrained SeamlessM4T checkpoint of the demo. Tests must not change it."""
    from isogloss.models._tiny import tiny_seamless

    return tiny_seamless(tmp_path_factory.mktemp("tiny") / "seamless")


def sound(seconds: float, seed: int = 0) -> np.ndarray:
    """Noise with a moving tone: nothing periodic, nothing silent."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * 16_000)) / 16_000
    tone = np.sin(2 * np.pi * (200 + 90 * time * (seed + 1)) * time)
    return (0.1 * tone + 0.05 * rng.standard_normal(len(time))).astype(np.float32)


@pytest.fixture(scope="session")
def sounds() -> Callable[..., np.ndarray]:
    return sound


def relative(found: np.ndarray, wanted: np.ndarray) -> float:
    """Largest relative L2 difference of rows."""
    found, wanted = np.atleast_2d(found), np.atleast_2d(wanted)
    gap = np.linalg.norm(found - wanted, axis=1)
    return float((gap / np.linalg.norm(wanted, axis=1)).max())


@pytest.fixture(scope="session")
def gap() -> Callable[[np.ndarray, np.ndarray], float]:
    return relative


@pytest.fixture
def german() -> Any:
    return language("deu")
