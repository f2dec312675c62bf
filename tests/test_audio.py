import math
from pathlib import Path

import numpy as np
import pytest
import soundfile

from isogloss.audio import FileClip
from isogloss.errors import ItemError


def tone(seconds, rate, hertz=440.0, amplitude=0.4):
    return (amplitude * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(
        np.float32
    )


def write(path, samples, rate, **options):
    soundfile.write(path, samples, rate, **options)
    return path


def cut(path, target, share):
    data = path.read_bytes()
    target.write_bytes(data[: int(len(data) * share)])
    return target


def message(clip, method="read"):
    with pytest.raises(ItemError) as caught:
        getattr(clip, method)()
    assert clip.name in str(caught.value)
    return str(caught.value)


def test_flac_at_16_khz_comes_back_as_it_was_written(tmp_path):
    samples = np.round(tone(1.5, 16000) * 2**15) / 2**15
    clip = FileClip(write(tmp_path / "a.flac", samples, 16000))
    recording = clip.read()
    assert recording.samples.dtype == np.float32
    np.testing.assert_array_equal(recording.samples, samples.astype(np.float32))
    assert recording.note == ""
    assert clip.seconds() == 1.5
    assert clip.name == str(tmp_path / "a.flac")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.wav", {"subtype": "PCM_16"}),
        ("a.wav", {"subtype": "FLOAT"}),
        ("a.flac", {}),
        ("a.ogg", {"subtype": "VORBIS"}),
        ("a.mp3", {}),
        ("a.aiff", {}),
    ],
)
def test_every_container_is_averaged_and_resampled(tmp_path, name, options):
    left, right = tone(1, 44100, 440), tone(1, 44100, 1000)
    clip = FileClip(write(tmp_path / name, np.stack([left, right], 1), 44100, **options))
    recording = clip.read()
    assert recording.note == "2 channels averaged, resampled from 44.1 kHz"
    assert recording.samples.shape == (16000,)
    assert clip.seconds() == pytest.approx(1)
    want = (tone(1, 16000, 440) + tone(1, 16000, 1000)) / 2
    inner = slice(800, -800)  # the filter rings at the ends, and lossy codecs fade
    difference = recording.samples[inner] - want[inner]
    level = 10 * math.log10(np.mean(difference**2) / np.mean(want**2))
    assert level < (-15 if name in {"a.ogg", "a.mp3"} else -60)


def test_resampling_removes_what_16_khz_cannot_hold(tmp_path):
    samples = tone(1, 48000, 440) + tone(1, 48000, 11000)
    recording = FileClip(write(tmp_path / "a.wav", samples, 48000, subtype="FLOAT")).read()
    inner = slice(800, -800)
    assert np.abs(recording.samples[inner] - tone(1, 16000, 440)[inner]).max() < 1e-3


def test_offset_and_duration_cut_out_a_part(tmp_path):
    samples = np.round(tone(3, 16000) * 2**15).astype(np.int16)
    path = write(tmp_path / "a.flac", samples, 16000)
    clip = FileClip(path, 0.5, 1.25)
    np.testing.assert_array_equal(clip.read().samples, samples[8000:28000] / np.float32(2**15))
    assert clip.seconds() == 1.25
    assert clip.name == f"{path} [0.5-1.75 s]"
    assert FileClip(path, 2).read().samples.size == 16000
    assert FileClip(path, duration=1).seconds() == 1


@pytest.mark.parametrize("duration", [2.95, 3.05])
def test_rounded_durations_do_not_cut(tmp_path, duration):
    path = write(tmp_path / "a.wav", tone(3, 16000), 16000)
    assert FileClip(path, duration=duration).read().samples.size == 48000


def test_parts_beyond_the_end(tmp_path):
    path = write(tmp_path / "a.wav", tone(1, 16000), 16000)
    assert "starts at 1 s, the recording ends at 1.00 s" in message(FileClip(path, 1.0))
    assert "ends at 1.5 s, the recording at 1.00 s" in message(FileClip(path, 0.5, 1.0), "seconds")


