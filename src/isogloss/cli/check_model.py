"""The command that proves that a model's adapter does what it promises."""

import json
import shutil
import sys
from typing import Annotated, Any, Literal

from cyclopts import Parameter

WIDE = 120
"""Columns of the table where standard output is no terminal."""


def check_model(
    model: Annotated[
        str,
        Parameter(
            name="MODEL",
            help="A family with its settings, as in `seamless(checkpoint=tiny)` or "
            "`towers(text=FOLDER, speech=FOLDER)`; or the folder or hub id of a checkpoint, whose "
            "family is recognised.",
        ),
    ],
    /,
    *,
    device: Annotated[str, Parameter(help='Where it runs: "cpu", "cuda", "mps" or auto.')] = "auto",
    dtype: Annotated[
        Literal["float32", "float16", "bfloat16"] | None,
        Parameter(help="Precision in which it is checked, instead of that of the model."),
    ] = None,
    dtypes: Annotated[
        bool,
        Parameter(negative="", help="Also compare float16 and bfloat16 with float32 at each tap."),
    ] = False,
    corpus: Annotated[
        str | None,
        Parameter(
            help="A manifest or the name of a corpus, to take sentences from. [default: bundled "
            "sentences, spoken by espeak-ng if the extra tts is installed]"
        ),
    ] = None,
    languages: Annotated[
        str, Parameter(help="Languages to try, comma-separated. [default: up to three]")
    ] = "",
    tolerance: Annotated[
        float | None,
        Parameter(
            help="Largest relative L2 difference between two ways to compute the same. "
            "[default: 1e-5 in float32, 1e-2 in float16, 5e-2 in bfloat16]"
        ),
    ] = None,
    as_json: Annotated[
        bool, Parameter(name="--json", negative="", help="Print JSON instead of a table.")
    ] = False,
) -> int:
    """Check a model's adapter on a few sentences, yours or ours.

    It asks whether every tap is read once and as wide as declared, whether a sentence's numbers
    depend on its batch, on padding, on threads, on chance or on the other modality, whether any
    weight was left random, and what it costs. Exits 0 if all checks that apply are passed, 1 if one
    fails.
    """
    from isogloss.cli.display import display
    from isogloss.extraction.making import pick_device
    from isogloss.modelcheck import as_dict, as_text, check, recognise
    from isogloss.settings import split_names

    settings: dict[str, Any] = {} if dtype is None else {"dtype": dtype}
    source = recognise(model, **settings)
    with display() as events:
        results = check(
            source,
            device=device,
            corpus=corpus,
            languages=split_names(languages),
            dtypes=dtypes,
            tolerance=tolerance,
            events=events,
        )
    about = {"model": source.title(), "family": source.family, "dtype": source.dtype,
             "device": pick_device(device)}  # fmt: skip
    told = as_dict(results)
    if as_json:
        print(json.dumps({**about, **told}, indent=1, ensure_ascii=False, allow_nan=False))
    else:
        wide = shutil.get_terminal_size().columns if sys.stdout.isatty() else WIDE
        print("{model} ({family}), {dtype}, on {device}\n".format(**about))
        print(as_text(results, wide))
    return 0 if told["passed"] else 1
