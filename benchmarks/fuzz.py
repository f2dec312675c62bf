"""Fuzz the readers of bytes with atheris, which follows the branches that an input reaches.

    pip install atheris
    python benchmarks/fuzz.py yaml -max_total_time=300

Targets: manifest, tsv, gzip, yaml, spec, pickle, torch, json, safetensors, record, wav. Further
arguments are those of libFuzzer, such as a folder with inputs to start from. It ends with an error
as soon as an input leads to an exception that is none of Isogloss's own, or takes more than the
25 seconds of ``-timeout``; the input is then in a file of the working folder. Readers that are
written in C or Rust (Parquet, audio, safetensors) are run, but not looked into.
"""

import contextlib
import io
import json
import struct
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["isogloss", "yaml", "csv", "json", "pickle", "zipfile"]):
    from isogloss import plain_yaml, specs
    from isogloss.audio import FileClip
    from isogloss.corpora import CORPORA
    from isogloss.corpora._fleurs_rows import read_tsv
    from isogloss.errors import IsoglossError
    from isogloss.models._files import read_json
    from isogloss.models._headers import read_header, shapes_in
    from isogloss.similarity.measures import MEASURES
    from isogloss.storage import sealing
    from isogloss.storage.store import read_record

FOLDER = Path(tempfile.mkdtemp(prefix="isogloss-fuzz-"))


def written(name: str, data: bytes) -> Path:
    """A file of this content; always the same one, so that nothing piles up."""
    path = FOLDER / name
    path.write_bytes(data)
    return path


def manifest(data: bytes) -> None:
    """The first byte chooses the format."""
    kind = ("m.jsonl", "m.csv", "m.tsv")[data[0] % 3] if data else "m.csv"
    head = b"" if kind == "m.jsonl" else b"id,lang,text,audio_filepath\n"
    path = written(kind, head.replace(b",", b"\t" if kind == "m.tsv" else b",") + data[1:])
    CORPORA.get("manifest")(path=path).load()


def packed(data: bytes) -> None:
    """A manifest that is packed, or says so."""
    CORPORA.get("manifest")(path=written("m.jsonl.gz", data)).load()


def tsv(data: bytes) -> None:
    """A table of FLEURS."""
    read_tsv(written("test.tsv", data), "de_de/test.tsv")


def yaml(data: bytes) -> None:
    """Plain YAML; what is taken is taken again when it is written."""
    with contextlib.suppress(ValueError):
        plain_yaml.parse(data.decode("utf-8", "replace"))


def spec(data: bytes) -> None:
    """The line of a measure."""
    part = specs.parse(MEASURES, data.decode("utf-8", "replace"))
    if specs.parse(MEASURES, specs.write(MEASURES, part)) != part:
        raise AssertionError(f"{part} is not what it says that it is")


def pickle(data: bytes) -> None:
    """The pickle in a file of torch."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("x/data.pkl", data)
    torch(buffer.getvalue())


def torch(data: bytes) -> None:
    """A whole file of torch, in either format."""
    path = written("a.pth", data)
    read_header.__globals__["_read"].cache_clear()
    shapes_in(read_header(path), "model")


def configuration(data: bytes) -> None:
    """A configuration."""
    read_json(written("config.json", data))


def safetensors(data: bytes) -> None:
    """Weights in safetensors, with a header of the right length."""
    from safetensors import SafetensorError, safe_open

    path = written("a.safetensors", struct.pack("<Q", max(len(data) - 8, 0)) + data)
    with contextlib.suppress(SafetensorError), safe_open(path, framework="np") as file:
        for name in file.keys():  # noqa: SIM118 - it is no mapping
            file.get_tensor(name)


def record(data: bytes) -> None:
    """The record of a unit, sealed if it is an object."""
    path = written("u.json", data)
    with contextlib.suppress(ValueError, RecursionError):
        value = json.loads(data)
        if isinstance(value, dict) and value and "seal" not in value:
            sealing.write(path, value)
    read_record(path)


def wav(data: bytes) -> None:
    """A recording."""
    FileClip(written("a.wav", b"RIFF" + data)).read()


TARGETS: dict[str, Callable[[bytes], None]] = {
    "manifest": manifest, "gzip": packed, "tsv": tsv, "yaml": yaml, "spec": spec, "pickle": pickle,
    "torch": torch, "json": configuration, "safetensors": safetensors, "record": record, "wav": wav,
}  # fmt: skip


def main() -> None:
    """Fuzz the target that is named first on the command line."""
    target = TARGETS[sys.argv.pop(1)]

    def once(data: bytes) -> None:
        with contextlib.suppress(IsoglossError):
            target(data)

    atheris.Setup([sys.argv[0], "-timeout=25", "-rss_limit_mb=3000", *sys.argv[1:]], once)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
