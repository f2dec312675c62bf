import gc
import json
import sys
from importlib import import_module

import numpy as np
import pytest

from adapters import changed, imported, page_code, write_weights
from isogloss.cli import call
from isogloss.errors import ModelError, StudyError
from isogloss.modelcheck import Result, as_dict, as_text, check, recognise
from isogloss.modelcheck.bench import gaps
from isogloss.modelcheck.material import gather, voice
from isogloss.models import MODELS

pytest.importorskip("torch")
pytest.importorskip("transformers")

ONCE = "each runs once, by its mask"
BATCHES = {"beside longer ones", "batches of every size", "every length"}


@pytest.fixture(scope="module", autouse=True)
def frozen():
    """Keep what PyTorch left behind out of every collection, which would take longest of all."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_weights(tmp_path_factory.mktemp("weights"), page_code())


@pytest.fixture
def judge(tmp_path, weights):
    """Check the adapter of the page after changes to its code."""

    def run(*changes, settings=None, **options):
        options = {"device": "cpu", "languages": ("eng", "deu"), **options}
        with imported(tmp_path / "code", changed(page_code(), *changes)):
            source = import_module("isogloss_mine").Mine(weights=weights, **(settings or {}))
            return check(source, **options)

    return run


def failed(results):
    return {(r.check, r.modality) for r in results if r.outcome == "fail"}


def both(*names):
    return {(name, modality) for name in names for modality in ("text", "speech")}


def test_the_adapter_of_the_page_passes_everything(judge):
    results = judge(dtypes=True)
    assert not failed(results), as_text(results)
    told = {(r.check, r.modality): r for r in results}
    for name in (ONCE, "widths", "finite", "sentences differ", "order of the batch", *BATCHES):
        assert {told[name, m].outcome for m in ("text", "speech")} == {"pass"}
    for name in ("again, in another order", "features from threads", "loaded anew, by itself",
                 "no weight left random"):  # fmt: skip
        assert {told[name, m].outcome for m in ("text", "speech")} == {"pass"}
    assert told["works without torch", ""].outcome == "pass"
    assert told["padding side", "text"].outcome == "n/a"
    for modality in ("text", "speech"):
        half, brain = told["float16", modality], told["bfloat16", modality]
        assert 3e-5 < half.value < 1e-3 < brain.value < 1e-2
        assert list(half.by_tap) == ["in", "1", "2"]
        assert told["every length", modality].found.endswith("16 lengths modulo 16")
        assert 0 < told["beside longer ones", modality].value < 1e-6
        assert told["speed", modality].value > 10
        assert told["memory", modality].value > 2**20
        assert "10,288 parameters take 40.2 KiB" in told["memory", modality].found
    assert len(results) == 5 + 2 * 18


LEAK = ("        x = x * mask.unsqueeze(-1)\n", "")
TWICE = ("self.out(self.mix(x, mask))", "self.out(self.mix(self.mix(x, mask), mask))")
SILENT = ("return self.out(self.mix(x, mask))", "return self.mix(x, mask)")
MASK = ('{"time": mask}', '{"time": mask[:, 1:]}')
WIDTH = ('Tap("2", WIDTH, 1.0)', 'Tap("2", WIDTH + 1, 1.0)')
STATE = "network.load_state_dict(load_file(self.source.weights))"
PART = "{k: v for k, v in load_file(self.source.weights).items() if not k.startswith('out.')}"
RANDOM = (STATE, f"network.load_state_dict({PART}, strict=False)")
SEEDED = ("network = Network(WIDTH)", "torch.manual_seed(1); network = Network(WIDTH)")
ZEROED = (
    STATE,
    f"{STATE}; torch.nn.init.zeros_(network.mix.conv.bias)",
)
RETURNED = "return {tap.name: pooled[tap.name].cpu().numpy() for tap in self.taps}"
UNSAFE = (
    'return Features({"steps": steps}, len(steps))',
    """self.kept = steps
        import time
        time.sleep(0)
        return Features({"steps": self.kept}, len(self.kept))""",
)
STICKY = (
    'return Features({"steps": steps}, len(steps))',
    """before, self.network.before = getattr(self.network, "before", language), language
        return Features({"steps": steps[::1 if before is language else -1].copy()}, len(steps))""",
)
SORTED = (
    RETURNED,
    """longest = np.argsort([-item.length for item in batch], kind="stable")
        return {tap.name: pooled[tap.name].cpu().numpy()[longest] for tap in self.taps}""",
)
SEVEN = (
    RETURNED,
    """off = 1.001 if len(batch) == 7 else 1.0
        return {tap.name: off * pooled[tap.name].cpu().numpy() for tap in self.taps}""",
)
SECOND = (
    "self.towers[modality] = Encoder(",
    """self.network.out.bias.data += 0.1 * len(self.towers)
            self.towers[modality] = Encoder(""",
)
NAN = (
    RETURNED,
    """made = {tap.name: pooled[tap.name].cpu().numpy() for tap in self.taps}
        made["2"][[item.length > 150 for item in batch]] = np.nan
        return made""",
)
DROPOUT = (
    "return self.out(self.mix(x, mask))",
    "return self.out(self.mix(nn.functional.dropout(x), mask))",
)
CONSTANT = (RETURNED, RETURNED.replace("pooled[tap.name]", "(0 * pooled[tap.name] + 1)"))
LOUD = ("self.out(self.mix(x, mask))", "self.out(1e6 * self.mix(x, mask))")
EXTRA = (RETURNED, RETURNED.replace("self.taps}", "self.taps} | {'3': np.zeros((len(batch), 1))}"))
DOUBLE = (RETURNED, RETURNED.replace(".numpy()", ".double().numpy()"))
ROWS = (RETURNED, RETURNED.replace(".numpy()", ".numpy()[:2]"))
HEAVY = ("import hashlib\n", "import hashlib\nimport torch\n")
FALLS = ('Tap("1", WIDTH, 0.5)', 'Tap("1", WIDTH, 0.5), Tap("0", WIDTH, 0.2)')
STRANGE = ("TapPair(tap.name, tap.name, tap.name", "TapPair(tap.name, tap.name, tap.name + '!'")
TWIN = ("TAPS = (", 'TAPS = (Tap("2", WIDTH, 0.0), ')
PAPER = ('"speech": names}', '"speech": ("7",)}')


@pytest.mark.parametrize(
    ("changes", "wrong", "remark"),
    [
        ([LEAK], both(*BATCHES), "the result changes with longer neighbours at tap 1, 2; most for"),
        ([TWICE], both(ONCE), 'tap "1" ran more than once in one pass'),
        ([SILENT], both(ONCE), "the model ran without passing the taps 2"),
        ([MASK], both(ONCE), 'but its mask "time" has'),
        ([EXTRA], both(ONCE), "what the tower returns has 3 too"),
        ([WIDTH], both("widths"), 'tap "2" is 16 wide, declared 17'),
        ([DOUBLE], both("widths"), 'tap "in" is float64, not float32'),
        ([RANDOM], both("loaded anew, by itself", "no weight left random"), "come from the check"),
        ([RANDOM, SEEDED], both("no weight left random"), "initialisation: out.weight, out.bias;"),
        ([ZEROED], both("no weight left random"), "left at their initialisation: mix.conv.bias;"),
        ([CONSTANT], both("sentences differ"), "all sentences have one vector at in, 1, 2"),
        ([UNSAFE], both("features from threads"), "features() must be thread-safe"),
        ([STICKY], both("again, in another order", "features from threads"), "from run to run"),
        ([SORTED], both("order of the batch", "every length"), "depends on its place in the batch"),
        ([SEVEN], both("batches of every size"), "in a batch of 7"),
        ([SECOND], {("loaded anew, by itself", "speech")},
         "the numbers depend on the load or on the other encoder at tap 2"),
        ([NAN], both("finite"), "NaN or infinity at 2; first for eng,"),
        ([DROPOUT], both("order of the batch", *BATCHES, "again, in another order",
                         "loaded anew, by itself", "no weight left random"), "from run to run"),
        ([ROWS], both("order of the batch", *BATCHES), "gives (2, 16) for a batch of 4 items"),
        ([TWIN], {("tap names and widths", ""), ("pairs", ""), *both("loads")},
         "text has two taps of one name: 2"),
        ([HEAVY], {("works without torch", "")}, "torch imported"),
        ([FALLS], {("depths", ""), *both("loads")}, "the depth falls at 0"),
        ([STRANGE], {("pairs", "")}, 'pair "1" names speech tap "1!", which is none'),
        ([PAPER], {("list of the study", "")}, "speech: no such tap: 7"),
    ],
    ids=["leak", "twice", "silent", "mask", "extra", "width", "double", "random", "seeded",
         "zeroed", "constant", "unsafe", "sticky", "sorted", "seven", "second", "nan", "dropout",
         "rows", "twin", "heavy", "falls", "strange", "paper"],
)  # fmt: skip
def test_a_broken_adapter_fails_where_it_is_broken(changes, wrong, remark, judge):
    results = judge(*changes)
    assert failed(results) == wrong, as_text(results)
    assert any(remark in r.remark for r in results if r.outcome == "fail"), as_text(results)


def test_an_overflow_in_half_precision_is_a_failure(judge):
    results = judge(LOUD, dtypes=True, languages=("eng",))
    assert failed(results) == both("float16")
    assert {r.remark for r in results if r.outcome == "fail"} == {"NaN or infinity at 2"}


def test_a_tower_that_cannot_be_loaded_does_not_stop_the_other(judge):
    refused = (
        "        if self.network is None:",
        "        from isogloss.errors import ModelError\n"
        "        if modality == 'speech':\n            raise ModelError('no speech here')\n"
        "        if self.network is None:",
    )
    results = judge(refused)
    assert failed(results) == {("loads", "speech")}
    (wrong,) = [r for r in results if r.outcome == "fail"]
    assert wrong.remark == "no speech here"
    assert {r.modality for r in results if r.check == "every length"} == {"text"}


def test_a_tower_for_one_sentence_at_a_time(judge):
    limit = ("    def features(self, item", "    max_batch = {}\n\n    def features(self, item")
    results = judge(LEAK, (limit[0], limit[1].format(1)), languages=("eng",))
    assert not failed(results), as_text(results)
    told = {(r.check, r.modality): r for r in results}
    assert {told[name, "text"].outcome for name in ("order of the batch", *BATCHES)} == {"n/a"}
    results = judge(LEAK, (limit[0], limit[1].format(3)), languages=("eng",))
    assert failed(results) == both(*BATCHES)
    told = {(r.check, r.modality): r for r in results}
    assert "1 to 3 sentences (its limit is 3)" in told["batches of every size", "text"].found


SIDE = (
    'help="File with the weights.")\n',
    """help="File with the weights.")
    padding_side: Literal["right", "left"] = setting("right", role="runtime", help="Which.")
