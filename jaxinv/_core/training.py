"""What the trainings of networks and of generators report, and how they fail."""

from __future__ import annotations

from typing import Any, NamedTuple

from jax import Array


class History(NamedTuple):
    """What happened in training.

    Attributes:
        loss: training loss of each step; NaN where the step was skipped.
        validation_steps: steps after which the held-out loss was taken; 0 is the start.
        validation: held-out loss at those.
        best_step: the step whose weights were kept.
        num_skipped: steps whose gradient was not finite, and that changed nothing.
    """

    loss: Array
    validation_steps: Array
    validation: Array
    best_step: Array
    num_skipped: Array

    def progress(self, num_steps: int) -> TrainingProgress:
        """Return where training has come to, as numbers."""
        return TrainingProgress(
            step=int(self.validation_steps[-1]),
            num_steps=num_steps,
            loss=float(self.loss[-1]),
            validation=float(self.validation[-1]),
            num_skipped=int(self.num_skipped),
        )


class TrainingProgress(NamedTuple):
    """What ``progress`` of a ``fit`` is told between chunks of steps."""

    step: int
    num_steps: int
    loss: float
    validation: float
    num_skipped: int


class TrainingFailedError(ArithmeticError):
    """Training diverged or collapsed; ``fit`` holds the best weights, and the history."""

    def __init__(self, message: str, fit: Any) -> None:
        super().__init__(message)
        self.fit = fit
