"""Recordings whose headers lie: refused with one message, and nothing is allocated for a claim."""

import struct

import numpy as np
import pytest
import soundfile

from bounds import bounded
from isogloss import audio
from isogloss.audio import FileClip
from isogloss.corpora import CORPORA
from isogloss.errors import ItemError


def wav(path, *, rate=16_000, channels=1, claimed=None, bits=16, frames=1600, kind=1):
    """A WAV file with any header."""
    width = bits // 8
    wave = (1000 * np.sin(np.arange(frames * channels) / 9)).astype("<i2").tobytes()
    data = wave if bits == 16 else bytes(frames * channels * width)
    size = len(data) if claimed is None else claimed
    block = channels * width
    head = struct.pack("<HHIIHH", kind, channels, rate, rate * block & 0xFFFFFFFF, block, bits)
    body = b"WAVEfmt " + struct.pack("<I", 16) + head + b"data" + struct.pack("<I", size) + data
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return path


def unusable(path, use="read", **arguments):
    with bounded(mebibytes=120), pytest.raises(ItemError) as caught:
        getattr(FileClip(path, **arguments), use)()
    assert path.name in str(caught.value)
    return str(caught.value)


def test_headers_of_no_sound(tmp_path):
    assert "64 are averaged" in unusable(wav(tmp_path / "a.wav", channels=1000))
    assert "channels" in unusable(wav(tmp_path / "a.wav", channels=65), "seconds")
    unusable(wav(tmp_path / "b.wav", channels=0))
    for rate in (1, 999, 768_001, 2**31 - 1):
        assert f"{rate} Hz" in unusable(wav(tmp_path / "c.wav", rate=rate))
    unusable(wav(tmp_path / "d.wav", rate=0))
    assert FileClip(wav(tmp_path / "e.wav", channels=64)).read().samples.size == 1600


def test_a_header_that_claims_hours_allocates_nothing(tmp_path):
    for claimed in (32_000, 2**30, 400_000_000):
        path = wav(tmp_path / "a.wav", claimed=claimed)
        assert f"announces {claimed} bytes of sound, the file holds 3200" in unusable(path)
    streamed = wav(tmp_path / "a.wav", claimed=2**31)  # as if its length had not been known
    with bounded(mebibytes=20):
        assert FileClip(streamed).read().samples.size == 1600


def flac(path, total):
    """A FLAC file of a tenth of a second whose header claims any number of samples."""
    soundfile.write(path, 0.3 * np.sin(np.arange(1600) / 9), 16_000)
    data = bytearray(path.read_bytes())
    low = int.from_bytes(data[21:26], "big") >> 36 << 36
    data[21:26] = (low | total).to_bytes(5, "big")
    path.write_bytes(data)
    return path


def test_a_compressed_header_that_lies(tmp_path):
    # The 36 bits of a FLAC header are believed; nothing in the file contradicts them.
    assert "longest recording" in unusable(flac(tmp_path / "a.flac", 2**36 - 1))
    assert "longest recording" in unusable(flac(tmp_path / "a.flac", 2**36 - 1), "seconds")
    text = unusable(flac(tmp_path / "b.flac", 16_000 * 590))
    assert "cut short" in text or "damaged" in text


def test_one_recording_is_no_longer_than_said(tmp_path):
    quiet = np.tile([0.1, -0.1], 8_000 * 3)
    soundfile.write(tmp_path / "a.wav", quiet, 16_000)
    clip = FileClip(tmp_path / "a.wav", longest=2.5)
    for use in ("seconds", "read"):
        text = unusable(tmp_path / "a.wav", use, longest=2.5)
        assert "lasts 3 s" in text
        assert "corpus.longest" in text
    assert FileClip(tmp_path / "a.wav", 0, 2.0, longest=2.5).read().samples.size == 32_000
    # What can be used depends on it, so units that were made with another are others.
    assert clip.identity() != FileClip(tmp_path / "a.wav").identity()
    (tmp_path / "m.csv").write_text("id,lang,text,audio\n1,deu,eins,a.wav\n")
    (found,) = CORPORA.get("manifest")(path=tmp_path / "m.csv", longest=2.5).load().utterances
    assert found.clip == clip


def test_a_recording_of_too_many_samples(tmp_path, monkeypatch):
    monkeypatch.setattr(audio, "MOST_FRAMES", 1500)
    assert "at most 1500 are decoded" in unusable(wav(tmp_path / "a.wav"))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30, 3e38])
def test_samples_that_are_no_sound(tmp_path, value):
    samples = np.tile([0.1, -0.1], (8000, 1))
    samples[4000] = value
    soundfile.write(tmp_path / "a.wav", samples, 16_000, subtype="FLOAT")
    assert "sample" in unusable(tmp_path / "a.wav")


def test_blocks_give_what_the_whole_gives(tmp_path, monkeypatch):
    samples = np.random.default_rng(0).normal(scale=0.1, size=(10_000, 3))
    soundfile.write(tmp_path / "a.wav", samples, 16_000, subtype="FLOAT")
    whole = FileClip(tmp_path / "a.wav").read().samples
    np.testing.assert_array_equal(whole, samples.astype("f4").mean(axis=1, dtype="f4"))
    monkeypatch.setattr(audio, "_BLOCK", 100)
    np.testing.assert_array_equal(FileClip(tmp_path / "a.wav").read().samples, whole)
