"""What the three models of the study cost for each sentence: counted, measured here, or assumed.

Counted: floating-point operations of the very modules that Isogloss runs, at their released sizes,
without weights (on the meta device). Measured on this machine: everything a processor does.
Assumed: what no machine here could tell; each is an entry of ASSUMED and can be given otherwise.
"""

import hashlib
import os
import tempfile
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

ASSUMED = {
    "seconds_of_speech": 12.0,  # mean of a recording of FLEURS
    "spread_of_speech": 0.35,  # standard deviation of its logarithm
    "sentences": 324,  # of a language in the test split: 33,018 over 102 languages
    "tokens_seamless": 40.0,  # mean of a sentence, language and end included
    "tokens_latin": 60.0,  # the same for Llama's tokeniser, Latin script
    "tokens_other": 150.0,  # other scripts, of which many fall back to bytes
    "tflops_single": 12.0,  # sustained in float32 without TF32; an A100 has 19.5 at most
    "tflops_half": 100.0,  # sustained in bfloat16; an A100 has 312 at most
    "cores": 8,  # for each GPU
    "read_worker": 1.0,  # GB/s that one worker reads from the file system
    "write_worker": 0.5,  # GB/s that one worker writes to it
    "read_all": 10.0,  # GB/s that it gives to all of them together
}


@dataclass(frozen=True)
class Model:
    """What a simulation needs to know of a model."""

    name: str
    half: bool
    bytes: dict
    """What is loaded for a modality, in bytes; "" for what both share."""
    own_encoder: bool
    """Whether each language has a speech encoder of its own."""
    values: dict
    """float32 values that are kept for a sentence, by modality."""
    features: tuple
    """Kinds of features that a recording is turned into."""
    places: int
    """Places at which two views are compared."""


MODELS = (
    Model(
        "SeamlessM4T v2 large", False, {"": 0, "text": 766e6 * 4, "speech": 635e6 * 4}, False,
        {"text": 25 * 1024, "speech": 26 * 1024}, ("seamless",), 26,
    ),
    Model(
        "SONAR", False, {"": 0, "text": 766e6 * 4, "speech": 708e6 * 4}, True,
        {"text": 26 * 1024, "speech": 26 * 1024}, ("seamless",), 26,
    ),
    Model(
        "SALMONN 13B", True, {"": (12_852e6 + 637e6 + 90e6 + 26e6) * 2, "text": 0, "speech": 0},
        False, {"text": 41 * 5120, "speech": 2048 + 41 * 5120}, ("whisper", "beats"), 42,
    ),
)  # fmt: skip


@cache
def operations():
    """Operations of one input, by what is run: {name: (sizes, counted)}; sizes are time steps."""
    import torch
    from transformers import LlamaConfig, LlamaModel, WhisperConfig
    from transformers.models.seamless_m4t.configuration_seamless_m4t import SeamlessM4TConfig
    from transformers.models.seamless_m4t_v2 import modeling_seamless_m4t_v2 as v2
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    from isogloss.models._beats import Beats, BeatsConfig
    from isogloss.models._salmonn_model import Bridge
    from isogloss.models._salmonn_sizes import Sizes
    from isogloss.models._sonar_modules import Pooler, Speech

    seamless = v2.SeamlessM4Tv2Config()
    conformer = SeamlessM4TConfig(hidden_size=1024, position_embeddings_type="relative")
    large = WhisperConfig(
        d_model=1280, encoder_layers=32, encoder_attention_heads=20, encoder_ffn_dim=5120,
        num_mel_bins=80,
    )  # fmt: skip
    vicuna = LlamaConfig(
        hidden_size=5120, num_hidden_layers=40, num_attention_heads=40, intermediate_size=13824
    )
    sizes = Sizes(
        whisper=1280, beats=768, queries=1, hidden=768, inner=3072, layers=2, llama=5120,
        llama_layers=40, rank=8, alpha=32.0, window=17, stride=17,
    )  # fmt: skip

    def llama(module, n):
        module(
            inputs_embeds=torch.zeros(1, n, 5120), attention_mask=torch.zeros(1, 1, n, n),
            position_ids=torch.arange(n)[None], use_cache=False,
        )  # fmt: skip

    frames, tokens = (250, 600, 1400), (20, 60, 200)
    cases = {
        "seamless speech": (
            lambda: v2.SeamlessM4Tv2SpeechEncoder(seamless), frames,
            lambda m, n: m(input_features=torch.zeros(1, n, 160)),
        ),
        "seamless text": (
            lambda: v2.SeamlessM4Tv2Encoder(seamless), tokens,
            lambda m, n: m(input_ids=torch.zeros(1, n, dtype=torch.long)),
        ),
        "sonar speech": (
            lambda: Speech(conformer, Pooler(1024, heads=16, layers=6, inner=4096, rows=10)),
            frames, lambda m, n: m(torch.zeros(1, n, 160), torch.ones(1, n)),
        ),
        "whisper": (lambda: WhisperEncoder(large), (3000,), lambda m, n: m(torch.zeros(1, 80, n))),
        "beats": (
            lambda: Beats(BeatsConfig()), (500, 1200, 2800), lambda m, n: m(torch.zeros(1, n, 128))
        ),
        "q-former": (lambda: Bridge(sizes), (1500,), lambda m, n: m(torch.zeros(1, n, 2048))),
        "vicuna": (lambda: LlamaModel(vicuna), (40, 160, 400), llama),
    }  # fmt: skip
    return {name: _counted(*case) for name, case in cases.items()}


