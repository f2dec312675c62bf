"""Models: one file per family, each declaring its taps and encoding batches."""

from isogloss.models.base import ModelSource
from isogloss.registry import Registry

MODELS: Registry[ModelSource] = Registry("model", __name__, ModelSource)  # type: ignore[type-abstract]

__all__ = ["MODELS", "ModelSource"]
