"""SALMONN on a manifest, in all three kinds of input, from recordings to results."""

import json

import numpy as np
import pytest

import isogloss
from isogloss.storage.store import Store

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
soundfile = pytest.importorskip("soundfile")

import salmonn_files  # noqa: E402

MODES = ("joint", "separate", "mismatched")
SENTENCES = 7
SILENT, LONG = "3", "4"
"""A sentence without a recording in English, and one that is longer than SALMONN hears."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("salmonn")
    official = salmonn_files.write_all(folder)
    rng = np.random.default_rng(0)
    rows = []
    for language in ("eng", "deu"):
        for i in map(str, range(SENTENCES)):
            row = {"id": i, "lang": language, "text": f"human rights and freedom {i} " * 2}
            if (language, i) != ("eng", SILENT):
                row["audio_filepath"] = f"{language}{i}.flac"
                seconds = 30.5 if (language, i) == ("deu", LONG) else 0.6 + 0.2 * int(i)
                noise = 0.1 * rng.normal(size=int(seconds * 16_000))
                soundfile.write(folder / row["audio_filepath"], noise, 16_000)
            rows.append(row)
    (folder / "m.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    done = {}
    for mode in MODES:
        study = isogloss.Study(
            corpus={"source": "manifest", "path": folder / "m.jsonl"},
            model={"family": "salmonn", **official, "input": mode, "taps": ["enc", "in", "4"]},
            analyses=["cross_modal"],
            permutations=5,
            output=folder / mode,
        )
        done[mode] = study, isogloss.run(study)
    return done


def stored(runs, mode, language, modality, tap):
    """Sentence -> vector."""
    study = runs[mode][0]
    unit = next(
        u
        for u in isogloss.Run.read(study.output).units
        if (u.language, u.modality) == (language, modality)
    )
    store = Store(study.output)
    ids = store.record(unit)["sentences"]
    return dict(zip(ids, store.view(unit, tap), strict=True))


def test_every_input_gives_results(runs):
    for mode in MODES:
        outcome = runs[mode][1]
        assert not outcome.failed
        matched = outcome.results["cross_modal"].filter(group="matched")
        labels = set(matched["label"].to_list())
        assert labels == {"enc", "in", "4"}
        assert matched["score"].is_finite().all(), matched


def test_speech_is_the_same_and_text_is_not(runs, gap):
    for language in ("eng", "deu"):
        for tap in ("enc", "in", "4"):
            speech = [stored(runs, mode, language, "speech", tap) for mode in MODES]
            for sentence, vector in speech[0].items():
                assert all(np.array_equal(other[sentence], vector) for other in speech)
        joint, separate, mismatched = (stored(runs, m, language, "text", "4") for m in MODES)
        assert joint.keys() & mismatched.keys()
        for sentence, vector in joint.items():
            assert gap(separate[sentence], vector) > 1e-3
            if sentence in mismatched:
                assert gap(mismatched[sentence], vector) > 1e-3


def test_sentences_that_lack_a_usable_recording_are_left_out_and_named(runs):
    for mode in MODES:
        english = stored(runs, mode, "eng", "text", "4")
        german = stored(runs, mode, "deu", "text", "4")
        assert (SILENT in english) == (mode == "separate")
        # With another one's recording it is some other sentence that cannot be used.
        assert len(german) == SENTENCES - (mode != "separate")
        assert LONG not in stored(runs, mode, "deu", "speech", "4")


def test_the_report_says_which_input_was_used(runs):
    for mode, words in zip(
        MODES, ("Joint input: ", "Separate inputs: ", "Mismatched input (control): "), strict=True
    ):
        page = (runs[mode][1].folder / "report.html").read_text(encoding="utf-8")
        assert words in page


def test_tokens_of_a_text_do_not_count_what_stands_before_it(runs):
    for language in ("eng", "deu"):
        counts = []
        for mode in MODES:
            output = runs[mode][0].output
            record = json.loads(
                next((output / "activations").glob(f"{language}.text-*.json")).read_text()
            )
            counts.append(
                dict(zip(record["sentences"], record["covariates"]["tokens"], strict=True))
            )
        joint, separate, mismatched = counts
        assert joint == {s: separate[s] for s in joint}
        assert mismatched == {s: separate[s] for s in mismatched}


def test_the_control_stands_beside_the_joint_run(runs):
    joint, mismatched = (runs[mode][0].output for mode in ("joint", "mismatched"))
    page = isogloss.write_report(joint, control=mismatched).read_text()
    assert "control: with another sentence's recording" in page.replace("&#39;", "'")
    with pytest.raises(isogloss.errors.IsoglossError, match="they were encoded alone"):
        isogloss.write_report(joint, control=runs["separate"][0].output)
