"""A tree in the layouts of FLEURS, with sentences and sounds of its own.

``make_tree`` writes it and returns what it wrote, so that counts, N and pairs can be worked out by
hand. With ``odd`` it has the defects of the real data: sentences that a language lacks, several
takes, bare quotes, CRLF, a byte-order mark, clips that are missing, broken or silent, rows with a
cell too many, takes that are cut short, and members of archives that nobody listed.
"""

import io
import tarfile
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import numpy as np

from isogloss.languages import language

RATE = 16_000
OLD = "home/vaxelrod/FLEURS/oss2_obfuscated"
CONCEPTS = 60
_STARTS = {
    "Latn": "abdefgiklmnoprstuv", "Cyrl": "абвгдежзиклмнопрст", "Grek": "αβγδεζηικλμνοπρστ",
    "Arab": "ابتثجحدرزسشعفقكلمن", "Hebr": "אבגדהוזחטיכלמנסעפצ", "Armn": "աբգդեզիլխկհմնոպռստ",
    "Geor": "აბგდევზთიკლმნოპჟრს",
}  # fmt: skip
_BLOCKS = {
    "Ethi": 0x1200, "Beng": 0x0995, "Deva": 0x0915, "Gujr": 0x0A95, "Guru": 0x0A15, "Knda": 0x0C95,
    "Mlym": 0x0D15, "Taml": 0x0B95, "Telu": 0x0C15, "Orya": 0x0B15, "Thai": 0x0E01, "Laoo": 0x0E81,
    "Khmr": 0x1780, "Mymr": 0x1000, "Hang": 0xAC00, "Jpan": 0x3042, "Hans": 0x4E00, "Hant": 0x4E00,
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One row of a table, as written."""

    sentence: str
    file: str
    raw: str
    text: str
    samples: int
    gender: str
    speaker: str
    line: int
    """Its number in the table, from 1."""
    odd: str = ""
    """missing, broken, silent, short, cut (its clip), empty (its text), wide (its cells)."""

    @property
    def heard(self):
        """Whether its clip can be decoded."""
        return self.odd not in ("missing", "broken", "silent", "wide")

    @property
    def read(self):
        """Whether it has a text."""
        return self.odd not in ("empty", "wide")


@dataclass(frozen=True)
class Tree:
    """What ``make_tree`` wrote."""

    folder: Path
    languages: tuple[str, ...]
    split: str
    form: str
    rows: dict[str, tuple[Row, ...]] = field(default_factory=dict)
    tables: dict[str, Path] = field(default_factory=dict)
    """Language -> its TSV or Parquet file."""
    archives: dict[str, Path] = field(default_factory=dict)
    """Language -> its tar.gz, or its folder of recordings."""

    @property
    def counts(self):
        """Language -> rows of the split, and distinct sentence ids."""
        return {
            code: (len(rows), len({r.sentence for r in rows if r.odd != "wide"}))
            for code, rows in self.rows.items()
        }

    def sentences(self, code, modality="both"):
        """Ids that can be used in ``text``, ``speech`` or ``both``, in numerical order."""
        text = {r.sentence for r in self.rows[code] if r.read}
        speech = {r.sentence for r in self.rows[code] if r.heard}
        found = {"text": text, "speech": speech, "both": text & speech}[modality]
        return tuple(sorted(found, key=int))

    @property
    def smallest(self):
        """N of the cross-modal comparison: the smallest number of sentences of a language."""
        return min(len(self.sentences(code)) for code in self.languages)

    def shared(self, modality="both"):
        """Pair of languages, in alphabetical order -> the ids that both have."""
        sets = {code: set(self.sentences(code, modality)) for code in sorted(self.languages)}
        return {(a, b): tuple(sorted(sets[a] & sets[b], key=int)) for a, b in combinations(sets, 2)}

    def smallest_shared(self, modality="both"):
        """N of the cross-lingual comparison: the smallest intersection."""
        return min(len(ids) for ids in self.shared(modality).values())


def make_tree(
    folder,
    languages=("deu", "eng", "fin"),
    sentences=12,
    form="tsv7",
    packed=True,
    seed=0,
    *,
    split="test",
    odd=True,
    takes=(1, 1, 2, 2, 3),
    seconds=None,
):
    """Write a tree.

    Args:
        folder: Where to; made if it is not there.
        languages: ISO 639-3 codes.
        sentences: Ids that there are in all; each language lacks some of them (with ``odd``).
        form: ``tsv7`` (``data/<code>/test.tsv``), ``tsv8`` (the second release: speakers, old
            folder names, nested) or ``parquet``.
        packed: Recordings in a tar.gz, or as files in a folder.
        seed: Of everything.
        split: ``train``, ``dev`` or ``test``.
        odd: Whether it has defects.
        takes: Numbers of recordings of a sentence, drawn from.
        seconds: Length of every recording; grows with the text if left out.

    Returns:
        Tree: What was written.
    """
    folder = Path(folder)
    rng = np.random.default_rng([seed, 1])
    ids = sorted(int(i) for i in rng.choice(np.arange(1500, 2100), sentences, replace=False))
    meanings = {i: rng.integers(CONCEPTS, size=rng.integers(5, 11)) for i in ids}
    made = Tree(folder, tuple(languages), split, form)
    for place, code in enumerate(languages):
        own = np.random.default_rng([seed, 2, *map(ord, code)])
        rows = _rows(code, place, ids, meanings, own, odd, takes, seconds)
        made.rows[code] = tuple(rows)
        _write(made, code, rows, own, packed, odd and place)
    return made


def _rows(code, place, ids, meanings, rng, odd, takes, seconds):
    lacking = set(rng.choice(ids, size=place % 3, replace=False).tolist()) if odd else set()
    known = language(code)
    words = _words(known.script, code)
    drawn = []
    for i in ids:
        if i in lacking:
            continue
        raw, text = _sentence(words, meanings[i], known.script, quoted=odd and i % 7 == 0)
        drawn += [(i, raw, text)] * int(rng.choice(takes))
    order = rng.permutation(len(drawn))
    kinds = _kinds([drawn[j][0] for j in order], place) if odd else {}
    rows = []
    for n, j in enumerate(order):
        i, raw, text = drawn[j]
        kind = kinds.get(n, "")
        length = seconds or 0.4 + 0.02 * len(raw) * rng.normal(1, 0.08)
        samples = int(RATE * (0.4 if kind == "short" else max(length, 1.02)))
        rows.append(
            Row(
                sentence=str(i),
                file=f"{rng.integers(10**18, 10**19, dtype=np.uint64)}.wav",
                raw=raw,
                text="" if kind == "empty" else text,
                samples=samples,
                gender=("MALE", "FEMALE", "OTHER")[int(rng.integers(3))],
                speaker=f"{code}{rng.integers(1, 9)}" if n % 3 else str(rng.integers(1, 9)),
                line=n + 1,
                odd=kind,
            )
        )
    return rows


def _kinds(sentences, place):
    """Row -> its defect: in each language another few, on takes of different sentences."""
    every = ("missing", "broken", "silent", "short", "cut", "empty", "wide")
    chosen = [every[(place + k) % len(every)] for k in range(3)]
    firsts = [n for n, s in enumerate(sentences) if s not in sentences[:n]]
    # Of the first defects sentences with another take, of the last one without.
    several = [n for n in firsts if sentences.count(sentences[n]) > 1]
    single = [n for n in firsts if sentences.count(sentences[n]) == 1]
    places = [*several[:2], *single[:1]]
    return dict(zip(places, chosen, strict=False))


def _words(script, code):
    rng = np.random.default_rng([7, *map(ord, code)])
    letters = _STARTS.get(script) or "".join(chr(_BLOCKS[script] + i) for i in range(18))
    size = (1, 3) if script in ("Hans", "Hant", "Jpan", "Hang") else (3, 8)
    return [
        "".join(letters[k] for k in rng.integers(len(letters), size=rng.integers(*size)))
        for _ in range(CONCEPTS)
    ]


def _sentence(words, meaning, script, *, quoted):
    chosen = [words[m] for m in meaning]
    raw = ("" if script in ("Hans", "Hant", "Jpan", "Thai") else " ").join(chosen).capitalize()
    text = " ".join(raw) if script == "Hans" else raw.lower()
    return f'"{raw}, 7.' if quoted else f"{raw}.", text


def sound(samples, seed, level=0.1):
    """Tones in syllables of a quarter of a second, 16-bit: (samples,)."""
    rng = np.random.default_rng(seed)
    time = np.arange(samples, dtype=np.float32) / RATE
    tone = sum(np.sin(time * float(f)) for f in rng.uniform(700, 9000, size=3))
    signal = level * tone * (0.55 + 0.45 * np.sin(time * float(rng.uniform(20, 30))))
    return (signal * 2**15 / 3).astype("<i2")


def wav(samples):
    """The bytes of a mono 16 kHz WAV file."""
    data = np.asarray(samples, dtype="<i2").tobytes()
    head = io.BytesIO()
    for part in (
        b"RIFF", (36 + len(data)).to_bytes(4, "little"), b"WAVEfmt ", (16).to_bytes(4, "little"),
        (1).to_bytes(2, "little"), (1).to_bytes(2, "little"), RATE.to_bytes(4, "little"),
        (2 * RATE).to_bytes(4, "little"), (2).to_bytes(2, "little"), (16).to_bytes(2, "little"),
        b"data", len(data).to_bytes(4, "little"),
    ):  # fmt: skip
        head.write(part)
    return head.getvalue() + data


def _clip(row):
    seed = [int(row.file.partition(".")[0]) % 2**32]
    if row.odd == "broken":
        return b"RIFF is not enough"
    if row.odd == "silent":
        return wav(np.zeros(row.samples))
    return wav(sound(row.samples // 2 if row.odd == "cut" else row.samples, seed))


def _write(made, code, rows, rng, packed, crlf):
    known, split = language(code), made.split
    clips = {r.file: _clip(r) for r in rows if r.odd != "missing"}
    if made.form == "parquet":
        _write_parquet(made, code, rows, clips)
        return
    if made.form == "tsv8":
        name = known.fleurs_alias or known.fleurs
        home = made.folder / name / OLD / name
    else:
        home = made.folder / "data" / known.fleurs
    (home / "audio").mkdir(parents=True, exist_ok=True)
    end = "\r\n" if crlf == 1 else "\n"
    table = "".join(_line(r, made.form) + end for r in rows)
    made.tables[code] = home / f"{split}.tsv"
    made.tables[code].write_bytes((b"\xef\xbb\xbf" if crlf == 2 else b"") + table.encode())
    if not packed:
        made.archives[code] = home / "audio" / split
        made.archives[code].mkdir()
        for name, data in clips.items():
            (made.archives[code] / name).write_bytes(data)
        return
    strangers = {f"{rng.integers(10**17)}.wav": wav(sound(800, [1])), "readme.txt": b"hello"}
    made.archives[code] = home / "audio" / f"{split}.tar.gz"
    write_archive(made.archives[code], {**strangers, **clips} if crlf else clips, split)


def write_archive(path, clips, split="test"):
    """Pack clips, file name -> bytes, under a folder as the official archives do."""
    with tarfile.open(path, "w:gz", compresslevel=0) as archive:
        entry = tarfile.TarInfo(split)
        entry.type = tarfile.DIRTYPE
        archive.addfile(entry)
        for name, data in clips.items():
            entry = tarfile.TarInfo(f"{split}/{name}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))


def _line(row, form):
    spelt = " | ".join(" ".join(word) for word in row.text.split(" ")) + " |"
    cells = [row.sentence, row.file, row.raw, row.text, spelt, str(row.samples)]
    cells += [row.speaker, row.gender] if form == "tsv8" else [row.gender]
    if row.odd == "wide":
        cells[2] = cells[2][:3] + "\t\t" + cells[2][3:]
    return "\t".join(cells)


def _write_parquet(made, code, rows, clips):
    import polars as pl

    split = {"dev": "validation"}.get(made.split, made.split)
    home = made.folder / language(code).fleurs / split
    home.mkdir(parents=True)
    made.tables[code] = made.archives[code] = home / "0000.parquet"
    # Tables in this form have no row with a cell too many.
    rows = made.rows[code] = tuple(r for r in rows if r.odd != "wide")
    frame = pl.DataFrame(
        {
            "id": [int(r.sentence) for r in rows],
            "num_samples": [r.samples for r in rows],
            "path": [f"/elsewhere/{r.file}" for r in rows],
            "audio": [{"bytes": clips.get(r.file), "path": r.file} for r in rows],
            "transcription": [r.text for r in rows],
            "raw_transcription": [r.raw for r in rows],
            "gender": [("MALE", "FEMALE", "OTHER").index(r.gender) for r in rows],
            "lang_id": [0] * len(rows),
            "language": [language(code).name] * len(rows),
            "lang_group_id": [0] * len(rows),
        },
        schema_overrides={
            "id": pl.Int32,
            "num_samples": pl.Int32,
            "audio": pl.Struct({"bytes": pl.Binary, "path": pl.String}),
            "gender": pl.Int64,
        },
    )
    frame.write_parquet(made.tables[code])
