"""The rows of the fuzzing tests: every public callable with a call that is right.

``LEFT_OUT`` says why a public class has no row.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
from cases import MISFITS, floats
from fuzz_cases_operators import OPERATORS
from fuzz_values import KEY, A, Row, ones, row, unit_matrix
from solver_cases import SOLVERS as SOLVER_CASES

import jaxinv as ji

MODULES = (
    "operators", "generators", "misfits", "prox", "shrinkage", "problems", "solvers", "samplers",
    "unfolded", "untrained", "trained", "ntk", "theory", "metrics",
)  # fmt: skip


def sparse_family() -> Any:
    return ji.problems.sparse(6, 10, num_nonzeros=2, operator=A(), dtype=floats())


def _latent_map() -> Any:
    return ji.generators.from_function(_tanh_of, unit_matrix().T[:, :3], in_shape=3)


def _tanh_of(basis: Any, z: Any) -> Any:
    return jnp.tanh(basis @ z)


def sparse_problem() -> Any:
    return sparse_family().sample(KEY)


IMAGE = np.linspace(0, 1, 64).reshape(8, 8)


def _relu() -> Any:
    return ji.generators.relu(KEY, (3, 8, 6), dtype=floats())


GENERATORS = [
    row(
        "generators.convdecoder",
        lambda: {"shape": (8, 8), "num_channels": 3, "num_layers": 2, "key": KEY},
    ),
    row(
        "generators.convolutional",
        lambda: {"key": KEY, "channels": (2, 3), "kernel_size": 3, "size": (2, 2)},
    ),
    row(
        "generators.coordinate",
        lambda: {"shape": (6, 6), "num_channels": 4, "num_layers": 2, "num_features": 4,
                 "key": KEY},
    ),
    row("generators.dcgan", lambda: {"name": "mnist", "key": KEY}),
    row(
        "generators.deep_decoder",
        lambda: {"shape": (8, 8), "num_channels": 3, "num_layers": 2, "key": KEY},
    ),
    row("generators.flow", lambda: {"key": KEY, "signal_shape": 4, "hidden": (3,),
                                    "num_layers": 2}, slow=True),
    row("generators.gan", lambda: {"key": KEY, "signal_shape": (4, 4), "latent_size": 2,
                                   "hidden": (3,)}, slow=True),
    row("generators.vae", lambda: {"key": KEY, "signal_shape": (4, 4), "latent_size": 2,
                                   "hidden": (3,)}, slow=True),
    row("generators.from_flax", lambda: {"module": _linear_module(), "in_shape": 3}),
    row(
        "generators.from_function",
        lambda: {"apply": _apply, "params": ones(5, 3), "in_shape": 3},
        passes=("params",),
    ),
    row(
        "generators.from_weights",
        lambda: {"weights": [ones(4, 3), ones(5, 4)], "biases": [ones(4), ones(5)]},
    ),
    row("generators.plus_sparse", lambda: {"generator": _relu()}),
    row(
        "generators.piecewise_linear",
        lambda: {"key": KEY, "widths": (3, 8), "negative_slope": 0.2, "bias_std": 0.1},
    ),
    row("generators.copies", lambda: {"generator": _relu(), "count": 2}),
    row("generators.product", lambda: {"first": _relu(), "second": _relu()}),
    row("generators.relu", lambda: {"key": KEY, "widths": (3, 8, 6)}),
    row("generators.circle", dict),
    row("generators.sparse_tents", lambda: {"signal_size": 12, "num_blocks": 2}),
    row("generators.tail", lambda: {"generator": _relu(), "layer": 1}),
    row("generators.two_layer", lambda: {"kernel": ones(8), "num_channels": 4, "key": KEY}),
    row("generators.two_layer_decoder", lambda: {"size": 8, "num_channels": 2, "key": KEY}),
    row(
        "generators.unet",
        lambda: {"shape": (8, 8), "num_channels": 4, "num_scales": 2, "key": KEY},
    ),
]  # fmt: skip


def _apply(params: Any, z: Any) -> Any:
    return jnp.tanh(params @ z)


def _linear_module() -> Any:
    from flax import nnx

    return nnx.Linear(3, 5, rngs=nnx.Rngs(0), param_dtype=floats())


def _shrink(v: Any, noise_std: Any) -> Any:
    return ji.shrinkage.soft(1.0)(v, noise_std)


def _prox(v: Any, step_size: Any) -> Any:
    return v / (1 + step_size)


def _value(u: Any) -> Any:
    return 0.5 * jnp.sum(u * u)


PROX = [
    row("prox.box", lambda: {"low": 0.0, "high": 1.0}),
    row("prox.denoiser", lambda: {"denoise": jnp.tanh}),
    row("prox.from_function", lambda: {"apply": _prox, "value": _value}),
    row("prox.group", lambda: {"penalty": 0.1, "axis": -1}),
    row("prox.hard", lambda: {"penalty": 0.1}),
    row("prox.l1_ball", lambda: {"radius": 0.1}),
    row(
        "prox.range_of",
        lambda: {
            "generator": _relu(),
            "solver": ji.solvers.levenberg_marquardt(),
            "latent": ones(3),
            "num_steps": 2,
        },
    ),
    row("prox.soft", lambda: {"penalty": 0.1}),
    row("prox.tv", lambda: {"penalty": 0.1, "num_steps": 3}),
    row("shrinkage.from_function", lambda: {"apply": _shrink}),
    row("shrinkage.posterior_mean", lambda: {"sparsity": 0.1}),
    row("shrinkage.soft", lambda: {"multiplier": 1.0}),
]

PROBLEMS = [
    row(
        "operators.dct_dictionary",
        lambda: {"block_shape": 4, "num_frequencies": 5, "dtype": floats()},
    ),
    row(
        "problems.back_projected",
        lambda: {"problem": sparse_problem(), "scale": 0.5},
        passes=("problem",),
        overflows=("problem",),
    ),
    row(
        "problems.blind_demodulation",
        lambda: {"first_widths": (3, 8, 9), "second_widths": (2, 9)},
    ),
    row("problems.corrupted", lambda: {"family": sparse_family(), "outlier_share": 0.1}),
    row("problems.denoising", lambda: {"widths": (3, 8, 9), "noise_std": 0.1}),
    row("problems.from_arrays", lambda: {"operator": A(), "x": ones(4, 10)}),
    row("problems.generative", lambda: {"widths": (3, 8, 9), "num_measurements": 6}),
    row(
        "problems.images",
        lambda: {"images": IMAGE, "operator": ji.operators.identity((8, 8)), "snr_db": 20.0},
    ),
    row(
        "problems.jacobian",
        lambda: {"problem": sparse_problem(), "u": ones(10)},
        passes=("problem", "u"),
    ),
    row("operators.join_blocks", lambda: {"blocks": ones(4, 4, 4), "image_shape": (8, 8)},
        passes=("blocks",)),
    row(
        "problems.loss_and_gradient",
        lambda: {"problem": sparse_problem(), "u": ones(10)},
        passes=("problem", "u"),
    ),
    row("problems.one_bit", lambda: {"widths": (3, 8, 9), "num_measurements": 6}),
    row("problems.padded", lambda: {"operator": A(), "generator": _latent_map()}),
    row("problems.patches", lambda: {"images": IMAGE[None], "patch_shape": 4}),
    row(
        "problems.phase_retrieval",
        lambda: {"widths": (3, 8, 9), "num_measurements": 6},
    ),
    row(
        "problems.single_index",
        lambda: {"widths": (3, 8, 9), "num_measurements": 6, "link": jnp.tanh},
    ),
    row("problems.spiked", lambda: {"widths": (3, 8, 9), "noise_std": 0.5}),
    row(
        "problems.sparse",
        lambda: {"num_measurements": 6, "signal_size": 10, "sparsity": 0.2, "snr_db": 20.0},
    ),
    row("operators.split_blocks", lambda: {"image": IMAGE, "block_shape": 4}, passes=("image",)),
]  # fmt: skip

SOLVERS = [
    row("solvers.damp", lambda: {"denoiser": _shrink}),
    row("solvers.debias", lambda: {"problem": sparse_problem(), "support": np.arange(10) < 2}),
    row(
        "solvers.duality_gap",
        lambda: {"problem": sparse_problem(), "u": ones(10), "penalty": 0.1},
        passes=("problem", "u"),
        overflows=("problem", "u"),
    ),
    row(
        "solvers.kkt_residual",
        lambda: {"problem": sparse_problem(), "u": ones(10), "penalty": 0.1},
        passes=("problem", "u"),
        overflows=("problem", "u"),
    ),
    row("solvers.largest_penalty", lambda: {"problem": sparse_problem()}),
    row("solvers.least_squares", lambda: {"problem": sparse_problem(), "damping": 0.1}),
    row(
        "solvers.lasso_path",
        lambda: {"problem": sparse_problem(), "num_penalties": 3, "max_steps": 5},
        says=("lasso",),
    ),
    row("solvers.invert_layers", lambda: {"generator": _relu(), "x": _relu()(ones(3))}),
    row("solvers.oracle", lambda: {"problem": sparse_problem()}),
    row(
        "solvers.primal_dual",
        lambda: {"prox": ji.prox.soft(0.1), "operator": ji.operators.identity(10)},
    ),
    row(
        "solvers.alternating",
        lambda: {"solvers": [ji.solvers.levenberg_marquardt(), ji.solvers.fista(0.1, 0.1)]},
    ),
    row("solvers.raise_if_failed", lambda: {"solution": _solution()}, passes=("solution",)),
    row(
        "solvers.solve",
        lambda: {"solver": ji.solvers.fista(0.1, 0.1), "problem": sparse_problem(),
                 "u0": ones(10), "max_steps": 3},
    ),
    row(
        "solvers.spectral_start",
        lambda: {"problem": sparse_problem(), "u0": ones(10), "num_steps": 2},
        passes=("problem",),
        overflows=("problem", "u0"),
    ),
    row(
        "solvers.spiked_amp",
        lambda: {"problem": _spike(), "u0": ones(2), "noise_std": 0.5, "num_steps": 2},
        passes=("problem", "u0"),
        overflows=("problem", "u0"),
    ),
    row(
        "solvers.spiked_spectral",
        lambda: {"problem": _spike(), "root": ones(4, 2)},
        passes=("problem",),
        overflows=("problem", "root"),
    ),
    row(
        "solvers.then",
        lambda: {"first": ji.solvers.fista(0.1, 0.1), "second": ji.solvers.fista(0.1, 0.1),
                 "num_steps": 2},
    ),
    row(
        "solvers.trace",
        lambda: {"solver": ji.solvers.fista(0.1, 0.1), "problem": sparse_problem(),
                 "u0": ones(10), "num_steps": 3},
        passes=("problem", "u0"),
        overflows=("problem", "u0"),
    ),
    row(
        "solvers.unfold",
        lambda: {"layers": ji.Layers.repeat(ji.solvers.ista(0.1, 0.1), 2),
                 "problem": sparse_problem()},
        passes=("layers", "problem", "u0"),
        overflows=("layers", "problem", "u0"),
    ),
    row("solvers.with_restarts", lambda: {"solver": ji.solvers.fista(0.1, 0.1), "num_restarts": 2}),
]  # fmt: skip


def _spike() -> Any:
    G = ji.generators.relu(KEY, (2, 4), dtype=floats())
    return ji.Problem(ji.operators.outer(4), np.eye(4, dtype=floats()), G)


def _solution() -> Any:
    zero = jnp.zeros((), jnp.int32)
    return ji.Solution(ones(3), ones(3), None, zero, zero, ones())


def _latent_problem() -> Any:
    prior = ji.generators.from_function(jnp.multiply, ones(6), in_shape=6)
    return ji.Problem(ji.operators.identity(6), ones(6), prior)


def _blackjax() -> Any:
    import blackjax

    return blackjax


def sampled_draws() -> Any:
    x = np.arange(24.0).reshape(2, 6, 2)
    status = np.full(2, ji.Status.SAMPLED, np.int32)
    return ji.Samples(x, x, ones(2), ones(2), ones(2), status)


SAMPLERS = [
    row(
        "samplers.annealed_langevin",
        lambda: {"step_size": 0.1, "noise_std": 0.1, "first_noise_std": 1.0, "num_levels": 3},
    ),
    row(
        "samplers.effective_sample_size",
        lambda: {"draws": np.arange(20.0).reshape(2, 10) % 7},
        passes=("draws",),
    ),
    row(
        "samplers.from_blackjax",
        lambda: {"algorithm": _blackjax().mala, "noise_std": 0.1, "step_size": 0.1},
    ),
    row(
        "samplers.hmc",
        lambda: {"step_size": 0.1, "noise_std": 0.1, "num_integration_steps": 3,
                 "inverse_mass_matrix": np.eye(6)},
    ),
    row("samplers.langevin", lambda: {"step_size": 0.1, "noise_std": 0.1}),
    row("samplers.laplace", lambda: {"noise_std": 0.1}),
    row(
        "samplers.nuts",
        lambda: {"step_size": 0.1, "noise_std": 0.1, "inverse_mass_matrix": np.ones(6)},
    ),
    row("samplers.preconditioned", lambda: {"sampler": ji.samplers.langevin(0.1, 1.0)}),
    row("samplers.rhat", lambda: {"draws": np.arange(20.0).reshape(2, 10) % 7}, passes=("draws",)),
    row(
        "samplers.sample",
        lambda: {"sampler": ji.samplers.langevin(0.1, 1.0), "problem": _latent_problem(),
                 "u0s": ones(2, 6), "key": KEY, "num_steps": 12, "burn_in": 4, "thin": 2},
        passes=("problem", "u0s", "sampler"),
        overflows=("problem", "u0s"),
    ),
    row("samplers.summary", lambda: {"draws": sampled_draws(), "level": 0.5}, passes=("draws",)),
    row(
        "samplers.tempered",
        lambda: {"sampler": ji.samplers.langevin(0.1, 1.0), "temperatures": np.array([1.0, 2, 5])},
    ),
    row(
        "samplers.tune",
        lambda: {"sampler": ji.samplers.hmc(0.1, 1.0, 2), "problem": _latent_problem(),
                 "u0": ones(6), "key": KEY, "num_steps": 20},
        passes=("problem", "u0", "sampler"),
        overflows=("problem", "u0"),
        slow=True,
    ),
]  # fmt: skip

OF_MISFITS = [row(f"misfits.{case.name}", case.arguments) for case in MISFITS]
OF_SOLVERS = [
    row(f"solvers.{case.name}", case.arguments) for case in SOLVER_CASES if case.arguments
]

CORE: list[Row] = [
    *OPERATORS,
    *OF_MISFITS,
    *OF_SOLVERS,
    *GENERATORS,
    *PROX,
    *PROBLEMS,
    *SOLVERS,
    *SAMPLERS,
]
