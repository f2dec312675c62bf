"""Everything that the encoders are given in training, made once and kept in a folder."""

import random
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import speech
from isogloss.languages import language
from isogloss.models.base import Features
from isogloss.models.seamless import Seamless
from sentences import Sentence, text


def spoken(
    checkpoint: Path,
    sentences: Sequence[Sentence],
    amounts: Mapping[str, int],
    folder: Path,
    name: str,
    *,
    seed: int,
    processes: int,
) -> dict[str, list[Features]]:
    """Speak the first sentences of every language, each in a voice of its own.

    Args:
        checkpoint: Folder of the model, for its filter bank.
        sentences: To speak.
        amounts: Language -> how many of them.
        folder: Where the features are kept; those that are there are not made again.
        name: Of these sentences.
        seed: Of the voices.
        processes: How many languages are spoken at once.

    Returns:
        Language -> filter bank features, in the order of the sentences.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = {code: folder / f"{name}-{code}-{count}-{seed}.npz" for code, count in amounts.items()}
    missing = [code for code, path in paths.items() if not path.is_file()]
    with ProcessPoolExecutor(processes) as pool:
        made = [
            pool.submit(
                _speak, checkpoint, sentences[: amounts[code]], code, paths[code], f"{seed} {name}"
            )
            for code in missing
        ]
        for future in made:
            future.result()
    return {code: _read(path) for code, path in paths.items()}


def _speak(
    checkpoint: Path, sentences: Sequence[Sentence], code: str, path: Path, seed: str
) -> None:
    tower = Seamless(checkpoint=str(checkpoint)).load(device="cpu").tower("speech")
    numbers = random.Random(f"{seed} {code}")
    rows: list[NDArray[np.float16]] = []
    for sentence in sentences:
        voice = speech.voice(code, numbers, speech.TRAINING)
        heard = speech.samples(text(sentence, code), voice)
        values = tower.features(heard, language(code)).values["input_features"]
        rows.append(values.astype(np.float16))
    work = path.with_suffix(".part")
    with work.open("wb") as file:
        np.savez(file, rows=np.concatenate(rows), lengths=[len(row) for row in rows])
    work.rename(path)


def _read(path: Path) -> list[Features]:
    with np.load(path) as kept:
        rows, lengths = kept["rows"], kept["lengths"]
    parts = np.split(rows, np.cumsum(lengths)[:-1])
    return [Features({"input_features": part}, len(part)) for part in parts]
