"""Find the four files that make SALMONN, and see that they belong together. No torch here."""

from dataclasses import dataclass

from isogloss.errors import ModelError
from isogloss.models._architectures import other_family
from isogloss.models._checkpoint import Checkpoint, find
from isogloss.models._salmonn_sizes import FRAMES, Sizes, read_sizes
from isogloss.models._single import SingleFile, find_file

Place = tuple[str, str | None]
"""What the user wrote: folder, file or hub id, and a revision."""
_MELS = 80


@dataclass(frozen=True)
class Files:
    """The four, found; weights are not read."""

    whisper: Checkpoint
    beats: SingleFile
    vicuna: Checkpoint
    trained: SingleFile
    """SALMONN's own."""
    sizes: Sizes
    """Of what was trained."""


def find_files(*, whisper: Place, beats: Place, vicuna: Place, trained: Place) -> Files:
    """Find all four.

    Raises:
        ModelError: One is missing (the message says which and where to get it), is something else,
            or was not trained with the others.
    """
    ears, reader = find(*whisper), find(*vicuna)
    _check_kind(ears, "whisper", "Whisper-large-v2", "whisper")
    _check_kind(reader, "llama", "Vicuna-7B v1.5", "vicuna")
    own = find_file(
        *trained,
        patterns=("salmonn*.pth", "*.pth"),
        what="SALMONN's own checkpoint (`checkpoint`)",
        where="Get salmonn_7b_v0.pth from https://huggingface.co/tsinghua-ee/SALMONN-7B",
    )
    sounds = find_file(
        *beats,
        # There are a dozen BEATs of one width; another one must be named as a file.
        patterns=("BEATs_iter3_plus_AS2M_finetuned_on_AS2M_cpt2.pt",),
        what="the BEATs encoder (`beats`)",
        where="Get BEATs_iter3_plus_AS2M_finetuned_on_AS2M_cpt2.pt by the link in "
        "https://github.com/microsoft/unilm/tree/master/beats",
    )
    sizes = read_sizes(own.path())
    bins, steps = ears.integer("num_mel_bins", _MELS), ears.integer("max_source_positions", FRAMES)
    _check_width(ears, "d_model", sizes.whisper, "`whisper`: Whisper-large-v2", own)
    _check_width(reader, "hidden_size", sizes.llama, "`vicuna`: Vicuna-7B v1.5", own)
    if (bins, steps) != (_MELS, FRAMES):
        raise ModelError(
            f"{ears.name} hears {bins} mel bins and gives {steps} time steps, and SALMONN was "
            f"trained with {_MELS} and {FRAMES}; give `whisper`: Whisper-large-v2, not large-v3"
        )
    return Files(ears, sounds, reader, own, sizes)


def _check_kind(checkpoint: Checkpoint, wanted: str, title: str, name: str) -> None:
    kind = checkpoint.model_type
    if kind != wanted:
        raise ModelError(
            f'{checkpoint.name} is a "{kind}" model, but `{name}` of SALMONN is {title} '
            f'("{wanted}").{other_family(kind)}'
        )


def _check_width(
    checkpoint: Checkpoint, key: str, trained: int, title: str, own: SingleFile
) -> None:
    width = checkpoint.integer(key)
    if width != trained:
        raise ModelError(
            f"{checkpoint.name} has {width} features, and {own.name} was trained with {trained}; "
            f"give {title} with SALMONN-7B, or the model that your checkpoint was trained with"
        )
