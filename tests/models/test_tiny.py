"""The untrained checkpoint for tests."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from isogloss.models import _small, _tiny
from isogloss.models._files import content_digest
from isogloss.models.seamless import Seamless

pytest.importorskip("torch")


def test_rebuild_is_equal(tiny, tmp_path):
    again = _tiny.tiny_seamless(tmp_path / "again")
    assert content_digest(again) == content_digest(tiny)


@pytest.mark.slow
def test_rebuild_elsewhere_is_equal(tiny, tmp_path):
    """Built again in another process, with another hash seed, every byte is the same."""
    code = "import sys, pathlib; from isogloss.models._tiny import tiny_seamless as t; "
    code += "t(pathlib.Path(sys.argv[1])); from isogloss.models._tiny import recipe; "
    code += "print(recipe())"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "again")],
        capture_output=True, text=True, check=True, env={**os.environ, "PYTHONHASHSEED": "7"},
    )  # fmt: skip
    assert done.stdout.strip() == _tiny.recipe()
    assert content_digest(tmp_path / "again") == content_digest(tiny)
    assert (
        Seamless(checkpoint=str(tiny)).fingerprint()
        == Seamless(checkpoint=str(tmp_path / "again")).fingerprint()
    )


def test_content_is_what_it_was():
    """A change of the recipe changes every demo; this makes it a decision."""
    numbers = _small.draw("text_encoder.layers.0.fc1.weight", (2, 3), _tiny._SEED)
    wanted = [-0.8981212, -0.4322021, -0.8734664, -0.4754893, -0.4491652, 0.394884]
    assert numbers.ravel().tolist() == pytest.approx(wanted, abs=1e-6)


def test_cache_folder_is_built_once(tmp_path, monkeypatch):
    monkeypatch.setenv("ISOGLOSS_CACHE", str(tmp_path / "cache"))
    source = Seamless(checkpoint="tiny")
    layout, fingerprint = source.layout(), source.fingerprint()
    assert not (tmp_path / "cache").exists()
    assert layout.untrained
    assert source.title() == "seamless-tiny"
    with ThreadPoolExecutor(2) as pool:
        folders = {*pool.map(lambda _: _tiny.cached_tiny_seamless(), range(2))}
    assert len(folders) == 1
    folder = folders.pop()
    assert [path.name for path in folder.parent.iterdir()] == [f"tiny-seamless-{_tiny.recipe()}"]
    assert json.loads((folder / "isogloss.json").read_text())["untrained"] is True
    made = folder.stat().st_mtime_ns
    assert _tiny.cached_tiny_seamless() == folder
    assert folder.stat().st_mtime_ns == made
    assert Seamless(checkpoint="tiny").fingerprint() == fingerprint
    assert Seamless(checkpoint=str(folder)).layout() == layout
    size = sum(path.stat().st_size for path in folder.iterdir())
    assert size < 10_000_000


def test_failed_build_leaves_nothing(tmp_path, monkeypatch):
    def broken() -> dict:
        raise KeyboardInterrupt

    monkeypatch.setattr(_tiny, "_weights", broken)
    with pytest.raises(KeyboardInterrupt):
        _tiny.tiny_seamless(tmp_path / "cache" / "tiny")
    assert list((tmp_path / "cache").iterdir()) == []


def test_features_of_other_checkpoints_are_not_marked(tiny, tmp_path):
    import shutil

    folder = shutil.copytree(tiny, tmp_path / "trained")
    (folder / "isogloss.json").unlink()
    assert not Seamless(checkpoint=str(folder)).layout().untrained


def test_planning_works_without_torch():
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('torch', 'transformers', 'tokenizers')));"
        "from isogloss.models.seamless import Seamless as S; from isogloss.models import towers;"
        "s = S(checkpoint='tiny'); print(len(s.layout().pairs), s.fingerprint(), s.title());"
        "from isogloss.errors import MissingExtraError\n"
        "try: s.load(device='cpu')\n"
        "except MissingExtraError as e: print(e)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "8 {'checkpoint': 'tiny:" in done.stdout
    assert 'pip install "isogloss[hf]"' in done.stdout
