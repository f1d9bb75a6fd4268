"""Figures; matplotlib is imported when the first one is drawn."""

from jaxinv.viz.curves import plot_means
from jaxinv.viz.images import plot_reconstruction
from jaxinv.viz.phase import plot_phase_diagram, plot_success_rates

__all__ = ["plot_means", "plot_phase_diagram", "plot_reconstruction", "plot_success_rates"]
