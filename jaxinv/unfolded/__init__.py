"""Unfolded networks of sparse recovery: solvers whose leaves are their weights."""

from jaxinv.unfolded.adaptive import AdaptiveThreshold, alista_at
from jaxinv.unfolded.alamp import Alamp, alamp
from jaxinv.unfolded.analytic_weights import analytic_weights
from jaxinv.unfolded.conjugate import ConjugateHyperLista
from jaxinv.unfolded.convolutional import convolutional_analytic_weights
from jaxinv.unfolded.coupled import Coupled
from jaxinv.unfolded.coupled_networks import alista, lista_cp, lista_cpss, tilista
from jaxinv.unfolded.gated import Gated
from jaxinv.unfolded.gated_networks import aglista, gated_lista
from jaxinv.unfolded.hyperlista import HyperLista
from jaxinv.unfolded.hyperlista_network import hyperlista
from jaxinv.unfolded.iht_network import UnfoldedIht, iht_network
from jaxinv.unfolded.lamp import Lamp, lamp
from jaxinv.unfolded.lista import Lista
from jaxinv.unfolded.lista_networks import lista, lista_ss
from jaxinv.unfolded.neural import NeuralAlista
from jaxinv.unfolded.neural_network import na_alista
from jaxinv.unfolded.orthogonal import Orthogonal, orthogonal_network
from jaxinv.unfolded.scoring import Evaluation, evaluate, failure_threshold
from jaxinv.unfolded.stagewise import fit_stagewise
from jaxinv.unfolded.step_lista import StepLista, step_lista
from jaxinv.unfolded.storage import load, load_notes, save
from jaxinv.unfolded.training import Fit, History, TrainingDivergedError, TrainingProgress, fit
from jaxinv.unfolded.tuning import Tune, tune

__all__ = [
    "AdaptiveThreshold",
    "Alamp",
    "ConjugateHyperLista",
    "Coupled",
    "Evaluation",
    "Fit",
    "Gated",
    "History",
    "HyperLista",
    "Lamp",
    "Lista",
    "NeuralAlista",
    "Orthogonal",
    "StepLista",
    "TrainingDivergedError",
    "TrainingProgress",
    "Tune",
    "UnfoldedIht",
    "aglista",
    "alamp",
    "alista",
    "alista_at",
    "analytic_weights",
    "convolutional_analytic_weights",
    "evaluate",
    "failure_threshold",
    "fit",
    "fit_stagewise",
    "gated_lista",
    "hyperlista",
    "iht_network",
    "lamp",
    "lista",
    "lista_cp",
    "lista_cpss",
    "lista_ss",
    "load",
    "load_notes",
    "na_alista",
    "orthogonal_network",
    "save",
    "step_lista",
    "tilista",
    "tune",
]