def _counted(build, sizes, call):
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    found = []
    with torch.device("meta"), torch.no_grad():
        module = build().eval().requires_grad_(False)
        for size in sizes:
            with FlopCounterMode(display=False) as counter:
                call(module, size)
            found.append(counter.get_total_flops())
    return np.array(sizes, float), np.array(found, float)


def per_input(name, size):
    """Operations at any size: a parabola through what was counted, since attention is quadratic."""
    sizes, counted = operations()[name]
    if len(sizes) == 1:
        return np.full(np.shape(size), counted[0])
    return np.polyval(np.polyfit(sizes, counted, 2), size)


def gpu_seconds(model, modality, seconds, tokens, *, joint, assumed=ASSUMED):
    """Time of the model for each sentence, from counted operations over the assumed rate.

    Args:
        model: One of MODELS.
        modality: text or speech.
        seconds: Length of each recording.
        tokens: Tokens of each sentence.
        joint: Whether a text is read after its recording (SALMONN).
        assumed: As ASSUMED.
    """
    rate = assumed["tflops_half" if model.half else "tflops_single"] * 1e12
    frames = seconds * 50
    if model.name.startswith("SALMONN"):
        ears = per_input("whisper", seconds) + per_input("q-former", seconds)
        ears = ears + per_input("beats", seconds * 100)
        if modality == "speech":
            return (ears + per_input("vicuna", np.full(len(seconds), 96.0))) / rate
        if joint:
            return (ears + per_input("vicuna", 96 + tokens + 8)) / rate
        return per_input("vicuna", tokens + 8) / rate
    family = "sonar" if model.name == "SONAR" else "seamless"
    name = "seamless text" if modality == "text" else f"{family} speech"
    return per_input(name, tokens if modality == "text" else frames) / rate


@cache
def measured():
    """What this machine takes: seconds on one core, and bytes a second.

    Returns:
        ``decode``, ``seamless``, ``whisper`` and ``beats`` in seconds for one second of audio,
        ``hash`` and ``write`` (safetensors, SHA-256, a file) in bytes a second. All is processor
        time: the machine and its disk have other work.
    """
    import soundfile
    import torch
    from safetensors.numpy import save

    from isogloss.models._fbank import fbank
    from isogloss.models._weights import model_class
    from isogloss.storage import atomic

    torch.set_num_threads(1)
    clip = np.random.default_rng(0).standard_normal(12 * 16_000).astype(np.float32) * 0.1
    name = "seamless_m4t.feature_extraction_seamless_m4t:SeamlessM4TFeatureExtractor"
    seamless = model_class(name)()
    whisper = model_class("whisper.feature_extraction_whisper:WhisperFeatureExtractor")()
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "clip.wav")
        soundfile.write(path, clip, 16_000, subtype="PCM_16")
        found["decode"] = _best(lambda: soundfile.read(path, dtype="float32")) / 12
        found["seamless"] = _best(lambda: seamless(clip, sampling_rate=16_000)) / 12
        found["whisper"] = _best(lambda: whisper(clip, sampling_rate=16_000)) / 12
        found["beats"] = _best(lambda: fbank(clip)) / 12
        data = {str(i): np.ones((324, 5120), np.float32) for i in range(8)}

        def write():
            packed = save(data)
            hashlib.sha256(packed).hexdigest()
            atomic.write_bytes(Path(folder, "unit"), packed)

        size = sum(a.nbytes for a in data.values())
        found["write"] = size / _best(write)
        block = os.urandom(1 << 26)
        found["hash"] = len(block) / _best(lambda: hashlib.sha256(block).digest(), 3)
    return found


def _best(call, rounds=10):
    times = []
    for _ in range(rounds + 1):
        began = time.process_time()
        call()
        times.append(time.process_time() - began)
    return min(times[1:])
