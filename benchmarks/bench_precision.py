"""How far pooled vectors of bfloat16 and float16 are from those of float32, with random weights."""

import gc
import tempfile
from functools import partial
from pathlib import Path

import checkpoints
import numpy as np
from harness import Table

TINY, MEDIUM = {"layers": 6, "width": 64}, {"layers": 24, "width": 256}
ITEMS, SECONDS = 12, 3.0
MODELS = {
    "SeamlessM4T v2": partial(checkpoints.seamless, version=2),
    "SeamlessM4T v1": partial(checkpoints.seamless, version=1),
    "Whisper": checkpoints.whisper,
    "XLM-RoBERTa": checkpoints.xlm_roberta,
    "wav2vec 2.0": checkpoints.wav2vec2,
}
PAIR = ("XLM-RoBERTa", "wav2vec 2.0")
LOW = ("bfloat16", "float16")


def run(quick):
    return [_table(size) for size in ((TINY,) if quick else (TINY, MEDIUM))]


def _table(size):
    last = size["layers"]
    taps = ["1", str(last // 2), str(last), "len"]
    columns = ["model", *(f"{d}: {t}" for d in LOW for t in taps)]
    plain = Table(f"Relative L2 distance to float32, {last} layers of width {size['width']}",
                  columns)  # fmt: skip
    centred = Table("The same, of what is left when the mean over sentences is taken away", columns)
    with tempfile.TemporaryDirectory(prefix="isogloss-bench-") as root:
        folders = {}
        for name, write in MODELS.items():
            folders[name] = Path(root) / name.replace(" ", "-")
            folders[name].mkdir()
            write(folders[name], **size)
        for name, modality, source in _encoders(folders):
            pooled = {d: _pooled(source(d), modality) for d in ("float32", *LOW)}
            for table, adjust in ((plain, lambda x: x), (centred, lambda x: x - x.mean(0))):
                row = [f"{name}, {modality}"]
                for low in LOW:
                    for tap in taps:
                        full = pooled["float32"].get(tap)
                        row.append("–" if full is None else _gap(pooled[low][tap], full, adjust))
                table.rows.append(row)
    note = f"{ITEMS} English sentences, and recordings of {SECONDS:.0f} s and more; median of them."
    plain.notes = [note]
    centred.notes = [note]
    return [plain, centred]


def _gap(low, full, adjust):
    low, full = adjust(low.astype(np.float64)), adjust(full.astype(np.float64))
    apart = np.linalg.norm(low - full, axis=1) / np.linalg.norm(full, axis=1)
    return f"{np.median(apart):.1e}" if np.isfinite(apart).all() else "not finite"


def _encoders(folders):
    from isogloss.models.seamless import Seamless
    from isogloss.models.towers import Towers
    from isogloss.models.whisper import Whisper

    both = ("text", "speech")
    # The text encoders of v1 and v2 are the same.
    whole = {"SeamlessM4T v2": both, "SeamlessM4T v1": both[1:], "Whisper": both}
    for name, modalities in whole.items():
        family = Whisper if name == "Whisper" else Seamless
        for modality in modalities:
            yield name, modality, partial(_source, family, checkpoint=str(folders[name]))
    pair = {m: str(folders[name]) for m, name in zip(both, PAIR, strict=True)}
    for modality, name in zip(both, PAIR, strict=True):
        yield name, modality, partial(_source, Towers, **pair)


def _source(family, dtype, **settings):
    return family(dtype=dtype, **settings)


def _pooled(source, modality):
    from isogloss.languages import language

    tower = source.load(device="cpu").tower(modality)
    if modality == "text":
        items = checkpoints.sentences(ITEMS)
    else:
        items = [checkpoints.sound(SECONDS + i / 10, i) for i in range(ITEMS)]
    assert len(items) == ITEMS
    batch = [tower.features(item, language("eng")) for item in items]
    pooled = [tower.encode(batch[i : i + 4]) for i in range(0, ITEMS, 4)]
    del tower
    gc.collect()
    return {tap: np.concatenate([p[tap] for p in pooled]) for tap in pooled[0]}
