"""Put all questions to one model."""

import gc
import time
from collections.abc import Iterator, Sequence

from isogloss.corpora.base import MODALITIES
from isogloss.errors import MissingExtraError, StudyError, choices
from isogloss.events import Events, Silent
from isogloss.extraction.making import pick_device
from isogloss.languages import resolve
from isogloss.modelcheck import batching, cost, declared, precision, reading, repeating, sides
from isogloss.modelcheck.bench import TOLERANCE, Bench
from isogloss.modelcheck.material import gather, samples
from isogloss.modelcheck.recognise import recognise
from isogloss.modelcheck.result import STOPPED, Result, failure
from isogloss.models.base import ModelSource, chosen_taps


def check(
    model: ModelSource | str,
    *,
    device: str = "auto",
    corpus: str | None = None,
    languages: Sequence[str] = (),
    dtypes: bool = False,
    tolerance: float | None = None,
    events: Events | None = None,
) -> list[Result]:
    """Check that an adapter does what :mod:`isogloss.models.base` asks of it.

    Args:
        model: A model; or its line, a folder or a hub id as :func:`recognise` reads them.
        device: Where it runs, as in a study.
        corpus: A manifest or the name of a corpus; bundled sentences if left out.
        languages: Codes; up to three that the model speaks if empty.
        dtypes: Also load it in half precision and compare with float32.
        tolerance: Largest relative L2 difference between two ways to compute the same; 1e-5 in
            float32, 1e-2 in float16 and 5e-2 in bfloat16 if left out.
        events: Is told what is being done.

    Returns:
        One result for each check and modality. A bug of the adapter is a failed check.

    Raises:
        StudyError: There is no such model, device or language.
        ModelError: It is no checkpoint of its family.
        CorpusError: The corpus cannot be read.
        MissingExtraError: torch or transformers is not installed.
    """
    events = events or Silent()
    source = recognise(model) if isinstance(model, str) else model
    if tolerance is None:
        tolerance = TOLERANCE[source.dtype]
    if not 0 < tolerance < 1:
        raise StudyError(f"tolerance must be above 0 and below 1, not {tolerance:g}")
    layout = source.layout()
    taps = chosen_taps(source, layout)
    place = pick_device(device)
    events.note(f"{source.title()}: its description")
    results = list(declared.checks(source, layout))
    material = gather(source, corpus, languages)
    events.note(f"tried on: {material.origin}")
    benches = []
    for modality in MODALITIES:
        bench = Bench(
            source=source,
            modality=modality,
            taps=taps.get(modality, ()),
            samples=samples(source, material, modality),
            tolerance=tolerance,
            device=place,
        )
        results += _absent(bench, languages)
        if bench.taps and bench.samples:
            benches.append(bench)
    usable = []
    adapter = source.load(device=place)
    try:
        for bench in benches:
            events.note(f"{bench.modality}: alone, in batches, again")
            bench.adapter = adapter
            results += (found := list(_loaded(bench)))
            if not any(r.outcome == "fail" and r.check in _NEEDED for r in found):
                usable.append(bench)
    finally:
        adapter.close()
    for bench in benches:
        bench.adapter = None
    del adapter
    gc.collect()
    # The other modality first: whatever depends on the order of loading would show.
    for bench in reversed(usable):
        events.note(f"{bench.modality}: loaded anew")
        results += _anew(bench)
        if dtypes:
            events.note(f"{bench.modality}: in half precision")
            results += precision.checks(bench)
    return sorted(results, key=lambda result: result.modality == "speech")


_LOADS, _GROUP = "loads", "taps"
_NEEDED = (_LOADS, reading.SENTENCES, reading.ONCE)


def _absent(bench: Bench, languages: Sequence[str]) -> Iterator[Result]:
    """What cannot be tried, and why."""
    if not bench.taps:
        yield Result(_GROUP, _LOADS, bench.modality, "n/a", "", "no taps")
    elif not bench.samples:
        why = "there are no sentences in a language that it speaks"
        yield Result(_GROUP, _LOADS, bench.modality, "n/a", "", why)
    else:
        lacking = sorted(set(resolve(languages)) - {known.code for known in bench.languages})
        if lacking:
            why = "the model does not speak it, or there are no sentences"
            yield Result(_GROUP, reading.SENTENCES, bench.modality, "note", choices(lacking), why)


def _loaded(bench: Bench) -> Iterator[Result]:
    """Everything that one loaded tower can be asked."""
    clock = time.perf_counter()
    try:
        bench.tower()
    except MissingExtraError:
        raise
    except Exception as error:
        yield failure(_GROUP, _LOADS, bench.modality, error)
        return
    found = f"in {time.perf_counter() - clock:.1f} s"
    yield Result(_GROUP, _LOADS, bench.modality, "pass", found)
    for ask in (reading.left_out, reading.checks):
        for result in ask(bench):
            yield result
            if result.outcome == "fail" and result.check in _NEEDED:
                why = "it takes sentences that can be encoded"
                yield Result(_GROUP, "all further checks", bench.modality, "n/a", "", why)
                return
    yield from batching.checks(bench)
    yield from repeating.checks(bench)
    yield cost.speed(bench)


def _anew(bench: Bench) -> Iterator[Result]:
    """Fresh adapters that load nothing but one tower."""
    measured = cost.Memory(bench.device)
    reference = bench
    for ask in (repeating.alone, repeating.unfilled):
        adapter = bench.source.load(device=bench.device)
        found = bench.anew(adapter)
        try:
            result = ask(reference, found)
            yield result
            if ask is repeating.alone:
                yield cost.memory(found, measured)
        finally:
            adapter.close()
        found.adapter = None
        del adapter
        gc.collect()
        if result.found != STOPPED:  # loaded by itself as well: nothing but the weights differs
            reference = found
    yield sides.check(bench)
