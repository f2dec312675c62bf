"""Speech of the demo model: espeak-ng in many voices, those of the held-out sentences others."""

import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from isogloss.audio import resample
from isogloss.languages import language
from isogloss.synthesis import speak

TRAINING = (
    "", "+Alex", "+Andrea", "+Denis", "+Diogo", "+Gene", "+Henrique", "+Lee", "+Marco", "+Mike",
    "+zac", "+adam", "+anika", "+david", "+ed", "+edward", "+ian", "+john", "+linda", "+m1", "+m3",
    "+m5", "+m8", "+max", "+pablo", "+quincy", "+rob", "+shelby", "+steph", "+paul",
)  # fmt: skip
"""Variants of espeak-ng's voices that speak in training."""

OTHERS = {
    "+Andy": "male", "+Annie": "female", "+Michael": "male", "+aunty": "female",
    "+benjamin": "male", "+boris": "male", "+f1": "female", "+grandma": "female", "+m4": "male",
    "+m6": "male", "+m7": "male", "+travis": "male",
}  # fmt: skip
"""Variants that speak the held-out sentences, and no others."""

RATES, PITCHES = (150, 205), (30, 70)
"""Words per minute and pitch are drawn between these."""


Spoken = tuple[str, int, int]
"""A voice, its words per minute and its pitch."""


def voice(code: str, numbers: random.Random, variants: Sequence[str]) -> Spoken:
    """Draw a voice of a language, its words per minute and its pitch."""
    variant = variants[int(numbers.random() * len(variants))]
    rate, pitch = (int(low + numbers.random() * (high - low)) for low, high in (RATES, PITCHES))
    return language(code).espeak + variant, rate, pitch


def samples(text: str, spoken: Spoken) -> NDArray[np.float32]:
    """Speak a text: float32 at 16 kHz."""
    name, rate, pitch = spoken
    whole, found = speak(text, name, rate=rate, pitch=pitch)
    return resample(whole.astype(np.float32) / 32768, found)