def test_identity_follows_content_and_part_but_not_the_place(tmp_path):
    path = write(tmp_path / "a.wav", tone(1, 16000), 16000)
    (tmp_path / "b").mkdir()
    moved = tmp_path / "b" / "other.wav"
    moved.write_bytes(path.read_bytes())
    same = FileClip(path).identity()
    assert FileClip(moved).identity() == same
    assert FileClip(path, 0.1).identity() != same
    assert FileClip(path, 0.1, 0.5).identity() != FileClip(path, 0.1).identity()
    write(path, tone(1, 16000, 441), 16000)
    assert FileClip(path).identity() != same
    assert len(same) == 64


def test_missing_and_no_audio(tmp_path):
    assert "there is no such file" in message(FileClip(tmp_path / "none.wav"))
    assert "there is no such file" in message(FileClip(tmp_path / "none.wav"), "identity")
    (tmp_path / "x.wav").write_bytes(b"<html>not found</html>" * 20)
    assert "not audio" in message(FileClip(tmp_path / "x.wav"), "seconds")
    (tmp_path / "empty.wav").touch()
    assert "0 bytes" in message(FileClip(tmp_path / "empty.wav"))
    assert "is a folder" in message(FileClip(tmp_path))


def test_no_samples_silence_and_numbers_that_are_none(tmp_path):
    nothing = write(tmp_path / "0.wav", np.zeros(0, np.float32), 16000)
    assert "0 samples" in message(FileClip(nothing), "seconds")
    for level in (0.0, 0.25):  # a constant is silence as well
        flat = write(tmp_path / "flat.wav", np.full(16000, level, np.float32), 16000)
        assert "silent" in message(FileClip(flat))
    for value in (np.nan, np.inf):
        samples = tone(1, 16000)
        samples[5] = value
        broken = write(tmp_path / "nan.wav", samples, 16000, subtype="FLOAT")
        assert "not finite" in message(FileClip(broken))


def test_quiet_speech_is_not_silence(tmp_path):
    quiet = write(tmp_path / "quiet.wav", tone(1, 16000, amplitude=0.001), 16000)
    assert FileClip(quiet).read().samples.size == 16000


@pytest.mark.parametrize("name", ["a.wav", "a.aiff", "a.au", "a.w64"])
def test_headers_that_announce_more_than_there_is(tmp_path, name):
    whole = write(tmp_path / name, tone(2, 16000), 16000)
    short = FileClip(cut(whole, tmp_path / f"short{whole.suffix}", 0.5))
    assert "cut short" in message(short)
    assert "cut short" in message(short, "seconds")


def test_cut_compressed_files(tmp_path, capfd):
    for name in ("a.flac", "a.ogg", "a.mp3"):
        noise = np.random.default_rng(0).uniform(-0.3, 0.3, 32000).astype(np.float32)
        whole = write(tmp_path / name, noise, 16000)
        message(FileClip(cut(whole, tmp_path / f"short{whole.suffix}", 0.4)))
    capfd.readouterr()  # libmpg123 writes to stderr by itself


@pytest.mark.parametrize("length", [0xFFFFFFFF, 0x7FFFFFFF])
def test_streamed_wav_files_without_a_length_are_whole(tmp_path, length):
    path = write(tmp_path / "a.wav", tone(1, 16000), 16000)
    data = bytearray(path.read_bytes())
    at = data.index(b"data") + 4
    data[at : at + 4] = length.to_bytes(4, "little")
    path.write_bytes(data)
    assert FileClip(path).read().samples.size == 16000


def test_clips_are_plain_values():
    assert FileClip(Path("a.wav"), 1.0) == FileClip(Path("a.wav"), 1.0)
    assert hash(FileClip(Path("a.wav"))) != hash(FileClip(Path("b.wav")))
