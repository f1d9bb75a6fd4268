"""Sweeps: Monte-Carlo trials over a grid, their store, workers and summaries."""

from ._calibration import calibration as calibration
from ._cluster import connect as connect
from ._cluster import local_workers as local_workers
from ._conformal import Conformal as Conformal
from ._conformal import conformal as conformal
from ._estimate import Estimate as Estimate
from ._estimate import Growth as Growth
from ._estimate import estimate as estimate
from ._progress import Progress as Progress
from ._progress import Report as Report
from ._ranks import Calibration as Calibration
from ._summaries import quartiles as quartiles
from ._summaries import success_rate as success_rate
from ._summaries import wilson as wilson
from ._sweep import sweep as sweep
from ._transition import transition as transition
from .store._export import export as export
from .store._merge import merge as merge
from .store._open import open_store as open_store
from .store._open import recipes as recipes
from .store._store import StoreError as StoreError
from .store._verify import Verification as Verification
from .store._verify import verify as verify
