import builtins
import ctypes
import hashlib
import io
import os
import random
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np
import pytest
import soundfile

from isogloss.audio import FileClip, resample
from isogloss.errors import IsoglossError, ItemError, MissingExtraError
from isogloss.synthesis import (
    SynthesisedClip,
    _engine,
    _is_loaded,
    _unload,
    cache_folder,
    engine_version,
    speak,
)

espeakng_loader = pytest.importorskip("espeakng_loader")

TEXTS = [
    ("Alle Menschen sind frei und gleich an Würde und Rechten geboren.", "de"),
    ("All human beings are born free, and equal in dignity and rights.", "en-us+f2"),
    ("人人生而自由", "cmn+m3"),
    ("Kaikki ihmiset syntyvät vapaina.", "fi+f1"),
]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ISOGLOSS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "speech"


def digest(samples):
    return hashlib.sha256(samples.tobytes()).hexdigest()


def files(folder):
    return sorted(p for p in folder.rglob("*") if p.is_file())


SCRIPT = """
import hashlib, sys
from isogloss.synthesis import SynthesisedClip
for line in sys.stdin.read().splitlines():
    text, voice = line.split("|")
    samples = SynthesisedClip(text, voice).read().samples
    print(voice, hashlib.sha256(samples.tobytes()).hexdigest())
"""


def in_a_process(jobs, cache):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input="\n".join("|".join(job) for job in jobs),
        env={**os.environ, "ISOGLOSS_CACHE": str(cache)},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
    )
    return sorted(done.stdout.splitlines())


def test_two_processes_say_the_same_to_the_last_bit(tmp_path):
    once = in_a_process(TEXTS, tmp_path / "one")
    again = in_a_process([*reversed(TEXTS), *TEXTS], tmp_path / "two")
    assert len(set(once)) == len(TEXTS)
    assert set(again) == set(once)


def test_a_text_sounds_the_same_after_any_other_text():
    first = {job: digest(speak(*job, rate=175, pitch=50)[0]) for job in TEXTS}
    shuffled = TEXTS * 3
    random.Random(1).shuffle(shuffled)
    for job in shuffled:
        assert digest(speak(*job, rate=175, pitch=50)[0]) == first[job]


def test_another_user_of_the_engine_in_this_process_is_left_alone():
    before = digest(speak("Guten Tag", "de", rate=175, pitch=50)[0])
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    start = [2, 0, espeakng_loader.get_data_path().encode(), 0x8000]
    assert library.espeak_Initialize(*start) == 22050
    try:
        library.espeak_SetParameter(1, 400, 0)
        assert digest(speak("Guten Tag", "de", rate=175, pitch=50)[0]) == before
        assert library.espeak_GetParameter(1, 1) == 400
    finally:
        library.espeak_Terminate()
        _unload(library)


def test_the_engine_is_unloaded_after_each_text():
    speak("Guten Tag", "de", rate=175, pitch=50)
    assert not _is_loaded(espeakng_loader.get_library_path())


def test_one_text_at_a_time():
    done = threading.Event()
    job = threading.Thread(
        target=lambda: (speak("Guten Tag", "de", rate=175, pitch=50), done.set())
    )
    with _engine:
        job.start()
        assert not done.wait(0.3)
    assert done.wait(30)
    job.join()


def test_threads_may_synthesise_at_the_same_time():
    jobs = [(" ".join([text] * 8), voice) for text, voice in TEXTS]
    first = [digest(speak(*job, rate=175, pitch=50)[0]) for job in jobs]
    barrier = threading.Barrier(8)

    def work(job):
        barrier.wait()
        return digest(speak(*job, rate=175, pitch=50)[0])

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, jobs * 6)) == first * 6


def test_read_and_read_again(cache):
    clip = SynthesisedClip("Guten Tag, wie geht es Ihnen?", "de")
    estimate = clip.seconds()
    first = clip.read()
    assert first.samples.dtype == np.float32
    assert np.abs(first.samples).max() > 0.05
    assert first.note == "synthesised by espeak-ng, resampled from 22.05 kHz"
    [path] = files(cache)
    assert path.name == f"{clip.identity()}.flac"
    again = SynthesisedClip(clip.text, clip.voice).read()
    np.testing.assert_array_equal(first.samples, again.samples)
    assert again.note == first.note
    assert clip.seconds() == first.samples.size / 16000
    assert 0.5 < estimate / clip.seconds() < 2
    # Batches follow from this, and must not change when a clip is cached.
    assert clip.expected() == estimate
    spoken, rate = speak(clip.text, "de", rate=175, pitch=50)
    exact = resample(spoken.astype(np.float32) / 2**15, rate)
    assert np.abs(first.samples - exact).max() <= 0.501 / 2**15