""",
)
LEFT = (
    "        with torch.inference_mode(), self",
    """        if self.left:
            kept = [row[:n] for row, n in zip(x, lengths.tolist(), strict=True)]
            x = torch.zeros_like(x)
            for row, (steps, n) in enumerate(zip(kept, lengths.tolist(), strict=True)):
                x[row, x.shape[1] - n :] = steps
            mask = mask.flip(1)
        with torch.inference_mode(), self""",
)
GIVEN = (
    "            self.towers[modality] = Encoder(self.network, modality, self.taps[modality])\n",
    "            self.towers[modality] = Encoder(self.network, modality, self.taps[modality])\n"
    "            self.towers[modality].left = self.source.padding_side == 'left'\n",
)


def test_padding_on_the_other_side(judge):
    results = judge(SIDE, LEFT, GIVEN, languages=("eng",))
    assert not failed(results), as_text(results)
    (side,) = [r for r in results if (r.check, r.modality) == ("padding side", "text")]
    assert side.outcome == "pass"
    assert side.found.endswith("left against right")
    wrong = (LEFT[0], LEFT[1].replace("x[row, x.shape[1] - n :] = steps", "x[row, :n] = steps"))
    results = judge(SIDE, wrong, GIVEN, languages=("eng",))
    assert failed(results) == both("padding side")


ONE_EACH = [
    (
        "class Loaded(Adapter):",
        "import weakref\nALIVE = weakref.WeakSet()\n\n\nclass Loaded(Adapter):",
    ),
    (
        "        if modality not in self.towers:\n",
        """        key = (modality, language.code)
        if modality not in self.towers or self.last != key:
            self.towers, self.last = {}, key
            assert not ALIVE, "the tower of another language is still held"
