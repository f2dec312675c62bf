import pytest

from isogloss.corpora.base import Corpus, Utterance
from isogloss.errors import ModelError
from isogloss.models.seamless import Seamless
from isogloss.selection import select
from isogloss.spoken import spoken


class Clip:
    name = "a.wav"


class Choosy(Seamless):
    """Hears two languages and reads all."""

    swap = "Use `languages: paper-sonar`"

    def speaks(self):
        return {"text": None, "speech": frozenset({"deu", "eng"})}


@pytest.fixture
def selection():
    utterances = [Utterance(s, code, "t", Clip()) for s in "123" for code in ("deu", "eng", "amh")]
    return select(Corpus("c", tuple(utterances), "none", "made up"), seed=0)


def test_what_the_corpus_merely_has_is_left_out_and_named(selection):
    found = spoken(selection, Choosy(checkpoint="tiny"), ())
    assert set(selection.items) - set(found.items) == {("amh", "speech")}
    assert ("amh", "text") in found.items
    assert [d.sentence for d in found.dropped] == ["1", "2", "3"]
    assert {(d.language, d.modality) for d in found.dropped} == {("amh", "speech")}
    assert "does not know this language" in found.dropped[0].reason


@pytest.mark.parametrize("names", [["am_et", "deu"], ["paper-seamless"]])
def test_what_was_asked_for_is_refused_with_what_to_do(selection, names):
    with pytest.raises(ModelError, match=r"does not know Amharic \(amh\) as speech\. Use `lang"):
        spoken(selection, Choosy(checkpoint="tiny"), names)


def test_models_that_know_all_leave_a_selection_alone(selection):
    assert spoken(selection, Seamless(checkpoint="tiny"), ()) is selection
