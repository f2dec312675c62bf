"""Audio LLMs: every family on a small random checkpoint that transformers itself wrote."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from isogloss.errors import ItemError, ModelError, StudyError
from isogloss.models._llm_families import FAMILIES
from isogloss.models._llm_sound import Sounds
from isogloss.models._weights import model_class, quiet
from isogloss.models.base import Heard
from isogloss.models.speech_llm import SpeechLlm

torch = pytest.importorskip("torch")

LIMIT = 1e-5
VOCABULARY, AUDIO, LAYERS = 300, 290, 3
DECODER = {
    "hidden_size": 48, "intermediate_size": 64, "num_hidden_layers": LAYERS,
    "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": VOCABULARY,
    "max_position_embeddings": 400, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
WHISPER = {
    "d_model": 32, "encoder_layers": 2, "encoder_attention_heads": 4, "encoder_ffn_dim": 64,
    "num_mel_bins": 16, "max_source_positions": 100,
}  # fmt: skip
TOWER = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_mel_bins": 16,
}  # fmt: skip
ROPE = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 2, 2]}
IMAGES = {"depth": 2, "hidden_size": 32, "intermediate_size": 32, "num_heads": 2}
OTHER_TOKENS = {
    "image_token_id": 289, "video_token_id": 288, "audio_start_token_id": 287,
    "audio_end_token_id": 286, "vision_start_token_id": 285, "vision_end_token_id": 284,
}  # fmt: skip


def thinker(audio, text, vision):
    return {
        "thinker_config": {
            "audio_config": {**WHISPER, "output_dim": 48, **audio},
            "text_config": {**DECODER, "rope_parameters": ROPE, **text},
            "vision_config": {**IMAGES, "out_hidden_size": 48, **vision},
            "audio_token_id": AUDIO, **OTHER_TOKENS,
        },
        "enable_audio_output": False,
    }  # fmt: skip


CONFIGS = {
    "qwen2_audio": (
        "Qwen2AudioForConditionalGeneration",
        {
            "audio_config": {"model_type": "qwen2_audio_encoder", **WHISPER},
            "text_config": {"model_type": "qwen2", **DECODER},
            "audio_token_index": AUDIO,
        },
    ),
    "voxtral": (
        "VoxtralForConditionalGeneration",
        {
            "audio_config": {
                "model_type": "voxtral_encoder", **TOWER, "intermediate_size": 128,
                "max_source_positions": 100,
            },
            "text_config": {"model_type": "llama", "head_dim": 12, **DECODER},
            "audio_token_id": AUDIO,
        },
    ),
    "audioflamingo3": (
        "AudioFlamingo3ForConditionalGeneration",
        {
            "audio_config": {
                "model_type": "audioflamingo3_encoder", **TOWER, "intermediate_size": 64,
                "max_source_positions": 100,
            },
            "text_config": {"model_type": "qwen2", **DECODER},
            "audio_token_id": AUDIO,
        },
    ),
    "glmasr": (
        "GlmAsrForConditionalGeneration",
        {
            "audio_config": {
                "model_type": "glmasr_encoder", **TOWER, "intermediate_size": 128,
                "max_position_embeddings": 100,
            },
            "text_config": {"model_type": "llama", **DECODER},
            "audio_token_id": AUDIO,
        },
    ),
    "qwen2_5_omni": (
        "Qwen2_5OmniForConditionalGeneration",
        thinker({"n_window": 20}, {}, {"fullatt_block_indexes": [1]}),
    ),
    "qwen3_omni_moe": (
        "Qwen3OmniMoeForConditionalGeneration",
        thinker(
            {"n_window": 50, "n_window_infer": 200, "downsample_hidden_size": 8},
            {
                "head_dim": 12, "moe_intermediate_size": 32, "num_experts": 4,
                "num_experts_per_tok": 2, "decoder_sparse_step": 1, "mlp_only_layers": [],
            },
            {"num_position_embeddings": 16, "deepstack_visual_indexes": [0]},
        ),
    ),
    "qwen3_asr": (
        "Qwen3ASRForConditionalGeneration",
        {
            "audio_config": {
                "model_type": "qwen3_asr_encoder", **WHISPER, "downsample_hidden_size": 8,
                "output_dim": 48, "n_window": 50, "n_window_infer": 200,
            },
            "text_config": {"model_type": "qwen3", "head_dim": 12, **DECODER},
            "audio_token_id": AUDIO,
        },
    ),
    "granite_speech": (
        "GraniteSpeechForConditionalGeneration",
        {
            "encoder_config": {
                "input_dim": 32, "hidden_dim": 32, "num_layers": 4, "num_heads": 4, "dim_head": 8,
                "feedforward_mult": 2, "output_dim": 20, "context_size": 20, "max_pos_emb": 32,
                "conv_kernel_size": 7,
            },
            "text_config": {"model_type": "granite", **DECODER},
            "projector_config": {
                "model_type": "blip_2_qformer", "hidden_size": 32, "num_hidden_layers": 2,
                "num_attention_heads": 4, "intermediate_size": 64, "encoder_hidden_size": 32,
                "cross_attention_frequency": 1,
            },
            "audio_token_index": AUDIO,
            "has_lora_adapter": True,
        },
    ),
    "phi4_multimodal": (
        "Phi4MultimodalForCausalLM",
        {
            **DECODER,
            "num_img_tokens": 4,
            "audio_config": {
                "hidden_size": 32, "num_blocks": 2, "num_attention_heads": 4,
                "intermediate_size": 64, "nemo_conv_channels": 16, "ext_pw_out_channel": 32,
                "input_size": 80, "audio_token_id": AUDIO, "nemo_final_size": 10,
                "depthwise_separable_out_channel": 32, "chunk_size": 50, "left_chunk": 2,
                "bias_max_distance": 20,
            },
            "vision_config": {
                "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2,
                "num_attention_heads": 2, "image_size": 28, "patch_size": 14, "crop_size": 28,
                "image_token_id": 289,
            },
        },
    ),
    "gemma4": (
        "Gemma4ForConditionalGeneration",
        {
            "audio_config": {
                "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
                "output_proj_dims": 40, "subsampling_conv_channels": [16, 4], "conv_kernel_size": 3,
                "attention_chunk_size": 6, "attention_context_left": 7,
            },
            "vision_config": {
                "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2,
                "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 8, "patch_size": 4,
            },
            "text_config": {
                **DECODER, "head_dim": 12, "global_head_dim": 12, "hidden_size_per_layer_input": 8,
                "vocab_size_per_layer_input": VOCABULARY, "num_kv_shared_layers": 0,
                "layer_types": ["sliding_attention", "sliding_attention", "full_attention"],
                "sliding_window": 64,
            },
            "audio_token_id": AUDIO, "image_token_id": 289, "video_token_id": 288,
            "boi_token_id": 287, "eoi_token_id": 286, "boa_token_id": 285, "eoa_token_index": 284,
        },
    ),
}  # fmt: skip
EXTRACTORS = {
    "qwen3_asr": (
        "qwen3_asr.feature_extraction_qwen3_asr:Qwen3ASRFeatureExtractor",
        {"feature_size": 16},
    ),
    "phi4_multimodal": (
        "phi4_multimodal.feature_extraction_phi4_multimodal:Phi4MultimodalFeatureExtractor",
        {"feature_size": 80},
    ),
    "gemma4": (
        "gemma4.feature_extraction_gemma4:Gemma4AudioFeatureExtractor",
        {"feature_size": 16},
    ),
}
WINDOWED = ("qwen2_audio", "voxtral", "audioflamingo3", "glmasr")
ALONE = ("granite_speech", "phi4_multimodal")
FIRST = ("voxtral", "gemma4")  # families whose tokeniser begins every text with <s>


def write_tokeniser(folder, kind, texts):
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

    made = Tokenizer(models.BPE(unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<pad>", "<s>", "</s>", "<unk>", "<|im_start|>"]
    special += [t for t in FAMILIES[kind].around if t and isinstance(t, str)]
    trainer = trainers.BpeTrainer(vocab_size=250, special_tokens=special, show_progress=False)
    made.train_from_iterator([t for lines in texts.values() for t in lines], trainer)
    if kind in FIRST:
        made.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", 1)]
        )
    made.save(str(folder / "tokenizer.json"))


def write_extractor(folder, kind):
    if kind == "granite_speech":
        said = {"feature_extractor_type": "GraniteSpeechFeatureExtractor", "sampling_rate": 16_000}
        said["melspec_kwargs"] = {
            "sample_rate": 16_000, "n_fft": 512, "win_length": 400, "hop_length": 160, "n_mels": 16,
        }  # fmt: skip
        (folder / "preprocessor_config.json").write_text(json.dumps(said))
        return
    seconds = 2 if kind in WINDOWED else 300
    default = (
        "whisper.feature_extraction_whisper:WhisperFeatureExtractor",
        {"feature_size": 16, "chunk_length": seconds},
    )
    path, options = EXTRACTORS.get(kind, default)
    model_class(path)(**options).save_pretrained(folder)


def write_lora(folder, decoder, prefix, *, rank=2, alpha=8, seed=1):
    """As peft writes one: names of the whole model, A and B of some linear modules."""
    from safetensors.torch import save_file

    folder.mkdir(exist_ok=True)
    torch.manual_seed(seed)
    tensors = {}
    for path, module in decoder.named_modules():
        if path.startswith("layers.") and path.endswith(("q_proj", "v_proj", "qkv_proj")):
            inner = f"base_model.model.{prefix}{path}"
            tensors[f"{inner}.lora_A.weight"] = 0.3 * torch.randn(rank, module.in_features)
            tensors[f"{inner}.lora_B.weight"] = 0.3 * torch.randn(module.out_features, rank)
    save_file(tensors, folder / "adapter_model.safetensors")
    said = {"peft_type": "LORA", "r": rank, "lora_alpha": alpha}
    said["target_modules"] = r".*\.layers\.\d+\.self_attn\.(q_proj|v_proj|qkv_proj)"
    (folder / "adapter_config.json").write_text(json.dumps(said))
    return tensors


def build(folder, kind, texts, **changes):
    name, config = CONFIGS[kind]
    cls = model_class(f"{kind}.modeling_{kind}:{name}")
    torch.manual_seed(0)
    folder.mkdir()
    with quiet():
        model = cls(cls.config_class(**{**config, **changes}))
        for key, value in model.named_parameters():  # norms that a test cannot miss
            if "norm" in key.lower() and value.dim() == 1:
                value.data += 0.3 * torch.randn_like(value)
        model.save_pretrained(folder)
    write_tokeniser(folder, kind, texts)
    write_extractor(folder, kind)
    if kind == "granite_speech":
        write_lora(folder, model.model.language_model, "model.language_model.")
    if kind == "phi4_multimodal":
        write_lora(folder / "speech-lora", model.model, "model.")
    return folder


TEXTS = {
    "deu": [
        "Alle Menschen sind frei und gleich an Würde und Rechten geboren.",
        "Jeder hat das Recht auf Leben.",
        "Niemand darf in Sklaverei gehalten werden; Sklaverei und Sklavenhandel sind verboten.",
    ],
    "eng": ["All human beings are born free and equal in dignity and rights."],
}


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """Folder of a small checkpoint by family, built once. Tests must not change it."""
    root = tmp_path_factory.mktemp("llms")

    def get(kind):
        folder = root / kind
        return folder if folder.exists() else build(folder, kind, TEXTS)

    return get


@pytest.fixture(scope="session")
def adapters(folders):
    made = {}

    def get(kind, **settings):
        key = (kind, *sorted(settings.items()))
        if key not in made:
            source = SpeechLlm(checkpoint=str(folders(kind)), **settings)
            made[key] = source.load(device="cpu")
        return made[key]

    return get


def oracle(tower, features):
    """What the model itself says of one item: hidden states, and what its projector returns.

    The tower's layers are read by hooks of our own that keep the whole sequence.
    """
    model = tower.module
    collated = tower.collate([features])
    inputs = {k: tower._moved(v) for k, v in collated.inputs.items()}
    kept, hooks = {}, []
    for name, spec in tower._parts.specs.items():
        module = model.get_submodule(spec.module)
        if spec.length == "span":
            continue
        if spec.where == "in":
            hooks.append(module.register_forward_pre_hook(
                lambda m, args, name=name: kept.__setitem__(name, args[0].clone())))  # fmt: skip
        else:
            hooks.append(module.register_forward_hook(
                lambda m, args, out, name=name: kept.__setitem__(
                    name, (out[0] if isinstance(out, tuple) else out).clone())))  # fmt: skip
    with torch.inference_mode(), tower.during({}):
        out = model(**inputs, output_hidden_states=True)
    for hook in hooks:
        hook.remove()
    span = torch.from_numpy(collated.masks["span"][0])
    return SimpleNamespace(hidden=[h[0][span].float().mean(0).numpy() for h in out.hidden_states],
                           kept=kept, masks=collated.masks)  # fmt: skip


@pytest.mark.parametrize("seconds", [0.6, 1.37])
@pytest.mark.parametrize("kind", FAMILIES)
def test_speech_equals_plain_transformers(kind, seconds, adapters, sounds, gap, german):
    tower = adapters(kind).tower("speech")
    features = tower.features(sounds(seconds), german)
    wanted = oracle(tower, features)
    made = tower.encode([features])
    assert len(wanted.hidden) == LAYERS + 1
    for name, value in zip(["in", "1", "2", "3"], wanted.hidden, strict=True):
        assert gap(made[name], value) < LIMIT
    for name, value in wanted.kept.items():
        length = tower._parts.specs[name].length
        mask = torch.from_numpy(wanted.masks[length][0])
        value = value.reshape(-1, value.shape[-1])
        counted = value[mask] if len(value) == len(mask) else value
        assert len(counted) == int(mask.sum())
        assert gap(made[name], counted.mean(0).numpy()) < LIMIT
    assert len(made) == len(wanted.kept) + LAYERS + 1


@pytest.mark.parametrize("kind", FAMILIES)
def test_text_equals_plain_transformers(kind, adapters, gap, german):
    tower = adapters(kind).tower("text")
    raw = adapters(kind, last_layer="raw").tower("text")
    decoder = raw.module.get_submodule(FAMILIES[kind].decoder)
    before = []
    hook = decoder.norm.register_forward_pre_hook(lambda m, args: before.append(args[0]))
    for text in TEXTS["deu"]:
        features = tower.features(text, german)
        ids = tower._parts.prompt._tokeniser.around(text).ids
        assert features.values["ids"].tolist() == ids
        first = int(kind in FIRST)
        assert features.values["counted"].tolist() == [False] * first + [True] * (len(ids) - first)
        with torch.inference_mode():
            given = torch.tensor([ids])
            hidden = tower.module(
                input_ids=given, attention_mask=torch.ones_like(given), output_hidden_states=True
            ).hidden_states
        made = tower.encode([features])
        assert list(made) == ["in", "1", "2", "3"]
        for name, value in zip(made, hidden, strict=True):
            assert gap(made[name], value[0, first:].mean(0).numpy()) < LIMIT
        before.clear()
        found = raw.encode([features])
        assert gap(found["3"], before[0][0, first:].mean(0).numpy()) < LIMIT
        assert gap(found["3"], made["3"]) > 0.01
        assert gap(found["2"], made["2"]) < LIMIT
    hook.remove()


@pytest.mark.parametrize("kind", FAMILIES)
def test_results_do_not_depend_on_the_batch(kind, adapters, sounds, gap, german):
    speech = adapters(kind).tower("speech")
    assert speech.max_batch == (1 if kind in ALONE else None)
    given = [sounds(s, seed=i) for i, s in enumerate((0.61, 1.9, 1.2))]
    items = {
        "speech": [speech.features(samples, german) for samples in given],
        "text": [adapters(kind).tower("text").features(t, german) for t in TEXTS["deu"]],
    }
    for modality, batch in items.items():
        tower = adapters(kind).tower(modality)
        together = tower.encode(batch)
        for row, item in enumerate(batch):
            alone = tower.encode([item])
            for name in alone:
                assert gap(together[name][row], alone[name]) < LIMIT, (modality, name)


@pytest.mark.parametrize("kind", ALONE)
def test_encoders_that_run_alone_would_leak(kind, adapters, sounds, gap, german, monkeypatch):
    """The declaration is there for a reason: padded, the same recording gives another result."""
    tower = adapters(kind).tower("speech")
    batch = [tower.features(sounds(s, seed=3), german) for s in (0.61, 1.9)]
    alone = tower.encode(batch[:1])
    if kind == "granite_speech":
        long = Sounds.of(batch[1].values).given["mel"]
        short = Sounds.of(batch[0].values)
        padded = np.zeros_like(long)
        padded[: short.frames] = short.given["mel"]
        with torch.inference_mode():
            encoder = tower.module.encoder
            last = encoder(torch.from_numpy(padded)[None]).last_hidden_state[0, : short.frames]
        assert gap(alone["a4"], last.mean(0).numpy()) > 1e-4
        return
    encoder = tower.module.embed_tokens_extend.audio_embed.encoder
    inputs = tower._parts.hearing.inputs([Sounds.of(f.values) for f in batch])
    features = torch.from_numpy(inputs["audio_input_features"])
    frames = torch.tensor([Sounds.of(f.values).frames for f in batch])
    mask = torch.arange(features.shape[1])[None] < frames[:, None]
    with torch.inference_mode():
        last = encoder(features, mask)[0, : Sounds.of(batch[0].values).steps]
    assert gap(alone["a2"], last.mean(0).numpy()) > 1e-6


@pytest.mark.parametrize("kind", FAMILIES)
def test_audio_tokens_are_as_many_as_the_projector_gives(kind, adapters, sounds, german):
    tower = adapters(kind).tower("speech")
    counts = []
    for seconds in (0.11, 0.3, 0.6, 0.805, 1.0, 1.21, 1.99, 2.0):
        item = tower.features(sounds(seconds), german)
        heard = Sounds.of(item.values)
        assert (item.values["ids"] == AUDIO).sum() == heard.placeholders
        inputs = tower.collate([item]).inputs
        given = {k: tower._moved(v) for k, v in inputs.items() if "ids" not in k}
        given.pop("attention_mask")
        with torch.inference_mode():
            if kind == "phi4_multimodal":
                embed = tower.module.embed_tokens_extend.audio_embed
                found = embed.encoder(given["audio_input_features"], None)
            elif kind == "qwen2_audio":
                frames = given["feature_attention_mask"].sum(-1)
                (count,) = tower.module.audio_tower._get_feat_extract_output_lengths(frames)[1]
                found = torch.zeros(int(count), 1)
            else:
                found = tower.module.get_audio_features(**given).pooler_output
        rows = found.numel() // found.shape[-1]
        assert rows == heard.placeholders
        counts.append(heard.tokens)
    assert counts == sorted(counts)
    rate = {"qwen2_audio": 25, "audioflamingo3": 25, "qwen2_5_omni": 25, "gemma4": 25}
    expected = 2 * rate.get(kind, 12.5)
    if kind == "granite_speech":
        expected = 21  # 100 frames are 7 windows of 15, with 3 queries each
    assert abs(counts[-1] - expected) <= 1


@pytest.mark.parametrize("kind", FAMILIES)
def test_in_joint_input_a_text_sees_the_speech_before_it(kind, adapters, sounds, gap, german):
    """And speech sees no text, so that its own tower is the same in every mode."""
    joint, separate = (adapters(kind, input=mode) for mode in ("joint", "separate"))
    tower, text = joint.tower("text"), TEXTS["deu"][1]
    one, other = (tower.features(Heard(text, sounds(s, seed=5)), german) for s in (0.6, 1.1))
    ids = separate.tower("text").features(text, german).values["ids"].tolist()
    assert one.values["ids"].tolist()[-len(ids) + 1 :] == ids[1:]
    assert one.values["counted"].sum() == len(ids) - (kind in FIRST)
    first, second = tower.encode([one]), tower.encode([other])
    alone = separate.tower("text").encode([separate.tower("text").features(text, german)])
    assert gap(first["in"], alone["in"]) < LIMIT
    assert gap(first["3"], alone["3"]) > 1e-3
    assert gap(first["3"], second["3"]) > 1e-3
    together = tower.encode([one, other])
    assert gap(together["3"][0], first["3"]) < LIMIT
    assert gap(together["3"][1], second["3"]) < LIMIT
    heard = separate.tower("speech")
    spoken = heard.features(sounds(0.6, seed=5), german)
    collated = tower.collate([one])
    mask = (collated.inputs["input_ids"] == AUDIO)[0]
    mask &= np.cumsum(mask) <= Sounds.of(one.values).tokens
    inputs = {k: tower._moved(v) for k, v in collated.inputs.items()}
    with torch.inference_mode(), tower.during({}):
        hidden = tower.module(**inputs, output_hidden_states=True).hidden_states
    for name, value in zip(("in", "1", "2", "3"), hidden, strict=True):
        wanted = value[0, torch.from_numpy(mask)].mean(0).numpy()
        assert gap(heard.encode([spoken])[name], wanted) < LIMIT


def test_companions_follow_the_input(folders):
    found = {
        mode: SpeechLlm(checkpoint=str(folders("glmasr")), input=mode).companion()
        for mode in ("separate", "joint", "mismatched")
    }
    assert found == {"separate": "none", "joint": "same", "mismatched": "other"}
    layout = SpeechLlm(checkpoint=str(folders("glmasr")), input="mismatched").layout()
    assert "a control" in layout.notes[0]


def test_silence_is_pooled_on_request_only(adapters, sounds, gap, german):
    """Voxtral makes as many tokens of half a second as of a whole window."""
    valid, whole = (adapters("voxtral", pool=pool).tower("speech") for pool in ("valid", "all"))
    items = [tower.features(sounds(0.6), german) for tower in (valid, whole)]
    heard = [Sounds.of(item.values) for item in items]
    assert [(h.tokens, h.placeholders) for h in heard] == [(8, 25), (25, 25)]
    kept = oracle(valid, items[0]).kept["proj"]
    few, all_ = valid.encode(items[:1]), whole.encode(items[1:])
    assert gap(few["proj"], kept[:8].mean(0).numpy()) < LIMIT
    assert gap(all_["proj"], kept.mean(0).numpy()) < LIMIT
    assert gap(few["3"], all_["3"]) > 0.01
    assert gap(few["a2"], all_["a2"]) < LIMIT


@pytest.mark.parametrize("kind", ALONE)
def test_lora_is_on_where_it_is_declared(kind, adapters, folders, sounds, gap, german):
    """Against weights into which it is merged: W + (alpha / r) B A."""
    from safetensors.torch import load_file

    lora = folders(kind) / (FAMILIES[kind].lora or ".")
    tensors = load_file(lora / "adapter_model.safetensors")
    towers = {s: adapters(kind, lora=s) for s in ("speech", "always", "never")}
    found = {}
    for setting, adapter in towers.items():
        speech, text = adapter.tower("speech"), adapter.tower("text")
        found[setting, "speech"] = speech.encode([speech.features(sounds(0.7), german)])
        found[setting, "text"] = text.encode([text.features(TEXTS["deu"][1], german)])
        assert adapter._parts.lora is None or not adapter._parts.lora.on
    merged = SpeechLlm(checkpoint=str(folders(kind)), lora="never").load(device="cpu")
    speech, text = merged.tower("speech"), merged.tower("text")
    decoder = speech.module.get_submodule(FAMILIES[kind].decoder)
    for name in tensors:
        if "lora_A" in name:
            path = name[name.index("layers.") :].partition(".lora_A")[0]
            b = tensors[name.replace("lora_A", "lora_B")]
            decoder.get_submodule(path).weight.data += 4.0 * b @ tensors[name]
    on = {
        "speech": speech.encode([speech.features(sounds(0.7), german)]),
        "text": text.encode([text.features(TEXTS["deu"][1], german)]),
    }
    for modality in ("speech", "text"):
        off = found["never", modality]
        assert gap(off["3"], on[modality]["3"]) > 0.01
        assert gap(off["in"], on[modality]["in"]) < LIMIT
        for setting, state in (("speech", modality == "speech"), ("always", True)):
            wanted = on[modality] if state else off
            for name, value in found[setting, modality].items():
                assert gap(value, wanted[name]) < LIMIT
    note = "on for inputs with speech, off for text alone"
    assert any(note in n for n in SpeechLlm(checkpoint=str(folders(kind))).layout().notes)


@pytest.mark.parametrize("kind", ALONE)
def test_lora_is_that_of_peft(kind, adapters, folders, gap, german):
    """Where peft is installed: as its own code has it, and no second one put in by transformers."""
    peft = pytest.importorskip("peft")
    source = SpeechLlm(checkpoint=str(folders(kind)), lora="never").load(device="cpu")
    plain = source.tower("text")
    model = plain.module
    assert not [name for name, _ in model.named_parameters() if "lora_" in name]
    found = adapters(kind, lora="always").tower("text")
    text = plain.features(TEXTS["deu"][1], german)
    wanted = found.encode([text])
    off = plain.encode([text])
    holder = torch.nn.Module()
    holder.model = model
    lora = folders(kind) / (FAMILIES[kind].lora or ".")
    peft.PeftModel.from_pretrained(holder, str(lora))
    on = plain.encode([text])
    assert gap(on["3"], off["3"]) > 0.01
    assert all(gap(on[name], wanted[name]) < LIMIT for name in on)


def damaged(folders, kind, tmp_path):
    return shutil.copytree(folders(kind), tmp_path / "copy")


def test_lora_that_is_missing_or_of_another_kind(folders, tmp_path):
    folder = damaged(folders, "granite_speech", tmp_path)
    said = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**said, "use_dora": True}))
    with pytest.raises(ModelError, match="more than W .* use_dora"):
        SpeechLlm(checkpoint=str(folder)).load(device="cpu").tower("text")
    before = SpeechLlm(checkpoint=str(folder)).fingerprint()
    (folder / "adapter_config.json").write_text(json.dumps({**said, "lora_alpha": 9}))
    after = SpeechLlm(checkpoint=str(folder)).fingerprint()
    assert before["checkpoint"] == after["checkpoint"]
    assert before["lora"] != after["lora"]
    (folder / "adapter_model.safetensors").unlink()
    with pytest.raises(ModelError, match="set lora: never"):
        SpeechLlm(checkpoint=str(folder)).load(device="cpu").tower("text")
    SpeechLlm(checkpoint=str(folder), lora="never").load(device="cpu").tower("text")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "has_lora_adapter": False}))
    SpeechLlm(checkpoint=str(folder)).load(device="cpu").tower("text")
    assert "there is no LoRA" in SpeechLlm(checkpoint=str(folder)).layout().notes


def test_lora_that_does_not_fit(folders, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = damaged(folders, "granite_speech", tmp_path)
    path = folder / "adapter_model.safetensors"
    tensors = load_file(path)
    name = next(iter(tensors))
    for wrong, message in (
        ({k: v for k, v in tensors.items() if k != name}, "only half of"),
        ({k.replace("layers.1", "layers.9"): v for k, v in tensors.items()}, "no such modules"),
        ({**tensors, name: tensors[name].repeat(2, 2)}, "does not fit its module"),
        ({**tensors, "x.weight": tensors[name]}, "no part of a LoRA"),
    ):
        save_file({k: v.clone() for k, v in wrong.items()}, path)
        with pytest.raises(ModelError, match=message):
            SpeechLlm(checkpoint=str(folder)).load(device="cpu").tower("text")


@pytest.mark.parametrize("kind", FAMILIES)
def test_layout_is_that_of_the_model(kind, folders, adapters):
    source = SpeechLlm(checkpoint=str(folders(kind)))
    layout = source.layout()
    tower = 4 if kind == "granite_speech" else 2
    before = [f"a{i}" for i in range(tower + 1)]
    before += [] if kind in ALONE else ["enc"]
    names = ["in", "1", "2", "3"]
    assert [t.name for t in layout.taps["speech"]] == [*before, "proj", *names]
    assert [t.name for t in layout.taps["text"]] == names
    assert [(p.label, p.text, p.speech) for p in layout.pairs] == [(n, n, n) for n in names]
    assert [p.depth for p in layout.pairs] == [0, 1 / 3, 2 / 3, 1]
    assert not layout.untrained
    assert source.title() == kind
    speech = adapters(kind).tower("speech")
    widths = {t.name: t.width for t in speech.taps}
    made = speech.encode([speech.features(np.ones(16_000, np.float32), None)])
    assert {name: value.shape[1] for name, value in made.items()} == widths


@pytest.mark.parametrize("kind", FAMILIES)
def test_what_released_configurations_leave_out(kind):
    """The declared defaults are those of transformers."""
    from transformers import CONFIG_MAPPING

    family = FAMILIES[kind]
    config = CONFIG_MAPPING[kind + ("_thinker" if family.root else "")]()
    decoder = getattr(config, family.text) if family.text else config
    assert family.defaults[2:] == (decoder.num_hidden_layers, decoder.hidden_size)
    tower = getattr(config, family.audio)
    if tower is None:
        from transformers import Gemma4AudioConfig

        tower = Gemma4AudioConfig()
    layers = ("encoder_layers", "num_hidden_layers", "num_layers", "num_blocks")
    count = next(getattr(tower, key) for key in layers if hasattr(tower, key))
    width = getattr(tower, "hidden_size", None) or tower.hidden_dim
    assert family.defaults[:2] == (count, width)
    if family.encoded_width:
        assert getattr(tower, family.encoded_width[0]) == family.encoded_width[1]
    token = tower if kind == "phi4_multimodal" else config
    assert family.token_default == token.audio_token_id
    for found in family.around:
        if not isinstance(found, str):
            assert found.default == getattr(config, found.keys[0])


def test_granite_s_features_are_those_of_its_formula(folders, sounds):
    """torchaudio's MelSpectrogram written out with PyTorch's own Fourier transform."""
    from transformers.audio_utils import mel_filter_bank

    from isogloss.models._checkpoint import find
    from isogloss.models._llm_granite import GraniteMel

    bank = torch.from_numpy(mel_filter_bank(257, 16, 0.0, 8000.0, 16_000, None, "htk")).float()
    window = torch.hann_window(400)
    made = GraniteMel(find(str(folders("granite_speech"))))
    for seconds in (0.5, 0.505, 1.2):
        samples = sounds(seconds)
        samples[2000:5000] = 0  # silence is lifted to 8 below the loudest bin
        spectrum = torch.stft(
            torch.from_numpy(samples), 512, 160, 400, window, center=True, return_complex=True
        )
        mel = (spectrum.abs() ** 2).T @ bank
        log = mel.clip(min=1e-10).log10()
        scaled = torch.maximum(log, log.max() - 8) / 4 + 1
        wanted = scaled[: len(scaled) // 2 * 2].reshape(-1, 32).numpy()
        assert made(samples).shape == wanted.shape
        assert np.abs(made(samples) - wanted).max() < 1e-4


@pytest.mark.parametrize("seconds", [0.6, 0.8049])
def test_omni_s_features_are_those_of_its_whole_window(seconds, adapters, sounds):
    """Its processor pads to 300 s; a little silence gives the same frames."""
    hearing = adapters("qwen2_5_omni").tower("speech")._parts.hearing
    samples = sounds(seconds)
    whole = hearing._extractor(
        samples, sampling_rate=16_000, padding="max_length", return_tensors="np",
        return_attention_mask=True,
    )  # fmt: skip
    frames = int(whole["attention_mask"].sum())
    made = hearing(samples)
    assert made.frames == frames
    assert np.abs(made.given["mel"] - whole["input_features"][0].T[:frames]).max() < 1e-5


@pytest.mark.parametrize("kind", FAMILIES)
def test_sound_that_cannot_be_used(kind, adapters, german):
    tower = adapters(kind).tower("speech")
    shortest = tower._parts.hearing.shortest
    assert Sounds.of(tower.features(np.ones(shortest, np.float32), german).values).tokens > 0
    for count in (0, shortest - 1):
        with pytest.raises(ItemError, match=r"ms, and the model needs \d+\.\d ms"):
            tower.features(np.ones(count, np.float32), german)
    with pytest.raises(ItemError, match="not finite"):
        tower.features(np.full(16_000, np.nan, np.float32), german)
    longest = tower._parts.hearing.longest
    if longest is not None:
        with pytest.raises(ItemError, match=rf"lasts .* s, and the model hears {longest:.0f} s"):
            tower.features(np.ones(int(longest * 16_000) + 1, np.float32), german)
    with pytest.raises(TypeError):
        tower.features("text", german)


def test_longest_recordings_are_taken(adapters, sounds, german):
    """Forty seconds are 500 positions of Phi-4's tower, beyond which it would be cut in pieces."""
    tower = adapters("phi4_multimodal").tower("speech")
    heard = tower._parts.hearing(sounds(40))
    assert heard.steps == heard.tokens == 500


