import pytest
from hypothesis import given
from hypothesis import strategies as st

from isogloss.errors import StudyError
from isogloss.languages import language, languages, resolve


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("deu", "deu"), ("de", "deu"), ("de_de", "deu"), ("de-DE", "deu"), ("deu_Latn", "deu"),
        ("German", "deu"), ("zho_Hans", "cmn"), ("zh", "cmn"), ("cmn_hans_cn", "cmn"),
        ("yue", "yue"), ("yue_Hant", "yue"), ("zho_Hant", "yue"), ("sw_ke", "swh"),
    ],
)  # fmt: skip
def test_codes_of_all_systems_are_understood(code, expected):
    assert language(code).code == expected


@given(st.sampled_from(sorted(languages())))
def test_every_code_of_a_language_leads_back_to_it(code):
    found = languages()[code]
    for system in (found.code, found.fleurs, found.flores200, found.whisper, found.name):
        assert language(system).code == code


def test_unknown_languages_get_the_nearest():
    with pytest.raises(StudyError, match='unknown language "dau"; did you mean "deu"'):
        language("dau")


def test_sets_of_languages():
    found = resolve(["paper-sonar", "de_de"])
    assert len(found) == 30
    assert found["deu"] == ""
    assert found["eng"] == "paper-sonar"
    assert all(languages()[code].sonar_speech for code in found)
    seamless, common = resolve(["paper-seamless"]), resolve(["paper-common"])
    assert list(seamless) == list(resolve(["paper-salmonn"]))
    assert len(seamless) == 30
    assert set(common) == set(seamless) & set(found)
    assert len(common) == 24
    with pytest.raises(StudyError, match='did you mean "paper-sonar"'):
        resolve(["paper_sonar"])
