"""What a family says of itself, before anything is loaded."""

import inspect
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise

from isogloss.corpora.base import MODALITIES
from isogloss.modelcheck.result import STOPPED, Result, guarded
from isogloss.models.base import Layout, ModelSource, Tap

GROUP = "layout"

_PROBE = """
import importlib, importlib.util, json, sys
given = json.loads(sys.stdin.read())
sys.path[:] = given["path"]
try:
    module = importlib.import_module(given["module"])
except ImportError:
    spec = importlib.util.spec_from_file_location(given["module"], given["file"])
    module = importlib.util.module_from_spec(spec)
    sys.modules[given["module"]] = module
    spec.loader.exec_module(module)
found = module
for part in given["name"].split("."):
    found = getattr(found, part)
source = found(**given["settings"])
source.layout(), source.fingerprint(), source.title(), source.speaks(), source.companion()
print(json.dumps([name for name in ("torch", "transformers") if name in sys.modules]))
"""


def checks(source: ModelSource, layout: Layout) -> Iterator[Result]:
    """All checks of a layout."""
    yield guarded(GROUP, "works without torch", "", lambda: _torch_free(source))
    for name, ask in (
        ("tap names and widths", _names),
        ("depths", _depths),
        ("pairs", _pairs),
        ("list of the study", _paper),
    ):
        yield guarded(GROUP, name, "", partial(_told, name, ask, layout))


def _told(name: str, ask: Callable[[Layout], tuple[str, list[str]]], layout: Layout) -> Result:
    found, wrong = ask(layout)
    return Result(GROUP, name, "", "fail" if wrong else "pass", found, "; ".join(wrong))


def _torch_free(source: ModelSource) -> Result:
    """Ask for the layout in an interpreter that has imported nothing yet."""
    name, kind = "works without torch", type(source)
    try:
        file = inspect.getfile(kind)
    except (OSError, TypeError):
        file = ""
    if not file.endswith(".py") or "<locals>" in kind.__qualname__:
        reason = f"{kind.__qualname__} is defined where another process cannot import it"
        return Result(GROUP, name, "", "n/a", "", reason)
    given = {
        "path": sys.path,
        "module": kind.__module__,
        "file": file,
        "name": kind.__qualname__,
        "settings": source.model_dump(mode="json", exclude_unset=True),
    }
    clock = time.perf_counter()
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", _PROBE], input=json.dumps(given), capture_output=True, text=True
    )
    spent = f"layout, fingerprint and title in {time.perf_counter() - clock:.1f} s"
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it ends without a word"])[-1]
        return Result(GROUP, name, "", "fail", STOPPED, f"in a process of its own: {last}")
    heavy = json.loads(done.stdout.strip().splitlines()[-1])
    if heavy:
        remark = f"{' and '.join(heavy)} imported: planning would need it; import it inside `load`"
        return Result(GROUP, name, "", "fail", spent, remark)
    return Result(GROUP, name, "", "pass", spent)


def _names(layout: Layout) -> tuple[str, list[str]]:
    wrong, counts = [], []
    for modality, taps in layout.taps.items():
        names = [tap.name for tap in taps]
        counts.append(f"{len(taps)} {modality}")
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            wrong.append(f"{modality} has two taps of one name: {', '.join(twice)}")
        if not all(names):
            wrong.append(f"{modality} has a tap without a name")
        odd = [tap.name for tap in taps if not isinstance(tap.width, int) or tap.width < 1]
        if odd:
            wrong.append(f"{modality}: the width is no whole number above 0 at {', '.join(odd)}")
    if not any(layout.taps.values()):
        wrong.append("there is no tap at all")
    strange = sorted(set(layout.taps) - set(MODALITIES))
    if strange:
        wrong.append(f"a modality is text or speech, not {', '.join(strange)}")
    return f"taps: {', '.join(counts)}", wrong


def _depths(layout: Layout) -> tuple[str, list[str]]:
    wrong, ranges = [], []
    for modality, taps in layout.taps.items():
        depths = [tap.depth for tap in taps]
        if not depths:
            continue
        ranges.append(f"{modality} {min(depths):.3g} to {max(depths):.3g}")
        if not all(0.0 <= d <= 1.0 for d in depths):
            wrong.append(f"{modality}: a depth is not between 0 and 1")
        falls = [b.name for a, b in pairwise(taps) if b.depth < a.depth]
        if falls:
            wrong.append(f"{modality}: taps must stand from input to output, and the depth falls "
                         f"at {', '.join(falls)}")  # fmt: skip
    return ", ".join(ranges), wrong


def _pairs(layout: Layout) -> tuple[str, list[str]]:
    wrong = []
    known = {m: {tap.name for tap in taps} for m, taps in layout.taps.items()}
    for pair in layout.pairs:
        for modality, name in (("text", pair.text), ("speech", pair.speech)):
            if name not in known.get(modality, set()):  # type: ignore[call-overload]
                wrong.append(f'pair "{pair.label}" names {modality} tap "{name}", which is none')
        if not 0.0 <= pair.depth <= 1.0:
            wrong.append(f'pair "{pair.label}" has a depth that is not between 0 and 1')
    labels = [pair.label for pair in layout.pairs]
    if len(set(labels)) < len(labels):
        wrong.append("two pairs have one label")
    if not labels and all(known.get(m) for m in MODALITIES):
        wrong.append("there are taps in both modalities, but no pair sets two beside each other")
    return f"{len(labels)} pairs", wrong


def _paper(layout: Layout) -> tuple[str, list[str]]:
    wrong = []
    for modality, taps in layout.taps.items():
        wrong += _unknown(modality, taps, layout.paper.get(modality, ()))
    return ", ".join(f"{len(names)} {m}" for m, names in layout.paper.items()), wrong


def _unknown(modality: str, taps: tuple[Tap, ...], listed: tuple[str, ...]) -> list[str]:
    strangers = [name for name in listed if name not in {tap.name for tap in taps}]
    empty = [f"{modality} has taps, but the list names none"] if taps and not listed else []
    return [f"{modality}: no such tap: {', '.join(strangers)}"] if strangers else empty
