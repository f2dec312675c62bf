import json
import re
from importlib import import_module

import numpy as np
import pytest

from adapters import PAGE, changed, imported, page_code, write_weights
from isogloss.cli import call
from isogloss.errors import ModelError, StudyError
from isogloss.modelcheck import Result, as_dict, as_text, check, recognise
from isogloss.modelcheck.bench import Worst, gaps, rows
from isogloss.modelcheck.material import voice

pytest.importorskip("torch")
pytest.importorskip("transformers")

ONCE = "each runs once, by its mask"
BATCHES = {"beside longer ones", "batches of every size", "every length"}


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
    f"""for row, item in enumerate(batch):
            if item.length > 150:
                pooled["2"][row] = float("nan")
        {RETURNED}""",
)
DROPOUT = (
    "return self.out(self.mix(x, mask))",
    "return self.out(self.mix(nn.functional.dropout(x), mask))",
)
CONSTANT = (RETURNED, RETURNED.replace("pooled[tap.name]", "(0 * pooled[tap.name] + 1)"))
LOUD = ("return self.out(self.mix(x, mask))", "return self.out(self.mix(x, mask)) * 1e6")
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
        ([ROWS], both("order of the batch", *BATCHES), 'tap "in" gives (2, 16) for a batch of 4 items'),
        ([TWIN], {("tap names and widths", ""), ("pairs", ""), *both("loads")},
         "text has two taps of one name: 2"),
        ([HEAVY], {("works without torch", "")}, "torch imported"),
        ([FALLS], {("depths", ""), *both("loads")}, "the depth falls at 0"),
        ([STRANGE], {("pairs", "")}, 'pair "1" names speech tap "1!", which is none'),
        ([PAPER], {("list of the study", "")}, "speech: no such tap: 7"),
    ],
    ids=["leak", "twice", "silent", "mask", "extra", "width", "double", "random", "seeded",
         "zeroed", "constant", "unsafe", "sticky", "sorted", "seven", "second", "nan", "dropout", "rows", "twin", "heavy", "falls",
         "strange", "paper"],
)  # fmt: skip
def test_a_broken_adapter_fails_where_it_is_broken(changes, wrong, remark, judge):
    results = judge(*changes)
    assert failed(results) == wrong, as_text(results)
    assert any(remark in r.remark for r in results if r.outcome == "fail"), as_text(results)