""",
    ),
    ("        self.recorder =", "        ALIVE.add(self)\n        self.recorder ="),
]


def test_a_tower_of_another_language_is_never_held(judge):
    """An adapter with a large encoder per language must be able to release the one before."""
    results = judge(*ONE_EACH, languages=("eng", "deu", "fra"))
    assert not failed(results), as_text(results)
    told = {(r.check, r.modality): r for r in results}
    assert "12 sentences (eng, deu, fra)" in told[ONCE, "speech"].found


JOINT = [
    ("    def load(self, *, device):", """    def companion(self):
        return "same"

    def load(self, *, device):"""),
    ("        if self.modality == \"text\":\n", """        if self.modality == "text":
            assert 5_000 < len(item.samples) < 60_000
            item = item.text
"""),
]  # fmt: skip


def test_texts_are_given_recordings_where_the_model_asks_for_them(judge):
    results = judge(*JOINT)
    assert not failed(results), as_text(results)
    assert {r.modality for r in results if r.check == "every length"} == {"text", "speech"}


SPEAKS = (
    "    def load(self, *, device):",
    """    def speaks(self):
        return {"text": frozenset({"deu", "fra"}), "speech": frozenset({"fra"})}

    def load(self, *, device):""",
)


def test_only_languages_that_the_model_speaks_are_tried(judge):
    told = {(r.check, r.modality): r for r in judge(SPEAKS, languages=())}
    assert "8 sentences (deu, fra)" in told[ONCE, "text"].found
    assert "4 sentences (fra)" in told[ONCE, "speech"].found
    results = judge(SPEAKS, languages=("deu", "fin"))
    left = {r.modality: r for r in results if r.check == "sentences left out"}
    assert left["text"].found == "fin"
    assert left["text"].outcome == "note"
    (absent,) = [r for r in results if r.modality == "speech"]
    assert absent.outcome == "n/a"
    assert "no sentences in a language that it speaks" in absent.remark
    with pytest.raises(ModelError, match="mine speaks none of fin"):
        judge(SPEAKS, languages=("fin",))


def test_what_a_model_refuses_is_cut_or_left_out(judge):
    short = (
        "        if not len(steps):\n",
        """        if language.code == "deu":
            from isogloss.errors import ModelError
            raise ModelError("no token for German")
        if len(steps) > 90:
            raise ItemError("too long")
        if not len(steps):