def test_text_that_cannot_be_used(adapters, german):
    tower = adapters("qwen2_audio").tower("text")
    prompt = tower._parts.prompt
    prompt._token, kept = prompt._tokeniser.pieces("Hallo")[-1], prompt._token
    with pytest.raises(ItemError, match="token that stands for a recording"):
        tower.features("Hallo", german)
    prompt._token = kept
    with pytest.raises(ItemError, match="empty"):
        tower.features("  ", german)
    with pytest.raises(ItemError, match="tokens, and the model reads 400"):
        tower.features("Recht " * 500, german)
    with pytest.raises(TypeError):
        tower.features(np.ones(5), german)


def test_prompts(adapters, folders, sounds, german):
    prompt = "<|im_start|>Hört: {audio} Sagt:"
    adapter = adapters("qwen2_audio", prompt=prompt, text_prompt="<|im_start|>{text}</s>")
    tokeniser = adapter.tower("text")._parts.prompt._tokeniser
    item = adapter.tower("text").features("Jeder hat Recht", german)
    text = tokeniser.pieces("Jeder hat Recht")
    assert item.values["ids"].tolist() == [4, *text, 2]
    assert item.values["counted"].tolist() == [False, *[True] * len(text), False]
    item = adapter.tower("speech").features(sounds(0.6), german)
    ids, counted = item.values["ids"], item.values["counted"]
    before, after = tokeniser.pieces("<|im_start|>Hört: "), tokeniser.pieces(" Sagt:")
    assert ids.tolist() == [*before, *[AUDIO] * 15, *after]
    assert (counted == (ids == AUDIO)).all()
    notes = SpeechLlm(checkpoint=str(folders("qwen2_audio")), prompt=prompt).layout().notes
    assert any(prompt in note for note in notes)
    plain = adapters("qwen2_audio").tower("speech").features(sounds(0.6), german).values["ids"]
    opened, closed = (tokeniser.id(t) for t in ("<|audio_bos|>", "<|audio_eos|>"))
    assert plain.tolist() == [opened, *[AUDIO] * 15, closed]
    spoken = adapters("gemma4").tower("speech").features(sounds(0.6), german).values["ids"]
    assert spoken.tolist() == [1, 285, *[AUDIO] * 15, 284]
    for wrong in ({"prompt": "no audio"}, {"text_prompt": "{text}{text}"}):
        with pytest.raises(StudyError, match="once"):
            SpeechLlm(checkpoint="x", **wrong)


