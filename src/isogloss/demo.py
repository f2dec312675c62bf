"""The study behind ``isogloss demo``."""

from pathlib import Path

from isogloss.study import Study

LANGUAGES = ("bul", "cmn", "deu", "ell", "eng", "fin", "heb", "hye", "ind", "tur")
"""Ten languages of six families and six scripts that have all 63 units and a voice."""


def demo_study(
    output: Path = Path("isogloss-demo"),
    *,
    languages: str | None = None,
    sentences: int | None = None,
) -> Study:
    """Bundled sentences through a tiny SeamlessM4T v2 with random weights.

    Args:
        output: Output folder.
        languages: Other languages of the corpus, comma-separated.
        sentences: Use only the first so many sentences.
    """
    return Study(
        title="Isogloss demo",
        corpus={
            "source": "udhr",
            "languages": languages or LANGUAGES,
            "sentences": sentences,
        },
        model={"family": "seamless", "checkpoint": "tiny"},
        output=output,
    )
