import pytest

from isogloss.errors import IsoglossError, MissingExtraError, StudyError, choices, unknown


def test_unknown_names_the_nearest_whatever_its_case():
    assert 'did you mean "eng"?' in unknown("language", "ENGG", ["deu", "eng"])
    assert "did you mean" not in unknown("language", "xxxxxxxx", ["deu", "eng"])


def test_choices_cuts_long_lists():
    text = choices([f"l{i}" for i in range(40)])
    assert text.endswith("… (40 in all)")
    assert choices([]) == "none"


def test_exit_codes():
    assert StudyError("x").exit_code == 2
    assert IsoglossError("x").exit_code == 1
    with pytest.raises(ImportError, match=r'pip install "isogloss\[tts\]"'):
        raise MissingExtraError("speech", "tts")