def test_first_token_counts_on_request_only(adapters, gap, german):
    counting = adapters("gemma4", pool_special_tokens=True).tower("text")
    item = counting.features("Jeder hat Recht", german)
    assert item.values["counted"].all()
    plain = adapters("gemma4").tower("text")
    given = plain.features("Jeder hat Recht", german)
    assert gap(counting.encode([item])["2"], plain.encode([given])["2"]) > 1e-3


@pytest.fixture(scope="session")
def new_model(tmp_path_factory):
    """A model of somebody's own, registered with transformers, that Isogloss has no word of."""
    from transformers import AutoConfig, AutoModel
    from transformers.models.audioflamingo3 import modeling_audioflamingo3 as flamingo

    class NewAudioConfig(flamingo.AudioFlamingo3Config):
        model_type = "new_audio"

    class NewAudioModel(flamingo.AudioFlamingo3Model):
        config_class = NewAudioConfig

    AutoConfig.register("new_audio", NewAudioConfig)
    AutoModel.register(NewAudioConfig, NewAudioModel)
    folder = tmp_path_factory.mktemp("new") / "model"
    torch.manual_seed(0)
    with quiet():
        NewAudioModel(NewAudioConfig(**CONFIGS["audioflamingo3"][1])).save_pretrained(folder)
    write_tokeniser(folder, "audioflamingo3", TEXTS)
    write_extractor(folder, "audioflamingo3")
    return folder


