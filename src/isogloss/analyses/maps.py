"""Maps of all sentences at each tap (Figure 4), and what of them holds in numbers."""

from typing import ClassVar, Literal

import polars as pl

from isogloss.analyses._maps_figure import charts
from isogloss.analyses._maps_table import SCHEMA, Order, aligned, chosen, in_both, order, tap_rows
from isogloss.analyses._maps_words import claims, findings, tables
from isogloss.analyses.base import Claim, Material, Reading, Summary
from isogloss.projection import Metric
from isogloss.settings import digest, setting

FORMAT = 2


class Maps(Reading):
    """Where the sentences of all languages lie at each tap, in two dimensions by t-SNE.

    Beside the pictures: how many of a sentence's neighbours, in the space that the picture was made
    from, are of its language or family, and how often the nearest one in another language is its
    translation.
    """

    title: ClassVar[str] = "Maps"
    question: ClassVar[str] = (
        "Are sentences next to those of their language, or next to their translations?"
    )

    sentences: int = setting(
        100,
        role="analysis",
        ge=2,
        help="Sentences of each language on the maps: those that most languages and modalities "
        "have.",
    )
    middle: float = setting(
        0.57,
        role="analysis",
        ge=0,
        le=1,
        help="Relative depth of the tap that print shows and claims are tested at: the nearest "
        "text tap. The study shows the 14th of 24 layers and the 18th of 32.",
    )
    taps: Literal["all", "middle"] = setting(
        "all", role="analysis", help="Taps to draw: all that were read, or the middle one alone."
    )
    perplexity: float = setting(
        30.0,
        role="analysis",
        gt=1,
        help="Effective number of neighbours in t-SNE; less if there are few points. The study "
        "does not say what it used.",
    )
    metric: Metric = setting(
        "euclidean",
        role="analysis",
        help="Distance between sentences, for maps and neighbours: euclidean or cosine. The study "
        "does not say what it used.",
    )
    neighbours: int = setting(
        10, role="analysis", ge=1, help="Nearest neighbours of each sentence that are counted."
    )

    def read(self, material: Material) -> pl.DataFrame | None:
        """Lay out and count, one tap of one modality after the other.

        Returns:
            Rows of kind ``step`` (which taps are shown together), ``sentence`` (its text), ``map``
            (how it was made), ``point`` (a sentence on a map), ``share`` (of the neighbours of a
            language) and ``pair`` (retrieval between two languages), and the last two once more
            among what both modalities have (``share in both``, ``pair in both``). None with fewer
            than two languages in every modality.

        Raises:
            MissingExtraError: openTSNE is not installed.
        """
        steps = order(material.contents, self.middle)
        if self.taps == "middle":
            steps = Order(tuple(s for s in steps.steps if s.printed))
        places = steps.places()
        if not places:
            return None
        ids = chosen(material.contents, self.sentences)
        frames: dict[tuple[str, str], pl.DataFrame] = {}
        for modality, tap in places:
            languages = [x for x, m in material.contents.sentences if m == modality]
            identity = {
                "format": FORMAT,
                "modality": modality,
                "tap": tap,
                "content": {x: material.content(x, modality) for x in sorted(languages)},
                "sentences": list(ids),
                "both": digest(sorted(in_both(material.contents))),
                "seed": material.study["seed"],
                **self.model_dump(include={"perplexity", "metric", "neighbours"}),
            }

            def make(modality: str = modality, tap: str = tap) -> pl.DataFrame:
                return tap_rows(
                    material,
                    modality,  # type: ignore[arg-type]
                    tap,
                    ids,
                    perplexity=self.perplexity,
                    metric=self.metric,
                    neighbours=self.neighbours,
                )

            frames[modality, tap] = material.part(identity, make)
        read = pl.concat([*aligned(frames), steps.frame()])
        used = read.filter(kind="point").select("language", "sentence").unique(maintain_order=True)
        texts = [material.texts.get((x, s), "") for x, s in used.iter_rows()]
        spoken = used.with_columns(kind=pl.lit("sentence"), text=pl.Series(texts, dtype=pl.String))
        return pl.concat([read, spoken], how="diagonal").select(*SCHEMA)

    def describe(self, frame: pl.DataFrame) -> Summary:
        """The maps with a slider over the taps, the numbers over the taps, and a table of them."""
        return Summary(findings(frame), charts(frame), tables(frame))

    def claims_of(self, frame: pl.DataFrame) -> tuple[Claim, ...]:
        """Whether speech gathers by language and text by meaning, at the middle tap."""
        return claims(frame)
