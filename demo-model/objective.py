"""What the demo model is trained for: one vector for a sentence, however it is put.

The vector is the mean over time of an encoder's last layer, after the length adaptor in speech.
A contrastive loss (van den Oord et al. 2018, arXiv:1807.03748) draws together the two vectors of a
sentence in two forms, against those of the other sentences of the batch; a linear layer that is
thrown away after training has to say from the vector which terms the sentence is made of. The
speech encoder has to say them in their order too, by connectionist temporal classification over its
last time steps (Graves et al. 2006), which tells it where to listen.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from isogloss.models._tower import EncoderTower
from isogloss.models.base import Features

_TEMPERATURE = 0.05


def states(tower: EncoderTower, batch: Sequence[Features]) -> tuple[Tensor, Tensor]:
    """Encode with gradients.

    Returns:
        The last layer, after the length adaptor in speech: (batch × time × features), and which
        time steps count: (batch × time).
    """
    collated = tower.collate(batch)
    masks = {name: torch.from_numpy(mask) for name, mask in collated.masks.items()}
    inputs = {name: _tensor(value) for name, value in collated.inputs.items()}
    with tower.during(masks):
        found = tower.module(**inputs).last_hidden_state
    return found, masks.get("adapted", masks["time"])


def mean(found: Tensor, counted: Tensor) -> Tensor:
    """Mean over the time steps that count, as the adapter pools: (batch × features)."""
    weights = counted.to(found.dtype).unsqueeze(-1)
    return (found * weights).sum(1) / weights.sum(1)


def vectors(tower: EncoderTower, batch: Sequence[Features]) -> Tensor:
    """Encode to one vector for each item: (batch × features)."""
    return mean(*states(tower, batch))


def contrast(first: Tensor, second: Tensor, sentences: Tensor) -> Tensor:
    """Contrastive loss of two forms of the same sentences.

    Args:
        first: (batch × features).
        second: The same sentences in another form.
        sentences: (batch) numbers; equal ones are no wrong answers of each other.
    """
    one, two = functional.normalize(first), functional.normalize(second)
    scores = one @ two.T / _TEMPERATURE
    same = sentences[:, None] == sentences[None, :]
    same.fill_diagonal_(False)
    scores = scores.masked_fill(same, -1e4)
    own = torch.arange(len(first))
    return (functional.cross_entropy(scores, own) + functional.cross_entropy(scores.T, own)) / 2


class Terms(nn.Module):
    """Which terms a sentence is made of, from its vector.

    Args:
        width: Features of the vector.
        terms: How many terms there are.
    """

    def __init__(self, width: int, terms: int) -> None:
        super().__init__()
        self.guess = nn.Linear(width, terms)
        self.spell = nn.Linear(width, terms + 1)

    def forward(self, found: Tensor, wanted: Tensor) -> Tensor:
        """Cross-entropy with ``wanted``: (batch × terms), each row sums to 1."""
        guessed = functional.log_softmax(self.guess(found), dim=-1)
        return -(wanted * guessed).sum(-1).mean()

    def in_order(self, found: Tensor, counted: Tensor, wanted: Sequence[Sequence[int]]) -> Tensor:
        """Connectionist temporal classification of the time steps; 0 is the blank.

        Args:
            found: (batch × time × features).
            counted: (batch × time).
            wanted: The terms of each sentence, in order.
        """
        spelt = functional.log_softmax(self.spell(found), dim=-1).transpose(0, 1)
        flat = torch.tensor([1 + term for sentence in wanted for term in sentence])
        lengths = torch.tensor([len(sentence) for sentence in wanted])
        return functional.ctc_loss(spelt, flat, counted.sum(1), lengths, zero_infinity=True)


def _tensor(value: Any) -> Tensor | None:
    if value is None:
        return None
    tensor = torch.from_numpy(value)
    return tensor.float() if tensor.is_floating_point() else tensor
