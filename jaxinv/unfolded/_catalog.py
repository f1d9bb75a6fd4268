"""The networks by name: how each is made for given signals, and how it is trained."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from jaxinv import shrinkage
from jaxinv._core import checks
from jaxinv.solvers import Layers
from jaxinv.unfolded._alamp import alamp
from jaxinv.unfolded._alista_at import alista_at
from jaxinv.unfolded._coupled import alista
from jaxinv.unfolded._gated import aglista, gated_lista
from jaxinv.unfolded._hyperlista import hyperlista
from jaxinv.unfolded._iht_network import iht_network
from jaxinv.unfolded._lamp import lamp
from jaxinv.unfolded._lista import lista, lista_ss
from jaxinv.unfolded._lista_cp import lista_cp, lista_cpss, tilista
from jaxinv.unfolded._na_alista import na_alista
from jaxinv.unfolded._stagewise import fit_stagewise
from jaxinv.unfolded._step_lista import step_lista
from jaxinv.unfolded._training import Fit, fit
from jaxinv.unfolded._tuning import tune

PROTOCOLS = ("joint", "stagewise")

_BYPASS_GROWTH, _BYPASS_MARGIN = 0.12, 1.3  # of the sparsity: the published 1.2 % and 13 % at 10 %
_KEPT = 1.5  # entries that hard thresholding keeps, of those expected
_PENALTY = 0.1
_HIGH_SNR = 45.0  # dB
_RIDGES = (0.1, 8.0)  # of ALAMP without noise, and with much
_NUMBERS, _MATRICES = 600, 600  # steps to train numbers, and matrices
# the tail of hard signals decides the ratio of sums: numbers need to see many signals
_MANY = {"batch_size": 256, "validation_size": 4096}


class Signals(NamedTuple):
    """What is known of signals and noise when a network is made.

    Attributes:
        sparsity: p, the expected share of nonzero entries.
        snr_db: of the measurements; None for no noise.
    """

    sparsity: float = 0.1
    snr_db: float | None = None


class Network(NamedTuple):
    """A network with a name.

    Attributes:
        title: what it is, in one line.
        make: ``make(key, A, num_layers, signals) -> Layers``, ready to be trained; the key
            decides random weights, where there are any.
        num_steps: steps that training needs at 250 x 500; 0 when it is tuned instead.
        needs_distribution: whether its shrinkage is that of the signals' distribution.
        loss: what ``fit`` minimizes.
        few_numbers: whether only a few numbers a layer are trained: larger batches are cheap.
    """

    title: str
    make: Callable[[Any, Any, int, Signals], Layers]
    num_steps: int = _NUMBERS
    needs_distribution: bool = False
    loss: str = "log_nmse"
    few_numbers: bool = False


def _plain(
    constructor: Any, key: Any, A: Any, num_layers: int, signals: Signals, **options: Any
) -> Layers:
    del key, signals
    return constructor(A, num_layers, **options)


def _selecting(
    constructor: Any, key: Any, A: Any, num_layers: int, signals: Signals, **options: Any
) -> Layers:
    """Make a network whose share of entries that pass grows to a little above the sparsity."""
    del key
    rate = _BYPASS_GROWTH * signals.sparsity
    limit = min(1.0, _BYPASS_MARGIN * signals.sparsity)
    return constructor(A, num_layers, bypass_rate=rate, bypass_limit=limit, **options)


def _noise_aware(
    constructor: Any, key: Any, A: Any, num_layers: int, signals: Signals, **options: Any
) -> Layers:
    noise = noise_ratio(signals.snr_db)
    return _selecting(constructor, key, A, num_layers, signals, noise=noise, **options)


def _alamp(key: Any, A: Any, num_layers: int, signals: Signals) -> Layers:
    ridge = _RIDGES[0] + noise_ratio(signals.snr_db) * (_RIDGES[1] - _RIDGES[0])
    return _posterior(alamp, key, A, num_layers, signals, ridge=ridge)


def _neural(key: Any, A: Any, num_layers: int, signals: Signals) -> Layers:
    return _selecting(partial(na_alista, key), key, A, num_layers, signals)


def _kept(key: Any, A: Any, num_layers: int, signals: Signals) -> Layers:
    del key
    return iht_network(A, num_layers, min(1.0, _KEPT * signals.sparsity))


def _posterior(
    constructor: Any, key: Any, A: Any, num_layers: int, signals: Signals, **options: Any
) -> Layers:
    del key
    known = shrinkage.posterior_mean(signals.sparsity)
    return constructor(A, num_layers, shrinkage=known, **options)


def noise_ratio(snr_db: float | None) -> float:
    """Return the ρ of the analytic weights for an SNR: 1 up to 45 dB, then as the noise falls.

    In the end a network's error is as large as the noise that reaches it, whatever the SNR; at
    a high one, 16 layers do not get there.

    Example:
        >>> noise_ratio(None), noise_ratio(20.0), round(noise_ratio(65.0), 3)
        (0.0, 1.0, 0.01)
    """
    return 0.0 if snr_db is None else min(1.0, 10 ** ((_HIGH_SNR - snr_db) / 10))


NETWORKS: dict[str, Network] = {
    "lista": Network(
        "LISTA: two matrices trained", partial(_plain, lista, initial_weights="analytic"), _MATRICES
    ),
    "lista-ss": Network(
        "LISTA with support selection",
        partial(_selecting, lista_ss, initial_weights="analytic"),
        _MATRICES,
    ),
    "lista-cp": Network("LISTA-CP: one matrix a layer", partial(_plain, lista_cp), _MATRICES),
    "lista-cpss": Network(
        "LISTA-CPSS: one matrix a layer, support selection", partial(_noise_aware, lista_cpss), 900
    ),
    "tilista": Network(
        "TiLISTA: one matrix for all layers", partial(_noise_aware, tilista), _MATRICES
    ),
    "gated-lista": Network(
        "gated LISTA: LISTA-CPSS with gates", partial(_selecting, gated_lista), _MATRICES
    ),
    "iht-network": Network(
        "unfolded IHT: the largest entries, one matrix a layer", _kept, _MATRICES
    ),
    "step-lista": Network(
        "Step-LISTA: ISTA with trained steps", partial(_plain, step_lista, penalty=_PENALTY)
    ),
    "alista": Network(
        "ALISTA: computed matrix, two numbers a layer",
        partial(_noise_aware, alista),
        few_numbers=True,
    ),
    "alista-published": Network(
        "ALISTA as published: thresholds that are the same for every signal",
        partial(_noise_aware, alista, adaptive=False),
        few_numbers=True,
    ),
    "alista-momentum": Network(
        "ALISTA with momentum and symmetric weights",
        partial(_noise_aware, alista, momentum=True, symmetric=True),
        loss="log_error",
        few_numbers=True,
    ),
    "alista-at": Network("ALISTA-AT: a threshold for each entry", partial(_selecting, alista_at)),
    "aglista": Network("AGLISTA: ALISTA with gates", partial(_selecting, aglista)),
    "na-alista": Network("NA-ALISTA: an LSTM chooses steps and thresholds", _neural),
    "hyperlista": Network("HyperLISTA: three numbers, tuned", partial(_plain, hyperlista), 0),
    "lamp": Network(
        "LAMP: message passing, one matrix a layer, posterior mean",
        partial(_posterior, lamp),
        _MATRICES,
        needs_distribution=True,
    ),
    "alamp": Network(
        "ALAMP: message passing, computed matrix, posterior mean",
        _alamp,
        400,
        needs_distribution=True,
    ),
}


def network(where: str, name: Any) -> Network:
    """Return a network by name; the choices are listed when there is none of that name."""
    return NETWORKS[checks.choice(where, "network", name, NETWORKS)]


def train(
    key: Any,
    chosen: Network,
    layers: Layers,
    family: Any,
    *,
    num_steps: int | None = None,
    protocol: str = "joint",
    **options: Any,
) -> Fit:
    """Train a network the way that suits it: ``tune`` for a few numbers, else ``fit``.

    Args:
        key: a JAX PRNG key.
        chosen: its entry here.
        layers: what ``chosen.make`` returned.
        family: where problems come from.
        num_steps: steps of ``fit``, default ``chosen.num_steps``; of ``fit_stagewise`` the most
            in one stage, default its own.
        protocol: ``"joint"`` (``fit``) or ``"stagewise"`` (``fit_stagewise``).
        options: as in that function; not used by ``tune``.

    Returns:
        ``Fit(layers, history)``; the history of a tuned network is None.

    Raises:
        TrainingFailedError: as ``fit``.
    """
    checks.choice("train", "protocol", protocol, PROTOCOLS)
    if chosen.num_steps == 0:
        return Fit(tune(key, layers, family).layers, None)  # pyright: ignore[reportArgumentType]
    if protocol == "joint":
        steps = chosen.num_steps if num_steps is None else num_steps
        usual = {"loss": chosen.loss, **(_MANY if chosen.few_numbers else {})}
        return fit(key, layers, family, num_steps=steps, **{**usual, **options})
    if num_steps is not None:
        options["max_steps"] = num_steps
    return fit_stagewise(key, layers, family, **options)