def test_undeclared_model_of_the_same_layout(new_model, sounds, gap, german):
    source = SpeechLlm(checkpoint=str(new_model))
    layout = source.layout()
    assert [t.name for t in layout.taps["speech"]] == ["in", "1", "2", "3"]
    assert any("has no declaration" in note for note in layout.notes)
    adapter = source.load(device="cpu")
    speech, text = adapter.tower("speech"), adapter.tower("text")
    assert speech.max_batch == 1
    for tower, item in ((speech, sounds(0.7)), (text, TEXTS["deu"][0])):
        features = tower.features(item, german)
        made = tower.encode([features])
        inputs = {k: tower._moved(v) for k, v in tower.collate([features]).inputs.items()}
        with torch.inference_mode():
            hidden = tower.module(**inputs, output_hidden_states=True).hidden_states
        for name, value in zip(("in", "1", "2", "3"), hidden, strict=True):
            kept = value[0, torch.from_numpy(features.values["counted"])]
            assert gap(made[name], kept.mean(0).numpy()) < LIMIT
    item = speech.features(sounds(0.7), german).values
    assert (item["ids"] == AUDIO).sum() == Sounds.of(item).placeholders == 17
    assert (item["counted"] == (item["ids"] == AUDIO)).all()
    with pytest.raises(ItemError, match="0.05 s, and the model hears 0.1 to 2 s"):
        speech.features(sounds(0.05), german)


