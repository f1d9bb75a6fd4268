"""Figures; matplotlib is imported when the first one is drawn."""

from ._curves import plot_means as plot_means
from ._figure import check_path as check_path
from ._images import plot_reconstruction as plot_reconstruction
from ._iterations import plot_iterations as plot_iterations
from ._phase import plot_phase_diagram as plot_phase_diagram
from ._phase import plot_success_rates as plot_success_rates
