"""Write the sentences that are kept back to the package: texts, and who speaks them how.

python corpus.py
"""

import gzip
import io
import json
import random
from pathlib import Path

import speech
from sentences import LANGUAGES, sentences, text

SEED = 7
"""Of the sentences, those to train on too."""
PLACE = Path(__file__).parents[1] / "src" / "isogloss" / "data" / "lists.jsonl.gz"


def rows() -> list[dict[str, str | int]]:
    """One for each sentence and language of both parts that are kept back."""
    _, development, held_out = sentences(SEED)
    found: list[dict[str, str | int]] = []
    for part, those in (("development", development), ("held-out", held_out)):
        for code in LANGUAGES:
            numbers = random.Random(f"{SEED} {part} {code}")
            for i, sentence in enumerate(those, 1):
                name, rate, pitch = speech.voice(code, numbers, tuple(speech.OTHERS))
                found.append(
                    {
                        "part": part,
                        "id": f"{part[0]}{i:03}",
                        "lang": code,
                        "text": text(sentence, code),
                        "voice": name,
                        "rate": rate,
                        "pitch": pitch,
                        "gender": speech.OTHERS["+" + name.partition("+")[2]],
                    }
                )
    return found


def main() -> None:
    """Write them, compressed without a date, so that the same rows are the same bytes."""
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows())
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as file:
        file.write(lines.encode())
    PLACE.write_bytes(buffer.getvalue())
    print(f"{PLACE.name}: {len(lines.splitlines())} rows, {len(buffer.getvalue())} bytes")


if __name__ == "__main__":
    main()
