import contextlib
import io
import json
import os
import re
import signal
import struct
import subprocess
import sys
import time

import numpy as np
import pytest
import yaml

from builders import make_run
from isogloss.api import analyse
from isogloss.cli import call
from isogloss.cli.display import Bars, Lines, size, span
from isogloss.models import MODELS

soundfile = pytest.importorskip("soundfile")

TINY = ["--model.family", "seamless", "--model.checkpoint", "tiny"]


def one_line(capsys):
    """The one message of a failed command."""
    error = capsys.readouterr().err.strip()
    assert "Traceback" not in error
    return " ".join(error.split())


@pytest.fixture
def manifest(tmp_path):
    """Six sentences in two languages, spoken as noise."""
    rng = np.random.default_rng(0)
    rows = []
    for language in ("eng", "deu"):
        for i in range(6):
            path = tmp_path / f"{language}{i}.wav"
            soundfile.write(path, 0.1 * rng.normal(size=16_000 + 800 * i), 16_000)
            text = f"sentence number {i} in {language} " + "word " * i
            rows.append({"id": i, "lang": language, "text": text, "audio_filepath": path.name})
    file = tmp_path / "m.jsonl"
    file.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return file


def run(manifest, *more, model=TINY):
    corpus = ["--corpus.source", "manifest", "--corpus.path", str(manifest)]
    output = () if "--output" in more else ("--output", str(manifest.parent / "out"))
    return call(["run", *corpus, *model, *output, *more])


def rewrite(manifest, change):
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    change(rows)
    manifest.write_text("".join(json.dumps(r) + "\n" for r in rows))


def test_run_on_a_manifest_and_look_at_it(manifest, capsys):
    folder = manifest.parent / "out"
    assert run(manifest) == 0
    shown = capsys.readouterr()
    assert "report.html" in shown.out
    assert "cross_modal: only 6 sentences are compared" in " ".join(shown.err.split())
    assert call(["status", str(folder)]) == 0
    assert "4 units: 4 done, 0 running, 0 failed" in capsys.readouterr().out
    assert call(["status", str(folder), "--json"]) == 0
    assert {r["state"] for r in json.loads(capsys.readouterr().out)["units"]} == {"done"}
    assert call(["verify", str(folder)]) == 0
    assert "0 damaged, 0 left over" in capsys.readouterr().out
    (folder / "report.html").unlink()
    assert call(["report", str(folder)]) == 0
    assert (folder / "report.html").exists()
    capsys.readouterr()
    assert run(manifest) == 0
    assert "resuming: 4 of 4 units are in" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--corpus.languages", "eng,deuu"], 2, 'unknown language "deuu"; did you mean "deu"'),
        (["--corpus.languages", "eng,fin"], 1, "fin"),
        (["--model.family", "seemless"], 2, 'unknown model "seemless"; did you mean "seamless"'),
        (["--model.taps", "in,7x"], 1, 'unknown tap "7x"'),
        (["--model.taps", "lenn"], 1, 'unknown tap "lenn"; did you mean "len"'),
        (["--measures", "svca"], 2, 'unknown measure "svca"; did you mean "svcca"'),
        (["--measures", "svcca(rule=sqared)"], 2, 'did you mean "squared"'),
        (["--analyses", "cross-modal"], 2, 'did you mean "cross_modal"'),
        (["--corpus.pth", "x"], 2, "Did you mean --corpus.path?"),
        (["--model.pool-special-tokens", "--seed", "one"], 2, "seed: .*got 'one'"),
        (["--device", "cudo"], 1, "cudo"),
    ],
)
def test_wrong_options_get_one_message_and_write_nothing(manifest, capsys, options, code, message):
    model = () if "--model.family" in options else TINY
    assert run(manifest, *options, model=model) == code
    assert re.search(message, one_line(capsys))
    assert not (manifest.parent / "out").exists()


def _drop_language(rows):
    for row in rows:
        del row["lang"]


def _twice(rows):
    rows.append({**rows[0]})


def _two_texts(rows):
    rows.append({**rows[0], "text": "something else", "audio_filepath": "eng1.wav"})


def _no_shared_ids(rows):
    for row in rows:
        if row["lang"] == "deu":
            row["id"] = f"d{row['id']}"


def _no_audio(rows):
    for row in rows:
        row["audio_filepath"] = "elsewhere/" + row["audio_filepath"]


def _surrogate(rows):
    rows[2]["text"] = "\ud83d alone"


