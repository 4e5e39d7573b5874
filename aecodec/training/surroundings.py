"""Training in a process that is not ours: its settings are neither read nor changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from aecodec.forks import after_fork_on_helper
from aecodec.nets.exactness import gradients

P = ParamSpec("P")
R = TypeVar("R")


def undisturbed(function: Callable[P, R]) -> Callable[P, R]:
    """The function, with gradients and without casts whatever the caller has set, after forks too.

    The types, devices and generators of its tensors it names itself.
    """
    return after_fork_on_helper(gradients()(function))
