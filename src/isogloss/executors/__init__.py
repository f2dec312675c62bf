"""Executors: one file per way to start workers, from this process to a cluster."""

from isogloss.executors.base import Executor
from isogloss.registry import Registry

EXECUTORS: Registry[Executor] = Registry("executor", __name__, Executor)  # type: ignore[type-abstract]

__all__ = ["EXECUTORS", "Executor"]
