"""The rows of the fuzzing tests for networks, untrained priors, kernels, theory and metrics."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from cases import floats
from fuzz_cases import CORE, sparse_family
from fuzz_cases_generative import GENERATIVE
from fuzz_cases_trained import TRAINED
from fuzz_values import KEY, A, Row, ones, row, unit_matrix

import jaxinv as ji


def kernel() -> np.ndarray:
    return np.array([0.5, 1.0, 0.5, 0, 0, 0, 0, 0], floats())


def positive_matrix() -> np.ndarray:
    return np.diag(0.5 ** np.arange(10.0)).astype(floats()) + 0.01


def steep_matrix() -> np.ndarray:
    return np.diag(0.5 ** np.arange(20.0)).astype(floats())


def linear(u: Any) -> Any:
    return jnp.array([3.0, 2.0, 1.0], floats()) * u


def bent(u: Any) -> Any:
    return u + 1e-3 * jnp.sin(u)


def decoder() -> Any:
    return ji.generators.two_layer_decoder(8, 2, dtype=floats())


def two_layer(size: int = 8) -> Any:
    return ji.generators.two_layer(kernel(), 16, shape=(size,))


def image_problem() -> Any:
    return ji.Problem(ji.operators.identity(8), ones(8), None)


def network() -> Any:
    return ji.unfolded.alista(A(), 2)


_TRAINING = {"num_steps": 2, "batch_size": 2, "validation_size": 2, "validate_every": 1}
_STAGES = {"rates": (1e-3,), "batch_size": 2, "validation_size": 2, "validate_every": 1,
           "patience": 1, "max_steps": 2}  # fmt: skip
_TUNING = {"num_problems": 4, "num_fresh": 4, "num_candidates": 4, "num_rounds": 1, "width": 2}


def _trained(**options: Any) -> dict[str, Any]:
    return {"key": KEY, "layers": network(), "family": sparse_family()} | options


UNFOLDED = [
    *(
        row(f"unfolded.{name}", lambda: {"operator": A(), "num_layers": 2})
        for name in ("aglista", "alamp", "alista", "alista_at", "gated_lista", "hyperlista")
    ),
    row("unfolded.iht_network", lambda: {"operator": A(), "num_layers": 2, "num_nonzeros": 2}),
    *(
        row(f"unfolded.{name}", lambda: {"operator": A(), "num_layers": 2})
        for name in ("lamp", "lista", "lista_cp", "lista_cpss", "lista_ss", "step_lista", "tilista")
    ),
    row(
        "unfolded.na_alista", lambda: {"key": KEY, "operator": A(), "num_layers": 2, "num_units": 3}
    ),
    row(
        "unfolded.orthogonal_network", lambda: {"operator": A(), "num_layers": 2, "threshold": 0.1}
    ),
    row("unfolded.analytic_weights", lambda: {"matrix": unit_matrix()}),
    row("unfolded.convolutional_analytic_weights", lambda: {"kernels": _kernels()}),
    row("unfolded.failure_threshold", lambda: {"snr_db": 20.0}),
    row("unfolded.load", lambda: {"path": "no-such-file.npz"}),
    row("unfolded.load_notes", lambda: {"path": "no-such-file.npz"}, says=("load",)),
    row("unfolded.save", lambda: {"path": "/dev/null/a.npz", "layers": network()}),
    row("unfolded.evaluate", lambda: _trained(num_problems=3), slow=True),
    row("unfolded.fit", lambda: _trained(**_TRAINING), slow=True),
    row("unfolded.fit_stagewise", lambda: _trained(**_STAGES), slow=True),
    row("unfolded.tune", lambda: _trained(**_TUNING), slow=True),
]


def _kernels() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(3, 3, 3)).astype(floats())


@functools.cache
def _fits() -> ji.untrained.Fit:
    keys = jax.random.split(KEY, 4)
    return ji.untrained.fit(keys, decoder(), image_problem(), num_steps=2, stop=None)


UNTRAINED = [
    row("untrained.least_misfit", lambda: {"fits": _fits(), "num_restarts": 2}),
    row("untrained.load", lambda: {"path": "no-such-file.npz", "prior": decoder()}),
    row("untrained.save", lambda: {"path": "/dev/null/a.npz", "fit": _fits()}),
    row("untrained.exponential_variance", dict),
    row("untrained.held_out", dict),
    row("untrained.least_residual", dict),
    row("untrained.sure", lambda: {"noise_std": 0.1}),
    row("untrained.windowed_variance", dict),
    row("untrained.total_variation", lambda: {"weight": 0.1}),
    row(
        "untrained.regularizer_from",
        lambda: {"params": {"a": ones(3, 4), "b": 2 * ones(3, 2)}, "weight": 1.0},
    ),
    row(
        "untrained.fit",
        lambda: {"key": KEY, "prior": decoder(), "problem": image_problem(), "num_steps": 2,
                 "stop": None},
        slow=True,
    ),
    row(
        "untrained.learned_regularizer",
        lambda: {"key": KEY, "prior": decoder(),
                 "problems": ji.Problem(ji.operators.identity(8), ones(3, 8)),
                 "axes": ji.Problem(None, 0, None, None), "num_steps": 2, "stop": None},
        slow=True,
    ),
]  # fmt: skip

_AT = ("params",)  # the point is kept as it is, and evaluated
NTK = [
    row("ntk.descent_filter", lambda: {"kernel": kernel(), "step_size": 0.1, "num_steps": 3}),
    row(
        "ntk.empirical_kernel",
        lambda: {"generator": linear, "params": ones(3)},
        passes=_AT,
    ),
    row("ntk.expected_kernel", lambda: {"kernel": kernel()}),
    row("ntk.expected_operator", lambda: {"kernel": kernel()}),
    row("ntk.frequency_order", lambda: {"n": 6}),
    row("ntk.jacobian", lambda: {"prior": linear, "params": ones(3)}, passes=_AT),
    row(
        "ntk.jacobian_singular_values",
        lambda: {"prior": linear, "trajectory": ones(2, 3)},
        passes=("trajectory",),
    ),
    row(
        "ntk.lanczos_spectrum",
        lambda: {"tangent": ji.ntk.linearize(linear, ones(3)), "num_products": 2},
    ),
    row("ntk.linearize", lambda: {"prior": linear, "params": ones(3)}, passes=_AT),
    row(
        "ntk.linearized_denoising",
        lambda: {"kernel": kernel(), "y": ones(8), "step_size": 0.1, "num_steps": 3},
    ),
    *(
        row(
            f"ntk.{name}",
            lambda: {"kernel_matrix": positive_matrix(), "residual": ones(10), "step_size": 0.1,
                     "num_steps": 3},
        )
        for name in ("linearized_descent", "linearized_distance")
    ),
    row(
        "ntk.linearized_limit",
        lambda: {"kernel": positive_matrix(), "operator": A(), "y": ones(6), "max_products": 5},
    ),
    row(
        "ntk.linearized_signal",
        lambda: {"kernel": positive_matrix(), "operator": A(), "y": ones(6), "step_size": 0.1,
                 "num_steps": 3},
    ),
    row("ntk.spectrum", lambda: {"kernel": kernel()}),
    row("ntk.trigonometric_basis", lambda: {"n": 6}),
]  # fmt: skip


def _blind() -> dict[str, Any]:
    one, two = np.arange(1.0, 3.0), np.arange(2.0, 5.0)
    pairs = {"first": one, "first_true": one[::-1], "second": two, "second_true": two[::-1]}
    return {**pairs, "depths": (2, 1), "signal_size": 9}


def _pair() -> dict[str, Any]:
    return {"x": ones(3), "x_true": np.array([1.0, 0, 2], floats())}


_SIZES = {"num_samples": 1e4, "num_measurements": 5, "signal_size": 10, "num_layers": 3}
_LIMITS = {"aspect": 0.5, "sparsity": 0.1}


THEORY = [
    row("theory.angle_between", _pair),
    row("theory.angle_map", lambda: {"theta": 1.0}),
    row("theory.catalog", lambda: {"paper": "survey"}),
    row("theory.angle_sequence", lambda: {"theta": 1.0, "depth": 3}),
    row(
        "theory.bayes_state_evolution",
        lambda: {**_LIMITS, "snr_db": 20.0, "num_steps": 2},
    ),
    row(
        "theory.check_linear_rate",
        lambda: {"matrix": unit_matrix(), "weights": unit_matrix(), "signals": _signals(),
                 "num_layers": 2},
    ),
    row("theory.coherence", lambda: {"matrix": unit_matrix()}),
    row(
        "theory.check_compression",
        lambda: {"prior": ji.generators.two_layer_decoder(64, 2, dtype=floats()),
                 "image": ones(64), "num_steps": 2},
        says=("wavelet",),
        slow=True,
    ),
    row(
        "theory.check_decoder_recovery",
        lambda: {"decoder": decoder(), "key": KEY, "num_measurements": 6, "num_starts": 2,
                 "num_steps": 2},
        slow=True,
    ),
    row(
        "theory.check_denoising_curve",
        lambda: {"prior": two_layer(), "signal": ones(8), "noise": 0.1 * ones(8),
                 "step_size": 0.1, "num_steps": 3},
        slow=True,
    ),
    row(
        "theory.denoising_law",
        lambda: {"noise_std": 0.1, "latent_size": 5, "signal_size": 10},
    ),
    row("theory.donoho_tanner", lambda: {"delta": 0.5}),
    row("theory.expected_blind_gradient", lambda: _blind()),
    row("theory.expected_blind_loss", lambda: _blind()),
    row("theory.expected_gradient", lambda: {**_pair(), "depth": 2}),
    row("theory.expected_loss", lambda: {**_pair(), "depth": 2}),
    row(
        "theory.check_fitting_rate",
        lambda: {"key": KEY, "y": ones(4), "width": 16, "num_steps": 3},
        slow=True,
    ),
    row(
        "theory.generalization_bound",
        lambda: {**_SIZES, "operator_norm": 2.0, "measurement_norm": 10.0},
    ),
    row("theory.generalization_rate", lambda: dict(_SIZES)),
    row(
        "theory.generalized_coherence",
        lambda: {"weights": unit_matrix(), "matrix": unit_matrix()},
    ),
    row("theory.geometric_recovery_bound", lambda: {"decay": 0.5, "num_measurements": 20}),
    row(
        "theory.check_linear_closeness",
        lambda: {"problem": ji.Problem(ji.operators.identity(3), ones(3), _tangent()),
                 "params": np.zeros(3, floats()), "step_size": 0.5, "num_steps": 4,
                 "num_checks": 2},
        slow=True,
    ),
    row(
        "theory.check_linear_dynamics",
        lambda: {"matrix": np.array([[1.0, 2.0]], floats()), "residual": ones(1),
                 "step_size": 0.1, "num_steps": 3},
    ),
    row("theory.linear_rate", lambda: {"coherence": 0.1, "sparsity": 2, "num_layers": 3}),
    row("theory.minimax_multiplier", lambda: {"delta": 0.5}),
    row(
        "theory.check_network_recovery",
        lambda: {"problem": ji.Problem(A_kernel(), A_kernel()(ones(24)), two_layer(24)),
                 "signal": ones(24), "step_size": 0.05, "num_steps": 3},
        says=("linearized_signal",),
        slow=True,
    ),
    row("theory.noise_bound", lambda: {"size": 4096, "num_channels": 4}),
    row(
        "theory.check_noise_fit",
        lambda: {"decoder": decoder(), "key": KEY, "num_starts": 2, "num_steps": 2},
        slow=True,
    ),
    row(
        "theory.noise_law",
        lambda: {"noise_norm": 0.1, "num_measurements": 30, "latent_size": 4},
    ),
    row("theory.oracle_nmse_db", lambda: {"snr_db": 20.0, **_LIMITS}),
    row(
        "theory.check_perturbation",
        lambda: {"matrix": ones(1, 3) * 0.5, "first": np.eye(3, dtype=floats()),
                 "second": np.eye(3, dtype=floats())[::-1], "measurements": ones(1, 1),
                 "num_layers": 2, "threshold": 0.1},
    ),
    row(
        "theory.perturbation_constant",
        lambda: {"num_layers": 3, "step_size": 0.25, "operator_norm": 2.0,
                 "measurement_norm": 1.0},
    ),
    row(
        "theory.recovery_bound",
        lambda: {"kernel_matrix": steep_matrix(), "signal": ones(20), "num_measurements": 12},
    ),
    row(
        "theory.restricted_eigenvalue",
        lambda: {"matrix": unit_matrix(), "order": 1, "num_samples": 2},
    ),
    row(
        "theory.restricted_isometry",
        lambda: {"matrix": unit_matrix(), "order": 2, "num_samples": 2},
    ),
    row("theory.rho", lambda: {"depth": 2}),
    row(
        "theory.sketch_bound",
        lambda: {"singular_values": 0.5 ** np.arange(30.0).astype(floats()), "split": 10,
                 "num_measurements": 20},
    ),
    row(
        "theory.check_sketched_recovery",
        lambda: {"key": KEY, "kernel_matrix": steep_matrix(), "signal": ones(20),
                 "num_measurements": 12, "num_trials": 2},
        slow=True,
    ),
    row(
        "theory.network_state_evolution",
        lambda: {"network": (4, 6), "measurements": 5, "noise_std": 0.1, "num_steps": 2},
    ),
    row(
        "theory.state_evolution",
        lambda: {"shrinkage": ji.shrinkage.soft(), **_LIMITS, "snr_db": 20.0, "num_steps": 2},
    ),
    row(
        "theory.sufficient_sparsity",
        lambda: {"matrix": unit_matrix(), "theorem": "basis_pursuit"},
    ),
    row("theory.welch_bound", lambda: {"num_rows": 2, "num_columns": 3}),
    row(
        "theory.width_constants",
        lambda: {"kernel": np.eye(9, dtype=floats())[1], "num_channels": 4096,
                 "num_measurements": 1},
    ),
]  # fmt: skip


def _signals() -> np.ndarray:
    signals = np.zeros((2, 10), floats())
    signals[:, 3] = (1.0, -2.0)
    return signals


def _tangent() -> Any:
    return ji.ntk.linearize(bent, jnp.zeros(3, floats()))


def A_kernel() -> Any:
    return ji.operators.gaussian(jax.random.key(0), 12, 24, dtype=floats())


def _estimates(shape: tuple[int, ...] = (5,)) -> dict[str, Any]:
    truth = np.linspace(1, 2, int(np.prod(shape))).reshape(shape).astype(floats())
    return {"estimate": truth + 0.1, "truth": truth}


_BOTH = ("estimate", "truth")
METRICS = [
    *(
        row(f"metrics.{name}", _estimates, passes=_BOTH)
        for name in ("nmse", "nmse_db", "outer_error", "psnr", "relative_error", "support_recall")
    ),
    row("metrics.ssim", lambda: _estimates((8, 8)), passes=_BOTH, overflows=_BOTH),
]

CONSTRUCTORS: list[Row] = [
    *CORE,
    *UNFOLDED,
    *UNTRAINED,
    *TRAINED,
    *NTK,
    *THEORY,
    *GENERATIVE,
    *METRICS,
]