def _zero(rows):
    rows[2]["audio_filepath"] = "a\0b.wav"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_surrogate, r"line 3.*text.*surrogate|row 3.*text.*surrogate"),
        (_zero, r"(line|row) 3.*audio_filepath.*zero"),
        (_drop_language, r"m\.jsonl.*lang"),
        (_twice, r"m\.jsonl.*(twice|also|already).*"),
        (_two_texts, r"m\.jsonl.*two.*text|differ"),
        (_no_shared_ids, r"share no"),
        (_no_audio, r"elsewhere"),
    ],
)
def test_wrong_manifests_get_one_message_and_write_nothing(manifest, capsys, change, message):
    rewrite(manifest, change)
    assert run(manifest) == 1
    assert re.search(message, one_line(capsys))
    assert not (manifest.parent / "out").exists()


def test_bad_recordings_are_left_out_and_named(manifest, capsys):
    folder = manifest.parent
    (folder / "eng0.wav").unlink()
    (folder / "eng1.wav").write_bytes(b"this is no recording")
    soundfile.write(folder / "deu0.wav", np.zeros(0), 16_000)
    high = 0.1 * np.random.default_rng(1).normal(size=(30_000, 2))
    soundfile.write(folder / "deu2.wav", high, 44_100)
    assert run(manifest) == 0
    error = " ".join(capsys.readouterr().err.split())
    assert "left out: eng speech, sentence 0: " in error
    assert "1 input: 2 channels averaged, resampled from 44.1 kHz" in error
    report = (folder / "out" / "report.html").read_text(encoding="utf-8")
    for name in ("eng0.wav", "eng1.wav", "deu0.wav"):
        assert name in report
    assert "44.1 kHz" in report
    assert call(["corpus", "show", str(manifest)]) == 0
    assert "eng0.wav" in capsys.readouterr().out.replace("\n", "")


def test_a_language_with_too_little_speech_keeps_its_text(manifest, capsys):
    def one_recording(rows):
        for row in rows:
            if row["lang"] == "deu" and row["id"] > 0:
                del row["audio_filepath"]

    rewrite(manifest, one_recording)
    assert run(manifest) == 0
    error = " ".join(capsys.readouterr().err.split())
    assert "left out: deu speech, sentence 0: 1 usable sentences are too few" in error
    report = (manifest.parent / "out" / "report.html").read_text(encoding="utf-8")
    assert "Deu: 5 of 6 sentences have no speech" in report
    assert call(["status", str(manifest.parent / "out")]) == 0
    assert "3 units: 3 done" in capsys.readouterr().out


@pytest.mark.parametrize("inside", ["m.jsonl", "m.jsonl/x"])
def test_an_output_that_cannot_be_written_gets_one_message(manifest, capsys, inside):
    assert run(manifest, "--output", str(manifest.parent / inside)) == 1
    assert "m.jsonl is a file; choose another --output" in one_line(capsys)


def test_a_failed_unit_is_named_and_exits_1(manifest, capsys, monkeypatch):
    from isogloss.audio import FileClip

    read = FileClip.read

    def fail(self):
        if "deu" in self.name:
            raise RuntimeError("the disk is on fire")
        return read(self)

    monkeypatch.setattr(FileClip, "read", fail)
    assert run(manifest) == 1
    assert "failed: deu speech: RuntimeError: the disk is on fire" in capsys.readouterr().out
    assert call(["status", str(manifest.parent / "out")]) == 1
    assert "4 units: 3 done, 0 running, 1 failed" in capsys.readouterr().out
    monkeypatch.undo()
    assert run(manifest) == 0
    assert "resuming: 3 of 4 units" in capsys.readouterr().err


def test_a_folder_that_is_no_checkpoint(manifest, capsys):
    (manifest.parent / "empty").mkdir()
    model = ["--model.family", "seamless", "--model.checkpoint", str(manifest.parent / "empty")]
    assert run(manifest, model=model) == 1
    assert "config.json" in one_line(capsys)
    assert not (manifest.parent / "out").exists()


def test_a_checkpoint_with_missing_weights_is_never_random(manifest, capsys):
    from safetensors.numpy import load_file, save_file

    from isogloss.models._tiny import tiny_seamless

    folder = manifest.parent / "broken"
    tiny_seamless(folder)
    weights = load_file(folder / "model.safetensors")
    lost = "speech_encoder.encoder.layers.0.ffn1.intermediate_dense.weight"
    del weights[lost]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    model = ["--model.family", "seamless", "--model.checkpoint", str(folder)]
    assert run(manifest, "--corpus.modalities", "speech", model=model) == 1
    assert "encoder.layers.0.ffn1.intermediate_dense.weight" in one_line(capsys)
    assert not (manifest.parent / "out").exists()


