"""Attention with relative positions, against what transformers computes."""

import copy

import pytest

from isogloss.models._relative import lighten

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

LIMIT = 2e-6


def encoder(kind, **changes):
    if kind == "seamless":
        from transformers import SeamlessM4Tv2Config as Config
        from transformers.models.seamless_m4t_v2.modeling_seamless_m4t_v2 import (
            SeamlessM4Tv2ConformerEncoder as Encoder,
        )

        small = {"speech_encoder_layers": 2, "speech_encoder_attention_heads": 4,
                 "speech_encoder_intermediate_size": 64}  # fmt: skip
    else:
        from transformers import Wav2Vec2BertConfig as Config
        from transformers.models.wav2vec2_bert.modeling_wav2vec2_bert import (
            Wav2Vec2BertEncoder as Encoder,
        )

        small = {"num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    torch.manual_seed(0)
    config = Config(hidden_size=32, **small, **changes)
    config._attn_implementation = "sdpa"
    return Encoder(config).eval()


def said(module, values, mask):
    with torch.inference_mode():
        out = module(values.clone(), attention_mask=mask)
    return out if isinstance(out, torch.Tensor) else out[0]


@pytest.mark.parametrize("kind", ["seamless", "bert"])
@pytest.mark.parametrize("lengths", [(150,), (150, 149, 40, 1), (9, 9), None])
def test_what_is_computed_stays_the_same(kind, lengths):
    stock = encoder(kind)
    light = copy.deepcopy(stock)
    assert lighten(light) == 2
    torch.manual_seed(1)
    time = 150 if lengths is None else max(lengths)
    values = torch.randn(len(lengths or (1, 1)), time, 32)
    mask = None
    if lengths is not None:
        mask = (torch.arange(time) < torch.tensor(lengths)[:, None]).long()
    a, b = said(stock, values, mask), said(light, values, mask)
    assert torch.isfinite(b).all()
    counted = torch.ones(a.shape[:2], dtype=torch.bool) if mask is None else mask.bool()
    assert (a - b)[counted].abs().max() < LIMIT * a[counted].abs().max()


def test_all_items_at_once_is_the_same_as_one_by_one(monkeypatch):
    from isogloss.models import _relative

    light = encoder("seamless")
    lighten(light)
    values = torch.randn(3, 100, 32)
    mask = (torch.arange(100) < torch.tensor([100, 60, 7])[:, None]).long()
    one = said(light, values, mask)
    monkeypatch.setattr(_relative, "_by_item", lambda device: False)
    together = said(light, values, mask)
    counted = mask.bool()
    assert (one - together)[counted].abs().max() < LIMIT * one[counted].abs().max()


def test_masks_of_another_kind_are_left_to_transformers():
    stock = encoder("seamless", speech_encoder_chunk_size=20, speech_encoder_left_chunk_num=1)
    light = copy.deepcopy(stock)
    lighten(light)
    values, mask = torch.randn(2, 60, 32), torch.ones(2, 60, dtype=torch.long)
    assert torch.equal(said(stock, values, mask), said(light, values, mask))
    holes = mask.clone()
    holes[:, 5] = 0
    stock, light = encoder("bert"), encoder("bert")
    lighten(light)
    assert torch.equal(said(stock, values, holes), said(light, values, holes))


def test_other_modules_stay_as_they_are():
    assert lighten(torch.nn.TransformerEncoderLayer(8, 2)) == 0
    assert lighten(encoder("bert", position_embeddings_type="relative")) == 0
