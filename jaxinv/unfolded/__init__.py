"""Unfolded networks of sparse recovery: solvers whose leaves are their weights."""

from jaxinv.unfolded.analytic_weights import analytic_weights
from jaxinv.unfolded.convolutional import convolutional_analytic_weights
from jaxinv.unfolded.coupled import Coupled
from jaxinv.unfolded.coupled_networks import alista, lista_cp, lista_cpss, tilista
from jaxinv.unfolded.hyperlista import HyperLista
from jaxinv.unfolded.hyperlista_network import hyperlista
from jaxinv.unfolded.lista import Lista
from jaxinv.unfolded.lista_networks import lista, lista_ss
from jaxinv.unfolded.step_lista import step_lista
from jaxinv.unfolded.storage import load, load_notes, save
from jaxinv.unfolded.training import Fit, History, TrainingDivergedError, TrainingProgress, fit
from jaxinv.unfolded.tuning import Tune, tune

__all__ = [
    "Coupled",
    "Fit",
    "History",
    "HyperLista",
    "Lista",
    "TrainingDivergedError",
    "TrainingProgress",
    "Tune",
    "alista",
    "analytic_weights",
    "convolutional_analytic_weights",
    "fit",
    "hyperlista",
    "lista",
    "lista_cp",
    "lista_cpss",
    "lista_ss",
    "load",
    "load_notes",
    "save",
    "step_lista",
    "tilista",
    "tune",
]