def test_undeclared_model_that_needs_a_declaration(tmp_path):
    folder = tmp_path / "music"
    cls = model_class("musicflamingo.modeling_musicflamingo:MusicFlamingoModel")
    with quiet():
        cls(cls.config_class(**CONFIGS["audioflamingo3"][1])).save_pretrained(folder)
    write_tokeniser(folder, "audioflamingo3", TEXTS)
    source = SpeechLlm(checkpoint=str(folder))
    assert len(source.layout().pairs) == LAYERS + 1
    message = 'without input_ids. Add a declaration for "musicflamingo" to FAMILIES'
    with pytest.raises(ModelError, match=message):
        source.load(device="cpu").tower("text")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "llama"}, "no a tower .* and no a decoder .* and no an audio token"),
        (
            {"model_type": "new", "text_config": {"a": 1}, "audio_config": {"a": 1}},
            'names no an audio token .* Add a declaration for "new" to FAMILIES',
        ),
        ({"model_type": "gemma3n"}, "four versions of every position"),
        ({"model_type": "gemma4", "text_config": {}}, "no part that hears"),
        (
            {"model_type": "voxtral", "audio_config": {"hidden_size": -1}},
            "above 0 as models have, not -1",
        ),
    ],
)
def test_checkpoints_that_cannot_be_read(config, message, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=message):
        SpeechLlm(checkpoint=str(tmp_path)).layout()