""",
    )
    results = judge(short)
    assert not failed(results), as_text(results)
    told = {(r.check, r.modality): r for r in results}
    assert "4 sentences (eng)" in told[ONCE, "text"].found
    assert told["sentences left out", "text"].remark == "no token for German"
    assert "4 sentences (eng) of 35 to 77 steps" in told[ONCE, "speech"].found
    results = judge(("if not len(steps):", "if len(steps):"), languages=("eng",))
    assert failed(results) == both("sentences left out")


def test_sentences_of_a_manifest(judge, tmp_path):
    soundfile = pytest.importorskip("soundfile")
    lines = []
    for i, (seconds, text) in enumerate([(0.5, "kurz"), (1.1, "etwas länger"), (0.8, "mittel")]):
        soundfile.write(tmp_path / f"{i}.wav", voice(seconds, seed=i), 16_000)
        row = {"id": str(i), "lang": "deu", "text": text, "audio_filepath": f"{i}.wav"}
        lines.append(json.dumps(row))
    path = tmp_path / "own.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    told = {(r.check, r.modality): r for r in judge(corpus=str(path), languages=())}
    assert "3 sentences (deu) of 4 to 13 steps" in told[ONCE, "text"].found
    assert "3 sentences (deu) of 25 to 55 steps" in told[ONCE, "speech"].found


def test_a_leak_of_the_released_seamless_is_found(monkeypatch):
    """Its length adaptor reads padding; without the mask of this project that must show."""
    from isogloss.models._adaptor import AdaptedSpeechTower
    from isogloss.models._speech import SpeechTower

    monkeypatch.setattr(AdaptedSpeechTower, "during", SpeechTower.during)
    results = check("seamless(checkpoint=tiny)", device="cpu", languages=["eng"])
    told = {r.check: r for r in results if r.modality == "speech"}
    assert failed(results) == {(name, "speech") for name in told if told[name].outcome == "fail"}
    assert failed(results) == {(name, "speech") for name in BATCHES}
    assert told["every length"].value > 0.03
    assert "at tap len; most for" in told["every length"].remark
    assert told["every length"].by_tap["6"] < 1e-5


def test_the_command_passes_the_tiny_seamless(capsys):
    arguments = ["check-model", "seamless(checkpoint=tiny)", "--device", "cpu", "--languages"]
    assert call([*arguments, "eng,hin", "--json"]) == 0
    shown = capsys.readouterr()
    told = json.loads(shown.out)
    assert (told["model"], told["device"], told["passed"]) == ("seamless-tiny", "cpu", True)
    assert told["counts"] == {"pass": 31, "fail": 0, "note": 4, "n/a": 2}
    assert len(told["results"]) == 37
    (last,) = [
        r for r in told["results"] if (r["check"], r["modality"]) == ("every length", "speech")
    ]
    assert last["value"] < 1e-6 < last["limit"] == 1e-5
    assert list(last["by_tap"]) == ["in", "1", "2", "3", "4", "5", "6", "len"]
    assert "speech: alone, in batches, again" in shown.err


def test_the_command_exits_1_for_a_failed_check(tmp_path, weights, capsys, monkeypatch):
    """A family of another package, found by its entry point."""
    code = changed(page_code(), NAN)
    info = tmp_path / "code" / "isogloss_mine-1.0.dist-info"
    with imported(tmp_path / "code", code):
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: isogloss-mine\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[isogloss.models]\nmine = isogloss_mine:Mine\n")
        vars(MODELS).pop("_plugins", None)
        try:
            line = f"mine(weights={weights})"
            assert call(["check-model", line, "--device", "cpu", "--languages", "eng"]) == 1
        finally:
            vars(MODELS).pop("_plugins", None)
    shown = capsys.readouterr().out
    assert shown.startswith("mine (mine), float32, on cpu\n\nlayout\npass  works without torch")
    assert "FAIL  finite                       speech  largest value" in shown
    assert "2 failed" in shown.splitlines()[-1]


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("seamles", StudyError, 'unknown model "seamles"; did you mean "seamless"?'),
        ("seamless(chekpoint=tiny)", StudyError, 'did you mean "checkpoint"'),
        ("towers", StudyError, '"model.text" is required'),
        ("nothing/there/at/all", ModelError, "no such folder"),
    ],
)
def test_names_that_are_none(name, error, message):
    with pytest.raises(error) as caught:
        recognise(name)
    assert message in str(caught.value)


def test_a_checkpoint_names_its_family(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    config = {"model_type": "seamless_m4t_v2", "hidden_size": 8}
    (folder / "config.json").write_text(json.dumps(config))
    made = recognise(str(folder), dtype="float16")
    assert (made.family, made.checkpoint, made.dtype) == ("seamless", str(folder), "float16")
    assert recognise("seamless(checkpoint=tiny, taps=paper)", dtype="bfloat16").taps == "paper"
    (folder / "config.json").write_text('{"model_type": "walrus"}')
    with pytest.raises(ModelError, match='is a "walrus" model, and no family reads .*_m4t_v2'):
        recognise(str(folder))
    (tmp_path / "one.pt").write_bytes(b"")
    with pytest.raises(ModelError, match=r"single file.* seamless\(…\)"):
        recognise(str(tmp_path / "one.pt"))


def test_no_model_type_is_read_by_two_families():
    parts, broken = MODELS.loadable()
    assert not broken
    handled = [kind for part in parts.values() for kind in part.handles]
    assert sorted(handled) == sorted(set(handled))
    assert "seamless_m4t_v2" in handled
    for part in parts.values():
        assert not part.handles or "checkpoint" in part.model_fields


def test_signals_stand_in_where_nothing_can_speak(monkeypatch):
    from isogloss.synthesis import engine_version

    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    engine_version.cache_clear()
    material = gather(recognise("seamless(checkpoint=tiny)"), languages=("eng", "deu"))
    assert material.origin.endswith("speech: signals like voices")
    assert list(material.sounds) == ["eng", "deu"]
    for sounds in material.sounds.values():
        assert [len(sound) / 16_000 for sound in sounds] == [3.1, 0.7, 1.9, 1.3]
        assert all(0.02 < np.sqrt(np.mean(sound**2)) < 1 for sound in sounds)
    one, two = (material.sounds[code][0] for code in ("eng", "deu"))
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.2
    texts = material.texts["deu"]
    assert len(texts) == 4
    assert [len(text) for text in texts] == sorted({len(text) for text in texts}, reverse=True)


@pytest.mark.parametrize("tolerance", [0.0, 1.0, -1.0, float("nan")])
def test_tolerances_that_are_none(tolerance):
    with pytest.raises(StudyError, match="tolerance must be above 0 and below 1"):
        check("seamless(checkpoint=tiny)", tolerance=tolerance)


def test_differences_of_rows():
    nan = float("nan")
    wanted = {"a": np.array([3.0, 4.0]), "b": np.array([0.0, 0.0]), "c": np.array([nan, 1.0])}
    assert gaps({**wanted}, wanted) == {"a": 0.0, "b": 0.0, "c": 0.0}
    other = {"a": np.array([3.0, 4.5]), "b": np.array([0.0, 1e-9]), "c": np.array([1.0, 1.0])}
    assert gaps(other, wanted) == {"a": 0.1, "b": float("inf"), "c": float("inf")}
    assert gaps({"a": np.array([3.0])}, {"a": wanted["a"]}) == {"a": float("inf")}


def test_results_fit_the_screen_and_json():
    long = "what is wrong is said in many words " * 5
    results = [
        Result("taps", "finite", "text", "pass", "largest value 1"),
        Result("batches", "every length", "speech", "fail", "NaN", long, float("inf"), 1e-5),
    ]
    text = as_text(results, 80)
    assert max(map(len, text.splitlines())) <= 80
    assert text.splitlines()[0] == "taps"
    assert text.splitlines()[-1] == "1 passed, 1 failed, 0 not applicable, 0 noted"
    told = json.loads(json.dumps(as_dict(results), allow_nan=False))
    assert told["passed"] is False
    assert told["results"][1]["value"] is None
