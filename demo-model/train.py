"""Train the demo model, on one core of a CPU in about 80 minutes, the same way every time.

    pip install ".[demo]"
    python demo-model/train.py FOLDER

FOLDER holds the speech, checkpoints and curve while it runs, and in the end the model as it is
shipped, in `model`. First the text encoder learns to put a sentence in the same place in all
languages; then it stays as it is, and the speech encoder learns to put what it hears where the
text of it stands, in the way of SONAR (Duquenne et al. 2023, arXiv:2308.11466).
"""

import argparse
import math
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

import features
from augment import augmented
from checkpoint import after_training, before_training
from corpus import SEED
from isogloss.languages import language
from isogloss.models.base import Features
from isogloss.models.seamless import Seamless
from isogloss.training import GapWatch
from objective import Terms, contrast, mean, states, vectors
from sentences import ALONE, LANGUAGES, TERMS, sentences, terms_alone, text

_LAST = re.compile("/(6-len|6|len)$")
"""The last places, of all that is measured."""

Item = tuple[str, int]
"""A language and the number of a sentence."""
Watch = Callable[[int], None]
"""Called with the number of steps that were made."""


@dataclass(frozen=True)
class Recipe:
    """All choices that change the weights, but for those of `augment`, `objective` and `speech`."""

    text_steps: int = 400
    text_batch: int = 96
    alone_steps: int = 600
    """With terms by themselves, at the beginning of the speech encoder's training. Without them it
    learns nothing for a long time."""
    speech_steps: int = 4_000
    speech_batch: int = 64
    text_rate: float = 1.5e-3
    speech_rate: float = 1.5e-3
    warm_up: int = 100
    decay: float = 0.01
    clip: float = 1.0
    balance: float = 0.5
    """Languages are drawn in proportion to their amounts to this power."""
    seed: int = SEED
    amounts: Mapping[str, int] = field(default_factory=lambda: LANGUAGES)
    """Language -> sentences to train on."""

    @property
    def steps(self) -> int:
        """All steps."""
        return self.text_steps + self.alone_steps + self.speech_steps


