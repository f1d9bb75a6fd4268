r"""Misfits: how predictions are held against the measurements; ``Problem.misfit``.

Each is a pytree with ``misfit(prediction, y) -> scalar``, its gradient in the prediction and its
Gauss-Newton curvature. Numbers such as the δ of ``huber`` are leaves."""

from ._absolute import absolute as absolute
from ._base import Misfit as Misfit
from ._censored import censored as censored
from ._huber import huber as huber
from ._logistic import logistic as logistic
from ._median_of_means import median_of_means as median_of_means
from ._poisson import poisson as poisson
from ._squared import squared as squared
from ._student_t import student_t as student_t
from ._trimmed import trimmed as trimmed
from ._weighted import weighted as weighted
