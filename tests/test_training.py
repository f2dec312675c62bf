"""Gaps watched while a model trains: the same numbers as a run, and nothing is changed."""

import csv
import inspect
import json
import logging
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import isogloss
from isogloss import charts, specs
from isogloss.analyses._gap_table import by_language
from isogloss.api import analyse
from isogloss.errors import CorpusError, ModelError, StoreError, StudyError
from isogloss.events import Silent
from isogloss.extraction.extract import extract
from isogloss.similarity.measures import MEASURES
from isogloss.training import GapCallback, GapWatch, curve, read_history, write_curve

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
soundfile = pytest.importorskip("soundfile")

from isogloss.models._tiny import cached_tiny_seamless  # noqa: E402
from isogloss.models._weights import quiet  # noqa: E402
from isogloss.training.guard import evaluating, same_randomness  # noqa: E402
from isogloss.training.measuring import knows_chance  # noqa: E402

LANGUAGES = ("deu", "eng", "fin")
SENTENCES = 12
WORDS = ["human", "rights", "and", "freedom", "are", "for", "all", "of", "us", "born", "equal"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Short sentences in three languages, spoken by noise that follows their number."""
    folder = tmp_path_factory.mktemp("sentences")
    rng = np.random.default_rng(0)
    rows = []
    for language in LANGUAGES:
        for i in range(SENTENCES):
            name = f"{language}{i}.wav"
            samples = 0.1 * rng.normal(size=int((0.2 + 0.02 * i) * 16_000))
            soundfile.write(folder / name, samples, 16_000)
            text = " ".join(rng.permutation(WORDS)[: 3 + i % 5])
            rows.append({"id": str(i), "lang": language, "text": text, "audio_filepath": name})
    path = folder / "m.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {"source": "manifest", "path": str(path)}


class Pair(torch.nn.Module):
    """A model of its own that contains both encoders, and parts that depend on its mode."""

    def __init__(self, folder, dropout=0.1):
        super().__init__()
        config = transformers.SeamlessM4Tv2Config.from_pretrained(folder)
        config.dropout = config.activation_dropout = config.speech_encoder_dropout = dropout
        with quiet():
            whole = transformers.SeamlessM4Tv2Model.from_pretrained(folder, config=config)
        self.text_encoder, self.speech_encoder = whole.text_encoder, whole.speech_encoder
        self.norm = torch.nn.BatchNorm1d(64)
        self.frozen = torch.nn.Dropout(0.5).eval()

    def forward(self, input_ids, input_features):
        text = self.text_encoder(input_ids=input_ids).last_hidden_state.mean(1)
        speech = self.speech_encoder(input_features=input_features).last_hidden_state.mean(1)
        difference = self.norm(self.frozen(text) - speech)
        return {"loss": (difference**2).mean() + (text - speech).abs().mean()}


@pytest.fixture(scope="module")
def tiny():
    return cached_tiny_seamless()


@pytest.fixture
def model(tiny):
    torch.manual_seed(0)
    return Pair(tiny).train()


@pytest.fixture(scope="module")
def pieces():
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(10, 5000, (16, 6), generator=generator)
    sounds = torch.randn(16, 12, 160, generator=generator)
    return [{"input_ids": i, "input_features": s} for i, s in zip(ids, sounds, strict=True)]


def watch(corpus, tiny, **more):
    settings = {"permutations": 10, "jobs": 1, **more}
    return GapWatch({"family": "seamless", "checkpoint": str(tiny)}, corpus, **settings)


def planted(shared, width=24, seed=0):
    """Functions whose speech shares a part of its variance with the text, the same everywhere."""
    meaning = np.random.default_rng(seed).normal(size=(SENTENCES * 10, width))

    def give(own):
        def function(inputs, language):
            rng = np.random.default_rng([own, *map(ord, language)])
            noise = rng.normal(size=(len(inputs), width))
            here = meaning[: len(inputs)]
            return {"a": noise, "b": np.sqrt(shared) * here + np.sqrt(1 - shared) * noise}

        return function

    return {"text": give(1), "speech": give(2)}


def test_the_names_need_no_framework(tmp_path):
    code = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name in ('torch', 'transformers', 'lightning', 'pytorch_lightning'):\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "import isogloss.training as training\n"
        "assert not {'numpy', 'polars'} & set(sys.modules)\n"
        "assert all(getattr(training, name) is not None for name in training.__all__)\n"
        "watch = training.GapWatch(text=lambda texts, code: {'a': [[float(len(t)), t.count('e'),"
        " t.count('n')] for t in texts]}, corpus={'source': 'udhr', 'languages': ['deu', 'eng'],"
        " 'modalities': 'text'}, confounds=(), history=sys.argv[1], permutations=3)\n"
        "assert watch(step=3).of('cross_lingual.text').calibrated > 0\n"
        "print(training.read_history(sys.argv[1])['step'].to_list())\n"
        "try:\n"
        "    training.GapCallback(watch).lightning()\n"
        "except isogloss.IsoglossError as error:\n"
        "    print(error)"
    ).replace("import isogloss.training", "import isogloss, isogloss.training")
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "h.csv")], capture_output=True, text=True
    )
    assert done.stdout.splitlines() == [
        "[3]",
        "the callback needs lightning: pip install lightning",
    ]


def test_the_numbers_are_those_of_a_run(corpus, tiny, model, tmp_path):
    taps = ["in", "3", "6", "len"]
    gaps = watch(corpus, tiny, taps=taps)(model, 7)
    study = isogloss.Study(
        corpus=corpus,
        model={"family": "seamless", "checkpoint": str(tiny), "taps": taps},
        analyses=["cross_modal", "cross_lingual", "gaps"],
        permutations=10,
        output=tmp_path / "out",
        jobs=1,
        interval="none",
    )
    planned = isogloss.plan(study)
    run = isogloss.Run.of(planned)
    run.store().claim({**study.identity(), "checkpoint": planned.checkpoint})
    run.write()
    assert extract(planned, run.store(), Silent()) == []
    analyse(study.output)
    modal, lingual = (
        isogloss.load_results(study.output, means=True)[n] for n in ("cross_modal", "cross_lingual")
    )
    assert len(gaps.gaps) == modal.height + lingual.height == 2 * (4 + 3 + 4)
    named = {"in": "in", "3": "3", "6": "6", "len": "6-len"}
    for gap in gaps.gaps:
        rows = modal if gap.kind == "cross_modal" else lingual
        group = "matched" if gap.kind == "cross_modal" else gap.kind.partition(".")[2]
        label = next(
            n for n in named if (named[n] if gap.kind == "cross_modal" else n) == gap.place
        )
        (row,) = rows.filter(group=group, label=label, control=gap.control).iter_rows(named=True)
        ours = [gap.calibrated, gap.low, gap.high, gap.score, gap.chance]
        columns = ("calibrated", "calibrated_low", "calibrated_high", "score", "null")
        assert ours == pytest.approx([row[c] for c in columns], abs=2e-4, nan_ok=True)
        assert (gap.n, gap.languages, gap.p_value) == (12, 3, pytest.approx(row["p_value"]))
        assert gap.reason == row["reason"]
    single = isogloss.load_results(study.output)["cross_modal"]
    last = single.filter(label="len", control="").sort("language_a")
    shown = gaps.of("cross_modal").by_language
    assert shown == pytest.approx(
        dict(last.select("language_a", "calibrated").iter_rows()), abs=2e-4
    )
    table = isogloss.load_results(study.output)["gaps"]
    said = by_language(table.filter(pl.col("control") != ""))
    assert gaps.larger_gap == dict(said.select("language", "larger gap (calibrated)").iter_rows())
    assert gaps.modality_gap == 1 - gaps.of("cross_modal", controlled=True).calibrated
    assert gaps.language_gap == 1 - gaps.of("cross_lingual.text", controlled=True).calibrated


def state_of(model):
    """All that a call could have changed, by object and by value."""
    numpy = np.random.get_state()  # noqa: NPY002
    found = [random.getstate(), repr(numpy), torch.get_rng_state().tolist()]
    for name, module in model.named_modules():
        own = vars(module)
        found.append((name, module.training, {k: id(v) for k, v in own.items()}))
        found += [(hooks, repr(own[hooks])) for hooks in own if "hook" in hooks]
        found += [
            (k, id(b), b._version, b.tolist()) for k, b in module._buffers.items() if b is not None
        ]
    for name, parameter in model.named_parameters():
        grad = parameter.grad
        found.append((name, id(parameter), parameter._version, parameter.requires_grad, id(grad)))
        found += [float(x.detach().sum()) for x in (parameter, grad) if x is not None]
    cudnn = torch.backends.cudnn
    found += [torch.get_num_threads(), cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32]
    found += [torch.are_deterministic_algorithms_enabled(), torch.is_grad_enabled()]
    return found


def test_a_call_changes_nothing(corpus, tiny, model, pieces):
    batch = {k: torch.stack([p[k] for p in pieces]) for k in pieces[0]}
    model(**batch)["loss"].backward()
    model.text_encoder.layers[1].eval()
    model.norm.weight.requires_grad_(False)
    seen = watch(corpus, tiny)
    before = state_of(model)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        gaps = seen(model, 1)
    assert state_of(model) == before
    assert gaps.of("cross_modal").score == seen(model, 2).of("cross_modal").score
    assert state_of(model) == before
    model(**batch)["loss"].backward()


class Careless(torch.nn.Module):
    """Changes whatever it can when it runs."""

    def __init__(self):
        super().__init__()
        self.register_buffer("grown", torch.zeros(2), persistent=False)
        self.register_buffer("filled", torch.zeros(2))
        self.kept, self.weight = None, torch.nn.Parameter(torch.ones(2))

    def forward(self, x):
        self.register_buffer("grown", torch.ones(len(x)), persistent=False)
        self.register_buffer("new", torch.ones(1))
        self.filled.add_(1)
        self.kept = self.count = x * 2
        chance = torch.rand(1) * random.random() * np.random.random()  # noqa: NPY002
        return x * self.weight.sum() * chance


def test_what_modules_keep_is_given_back_even_after_an_error():
    model = torch.nn.Sequential(Careless(), torch.nn.Dropout().eval())
    before, filled = state_of(model), model[0].filled

    def careless():
        with same_randomness(), evaluating(model):
            out = model(torch.ones(5))
            assert not any((model.training, out.requires_grad, out.is_inference()))
            raise KeyError

    with pytest.raises(KeyError):
        careless()
    after = state_of(model)
    assert filled.tolist() == [0, 0]
    assert model[0].filled is filled
    # The version of what was changed in place and put back counts up; nothing else may differ.
    assert [x for x, y in zip(before, after, strict=True) if x != y] == [
        ("filled", id(filled), 0, [0.0, 0.0])
    ]
    assert len(before) == len(after)
    assert not hasattr(model[0], "new")


def hand_loop(model, pieces, watching=None, *, every=2, steps=6):
    """A loop with dropout, a shuffling loader, and randomness of Python and NumPy."""
    random.seed(1)
    np.random.seed(2)  # noqa: NPY002
    torch.manual_seed(3)
    loader = torch.utils.data.DataLoader(pieces, batch_size=4, shuffle=True)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    step, seen = 0, []
    if watching:
        seen.append(watching(model, 0))
    while step < steps:
        for batch in loader:
            batch["input_features"] *= 1 + random.random() * np.random.random()  # noqa: NPY002
            model(**batch)["loss"].backward()
            optimiser.step()
            optimiser.zero_grad()
            step += 1
            if watching and step % every == 0:
                seen.append(watching(model, step))
            if step == steps:
                break
    return {k: v.clone() for k, v in model.state_dict().items()}, seen


def equal(a, b):
    assert a.keys() == b.keys()
    return all(torch.equal(a[k], b[k]) for k in a)


def test_a_loop_with_and_without_ends_with_the_same_weights(corpus, tiny, pieces, tmp_path):
    ends = []
    for watching in (None, watch(corpus, tiny, history=tmp_path / "gaps.csv")):
        torch.manual_seed(0)
        found, seen = hand_loop(Pair(tiny).train(), pieces, watching)
        ends.append(found)
    assert equal(*ends)
    assert [g.step for g in seen] == [0, 2, 4, 6]
    scores = [g.of("cross_modal").score for g in seen]
    assert len(set(scores)) == 4, "the model changed, so must what is measured"
    assert not np.isnan(scores).any()
    table = read_history(tmp_path / "gaps.csv")
    assert table.equals(pl.concat([g.frame() for g in seen]), null_equal=True)
    shares = [g.share for g in seen]
    assert np.isnan(shares[0])
    assert all(0 < share < 1 for share in shares[1:])


def test_a_collapsed_or_broken_model_is_nan_with_a_reason(corpus, tiny, model):
    seen = watch(corpus, tiny)
    with torch.no_grad():
        for layer in (model.text_encoder.layer_norm, model.speech_encoder.inner_layer_norm):
            layer.weight.zero_()
    gap = seen(model, 0).of("cross_modal")
    assert np.isnan([gap.calibrated, gap.score, gap.low]).all()
    assert "does not vary" in gap.reason
    assert np.isnan(seen.history[0].modality_gap)
    assert np.isnan(seen.history[0].scalars()["isogloss/cross_modal/6-len"])
    with torch.no_grad():
        model.text_encoder.layers[0].ffn.fc1.weight.fill_(float("nan"))
    gaps = seen(model, 1)
    assert [(g.kind, g.place) for g in gaps.gaps] == [
        (g.kind, g.place) for g in seen.history[0].gaps
    ]
    assert "NaN or infinity" in gaps.of("cross_modal").reason
    assert "NaN or infinity" in gaps.of("cross_lingual.text").reason
    assert len(gaps.notes) == 3
    assert (gaps.failure, seen.failures) == ("", 0)


def test_an_error_while_training_is_logged_once_and_counted(corpus, caplog, tmp_path):
    functions = planted(0.9)
    broken = {"now": False}

    def text(inputs, language):
        if broken["now"]:
            raise RuntimeError("the cluster is on fire")
        return functions["text"](inputs, language)

    seen = GapWatch(
        corpus=corpus, text=text, speech=functions["speech"], history=tmp_path / "h.csv", jobs=1
    )
    assert seen(step=0).of("cross_modal").calibrated > 0.5
    broken["now"] = True
    with caplog.at_level(logging.WARNING):
        gaps = [seen(step=i) for i in (1, 2)]
    assert [g.failures for g in gaps] == [1, 2]
    assert gaps[0].failure == "RuntimeError: the cluster is on fire"
    assert gaps[1].scalars()["isogloss/failures"] == 2
    assert len(caplog.records) == 1
    broken["now"] = False
    assert seen(step=3).of("cross_modal").calibrated > 0.5
    assert read_history(tmp_path / "h.csv")["step"].unique().sort().to_list() == [0, 3]


def test_functions_with_a_known_answer(corpus):
    same = GapWatch(
        corpus=corpus, **planted(1.0), taps="all", permutations=50, jobs=1, confounds=()
    )
    gaps = same()
    assert [g.place for g in gaps.gaps] == ["a", "b"] * 3
    for kind in ("cross_modal", "cross_lingual.text", "cross_lingual.speech"):
        assert gaps.of(kind, "b").calibrated == pytest.approx(1, abs=1e-6)
        assert gaps.of(kind, "b").p_value == pytest.approx(1 / 51)
        assert abs(gaps.of(kind, "a").calibrated) < 0.2
    assert gaps.modality_gap == pytest.approx(0, abs=1e-6)
    scalars = gaps.scalars("gaps")
    assert scalars["gaps/cross_modal/b"] == pytest.approx(1)
    assert {"gaps/cross_modal/a/low", "gaps/cross_modal/a/high", "gaps/seconds"} <= scalars.keys()
    assert "gaps/cross_lingual/text/a" in scalars
    assert "gaps/cross_lingual/text/a/low" not in scalars, "three languages are too few in pairs"
    assert "gaps/share" not in scalars
    chosen = GapWatch(corpus=corpus, **planted(1.0), taps=["a"], permutations=0, jobs=1)()
    assert {g.place for g in chosen.gaps} == {"a"}


def test_recordings_come_as_samples_and_tensors_are_taken(corpus):
    def speech(inputs, language):
        assert {x.dtype for x in inputs} == {np.dtype(np.float32)}
        assert len(inputs[0]) == 3200
        rows = [[x.mean(), x.std(), len(x), x[0], x[1]] for x in inputs]
        return {"x": torch.tensor(np.array(rows), requires_grad=True).to(torch.float64)}

    gaps = GapWatch(corpus={**corpus, "modalities": "speech"}, speech=speech, jobs=1)()
    assert gaps.of("cross_lingual.speech").n == SENTENCES
    with pytest.raises(KeyError, match="cross_modal"):
        gaps.of("cross_modal")

    def wrong(inputs, language):
        return {"x": np.zeros((2, 3))}

    bad = GapWatch(corpus={**corpus, "modalities": "speech"}, speech=wrong, jobs=1)
    with pytest.raises(ModelError, match=r'\(2, 3\) at tap "x" for 3 inputs of deu'):
        bad()


def test_wrong_settings_are_refused_at_once(corpus, tiny, tmp_path):
    family = {"family": "seamless", "checkpoint": str(tiny)}
    with pytest.raises(StudyError, match="say how the model is read"):
        GapWatch(corpus=corpus)
    with pytest.raises(StudyError, match="say how the model is read"):
        GapWatch(family, corpus, **planted(1))
    with pytest.raises(StudyError, match="give the sentences"):
        GapWatch(family)
    with pytest.raises(ModelError, match='unknown tap "7".*Valid: in, 1'):
        GapWatch(family, corpus, taps=["6", "7"])
    with pytest.raises(ModelError, match="no tap of the text encoder"):
        GapWatch(family, corpus, taps="len")
    with pytest.raises(StudyError, match='did you mean "svcca"'):
        GapWatch(family, corpus, measure="svca")
    with pytest.raises(StudyError, match="unknown confound"):
        GapWatch(family, corpus, confounds=["colour"])
    with pytest.raises(StudyError, match="interval must be"):
        GapWatch(family, corpus, interval="utterances")
    with pytest.raises(ModelError, match="give functions"):
        GapWatch("sonar", corpus)
    with pytest.raises(ModelError, match="no function for speech"):
        GapWatch(corpus=corpus, text=planted(1)["text"])
    with pytest.raises(CorpusError, match="m.jsonl"):
        GapWatch(family, {**corpus, "path": str(tmp_path / "m.jsonl")})
    with pytest.raises(ModelError, match="holds no"):
        watch(corpus, tiny)(torch.nn.Linear(2, 2), 0)
    with pytest.raises(ModelError, match="there is no model"):
        watch(corpus, tiny)(step=0)
    (tmp_path / "notes.csv").write_text("a,b\n1,2\n")
    with pytest.raises(StoreError, match=r"notes.csv is no history"):
        watch(corpus, tiny, history=tmp_path / "notes.csv")
    with pytest.raises(StudyError, match="0 or more optimiser steps"):
        GapCallback(watch(corpus, tiny), every=-1)
    with pytest.raises(StudyError, match="no trainer of transformers or Lightning"):
        GapCallback(watch(corpus, tiny)).attach(object())


def test_a_split_model_is_refused(corpus, tiny, model):
    class FullyShardedDataParallel(torch.nn.Module):
        def __init__(self, module):
            super().__init__()
            self.module = module

    with pytest.raises(ModelError, match="split over processes.*FullyShardedDataParallel"):
        watch(corpus, tiny).bind(FullyShardedDataParallel(model))
    model.norm.weight.ds_id = 1
    with pytest.raises(ModelError, match="DeepSpeed ZeRO 3"):
        watch(corpus, tiny).bind(model)


def test_a_file_of_one_line_is_not_overwritten(corpus, tmp_path):
    path = tmp_path / "notes.json"
    path.write_text('{"mine": 1}')
    with pytest.raises(StoreError, match="no history"):
        GapWatch(corpus=corpus, history=path, jobs=1, **planted(0.5))
    assert path.read_text() == '{"mine": 1}'


def test_a_step_may_be_a_number_of_numpy(corpus, tmp_path):
    path = tmp_path / "gaps.csv"
    GapWatch(corpus=corpus, history=path, jobs=1, **planted(0.5))(step=np.int64(5))
    assert read_history(path)["step"].unique().to_list() == [5]


def test_steps_that_come_several_at_a_time_are_not_missed(corpus):
    callback = GapCallback(GapWatch(corpus=corpus, jobs=1, **planted(0.5)), every=5, begin=False)
    model = torch.nn.Identity()
    callback.started(model, 0, lambda scalars, step: None, first=False)
    for step in range(2, 21, 2):
        callback.stepped(model, step, lambda scalars, step: None)
    assert [g.step for g in callback.watch.history] == [6, 10, 16, 20]


def few(corpus, **more):
    """A watch that is quick to make and to call."""
    settings = {"permutations": 2, "confounds": (), "taps": ["b"], "jobs": 1, **planted(0.5)}
    return GapWatch(corpus=corpus, **{**settings, **more})


def drawn(history, panel=0):
    return {mark.name: mark.x for mark in curve(history).panels[panel].marks}


def test_a_training_that_was_given_up_is_not_in_the_history(corpus, tmp_path):
    path = tmp_path / "gaps.csv"
    model, log = torch.nn.Identity(), lambda scalars, step: None
    for shared, every, done, last in ((0.1, 2, 0, 8), (0.9, 3, 4, 9)):
        seen = few(corpus, history=path, **planted(shared))
        callback = GapCallback(seen, every=every)
        callback.started(model, done, log, first=True)
        for step in range(done + 1, last + 1):
            callback.stepped(model, step, log, last=step == last)
    found = read_history(path).filter(kind="cross_modal")
    assert found["step"].to_list() == [0, 2, 4, 6, 9], "6 and 8 of the first training are gone"
    low, high = found.filter(pl.col("step") < 4), found.filter(pl.col("step") >= 4)
    assert high["calibrated"].min() > 0.5 > low["calibrated"].max()
    assert len(path.read_text(encoding="utf-8").splitlines()) == 1 + 3 * (5 + 3), "none is deleted"


def test_what_a_watch_holds_is_read_as_its_file(corpus, tmp_path):
    path = tmp_path / "gaps.csv"
    seen = few(corpus, history=path)
    for steps, left in (
        ([0, 2, 4, 6], [0, 2, 4, 6]),
        ([6], [0, 2, 4, 6]),  # the end of a training, at a step that was just measured
        ([4, 4, 6, 4, 5], [0, 2, 4, 5]),
        ([0], [0]),
    ):
        for step in steps:
            seen(step=step)
        assert read_history(path)["step"].to_list() == [s for s in left for _ in range(3)]
        assert drawn(path) == drawn(seen.history) == {"b": tuple(map(float, left))}


def test_calls_at_one_step_are_told_apart(corpus, tmp_path):
    path = tmp_path / "gaps.csv"
    gaps = [few(corpus, history=path, taps=[tap])(step=3) for tap in "ab"]
    assert read_history(path)["place"].unique().to_list() == ["b"]
    assert drawn(path) == drawn(gaps) == {"b": (3.0,)}


def test_a_line_for_each_tap_whichever_were_asked_for(corpus, tmp_path):
    path = tmp_path / "gaps.csv"
    few(corpus, history=path, taps=["b"])(step=0)
    few(corpus, history=path, taps="all")(step=1)
    assert list(drawn(path).items()) == [("a", (1.0,)), ("b", (0.0, 1.0))]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"measure": "svcca(share=0.9, rule=linear)"}, "measure (svcca there, svcca(rule=linear)"),
        ({"measure": "cka"}, "measure (svcca there, cka now)"),
        ({"permutations": 3}, "permutations (2 there, 3 now)"),
        ({"confounds": ["seconds"]}, "confounds (none there, seconds now)"),
        ({"seed": 1}, "seed (0 there, 1 now)"),
        ({"corpus": {"sentences": 11}}, "corpus ("),
    ],
)
def test_a_history_of_another_watch_is_not_continued(corpus, tmp_path, changed, said):
    path = tmp_path / "gaps.csv"
    few(corpus, history=path)(step=0)
    before = path.read_bytes()
    with pytest.raises(StoreError, match="name another file") as error:
        few(corpus | changed.pop("corpus", {}), history=path, **changed)
    assert said in str(error.value)
    assert path.read_bytes() == before


def test_a_corpus_may_lie_elsewhere_and_its_content_may_not_differ(corpus, tmp_path):
    path = tmp_path / "gaps.csv"
    few(corpus, history=path)(step=0)
    shutil.copytree(Path(corpus["path"]).parent, tmp_path / "moved")
    moved = {**corpus, "path": str(tmp_path / "moved" / "m.jsonl")}
    few(moved, history=path)(step=1)
    assert read_history(path)["step"].unique().to_list() == [0, 1]
    table = tmp_path / "moved" / "m.jsonl"
    table.write_text(table.read_text(encoding="utf-8").replace('"text": "', '"text": "no '))
    with pytest.raises(StoreError, match="measured in another way .corpus "):
        few(moved, history=path)


def test_histories_without_settings_are_read_and_not_continued(corpus, tmp_path):
    new, old = tmp_path / "new.csv", tmp_path / "old.csv"
    seen = few(corpus, history=new)
    for step in (0, 3, 6, 3, 4, 4):
        seen(step=step)
    rows = list(csv.reader(new.read_text(encoding="utf-8").splitlines()))
    assert rows[0][-2:] == ["call", "settings"]
    with old.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(row[:-2] for row in rows)
    found = read_history(old)
    assert found["step"].unique().to_list() == [0, 3, 4]
    assert found.equals(read_history(new), null_equal=True)
    assert drawn(old) == {"b": (0.0, 3.0, 4.0)}
    before = old.read_bytes()
    with pytest.raises(StoreError, match="earlier version.*name another file"):
        few(corpus, history=old)
    assert old.read_bytes() == before
    old.write_bytes(before[: before.index(b"\n") + 1])
    few(corpus, history=old)(step=9)
    assert read_history(old)["step"].unique().to_list() == [9], "nothing was measured in it yet"


def test_a_call_that_finds_no_room_leaves_no_part_of_a_line(corpus, tmp_path, caplog):
    resource = pytest.importorskip("resource")
    path = tmp_path / "gaps.csv"
    seen = few(corpus, history=path)
    seen(step=4)
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 40, limits[1]))
    try:
        seen(step=8)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    (record,) = caplog.records
    assert "the history is not written: cannot write the history" in record.message
    assert record.exc_info is None
    seen(step=10)
    assert read_history(path)["step"].to_list() == [4] * 3 + [10] * 3


def test_a_call_after_a_line_that_was_cut_off_is_whole(corpus, tmp_path):
    path = tmp_path / "gaps.csv"
    seen = few(corpus, history=path)
    seen(step=0)
    before = path.read_bytes()
    path.write_bytes(before[:-20])
    seen(step=1)
    assert read_history(path)["step"].to_list() == [0] * 2 + [1] * 3
    assert path.read_bytes().startswith(before[:-20].rpartition(b"\n")[0] + b"\n1,")
    path.unlink()
    seen(step=2)
    assert read_history(path)["step"].to_list() == [2] * 3, "a file that was deleted begins anew"


def ones(*shape):
    return lambda inputs, language: {"b": np.ones((len(inputs), *shape))}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (lambda x, code: np.ones((len(x), 3)), "returned something of type ndarray for deu"),
        (lambda x, code: [np.ones((len(x), 3))], "returned something of type list for deu"),
        (lambda x, code: {}, "returned no taps for deu"),
        (lambda x, code: {code: np.ones((len(x), 3))}, "taps eng for eng, and deu for another"),
        (ones(3, 3), r"\(3, 3, 3\) at tap \"b\" for 3 inputs of deu"),
        (ones(0), r"\(3, 0\) at tap"),
        (lambda x, code: {"b": x}, "no matrix of numbers at tap"),
        (lambda x, code: {"b": [[1.0] * i for i in range(len(x))]}, "no matrix of numbers at tap"),
        (lambda x, code: {"b": np.ones((len(x), 3)) + 1j}, "complex numbers at tap"),
        (lambda x, code: {"b": torch.ones(len(x), 3) + 1j}, "complex numbers at tap"),
        (lambda x, code: {"c": np.ones((len(x), 3))}, "no tap of the text encoder: c"),
    ],
)
def test_what_functions_return_is_looked_at_when_they_are_bound(corpus, text, said):
    with pytest.raises(ModelError, match=said):
        few(corpus, text=text).bind(None)


def test_functions_are_tried_on_every_language_and_keep_their_errors(corpus, caplog):
    calls, known = [], {"deu": 1.0, "eng": 2.0}
    functions = planted(0.5)

    def text(inputs, language):
        calls.append((language, len(inputs)))
        return {"b": functions["text"](inputs, language)["b"] * known[language]}

    with pytest.raises(KeyError, match="fin") as error:
        few(corpus, text=text)(step=0)
    assert error.traceback[-1].name == "text"
    known["fin"] = 3.0
    with pytest.raises(ModelError, match='unknown tap "zzz".*Valid: b'):
        few(corpus, text=text, speech=text, taps=["zzz"]).bind(None)
    calls.clear()
    seen = few(corpus, text=text)
    seen.bind(None)
    assert calls == [(code, 3) for code in LANGUAGES]
    assert not seen(step=0).failure
    assert calls[3:] == [(code, SENTENCES) for code in LANGUAGES], "they are tried once"
    del known["fin"]
    assert seen(step=1).failure == "KeyError: 'fin'"
    (record,) = caplog.records
    assert record.exc_info[0] is KeyError, "the log says where"
    caplog.clear()
    lost = {"b": "b"}
    other = few(corpus, text=lambda x, code: {lost["b"]: functions["text"](x, code)["b"]})
    other(step=0)
    lost["b"] = "c"
    assert 'no tap "b" for deu now' in other(step=1).failure
    (record,) = caplog.records
    assert record.exc_info is None, "a message for users needs no traceback"


def test_a_measure_without_chance_needs_permutations(corpus):
    assert [n for n in MEASURES.names() if not knows_chance(specs.parse(MEASURES, n))] == [
        "procrustes"
    ]
    with pytest.raises(StudyError, match="procrustes has no chance in closed form.*permutations"):
        few(corpus, measure="procrustes", permutations=0)
    assert few(corpus, measure="procrustes")().of("cross_modal").calibrated > 0
    # 24 features of 12 sentences fit each other whatever they are.
    gap = few(corpus, measure="cca")().of("cross_modal")
    assert (gap.score, gap.chance) == (pytest.approx(1), pytest.approx(1))
    assert np.isnan(gap.calibrated)
    assert gap.reason == "no calibrated score: chance is as high as the best score"


class Sly(torch.nn.Module):
    """Changes its buffers behind the count of their versions."""

    def __init__(self):
        super().__init__()
        for name in ("added", "moved", "grown", "lost"):
            self.register_buffer(name, torch.tensor([1.0, float("nan"), -0.0]))
        self.register_buffer("same", torch.tensor([float("nan"), 0.0]))
        self.register_buffer("whole", torch.tensor(3))

    def forward(self, x):
        self.added.data.add_(1)
        self.moved.data = torch.full((3,), 7.0)
        self.grown.resize_(9).fill_(5)
        self.lost.data[:] = torch.tensor([1.0, float("nan"), 0.0])
        self.whole.data += 1
        return x


def test_buffers_that_are_changed_behind_their_version_are_given_back():
    model = Sly()
    before = {k: (b, b.clone(), b.data_ptr()) for k, b in model.named_buffers()}
    versions = {k: b._version for k, b in model.named_buffers()}
    with evaluating(model):
        model(torch.ones(2))
        assert model.added[0] == 2
    for name, buffer in model.named_buffers():
        kept, values, _ = before[name]
        assert buffer is kept
        assert buffer.shape == values.shape
        assert buffer.numpy().tobytes() == values.numpy().tobytes(), name
        assert name == "grown" or buffer._version == versions[name]
        assert name == "grown" or buffer.data_ptr() == before[name][2]


def test_arguments_of_the_wrong_kind_are_named(corpus, tiny, model):
    for taps in ([], (), 5, [5], None):
        with pytest.raises(StudyError, match="taps must be"):
            few(corpus, taps=taps)
    with pytest.raises(StudyError, match="text must be a function .* not .*int"):
        few(corpus, text=5)
    with pytest.raises(StudyError, match="history must be the path of a file, not .*int"):
        few(corpus, history=5)
    seen = few(corpus)
    for every in ("500", 2.5, None, True, -1):
        with pytest.raises(StudyError, match="0 or more optimiser steps, a whole number"):
            GapCallback(seen, every=every)
    assert GapCallback(seen, every=np.int64(5)).every == 5
    for wrong in (GapWatch, corpus):
        with pytest.raises(StudyError, match="a GapCallback needs a GapWatch"):
            GapCallback(wrong)
    for one in (seen, watch(corpus, tiny)):
        for wrong in ("abc", 5):
            with pytest.raises(ModelError, match="must be a torch module, not .* (str|int)"):
                one(wrong)
            with pytest.raises(ModelError, match="must be a torch module"):
                one.bind(wrong)
        with pytest.raises(ModelError, match="must be a torch module, not .* int: watch.model, st"):
            one(5, model)
    for step in (model, 2.5, "7", float("nan")):
        with pytest.raises(StudyError, match="the step must be a whole number"):
            seen(None, step)
    assert seen(None, torch.tensor(4)).step == 4


def test_a_killed_run_keeps_its_lines(corpus, tmp_path):
    path = tmp_path / "deep" / "gaps.csv"
    settings = {"corpus": corpus, "history": path, "jobs": 1, **planted(0.5)}
    first = GapWatch(**settings)
    first(step=0)
    first(step=10)
    whole = path.read_bytes()
    rows = read_history(path).height
    path.write_bytes(whole[:-20])
    assert read_history(path).height == rows - 1
    again = GapWatch(**settings)
    again(step=10)
    again(step=20)
    found = read_history(path)
    assert found["step"].unique().to_list() == [0, 10, 20]
    assert found.height == rows // 2 * 3, "step 10 was measured twice and counts once"
    assert whole[:-20].rpartition(b"\n")[0] in path.read_bytes()
    lines = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))
    assert {len(line) for line in lines} == {len(lines[0])}, "the cut line is gone"
    path.write_bytes(whole.replace(b"cross_modal", b"\xff\xfe", 1))
    assert read_history(path).height == rows


def test_a_curve_of_the_history(corpus, tmp_path):
    path = tmp_path / "gaps.csv"
    for step, shared in enumerate((0.0, 0.5, 1.0)):
        GapWatch(corpus=corpus, history=path, taps="all", jobs=1, **planted(shared))(step=step)
    for controlled in (False, True):
        chart = curve(path, controlled=controlled)
        charts.check(chart)
        titles = [panel.title for panel in chart.panels]
        assert titles == [
            "Speech against text",
            "Language against language, text",
            "Language against language, speech",
        ]
        still, rising = chart.panels[0].marks
        assert (still.name, rising.name) == ("a", "b")
        assert rising.x == (0.0, 1.0, 2.0)
        assert rising.y[0] < 0.3 < rising.y[2]
        band = zip(rising.low, rising.y, rising.high, strict=True)
        assert all(low <= y <= high for low, y, high in band)
        assert chart.panels[1].marks[0].low is None
        assert ("taken out" in chart.caption) == controlled
    pytest.importorskip("matplotlib")
    written = write_curve(path, tmp_path / "figures", formats=["png"])
    assert [p.name for p in written] == ["training.png", "training-dark.png"]
    with pytest.raises(isogloss.IsoglossError, match="no scores without confounds"):
        curve(read_history(path).filter(control=""), controlled=True)


def trained_by_transformers(model, pieces, folder, attach=None, **more):
    arguments = transformers.TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=4,
        max_steps=5,
        logging_steps=2,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        seed=5,
        disable_tqdm=True,
        learning_rate=1e-3,
        **more,
    )
    trainer = transformers.Trainer(model, arguments, train_dataset=pieces, eval_dataset=pieces[:4])
    heard = []

    class Reporter(transformers.TrainerCallback):
        def on_log(self, args, state, control, logs=None, **given):
            heard.append((state.global_step, dict(logs)))

    trainer.add_callback(Reporter())
    if attach:
        attach(trainer)
    trainer.train()
    return {k: v.clone() for k, v in model.state_dict().items()}, heard, trainer


@pytest.mark.filterwarnings("ignore:.*pin_memory.*", "ignore::FutureWarning")
def test_the_trainer_of_transformers_with_and_without(corpus, tiny, pieces, tmp_path):
    pytest.importorskip("accelerate")
    plain, logs, _ = trained_by_transformers(
        Pair(tiny), pieces, tmp_path, gradient_accumulation_steps=2
    )
    callback = GapCallback(watch(corpus, tiny), every=2)
    ours, heard, trainer = trained_by_transformers(
        Pair(tiny), pieces, tmp_path, callback.attach, gradient_accumulation_steps=2
    )
    assert equal(plain, ours)
    measured = [(step, x) for step, x in heard if "isogloss/seconds" in x]
    assert [step for step, _ in measured] == [0, 2, 4, 5], "optimiser steps, begin and end"
    assert all("isogloss/cross_modal/6-len" in x for _, x in measured)
    timed = {"train_runtime", "train_samples_per_second", "train_steps_per_second"}

    def losses(found):
        return [
            (step, {k: v for k, v in x.items() if k not in timed})
            for step, x in found
            if "isogloss/seconds" not in x
        ]

    assert losses(heard) == losses(logs), "the loss is logged as often, and is the same"
    assert sum("isogloss/seconds" in x for x in trainer.state.log_history) == 4


@pytest.mark.filterwarnings("ignore:.*pin_memory.*", "ignore::FutureWarning")
def test_evaluations_and_early_stops_of_the_trainer(corpus, tiny, pieces, tmp_path):
    pytest.importorskip("accelerate")

    class Stop(transformers.TrainerCallback):
        def on_step_end(self, args, state, control, **given):
            control.should_training_stop = state.global_step == 3

    def attach(trainer):
        callback = GapCallback(watch(corpus, tiny), every=0, begin=False, evaluation=True)
        assert callback.attach(trainer) is callback
        trainer.add_callback(Stop())

    _, heard, _ = trained_by_transformers(
        Pair(tiny), pieces, tmp_path, attach, eval_strategy="steps", eval_steps=2
    )
    assert [step for step, x in heard if "isogloss/seconds" in x] == [2, 3]


def lightning_run(module, pieces, folder, callbacks=(), attach=None):
    import lightning

    lightning.seed_everything(7, verbose=False)
    from lightning.pytorch.loggers import CSVLogger

    trainer = lightning.Trainer(
        max_steps=5,
        accelerator="cpu",
        devices=1,
        logger=CSVLogger(folder, name="logs", version=""),
        callbacks=list(callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        accumulate_grad_batches=2,
        log_every_n_steps=1,
        max_epochs=-1,
    )
    if attach:
        attach(trainer)
    loader = torch.utils.data.DataLoader(pieces, batch_size=4, shuffle=True)
    trainer.fit(module, loader)
    return {k: v.clone() for k, v in module.state_dict().items()}


@pytest.mark.filterwarnings("ignore")
def test_lightning_with_and_without(corpus, tiny, pieces, tmp_path):
    lightning = pytest.importorskip("lightning")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.pair = Pair(tiny)

        def training_step(self, batch, index):
            loss = self.pair(**batch)["loss"]
            loss = loss * (1 + random.random() * np.random.random())  # noqa: NPY002
            self.log("loss", loss)
            return loss

        def configure_optimizers(self):
            return torch.optim.AdamW(self.parameters(), lr=1e-3)

    plain = lightning_run(Module(), pieces, tmp_path / "plain")
    callback = GapCallback(watch(corpus, tiny), every=2)
    ours = lightning_run(Module(), pieces, tmp_path / "ours", attach=callback.attach)
    assert equal(plain, ours)
    table = pl.read_csv(tmp_path / "ours" / "logs" / "metrics.csv", infer_schema_length=None)
    measured = table.drop_nulls("isogloss/cross_modal/6-len")
    assert measured["step"].to_list() == [0, 2, 4, 5]
    assert [g.step for g in callback.watch.history] == [0, 2, 4, 5]
    losses = [
        pl.read_csv(tmp_path / n / "logs" / "metrics.csv", infer_schema_length=None)
        .drop_nulls("loss")
        .select("step", "loss")
        for n in ("plain", "ours")
    ]
    assert losses[0].equals(losses[1])
    given = GapCallback(watch(corpus, tiny), every=0, begin=False).lightning()
    lightning_run(Module(), pieces, tmp_path / "given", [given])
    assert "isogloss/cross_modal/6-len" in (tmp_path / "given" / "logs" / "metrics.csv").read_text(
        encoding="utf-8"
    )


def test_a_model_that_is_saved_where_it_was_trained_reads_the_same(corpus, tiny, model, tmp_path):
    """The encoders of a wrapper, written as a checkpoint, give what was measured in memory."""
    from safetensors.torch import load_file, save_file

    hand_loop(model, [{"input_ids": torch.arange(5), "input_features": torch.ones(8, 160)}] * 4)
    shutil.copytree(tiny, tmp_path / "trained")
    path = tmp_path / "trained" / "model.safetensors"
    weights = load_file(path)
    mine = {k: v for k, v in model.state_dict().items() if k in weights}
    assert len(mine) > 100
    mine["shared.weight"] = model.text_encoder.embed_tokens.weight.data
    save_file(weights | mine, path, metadata={"format": "pt"})
    with quiet():
        stored = transformers.SeamlessM4Tv2Model.from_pretrained(tmp_path / "trained")
    found = [
        GapWatch({"family": "seamless", "checkpoint": str(folder)}, corpus, permutations=5, jobs=1)(
            m
        )
        for folder, m in ((tiny, model), (tmp_path / "trained", stored))
    ]
    scores = [[g.score for g in gaps.gaps] for gaps in found]
    assert scores[0] == pytest.approx(scores[1], abs=1e-5)


def test_compiled_encoders_run_as_written_and_stay_compiled(corpus, tiny, model, pieces):
    plain = watch(corpus, tiny)(model, 0)
    ran = []

    def backend(graph, inputs):
        def call(*values):
            ran.append(1)
            return graph.forward(*values)

        return call

    model.text_encoder.compile(backend=backend)
    compiled = watch(corpus, tiny)(model, 0)
    assert not ran
    assert [g.score for g in compiled.gaps] == [g.score for g in plain.gaps]
    with torch.no_grad():
        model.text_encoder(input_ids=pieces[0]["input_ids"][None])
    assert ran


PAGE = Path(__file__).parents[1] / "docs" / "training.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.fixture
def page(corpus, tiny, model, tmp_path, monkeypatch):
    """Runs an example of the page, beside its corpus; every 500 steps are every 2."""
    shutil.copytree(Path(corpus["path"]).parent, tmp_path, dirs_exist_ok=True)
    (tmp_path / "m.jsonl").rename(tmp_path / "held_out.jsonl")
    monkeypatch.chdir(tmp_path)

    def run(block, **names):
        known = {"FOLDER": str(tiny), "model": model, **names}
        code = (
            block.replace("500", "2")
            .replace("2000", "2")
            .replace('"sentences": 64', '"sentences": 12')
        )
        exec(code, known)
        return known

    return run


def test_the_loop_of_the_page(page, pieces, model, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    loader = torch.utils.data.DataLoader(pieces, batch_size=4)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01)
    page(BLOCKS[0], batches=loader, optimiser=optimiser)
    assert "isogloss/cross_modal/6-len" in capsys.readouterr().out
    assert read_history("gaps.csv")["step"].unique().to_list() == [0, 2]
    assert {p.name for p in (tmp_path / "figures").iterdir()} >= {"training.pdf", "training.png"}


@pytest.mark.filterwarnings("ignore:.*pin_memory.*", "ignore::FutureWarning")
def test_the_trainer_of_the_page(page, pieces, tmp_path):
    pytest.importorskip("accelerate")
    arguments = transformers.TrainingArguments(
        str(tmp_path / "t"), max_steps=2, report_to=[], use_cpu=True, save_strategy="no"
    )
    found = page(BLOCKS[1], arguments=arguments, dataset=pieces)
    assert [g.step for g in found["watch"].history] == [0, 2]


@pytest.mark.filterwarnings("ignore")
def test_lightning_of_the_page(page, pieces, model):
    lightning = pytest.importorskip("lightning")

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.model = model

        def training_step(self, batch, index):
            return self.model(**batch)["loss"]

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.01)

    loader = torch.utils.data.DataLoader(pieces, batch_size=4)
    found = page(BLOCKS[2], module=Module(), loader=loader)
    assert [g.step for g in found["watch"].history] == [0, 2]


def test_the_functions_of_the_page(page):
    given = planted(1.0)

    class Mine(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))

        def embed_text(self, inputs, language):
            return given["text"](inputs, language)["b"]

        def embed_speech(self, inputs, language):
            return given["speech"](inputs, language)["b"]

    gaps = page(BLOCKS[3], GapWatch=GapWatch, my_model=Mine())["gaps"]
    assert gaps.of("cross_modal", "out").calibrated == pytest.approx(1)


def test_every_setting_and_name_is_on_the_page(corpus, tiny, model):
    text = PAGE.read_text(encoding="utf-8")
    for name in inspect.signature(GapWatch).parameters:
        assert f"`{name}`" in text
    for name in inspect.signature(GapCallback).parameters:
        assert name in ("watch", "prefix") or f"`{name}" in text
    seen = watch(corpus, tiny)
    for _ in range(2):
        logged = seen(model).scalars()
    for name in logged:
        name = name.replace("speech_controlled", "speech").replace("text_controlled", "text")
        assert f"`{re.sub('/(low|high)$', '', name)}`" in text, name