def test_weights_that_are_missing_or_misshaped(folders, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = damaged(folders, "qwen2_5_omni", tmp_path)
    path = folder / "model.safetensors"
    tensors = load_file(path)
    name = "thinker.model.layers.1.mlp.up_proj.weight"
    wrong = {
        "incomplete, 1 missing: language_model.layers.1.mlp.up_proj.weight": {
            k: v for k, v in tensors.items() if k != name
        },
        r"do not fit its config.json: .*up_proj.weight is \(3, 48\)": {
            **tensors, name: tensors[name][:3].clone(),
        },
    }  # fmt: skip
    for message, kept in wrong.items():
        save_file(kept, path, metadata={"format": "pt"})
        with pytest.raises(ModelError, match=message):
            SpeechLlm(checkpoint=str(folder)).load(device="cpu").tower("text")
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ModelError, match="cannot be loaded"):
        SpeechLlm(checkpoint=str(folder)).load(device="cpu").tower("text")
    path.unlink()
    with pytest.raises(ModelError, match="has no weights"):
        SpeechLlm(checkpoint=str(folder)).load(device="cpu").tower("text")


def test_pickled_weights(folders, adapters, tmp_path, gap, german):
    import pickle

    from safetensors.torch import load_file

    folder = damaged(folders, "voxtral", tmp_path)
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(tensors, folder / "pytorch_model.bin")
    tower = SpeechLlm(checkpoint=str(folder)).load(device="cpu").tower("text")
    made = tower.encode([tower.features("Jeder hat Recht", german)])
    plain = adapters("voxtral").tower("text")
    assert gap(made["3"], plain.encode([plain.features("Jeder hat Recht", german)])["3"]) == 0

    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "code-ran"), "w"))

    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"x": Evil()}))
    with pytest.raises(ModelError, match=r"is no file that torch\.save wrote"):
        SpeechLlm(checkpoint=str(folder)).load(device="cpu").tower("text")
    assert not (tmp_path / "code-ran").exists()