def test_another_study_in_the_folder(manifest, capsys):
    assert run(manifest) == 0
    capsys.readouterr()
    assert run(manifest, "--model.dtype", "float16") == 1
    assert "holds another study. It differs in model.dtype" in one_line(capsys)


def test_usage_errors(capsys, tmp_path):
    assert call(["rn"]) == 2
    assert "run" in one_line(capsys)
    assert call(["run"]) == 2
    assert "isogloss init" in one_line(capsys)
    assert call(["run", str(tmp_path / "none.yaml")]) == 2
    assert "cannot read the study" in one_line(capsys)
    assert call(["status", str(tmp_path)]) == 1
    assert "holds no run" in one_line(capsys)


def test_init_plan_and_overrides(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert call(["init", "--corpus", "udhr"]) == 0
    assert call(["init"]) == 1
    assert "exists already" in one_line(capsys)
    options = ["--corpus.languages", "eng,deu", "--model.checkpoint", "tiny"]
    assert call(["plan", "study.yaml", *options]) == 0
    assert "4 of 4 units to make" in capsys.readouterr().out
    assert call(["plan", "study.yaml", *options, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["estimate"]["pending"] == 4
    assert found["estimate"]["seconds"] > 0
    assert {u["sentences"] for u in found["units"]} == {63}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["study.yaml"]
    assert yaml.safe_load((tmp_path / "study.yaml").read_text())["corpus"]["source"] == "udhr"


def test_init_refuses_unknown_parts(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert call(["init", "--model", "tower"]) == 2
    assert 'did you mean "towers"' in one_line(capsys)
    assert not list(tmp_path.iterdir())


def test_verify_names_what_is_wrong(tmp_path, capsys):
    made = make_run(tmp_path / "out")
    next((made.folder / "activations").glob("*.safetensors")).write_bytes(b"0")
    assert call(["verify", str(made.folder)]) == 1
    assert "bytes instead of" in capsys.readouterr().out


@pytest.mark.parametrize(
    "command", ["models", "corpora", "measures", "analyses", "languages", "list"]
)
def test_listings(command, capsys):
    assert call([command]) == 0
    text = capsys.readouterr().out
    expected = {
        "models": ["seamless", "CC-BY-NC-4.0", "speech 101"],
        "corpora": ["manifest", "udhr"],
        "measures": ["svcca", "orthogonal"],
        "analyses": ["cross_modal", "gaps"],
        "languages": ["deu", "de_de", "deu_Latn"],
        "list": ["seamless", "CC-BY-NC-4.0", "udhr", "svcca", "gaps"],
    }[command]
    assert all(word in text for word in expected)


def narrow(*command):
    """What a command shows on a terminal of 80 columns."""
    fcntl, termios = pytest.importorskip("fcntl"), pytest.importorskip("termios")
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
    arguments = [sys.executable, "-m", "isogloss", *command]
    process = subprocess.Popen(arguments, stdout=theirs, env={**environment, "TERM": "dumb"})
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # Reading from a terminal that was closed is one.
        while part := os.read(ours, 4096):
            shown += part
    os.close(ours)
    assert process.wait() == 0
    lines = re.sub(r"\x1b\[[\d;]*m", "", shown.decode()).splitlines()
    assert max(map(len, lines)) <= 80
    return lines


def test_measures_fit_a_terminal_of_80_columns():
    lines = narrow("measures")
    head = [i for i, line in enumerate(lines) if line.split()[:1] == ["measure"]][:4]
    columns = ["measure", "what", "range", "larger", "is", "widths", "symmetric"]
    assert lines[head[0]].split() == columns
    first = {line.split()[0]: line.split() for line in lines[head[0] + 2 : head[1]] if line.strip()}
    assert first["anc"][-2:] == ["equal", "yes"]
    assert first["pwcca"][-2:] == ["any", "no"]
    assert first["svcca"] == ["svcca", "SVCCA", "0", "to", "1", "more", "similar", "any", "yes"]


def test_models_fit_a_terminal_of_80_columns():
    lines = [" ".join(line.split()) for line in narrow("models")]
    start = lines.index("seamless SeamlessM4T")
    block = lines[start : lines.index("", start)]
    assert "licence CC-BY-NC-4.0; demo, demo-untrained, tiny: Apache-2.0" in block
    assert "languages text 96, speech 101" in block
    assert any(line.startswith("checkpoints facebook/seamless-m4t-v2-large") for line in block)
    assert any(line.startswith("taps in, 1 … last layer") for line in block)
    # 4 and 2 bytes for each of 765,984,768 and 635,046,720 parameters.
    assert "seamless text encoder 766 M 2.9 1.4" in lines
    assert "seamless speech encoder 635 M 2.4 1.2" in lines
    assert "seamless together 1,401 M 5.2 2.6" in lines
    assert "towers each checkpoint's own" in lines


def test_models_by_name_have_their_settings(capsys):
    assert call(["models", "towers", "seamless"]) == 0
    text = capsys.readouterr().out
    assert "Settings of the model towers" in text
    assert re.search(r"text_prefix +Written before every text", text)
    assert re.search(r"text_in +with_positions +What tap", text)
    assert "sonar" not in text.lower()
    assert call(["models"]) == 0
    assert "text_prefix" not in capsys.readouterr().out
    assert call(["models", "seamles"]) == 2
    assert 'did you mean "seamless"' in capsys.readouterr().err


def test_every_model_says_what_it_is():
    for name in MODELS.names():
        info = MODELS.get(name).info
        assert all((info.title, info.checkpoints, info.licence, info.reference)), name
        assert all((info.languages, info.taps)), name
        assert all(count > 10**6 for _, count in info.parameters), name


def test_languages_takes_any_code(capsys):
    assert call(["languages", "de_de", "zho_Hans"]) == 0
    text = capsys.readouterr().out
    assert "German" in text
    assert "Mandarin" in text
    assert "Finnish" not in text


def test_an_interrupt_exits_130(tmp_path):
    command = [sys.executable, "-m", "isogloss", "demo", "--output", str(tmp_path / "o")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "o" / "run.json").exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command goes on from here" in error
    assert "Traceback" not in error


def test_a_bug_keeps_its_traceback(tmp_path, monkeypatch):
    made = make_run(tmp_path / "out")
    analyse(made.folder)
    monkeypatch.setattr("isogloss.api.load_results", lambda folder: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        call(["report", str(made.folder)])


def test_a_closed_pipe_is_no_bug():
    pipe = f"{sys.executable} -m isogloss languages | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", pipe], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr


def test_displays_show_rates_and_ends():
    from rich.console import Console

    for kind in (Bars, Lines):
        text = io.StringIO()
        console = Console(file=text, force_terminal=kind is Bars, width=200)
        with kind(console) as events:
            events.start("extract", 10, "sentence")
            events.advance("extract", 4, "deu [speech]")
            time.sleep(1.1)
            events.advance("extract", 6)
            events.finish("extract")
            events.note("a [note]")
            events.warn("a warning")
        shown = text.getvalue()
        assert "extract" in shown
        assert "sentence" in shown
        assert "a [note]" in shown
        assert "a warning" in shown


def test_sizes_and_spans():
    assert [size(x) for x in (12, 1500, 2.5e6, 8.7e9, 1e13)] == [
        "12 B", "1.5 kB", "2.5 MB", "8.7 GB", "10.0 TB",
    ]  # fmt: skip
    assert [span(x) for x in (0.2, 45, 600, 7200)] == ["1 s", "45 s", "10 min", "2.0 h"]


def test_a_corpus_is_named_by_its_name_its_settings_a_study_or_a_manifest(tmp_path, capsys):
    from fleurs_tree import make_tree

    tree = make_tree(tmp_path / "f", ("deu", "eng"), sentences=6, odd=False)
    study = tmp_path / "s.yaml"
    study.write_text(
        f"corpus: {{source: fleurs, path: {tree.folder}, modalities: [text]}}\n"
        "model: {family: seamless, checkpoint: tiny}\n"
    )
    shown = []
    for where in (
        ["fleurs", "--path", str(tree.folder)],
        [f"fleurs(path={tree.folder}, modalities=[text])"],
        [str(study)],
    ):
        assert call(["corpus", "show", *where, "--languages", "eng,deu"]) == 0
        shown.append(capsys.readouterr().out)
    assert all("6 sentences are in all 2 (text)" in text for text in shown)
    assert shown[1] == shown[2]
    assert call(["corpus", "show", "fleurs(path=/nowhere)"]) == 1
    assert "does not exist" in capsys.readouterr().err
