"""The command that runs the study's own experiment."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from isogloss.cli.commands import do, keep_study
from isogloss.cli.options import on_top_of
from isogloss.experiment import values, with_flores
from isogloss.study import Study


def _base(model: str, **_: Any) -> dict[str, Any]:
    return values(model)


@on_top_of(_base)
def paper(
    study: Study,
    *,
    model: Annotated[
        str, Parameter(help="Kind of model: seamless, sonar, salmonn, or any other family.")
    ],
    flores: Annotated[
        Path | None,
        Parameter(
            help="Folder of FLORES, on whose devtest split shared tokens are counted. [default: "
            "they are counted on the study's own sentences]"
        ),
    ] = None,
    study_file: Annotated[
        Path | None,
        Parameter(name="--write", help="Write the study to this file and run nothing."),
    ] = None,
) -> int:
    """Do the whole experiment of the paper for one model, or what is missing of it.

    "How do Multimodal Foundation Models Encode Text and Speech?": the test split of FLEURS in the
    30 languages of the paper, its layers, SVCCA at 90 % of the variance; Table 1, Figures 2 to 5,
    the correlation with shared tokens, and its findings, tested. FLEURS and the checkpoint come
    from the hub unless --corpus.path and --model.checkpoint name folders. Any other setting can be
    given too; the defaults below are those of `isogloss run`, and --write shows what stands here in
    their place.
    """
    if flores is not None:
        study = with_flores(study, flores)
    if study_file is not None:
        return keep_study(study, study_file)
    return do(study)