def test_companion_files_that_are_missing(folders, tmp_path):
    folder = damaged(folders, "qwen2_audio", tmp_path)
    (folder / "preprocessor_config.json").rename(folder / "gone")
    with pytest.raises(ModelError, match="needs preprocessor_config.json"):
        SpeechLlm(checkpoint=str(folder)).load(device="cpu").tower("text")
    (folder / "gone").rename(folder / "preprocessor_config.json")
    document = json.loads((folder / "tokenizer.json").read_text())
    content = json.dumps(document).replace("<|audio_bos|>", "<|other|>")
    (folder / "tokenizer.json").write_text(content)
    with pytest.raises(ModelError, match=r"lacks <\|audio_bos\|>.*write the prompt out"):
        SpeechLlm(checkpoint=str(folder)).load(device="cpu").tower("text")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match="has no tokeniser"):
        SpeechLlm(checkpoint=str(folder)).load(device="cpu").tower("text")


@pytest.mark.parametrize("kind", ["qwen2_5_omni", "qwen3_omni_moe", "gemma4", "phi4_multimodal"])
def test_images_and_output_head_are_not_loaded(kind, adapters):
    names = [name for name, _ in adapters(kind).tower("text").module.named_parameters()]
    assert not [n for n in names if "lm_head" in n or "talker" in n]
    seen = [n for n in names if "visual" in n or "vision_tower" in n or "image_embed" in n]
    assert not [n for n in seen if "blocks." in n or "layers." in n]


