"""FLORES: the sentences that FLEURS was read from, and more of them, as text."""

from collections import Counter
from pathlib import Path
from typing import ClassVar, Literal

from isogloss.corpora._flores_files import Texts, read_texts
from isogloss.corpora.base import Corpus, CorpusInfo, CorpusSource, Dropped, Utterance
from isogloss.errors import CorpusError, choices
from isogloss.languages import languages, resolve
from isogloss.settings import setting

LICENCE = "CC-BY-SA-4.0"


class Flores(CorpusSource):
    """Text that is parallel over all known languages, from a folder of FLORES-101, -200 or +.

    It is not part of Isogloss: who maintains it asks not to publish it as plain text, since it is
    a test set that must not get into training data.
    """

    info: ClassVar[CorpusInfo] = CorpusInfo(
        title="FLORES-101, FLORES-200 or FLORES+, from your folder; text only",
        languages="102 (those of FLEURS); 1012 sentences in devtest, 997 in dev",
        speech="none",
        licence=LICENCE,
    )

    source: Literal["flores"] = setting("flores", role="identity", help="Kind of corpus.")
    path: Path = setting(
        role="identity",
        help="The unpacked folder, with devtest/eng_Latn.devtest (FLORES-200), devtest/eng.devtest "
        "(FLORES-101), devtest/devtest.eng_Latn (FLORES+) or devtest/eng_Latn.parquet; or one "
        "Parquet table of all languages.",
    )
    split: Literal["devtest", "dev"] = setting("devtest", role="identity", help="Split to use.")

    def identity(self) -> dict[str, object]:
        """The settings that name this corpus; of the path only the folder's own name."""
        return {**super().identity(), "path": self.path.name}

    def load(self) -> Corpus:
        """Read the sentences.

        Raises:
            CorpusError: There is no such folder, it is still packed, it holds none of the
                languages, or its files have different numbers of lines.
            StudyError: ``languages`` names an unknown language.
        """
        root = self.path.expanduser().absolute()
        table = languages()
        asked = resolve(self.languages)
        found = read_texts(root, self.split, [table[code] for code in asked or table])
        _same_length(found)
        utterances: list[Utterance] = []
        dropped: list[Dropped] = []
        for code, texts in sorted(found.items()):
            for sentence, text in texts.sentences.items():
                where = f"{texts.name} {texts.unit} {sentence}"
                if text:
                    row = Utterance(sentence, code, text, split=self.split, origin=where)
                    utterances.append(row)
                else:
                    dropped.append(Dropped(code, sentence, "text", "the line is empty", where))
        forms = choices(sorted({texts.form for texts in found.values()}))
        return Corpus(
            name="flores",
            utterances=tuple(utterances),
            licence=LICENCE,
            description=f"{forms}, split {self.split}, {len(found)} languages",
            dropped=tuple(dropped),
            notes=_notes(found),
            counts={code: (len(texts.sentences),) * 2 for code, texts in sorted(found.items())},
        )


def _same_length(found: dict[str, Texts]) -> None:
    """Refuse files whose lines cannot be those of the same sentences."""
    texts = list(found.values())
    numbers = Counter(len(t.sentences) for t in texts)
    if len(numbers) < 2 or any(t.unit == "id" for t in texts):
        return
    usual = numbers.most_common(1)[0][0]
    odd = [t for t in texts if len(t.sentences) != usual]
    first = next(t for t in texts if len(t.sentences) == usual)
    raise CorpusError(
        f"{choices((f'{t.path} has {len(t.sentences)} lines' for t in odd), 6)}, and {first.path} "
        f"{usual}{' like the others' if numbers[usual] > 1 else ''}. Line n must be sentence n in "
        "every language: unpack the files anew"
    )


def _notes(found: dict[str, Texts]) -> tuple[str, ...]:
    """Name the files of languages whose code there is another."""
    others = [f"{c} from {t.code}" for c, t in sorted(found.items()) if not t.code.startswith(c)]
    notes = ["FLORES is text; it has no recordings"]
    if others:
        notes.append(f"Read under the codes of FLORES: {choices(others, 12)}")
    return tuple(notes)
