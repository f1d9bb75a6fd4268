"""Figures; matplotlib is imported when the first one is drawn."""

from jaxinv.viz.curves import plot_means
from jaxinv.viz.images import plot_reconstruction
from jaxinv.viz.iterations import plot_iterations
from jaxinv.viz.phase import plot_phase_diagram, plot_success_rates

__all__ = [
    "plot_iterations",
    "plot_means",
    "plot_phase_diagram",
    "plot_reconstruction",
    "plot_success_rates",
]