class Training:
    """The two encoders, and what they are trained on.

    Args:
        folder: Where speech and checkpoints are kept.
        recipe: What to do.
        processes: How many languages are spoken at once; changes nothing else.
    """

    def __init__(self, folder: Path, recipe: Recipe, *, processes: int = 2) -> None:
        self.recipe, self.folder = recipe, folder
        lists, alone = sentences(recipe.seed)[0], terms_alone(recipe.seed)
        self.alone = {code: range(n // ALONE) for code, n in recipe.amounts.items()}
        self.lists = {code: range(n) for code, n in recipe.amounts.items()}
        self.all = {
            code: [*self.alone[code], *(len(alone) + i for i in self.lists[code])]
            for code in recipe.amounts
        }
        self.sentences = [*alone, *lists]
        numbers = {frozenset(s): i for i, s in enumerate(self.sentences)}
        self.same = torch.tensor([numbers[frozenset(s)] for s in self.sentences])
        self.wanted = torch.zeros(len(self.sentences), len(TERMS))
        for row, sentence in zip(self.wanted, self.sentences, strict=True):
            row[list(sentence)] = 1 / len(sentence)

        self.initial = folder / "untrained"
        if not self.initial.is_dir():
            self.initial.mkdir(parents=True)
            before_training(self.initial, lists)
        adapter = Seamless(checkpoint=str(self.initial)).load(device="cpu")
        self.text, self.speech = (adapter.tower(m) for m in ("text", "speech"))
        self.written = {
            code: {
                i: self.text.features(text(self.sentences[i], code), language(code)) for i in own
            }
            for code, own in self.all.items()
        }
        spoken = partial(
            features.spoken,
            self.initial,
            folder=folder / "speech",
            seed=recipe.seed,
            processes=processes,
        )
        amounts = {code: len(own) for code, own in self.alone.items()}
        by_themselves = spoken(alone, amounts, name="alone")
        in_lists = spoken(lists, recipe.amounts, name="training")
        self.spoken = {
            code: dict(zip(own, [*by_themselves[code], *in_lists[code]], strict=True))
            for code, own in self.all.items()
        }

    def run(self, watch: Watch = lambda step: None) -> None:
        """Train the text encoder, then the speech encoder."""
        watch(0)
        recipe = self.recipe
        rates = [_schedule(i, recipe.warm_up, recipe.text_steps) for i in range(recipe.text_steps)]
        stages = [_Stage(self.all, rates)]
        done = self.folder / "text.pt"
        if done.is_file():
            self.text.module.load_state_dict(torch.load(done))
        else:
            self._train("text", stages, watch, 0)
            torch.save(self.text.module.state_dict(), done)
        steps = recipe.alone_steps + recipe.speech_steps
        rates = [_schedule(i, recipe.warm_up, steps) for i in range(steps)]
        cut = recipe.alone_steps
        stages = [_Stage(self.alone, rates[:cut]), _Stage(self.all, rates[cut:])]
        self._train("speech", stages, watch, recipe.text_steps)

    def _train(
        self, part: Literal["text", "speech"], stages: "list[_Stage]", watch: Watch, before: int
    ) -> None:
        """Train one encoder, from random numbers of its own."""
        recipe = self.recipe
        torch.manual_seed(recipe.seed)
        numbers = random.Random(f"{recipe.seed} {part}")
        module, loss_of, inputs, size, rate = {
            "text": (
                self.text.module, self._text_loss, self.written, recipe.text_batch,
                recipe.text_rate,
            ),
            "speech": (
                self.speech.module, self._speech_loss, self.spoken, recipe.speech_batch,
                recipe.speech_rate,
            ),
        }[part]  # fmt: skip
        terms = Terms(self.text.taps[-1].width, len(TERMS))
        module.requires_grad_(True).train()
        learning = [*module.parameters(), *terms.parameters()]
        optimiser = torch.optim.AdamW(
            learning, lr=rate, betas=(0.9, 0.98), weight_decay=recipe.decay
        )
        began, total, step = time.monotonic(), 0.0, before
        for stage in stages:
            batches = _batches(stage.items, recipe.balance, size, inputs, numbers)
            for share in stage.rates:
                step += 1
                for group in optimiser.param_groups:
                    group["lr"] = rate * share
                loss = loss_of(next(batches), terms, numbers)
                optimiser.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(learning, recipe.clip)
                optimiser.step()
                total += loss.item()
                if step % 100 == 0:
                    took = time.monotonic() - began
                    print(f"step {step}: loss {total / 100:.3f}, {took:.0f} s", flush=True)
                    total = 0.0
                watch(step)
        module.requires_grad_(False).eval()

    def _text_loss(self, batch: list[Item], terms: Terms, numbers: random.Random) -> Tensor:
        """Each sentence in two languages."""
        which = torch.tensor([i for _, i in batch])
        others = [(self._other(code, i, numbers), i) for code, i in batch]
        both = vectors(self.text, [self.written[code][i] for code, i in [*batch, *others]])
        one, two = both.split(len(batch))
        guessed = terms(one, self.wanted[which]) + terms(two, self.wanted[which])
        return contrast(one, two, self.same[which]) + guessed / 2

    def _speech_loss(self, batch: list[Item], terms: Terms, numbers: random.Random) -> Tensor:
        """Each sentence spoken, beside its text in the same language and in another one."""
        which = torch.tensor([i for _, i in batch])
        others = [(self._other(code, i, numbers), i) for code, i in batch]
        with torch.no_grad():
            both = vectors(self.text, [self.written[code][i] for code, i in [*batch, *others]])
        own, other = both.split(len(batch))
        recordings = [augmented(self.spoken[code][i], numbers) for code, i in batch]
        found, counted = states(self.speech, recordings)
        heard, same = mean(found, counted), self.same[which]
        drawn = contrast(heard, own, same) + contrast(heard, other, same)
        spelt = terms.in_order(found, counted, [self.sentences[i] for _, i in batch])
        return drawn + terms(heard, self.wanted[which]) + spelt

    def _other(self, code: str, sentence: int, numbers: random.Random) -> str:
        """Another language that has the sentence, or the same one if there is none."""
        there = [c for c, own in self.written.items() if sentence in own and c != code]
        return there[int(numbers.random() * len(there))] if there else code

    @property
    def model(self) -> torch.nn.Module:
        """Both encoders, under the names that the release gives them."""
        parts = {"text_encoder": self.text.module, "speech_encoder": self.speech.module}
        return torch.nn.ModuleDict(parts)

    def weights(self) -> dict[str, np.ndarray]:
        """Name -> array, as in the released checkpoint."""
        found = {name: t.detach().numpy().copy() for name, t in self.model.state_dict().items()}
        found["shared.weight"] = found.pop("text_encoder.embed_tokens.weight")
        return found


@dataclass(frozen=True)
class _Stage:
    """Steps on the same sentences."""

    items: Mapping[str, Sequence[int]]
    """Language -> numbers of its sentences."""
    rates: Sequence[float]
    """Share of the learning rate, for each step."""


def _schedule(step: int, warm_up: int, steps: int) -> float:
    """Share of the learning rate: up in a line, down in half a cosine."""
    return min(1.0, (step + 1) / warm_up) * (0.5 + 0.5 * math.cos(math.pi * step / steps))


def _batches(
    items: Mapping[str, Sequence[int]],
    balance: float,
    size: int,
    inputs: Mapping[str, Mapping[int, Features]],
    numbers: random.Random,
) -> Iterator[list[Item]]:
    """Sentences of about one length: no time on padding, and length tells nothing."""
    codes = list(items)
    weights = [len(items[code]) ** balance for code in codes]
    while True:
        pool = [
            (code, items[code][int(numbers.random() * len(items[code]))])
            for code in numbers.choices(codes, weights, k=8 * size)
        ]
        pool.sort(key=lambda item: inputs[item[0]][item[1]].length)
        batches = [pool[i : i + size] for i in range(0, len(pool), size)]
        numbers.shuffle(batches)
        yield from batches


def save(training: Training, folder: Path, step: int) -> None:
    """Write the model of now, half precision, as a checkpoint folder."""
    folder.mkdir(parents=True, exist_ok=True)
    told = {"recipe": asdict(training.recipe), "step": step}
    after_training(folder, training.initial, training.weights(), told)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train; measure the gaps and keep the model every so many steps."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", type=int, default=300, help="steps between two measurements")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)  # the order of additions, and so the weights, depend on the number
    began = time.monotonic()
    training = Training(given.folder, Recipe())
    gaps = GapWatch(
        {"family": "seamless", "checkpoint": str(training.initial)},
        {"source": "lists", "part": "development", "sentences": 80},
        taps="all",
        history=given.folder / "gaps.csv",
        jobs=1,
    )
    print(f"ready after {time.monotonic() - began:.0f} s", flush=True)

    def watch(step: int) -> None:
        if step % given.every == 0 or step == training.recipe.steps:
            found = gaps(training.model, step).scalars()
            told = (f"{name} {value:.3f}" for name, value in found.items() if _LAST.search(name))
            print(f"step {step}: {', '.join(told)}", flush=True)
            save(training, given.folder / "checkpoints" / f"{step:05}", step)

    training.run(watch)
    save(training, given.folder / "model", training.recipe.steps)
    print(f"done after {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
