"""Figures; matplotlib is imported when the first one is drawn."""

from ._calibration import plot_calibration as plot_calibration
from ._panels import check_path as check_path
from ._plots import plot_iterations as plot_iterations
from ._plots import plot_phase_diagram as plot_phase_diagram
from ._plots import plot_reconstruction as plot_reconstruction
from ._plots import plot_success_rates as plot_success_rates
from ._samples import plot_samples as plot_samples
