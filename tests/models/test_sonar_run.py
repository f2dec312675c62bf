"""SONAR through a whole run: a damaged file of one language costs that language's speech only."""

import pytest

pytest.importorskip("torch")
pytest.importorskip("espeakng_loader")
import isogloss
from isogloss.api import status
from isogloss.errors import IsoglossError
from isogloss.study import Study
from sonar_files import FILES, write


def study(folder, output, languages=("deu", "eng")):
    return Study(
        corpus={"source": "udhr", "languages": languages, "sentences": 6},
        model={
            "family": "sonar",
            "text": str(folder),
            "speech": str(folder),
            "taps": ("in", "pool"),
        },
        output=output,
        permutations=0,
        interval="none",
        confounds=(),
        jobs=1,
    )


def test_a_damaged_file_of_one_language(tmp_path):
    folder = write(tmp_path / "sonar")
    path = folder / FILES["eng"]
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    outcome = isogloss.run(study(folder, tmp_path / "out"))
    (unit, message) = outcome.failed[0]
    assert [(u.language, u.modality) for u, _ in outcome.failed] == [("eng", "speech")]
    assert "spenc.eng.pt" in message
    assert set(outcome.results["cross_modal"]["language_a"]) == {"deu"}
    path.write_bytes(whole)
    again = isogloss.run(study(folder, tmp_path / "out"))
    assert (again.made, again.failed) == (1, ())
    assert {u.state for u in status(tmp_path / "out")} == {"done"}
    assert unit.language == "eng"


def test_a_missing_file_is_said_before_anything_is_run(tmp_path):
    folder = write(tmp_path / "sonar")
    (folder / FILES["eng"]).unlink()
    with pytest.raises(IsoglossError, match=r'speech encoder of SONAR for "eng".*SONAR/spenc\.eng'):
        isogloss.run(study(folder, tmp_path / "out"))
    assert not (tmp_path / "out").exists()
