"""Generators trained on signals: fits, files, diagnostics."""

from ._diagnose import Diagnosis as Diagnosis
from ._diagnose import diagnose as diagnose
from ._fit import Fit as Fit
from ._fit import History as History
from ._fit import TrainingFailedError as TrainingFailedError
from ._fit import TrainingProgress as TrainingProgress
from ._fit import fit as fit
from ._storage import load as load
from ._storage import load_notes as load_notes
from ._storage import pretrained as pretrained
from ._storage import pretrained_path as pretrained_path
from ._storage import save as save
