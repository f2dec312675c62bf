"""Features made in other processes: the same ones, whatever happens to those processes."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from hearing import Ears, Tone
from isogloss.corpora.base import Utterance
from isogloss.extraction import feeding
from isogloss.extraction.encode import encode
from isogloss.extraction.feeding import Helpers
from isogloss.extraction.heap import freed_blocks_kept
from isogloss.languages import language

ENG = language("eng")


def spoken(*clips):
    return [Utterance(str(i), "eng", clip=clip) for i, clip in enumerate(clips)]


def running(pool, number=1):
    """Have so many helpers, started one after the other."""
    for n in range(1, number + 1):
        pool.more()
        deadline = time.monotonic() + 60
        while pool._running < n:
            assert time.monotonic() < deadline, "no helper came up"
            time.sleep(0.01)


@pytest.fixture
def pool():
    made = Helpers(2)
    yield made
    made.close()


def test_features_are_made_elsewhere_and_are_the_same(pool, capfd):
    running(pool)
    make, here = pool.preparing(Ears()), feeding.here(Ears())
    for clip in (Tone(5), Tone(3), Tone(4, "missing")):
        (utterance,) = spoken(clip)
        a, b = make("speech", utterance, None, ENG), here("speech", utterance, None, ENG)
        assert (a.failure, a.notes, a.seconds) == (b.failure, b.notes, b.seconds)
        if b.features is None:
            assert a.features is None
            continue
        assert a.features.length == b.features.length
        np.testing.assert_array_equal(a.features.values["x"], b.features.values["x"])
        a.features.values["x"] += 1  # arrays are the receiver's own
        assert b.features.values["process"] == os.getpid() != a.features.values["process"]
    capfd.readouterr()


def test_before_any_helper_runs_features_are_made_here(pool):
    made = pool.preparing(Ears())("speech", *spoken(Tone(3)), None, ENG)
    assert made.features.values["process"] == os.getpid()


@pytest.mark.parametrize("tower", [Ears(portable=False), type("Bound", (Ears,), {
    "apart": lambda self: self,
})()])  # fmt: skip
def test_what_cannot_be_sent_is_made_here(pool, tower):
    running(pool)
    made = pool.preparing(tower)("speech", *spoken(Tone(3)), None, ENG)
    assert made.features.values["process"] == os.getpid()


def test_a_recording_that_cannot_be_sent_is_read_here(pool):
    class Local(Tone):
        pass

    running(pool)
    made = pool.preparing(Ears())("speech", *spoken(Local(3)), None, ENG)
    assert made.features.values["process"] == os.getpid()


def test_without_room_for_the_file_features_are_made_here(pool, monkeypatch):
    running(pool)
    monkeypatch.setattr("tempfile.tempdir", "/dev/null/nowhere")
    made = pool.preparing(Ears())("speech", *spoken(Tone(3)), None, ENG)
    assert made.features.values["process"] == os.getpid()


def test_a_helper_that_is_killed_loses_nothing(pool):
    running(pool)
    make = pool.preparing(Ears())
    made = make("speech", *spoken(Tone(3, "SIGKILL", os.getpid())), None, ENG)
    assert made.features.values["process"] == os.getpid()
    np.testing.assert_array_equal(made.features.values["x"], [0, 2, 4])
    assert make("speech", *spoken(Tone(2)), None, ENG).features.length == 2


def test_a_recording_that_crashes_the_decoder_twice_is_left_out(pool):
    running(pool, 2)
    make = pool.preparing(Ears())
    made = make("speech", *spoken(Tone(3, "SIGSEGV", os.getpid())), None, ENG)
    assert made.features is None
    assert made.failure == "its recording makes the decoder crash"
    assert make("speech", *spoken(Tone(2)), None, ENG).features.length == 2


def test_a_bug_is_seen_with_its_traceback(pool):
    running(pool)
    with pytest.raises(ZeroDivisionError, match="the reader is broken"):
        pool.preparing(Ears())("speech", *spoken(Tone(3, "broken")), None, ENG)


def test_a_unit_comes_out_the_same_with_helpers_and_without(capfd):
    main = os.getpid()
    clips = [Tone(n + 1) for n in range(60)]
    clips[7], clips[20] = Tone(8, "missing"), Tone(21, "SIGKILL", main)
    alone = encode(Ears(portable=False), spoken(*clips), ENG, budget=100, jobs=2)
    running(feeding.helpers(2), 2)
    helped = encode(Ears(), spoken(*clips), ENG, budget=100, jobs=2)
    assert feeding.helpers(2) is feeding.helpers(2)
    feeding.close()
    np.testing.assert_array_equal(alone.arrays["1"], helped.arrays["1"])
    assert alone.rows == helped.rows
    assert alone.seconds == helped.seconds
    assert alone.failed == helped.failed == {7: "it is missing"}
    assert alone.notes == helped.notes == {"read": 59}
    capfd.readouterr()


def test_helpers_leave_when_their_process_is_killed():
    code = (
        "import os, time\n"
        "from isogloss.extraction.feeding import Helpers\n"
        "pool = Helpers(1)\n"
        "pool.more()\n"
        "while not pool._running: time.sleep(0.01)\n"
        "print(pool._idle[0]._process.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=False
    )
    pid = done.stdout
    deadline = time.monotonic() + 60
    while _alive(int(pid)):
        assert time.monotonic() < deadline, "the helper is still there"
        time.sleep(0.01)


def _alive(pid):
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("portable", ["seamless", "waveform"])
def test_the_speech_towers_can_be_sent(portable):
    pytest.importorskip("torch")
    import pickle

    from isogloss.models._speech import FilterBank, SpeechTower, Waveform

    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    if portable == "seamless":
        source = FilterBank(transformers.SeamlessM4TFeatureExtractor())
    else:
        source = Waveform(transformers.Wav2Vec2FeatureExtractor(), (10, 3), (5, 2))
    tower = SpeechTower(torch.nn.Linear(2, 2), source=source, taps=(), specs={})
    parcel = pickle.dumps(tower.apart())
    assert b"Linear" not in parcel
    samples = np.sin(np.arange(8000, dtype=np.float32))
    a, b = pickle.loads(parcel).features(samples, ENG), tower.features(samples, ENG)
    assert a.length == b.length
    for key, value in b.values.items():
        np.testing.assert_array_equal(a.values[key], value)


def test_keeping_freed_blocks_can_be_nested():
    with freed_blocks_kept(), freed_blocks_kept():
        assert np.ones(10_000_000).sum() == 10_000_000


def test_what_an_audio_llm_hears_with_can_be_sent():
    import pickle
    from dataclasses import replace

    from isogloss.models._llm_families import FAMILIES

    for family in FAMILIES.values():
        again = pickle.loads(pickle.dumps(family))
        assert again == family
        assert again.tokens is family.tokens
        other = replace(family, decoder="elsewhere")
        assert pickle.loads(pickle.dumps(other)) == other