def test_planning_works_without_torch(folders):
    import subprocess
    import sys

    code = (
        "import sys; sys.modules.update(dict.fromkeys(('torch', 'transformers', 'tokenizers')));"
        "from isogloss.models.speech_llm import SpeechLlm as S; s = S(checkpoint=sys.argv[1]);"
        "print(len(s.layout().pairs), sorted(s.fingerprint()), s.title(), s.companion())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folders("granite_speech"))],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "4 ['checkpoint', 'lora'] granite_speech none"


@pytest.mark.parametrize("kind", FAMILIES)
@pytest.mark.parametrize(("dtype", "limit"), [("bfloat16", 0.05), ("float16", 0.01)])
def test_lower_precision(kind, dtype, limit, adapters, folders, sounds, gap, german):
    exact = adapters(kind)
    rough = SpeechLlm(checkpoint=str(folders(kind)), dtype=dtype).load(device="cpu")
    for modality, item in (("speech", sounds(1.1)), ("text", TEXTS["deu"][0])):
        one, other = exact.tower(modality), rough.tower(modality)
        found = other.encode([other.features(item, german)])
        wanted = one.encode([one.features(item, german)])
        assert all(0 < gap(found[name], wanted[name]) < limit for name in wanted)
        assert {value.dtype for value in found.values()} == {np.dtype("float32")}


@pytest.mark.parametrize("kind", FAMILIES)
def test_padding_side_changes_nothing(kind, adapters, sounds, gap, german):
    sides = [adapters(kind, padding_side=side, input="joint") for side in ("right", "left")]
    given = {
        "speech": [sounds(s) for s in (0.6, 1.2)],
        "text": [Heard(t, sounds(0.5)) for t in TEXTS["deu"][:2]],
    }
    for modality, items in given.items():
        right, left = (adapter.tower(modality) for adapter in sides)
        batch = [right.features(item, german) for item in items]
        ids = left.collate(batch).inputs["input_ids"]
        assert (ids[:, -1] != 0).all()
        assert (ids[:, 0] == 0).any() or (kind, modality) == ("voxtral", "speech")
        found, wanted = left.encode(batch), right.encode(batch)
        assert all(gap(found[name], wanted[name]) < LIMIT for name in wanted)


def test_model_runs_through_a_study(folders, adapters, sounds, tmp_path, gap, german):
    """Each text is stored as its tower gives it after the recording that the study wants."""
    soundfile = pytest.importorskip("soundfile")
    from isogloss.events import Silent
    from isogloss.extraction.extract import extract
    from isogloss.planning import plan
    from isogloss.storage.store import Store
    from isogloss.study import Study

    rows = []
    for i, text in enumerate(TEXTS["deu"]):
        path = tmp_path / f"{i}.wav"
        soundfile.write(path, sounds(0.5 + 0.1 * i, seed=i), 16_000, subtype="FLOAT")
        rows.append({"id": f"s{i}", "language": "deu", "text": text, "audio": str(path)})
    manifest = tmp_path / "corpus.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = {}
    for mode in ("joint", "mismatched"):
        study = Study(
            corpus={"source": "manifest", "path": str(manifest)},
            model={
                "family": "speech_llm", "checkpoint": str(folders("granite_speech")), "input": mode,
                "taps": "in,proj,1,3",
            },
            device="cpu", analyses="cross_modal", jobs=1, output=str(tmp_path / mode),
        )  # fmt: skip
        planned = plan(study)
        store = Store(tmp_path / mode)
        store.claim({})
        assert extract(planned, store, Silent()) == []
        units = {unit.modality: unit for unit in planned.units}
        assert store.view(units["speech"], "proj").shape == (3, 48)
        found[mode] = store.view(units["text"], "3")
    tower = adapters("granite_speech", input="joint").tower("text")
    for i, text in enumerate(TEXTS["deu"]):
        made = [
            tower.encode([tower.features(Heard(text, sounds(0.5 + 0.1 * k, seed=k)), german)])["3"]
            for k in range(3)
        ]
        assert gap(found["joint"][i], made[i][0]) < LIMIT
        others = [gap(found["mismatched"][i], made[k][0]) for k in range(3) if k != i]
        assert min(others) < LIMIT
        assert gap(found["mismatched"][i], made[i][0]) > 1e-3


def write_tekken(path, merges, **changes):
    """As Mistral writes it: pieces by rank, special tokens before them."""
    import base64

    pieces = [bytes([i]) for i in range(256)] + [m.encode() for m in merges]
    special = ["<unk>", "<s>", "</s>", "[INST]", "[BEGIN_AUDIO]"]
    said = {
        "config": {
            "pattern": r" ?\p{L}+|\p{N}|\s+|[^\s\p{L}\p{N}]+",
            "default_vocab_size": 10 + 256 + len(merges), "default_num_special_tokens": 10,
        },
        "vocab": [
            {"rank": i, "token_bytes": base64.b64encode(piece).decode()}
            for i, piece in enumerate([*pieces, b"beyond"])
        ],
        "special_tokens": [{"rank": i, "token_str": t} for i, t in enumerate(special)],
        **changes,
    }  # fmt: skip
    path.write_text(json.dumps(said))
    return path


def test_tekken_merges_by_rank(tmp_path):
    """By hand; 2,061 sentences gave the same as mistral_common 1.13.1 with the released file."""
    from isogloss.models._llm_tekken import Tekken

    merges = ["ab", "bc", "abc", " a", "ü"]
    made = Tekken(write_tekken(tmp_path / "tekken.json", merges))
    byte = lambda text: [10 + b for b in text.encode()]  # noqa: E731
    ab, bc, abc, space_a, umlaut = range(266, 271)
    assert made.pieces("abc") == [abc]
    assert made.pieces("bcab") == [bc, ab]
    assert made.pieces("xbcb") == [*byte("x"), bc, *byte("b")]
    assert made.pieces("b a") == [*byte("b"), space_a]
    assert made.pieces("abü12") == [ab, umlaut, *byte("12")]
    assert made.pieces("a[INST]bc") == [*byte("a"), 3, bc]
    assert made.around("ab") == ([1, ab], [True, False])
    assert (made.id("[BEGIN_AUDIO]"), made.id("abc"), made.id("beyond")) == (4, abc, None)
    assert made.size == 271
    for changes in ({"special_tokens": None}, {"vocab": []}, {"special_tokens": []}):
        path = write_tekken(tmp_path / "bad.json", merges, **changes)
        with pytest.raises(ModelError, match="bad.json"):
            Tekken(path)


def test_voxtral_with_the_tokeniser_of_its_release(folders, tmp_path, sounds, german):
    folder = damaged(folders, "voxtral", tmp_path)
    (folder / "tokenizer.json").unlink()
    write_tekken(folder / "tekken.json", ["ab", "en"])
    source = SpeechLlm(checkpoint=str(folder))
    adapter = source.load(device="cpu")
    spoken = adapter.tower("speech").features(sounds(0.6), german).values["ids"]
    assert spoken.tolist() == [1, 4, *[AUDIO] * 25]
    text = adapter.tower("text").features("leben", german)
    assert text.values["ids"].tolist() == [1, 118, 111, 108, 267]
    assert text.values["counted"].tolist() == [False, True, True, True, True]
    before = source.fingerprint()
    write_tekken(folder / "tekken.json", ["ab", "er"])
    assert source.fingerprint() != before


@pytest.mark.parametrize("kind", ["qwen2_audio", "qwen2_5_omni"])
def test_a_batch_counts_what_the_tower_runs_over(kind, adapters, sounds, german):
    """A window is run over whole, however short the recording."""
    steps = 100 if kind in WINDOWED else 30
    tower = adapters(kind, input="joint")
    assert tower.tower("speech").features(sounds(0.6), german).length == steps
    heard = Heard("Recht", sounds(0.6))
    assert tower.tower("text").features(heard, german).length == steps