def test_the_cache_is_what_is_read(cache):
    clip = SynthesisedClip("Guten Tag", "de")
    clip.read()
    [path] = files(cache)
    other = np.arange(-500, 500, dtype=np.int16)
    soundfile.write(path, other, 16000)
    np.testing.assert_array_equal(clip.read().samples, other / np.float32(2**15))


@pytest.mark.parametrize("damage", [b"", b"fLaC junk", None])
def test_a_damaged_cache_entry_is_made_anew(cache, damage):
    clip = SynthesisedClip("Guten Tag, wie geht es?", "de")
    good = clip.read()
    [path] = files(cache)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    np.testing.assert_array_equal(clip.read().samples, good.samples)
    np.testing.assert_array_equal(FileClip(path).read().samples, good.samples)
    assert files(cache) == [path]


def test_a_killed_writer_leaves_no_clip_under_its_name(cache, monkeypatch):
    clip = SynthesisedClip("Guten Tag", "de")

    def die(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.replace", die)
        with pytest.raises(KeyboardInterrupt):
            clip.read()
    assert [p for p in files(cache) if p.suffix == ".flac"] == []
    clip.read()
    assert len(files(cache)) == 1


def test_readers_never_see_half_a_clip(cache):
    clip = SynthesisedClip(" ".join(["Alle Menschen sind frei."] * 12), "de")
    want = clip.read().samples
    [path] = files(cache)
    stop, seen = threading.Event(), []

    def watch():
        while not stop.is_set():
            with suppress(FileNotFoundError):
                seen.append(path.read_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    for _ in range(5):
        path.unlink()
        clip.read()
    stop.set()
    watcher.join()
    assert seen
    for data in set(seen):
        samples, _ = soundfile.read(io.BytesIO(data), dtype="float32")
        np.testing.assert_array_equal(samples, want)


def test_without_a_writable_cache_it_still_speaks(tmp_path, monkeypatch):
    clip = SynthesisedClip("Guten Tag", "de")
    want = clip.read()
    blocked = tmp_path / "file"
    blocked.touch()
    monkeypatch.setenv("ISOGLOSS_CACHE", str(blocked))
    got = clip.read()
    np.testing.assert_array_equal(got.samples, want.samples)
    assert got.note == want.note


def test_identity_names_everything_that_is_heard():
    clip = SynthesisedClip("Guten Tag", "de")
    others = [
        SynthesisedClip("Guten Tag!", "de"),
        SynthesisedClip("Guten Tag", "de+f1"),
        SynthesisedClip("Guten Tag", "de", rate=160),
        SynthesisedClip("Guten Tag", "de", pitch=60),
    ]
    assert len({c.identity() for c in [clip, *others]}) == 5
    assert SynthesisedClip("Guten Tag", "de").identity() == clip.identity()
    assert len({digest(c.read().samples) for c in [clip, *others[1:]]}) == 4


def test_rate_changes_the_length_and_the_estimate():
    slow, fast = (SynthesisedClip(TEXTS[0][0], "de", rate=r) for r in (120, 240))
    assert slow.seconds() == pytest.approx(2 * fast.seconds())
    assert slow.read().samples.size > 1.5 * fast.read().samples.size


@pytest.mark.parametrize("text", ["", " ", "…"])
def test_nothing_to_say(text, cache):
    with pytest.raises(ItemError, match="says nothing"):
        SynthesisedClip(text, "de").read()
    assert not cache.exists()


def test_unknown_voice():
    with pytest.raises(ItemError, match='no voice "xx-none"'):
        SynthesisedClip("Guten Tag", "xx-none").read()


def test_text_with_a_null_is_spoken_whole():
    whole, _ = speak("Guten Tag, wie geht es Ihnen?", "de", rate=175, pitch=50)
    broken, _ = speak("Guten Tag,\0wie geht es Ihnen?", "de", rate=175, pitch=50)
    np.testing.assert_array_equal(broken, whole)


def test_long_paths_are_reported(monkeypatch):
    data = "/" + "x" * 200
    monkeypatch.setattr(espeakng_loader, "get_data_path", lambda: data)
    with pytest.raises(IsoglossError, match="shorter path"):
        speak("Guten Tag", "de", rate=175, pitch=50)


def test_engine_version_names_engine_and_package():
    assert engine_version().startswith("espeak-ng 1.")
    assert "espeakng-loader 0." in engine_version()


def test_missing_package(monkeypatch):
    real = builtins.__import__

    def absent(name, *args, **kwargs):
        if name == "espeakng_loader":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(MissingExtraError, match=r"isogloss\[tts\]"):
        speak("Guten Tag", "de", rate=175, pitch=50)


def test_cache_folder_without_the_variable(monkeypatch):
    monkeypatch.delenv("ISOGLOSS_CACHE")
    assert cache_folder().name == "speech"
    assert "isogloss" in str(cache_folder())
