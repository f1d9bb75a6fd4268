"""The column of refusals of the fuzz rows: by name, what is changed in the right call, and words.

Each change is one clear line that has these words (a regular expression). Changes are made when a
test asks for them.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from fuzz_cases import sparse_problem
from fuzz_cases_theory import decoder, image_problem, linear, two_layer
from fuzz_values import KEY, A, ones, unit_matrix

import jaxinv as ji

Refusals = list[tuple[dict[str, Any], str]]
O, nan, inf = ji.operators, float("nan"), float("inf")


def each(argument: str, words: str, *values: Any) -> Refusals:
    """Return the same refusal of several values of one argument."""
    return [({argument: value}, words) for value in values]


def smooth() -> Any:
    return ji.generators.from_function(_tanh, ones(3, 2), in_shape=2)


def _tanh(matrix: Any, z: Any) -> Any:
    return jnp.tanh(matrix @ z)


# ------------------------------------------------------------------------------------ theory


def landscape() -> Refusals:
    return [
        ({"x_true": np.ones(4)}, r"x and x_true must .*\(3,\) and \(4,\)"),
        ({"x": ones(2, 3), "x_true": ones(2, 3)}, r"must have shape \(k,\), got \(2, 3\).*vmap"),
        ({"depth": 0}, "depth must be >= 1, got 0"),
        ({"depth": 2.0}, "depth must be an integer"),
        ({"weight_scale": -1.0}, r"weight_scale must be .*> 0, got -1"),
        ({"weight_scale": np.ones(3)}, r"weight_scale must have shape \(\)"),
        ({"model": "phase"}, "one of compressed_sensing, denoising, one_bit, phase"),
        ({"x": np.array([1, nan, 0])}, "x must be finite"),
        ({"x_true": 1j * ones(3)}, "x_true must be real"),
    ]


def linear_models() -> Refusals:
    """Return problems that the solvers of linear least squares refuse."""
    problem = sparse_problem()
    bent = problem._replace(operator=O.magnitude(problem.operator), y=jnp.abs(problem.y))
    wave = problem._replace(operator=O.dense(1j * problem.operator.matrix))
    image = ji.Problem(O.identity((4, 4)), ones(4, 4))
    lasso, zero = ji.solvers.lasso(0.1), ones(10) * 0
    return [
        ({"solver": lasso, "problem": wave, "u0": zero}, r"problem\.operator must be real.*fista"),
        ({"solver": lasso, "u0": 1j * zero}, "u0 must be real.*fista"),
        ({"solver": lasso, "problem": image, "u0": ones(4, 4)}, "lasso: problem must map a vector"),
        *(
            ({"solver": solver, "problem": bent, "u0": zero}, words)
            for solver, words in (
                (lasso, "lasso: problem must have a linear model"),
                (ji.solvers.amp(), "amp: problem must have a linear model"),
                (ji.solvers.vamp(), "vamp: problem must have a linear model"),
                (ji.solvers.admm(0.1), "admm: problem must have a linear operator"),
                (ji.solvers.basis_pursuit(), "basis_pursuit: problem must have a linear operator"),
                (ji.solvers.omp(2), r"linear operator \(and prior\), got Magnitude"),
                (ji.solvers.cosamp(2), r"linear operator \(and prior\), got Magnitude"),
            )
        ),
        *(
            refusal
            for solver in (ji.solvers.amp(), ji.solvers.vamp())
            for refusal in (
                ({"solver": solver, "u0": 1j * zero}, "u0 must be real.*fista"),
                ({"solver": solver, "problem": wave}, r"problem\.operator must be real.*fista"),
            )
        ),
        *(
            ({"solver": solver, "problem": wave, "u0": zero}, "u0 must be complex")
            for solver in (ji.solvers.omp(2), ji.solvers.cosamp(2))
        ),
        ({"solver": ji.samplers.langevin(0.1, 1.0)}, "solver must be a solver"),
    ]


def gap() -> Refusals:
    problem = sparse_problem()
    bent = problem._replace(operator=O.magnitude(problem.operator), y=jnp.abs(problem.y))
    return [
        ({"problem": bent}, "duality_gap: problem must have a linear model"),
        ({"u": jnp.zeros(3)}, r"duality_gap: u must have shape \(10,\)"),
        ({"penalty": jnp.ones(2)}, "duality_gap: penalty must"),
        ({"problem": problem._replace(y=problem.y[:5])}, r"problem\.y must have shape \(6,\)"),
    ]


def two_layer_parameters() -> Refusals:
    generator = two_layer()
    params = generator.params
    return [
        ({"generator": generator, "params": params * nan}, "params must be finite"),
        ({"generator": generator, "params": params[:1]}, "params must hold shape"),
        ({"generator": generator, "params": params.T}, "params must hold shape"),
        ({"generator": generator, "params": params + 0j}, "params must be real"),
        ({"generator": linear, "params": ones(3) * nan}, "params must be finite"),
    ]


def descent() -> Refusals:
    eye = jnp.eye(10)
    return [
        ({"residual": ones(2)}, "residual"),
        ({"kernel_matrix": eye.at[0, 1].set(1)}, "transpose"),
        ({"kernel_matrix": -eye}, "positive semidefinite"),
        ({"step_size": 0.0}, "step_size"),
        ({"kernel_matrix": eye, "step_size": 2.0, "num_steps": inf}, "below 2"),
        *each("num_steps", "num_steps", [-1], 1.5),
    ]


def untrained_fit() -> Refusals:
    problem, sure = image_problem(), ji.untrained.sure(0.1)
    half = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), decoder().params)
    narrow = ji.Problem(A(), ones(6))
    long_prior = ji.generators.two_layer_decoder(10, 2)
    return [
        ({"num_steps": 0}, "num_steps"),
        ({"stop": "held_out"}, r"stop must be 'auto'.* untrained.held_out()"),
        ({"axes": ji.Problem(None, 0)}, "key must be a vector of keys, where axes is given"),
        ({"regularizer": lambda params: params["w"]}, "regularizer must accept .* exception"),
        ({"average": 1.0}, "average must be below 1"),
        ({"spike": 0.5}, "spike"),
        ({"input_noise": -1.0}, "input_noise"),
        ({"tol": -1.0}, "tol"),
        ({"num_steps": 100, "stop": ji.untrained.windowed_variance(100, 50)}, "at least 150"),
        ({"look_every": 0}, "look_every"),
        ({"prior": ji.generators.relu(KEY, (2, 4))}, "prior must be an untrained prior"),
        ({"prior": long_prior}, r"prior must make signals of shape \(8,\)"),
        ({"problem": problem._replace(y=ones(8, 8))}, r"problem\.y"),
        ({"problem": problem._replace(y=nan * ones(8))}, r"problem\.y must be finite"),
        ({"problem": problem._replace(y=0 * ones(8))}, r"problem\.y must have an entry other"),
        ({"problem": problem._replace(y=0j + ones(8))}, r"problem\.y must be real"),
        ({"compute_dtype": jnp.complex64}, "compute_dtype must be a real floating type"),
        ({"stop": 0.5}, "stop must be"),
        ({"optimizer": 0.1}, "must be an optax transformation"),
        ({"penalty": 3}, "penalty must be a function"),
        ({"key": 0}, "key"),
        ({"penalty": lambda x: 1j * jnp.sum(x)}, "penalty must return a real scalar"),
        ({"params": half}, r"params must be of float32 or wider.*compute_dtype="),
        ({"prior": long_prior, "problem": narrow, "stop": sure}, "operator must be the identity"),
    ]


def level(*refusals: tuple[dict[str, Any], str]) -> Callable[[], Refusals]:
    """Return the refusals of a method that counts nonzeros."""
    return lambda: [
        *each(
            "num_nonzeros",
            r"num_nonzeros must be in \[1, .*, got (0.*fraction|-1|10995)",
            0,
            -1,
            2**40,
        ),
        *each(
            "num_nonzeros", r"num_nonzeros must be in \(0, 1\], got (0\.0|1\.5|nan)", 0.0, 1.5, nan
        ),
        *each("num_nonzeros", "num_nonzeros must be a real number", True, "5", None, [3], 3j),
        *refusals,
    ]


def augmented(name: str) -> Refusals:
    relaxed = rf"{name}: relaxation must be in \(0, 1\.99\]"
    return [
        *each("augmentation", f"{name}: augmentation must be finite and > 0", 0, -1.0, nan),
        *each("relaxation", relaxed, 0, 2.0, inf),
    ]


REFUSALS: dict[str, Callable[[], Refusals]] = {
    "theory.expected_gradient": landscape,
    "theory.expected_loss": landscape,
    "theory.rho": lambda: [
        ({"depth": -2}, "depth must be >= 1, got -2"),
        ({"depth": 1.5}, "depth must be an integer"),
        ({"model": "spike"}, r"spiked, got 'spike'\. Did you mean 'spiked'"),
    ],
    "theory.angle_map": lambda: [
        ({"theta": np.array([-1.0, 4.0])}, r"lie in \[0, π\], got values from -1 to 4"),
        ({"theta": np.nan}, "theta must lie"),
        ({"theta": 1j}, "theta must be real"),
    ],
    "theory.regions": lambda: [
        (
            {"generator": ji.generators.relu(KEY, (4, 10, 20))},
            r"at most 3 latents .*got 4 \(about 8.18e\+03 linear pieces, of at most 20000\)",
        ),
        ({"max_regions": 3}, "have at most 3 linear pieces, got about 20. Fewer latents"),
        (
            {"generator": smooth()},
            "a network of piecewise linear units.* For example generators.relu",
        ),
    ],
    "theory.range_coherence": lambda: each("generator", "Make one with generators.relu", smooth()),
    "theory.range_restricted_weight_distribution": lambda: each(
        "generator", "Make one with generators.relu", smooth()
    ),
    "theory.local_certificate": lambda: [
        (
            {"problem": ji.Problem(O.identity(3), ones(3), smooth())},
            "problem.prior must be a ReLU network.* Make one with generators.relu",
        )
    ],
    "theory.angle_sequence": lambda: [({"depth": 0}, "depth must be >= 1")],
    "theory.noise_law": lambda: [
        ({"num_measurements": 11, "latent_size": 10}, "num_measurements must exceed latent_size"),
        ({"num_measurements": 20, "latent_size": [3, 19]}, "num_measurements must exceed"),
        ({"noise_norm": -0.1}, r"noise_norm must be .*>= 0"),
        ({"latent_size": 2.5}, "latent_size must hold integers >= 1"),
    ],
    "theory.denoising_law": lambda: [
        ({"latent_size": 0}, "latent_size must be >= 1"),
        ({"latent_size": 10, "signal_size": 9}, "signal_size must be at least latent_size"),
        ({"noise_std": -1.0}, r"noise_std must be .*>= 0"),
    ],
    "theory.coherence": lambda: [
        ({"matrix": np.array([[1.0, 2.0, 0.0], [0.0, 1.0, 0.0]])}, "zero column 2")
    ],
    "theory.generalized_coherence": lambda: [
        ({"weights": unit_matrix()[:, :-1]}, "weights must have shape"),
        ({"weights": np.eye(2)[:, ::-1], "matrix": np.eye(2)}, "0 for i = 0"),
    ],
    "theory.restricted_isometry": lambda: [
        ({"order": 11}, "order must be at most 10"),
        ({"order": 0}, "order must be >= 1"),
        (
            {"matrix": unit_matrix(10, 30), "order": 12, "method": "exact"},
            "at most 2000000 supports",
        ),
        ({"method": "exct"}, "Did you mean 'exact'"),
    ],
    "theory.restricted_eigenvalue": lambda: [
        ({"cone": -1.0}, "cone must be finite and >= 0"),
        ({"cone": 1.0, "method": "exact"}, "unless cone is 0"),
    ],
    "theory.sufficient_sparsity": lambda: [
        ({"theorem": "alist"}, "Did you mean 'alista'"),
        ({"theorem": "alista"}, "weights must be given"),
        ({"theorem": "omp", "weights": unit_matrix()}, "weights must be None"),
    ],
    "theory.state_evolution": lambda: [
        ({"shrinkage": ji.prox.soft(0.1)}, "state_evolution: shrinkage must be a shrinkage"),
        ({"sparsity": 0.0}, r"state_evolution: sparsity must be in \(0, 1\]"),
        ({"noise_std": 0.1}, "noise_std or snr_db must be given, at most one"),
    ],
    "theory.donoho_tanner": lambda: [({"delta": 1.5}, r"delta must lie in \(0, 1\]")],
    "theory.oracle_nmse_db": lambda: [
        ({"aspect": 0.1, "sparsity": 0.2}, "sparsity must be below aspect")
    ],
    "ntk.empirical_kernel": two_layer_parameters,
    "ntk.jacobian": lambda: [({"params": ones(3) * nan}, "params must be finite")],
    "ntk.linearize": lambda: [
        ({"params": ones(3) * nan}, "params must be finite"),
        ({"prior": jnp.square, "params": None}, "params"),
    ],
    "ntk.jacobian_singular_values": lambda: [
        (
            {"prior": two_layer(), "trajectory": two_layer().params},
            "trajectory must have a leading axis of points",
        )
    ],
    "ntk.spectrum": lambda: [
        ({"kernel": jnp.zeros(4)}, "zero"),
        ({"kernel": jnp.ones((2, 2, 2))}, "shape"),
    ],
    "ntk.linearized_descent": descent,
    "ntk.linearized_denoising": lambda: [({"y": ones(3)}, "y must")],
    "ntk.linearized_signal": lambda: [({"operator": jnp.eye(3)}, "operator")],
    "untrained.fit": untrained_fit,
    "solvers.solve": linear_models,
    "solvers.duality_gap": gap,
    "solvers.lasso": lambda: [
        ({"penalty": -1.0}, "lasso: penalty must be finite and >= 0"),
        ({"working_set": 0}, "working_set must be >= 1"),
    ],
    "solvers.lasso_path": lambda: [
        (
            {"problem": ji.Problem(O.dense(1j * unit_matrix()), ones(6))},
            "problem must be real.*fista",
        ),
        ({"penalties": [0.1, -0.1]}, "penalties must be >= 0"),
        *each("penalties", "penalties must be finite", [0.1, nan], [inf]),
        ({"penalties": [0.1j]}, "penalties must be real"),
        ({"tol": -1.0}, "lasso_path: tol must be finite and >= 0"),
        ({"max_steps": -1}, "lasso_path: max_steps must be >= 0"),
        ({"smallest": 2.0}, r"smallest must be in \(0, 1\]"),
    ],
    "solvers.amp": lambda: [
        ({"shrinkage": ji.prox.soft(0.1)}, "amp: shrinkage must be a shrinkage"),
        ({"damping": 1.0}, r"amp: damping must be in \[0, 1\)"),
    ],
    "solvers.vamp": lambda: [
        ({"noise_std": -1.0}, "vamp: noise_std must be finite and >= 0"),
        *each("damping", r"vamp: damping must be (in \[0, 1\)|a finite number)", 2, -0.1, nan),
    ],
    "solvers.ml_vamp": lambda: [
        ({"noise_std": -1.0}, "ml_vamp: noise_std must be finite and >= 0"),
        ({"latent_std": 0.0}, "ml_vamp: latent_std must be finite and > 0"),
    ],
    "solvers.iht": level(
        ({"normalized": True}, "step_size must be None with normalized=True"),
        ({"step_size": -0.1}, "step_size must be finite and > 0"),
    ),
    "solvers.omp": level(
        ({"num_nonzeros": 5, "max_nonzeros": 4}, r"must be at most 4 \(max_nonzeros\), got 5")
    ),
    "solvers.cosamp": level(),
    "solvers.admm": lambda: [
        *augmented("admm"),
        ({"penalty": None}, "penalty or prox must be given"),
    ],
    "solvers.basis_pursuit": lambda: augmented("basis_pursuit"),
    "unfolded.lamp": lambda: [
        ({"shrinkage": 0.1}, "lamp: shrinkage must be a shrinkage"),
        ({"operator": unit_matrix() * (np.arange(10) != 3)}, "operator must have no zero column"),
    ],
    "unfolded.analytic_weights": lambda: [
        ({"matrix": unit_matrix() * (np.arange(10) != 3)}, "no zero column, got zero column 3"),
        ({"matrix": unit_matrix().T}, "at most as many rows as columns"),
        ({"matrix": np.full((2, 3), np.nan)}, "finite"),
        ({"noise": -1.0}, "noise must be finite and >= 0"),
        ({"matrix": ones(3)}, "dimension"),
        (
            {"matrix": np.array([[1.0, 0.0, 0.1], [0.0, 1.0, 0.1]]), "symmetric": True},
            r"symmetric|semi-definite",
        ),
    ],
    "unfolded.convolutional_analytic_weights": lambda: [
        ({"kernels": np.array([[1.0, 2.0], [0.0, 0.0]])}, "zero kernel 1"),
        ({"kernels": np.ones(3)}, r"\(M, \*window\)"),
    ],
    "shrinkage.soft": lambda: [({"multiplier": -1.0}, "multiplier must be finite and >= 0")],
    "shrinkage.posterior_mean": lambda: [
        ({"sparsity": 0.0}, r"posterior_mean: sparsity must be in \(0, 1\]"),
        ({"variance": 0.0}, "posterior_mean: variance must be finite and > 0"),
    ],
    "shrinkage.from_function": lambda: [({"apply": 3.0}, "apply must be a function")],
    "generators.two_layer": lambda: [
        ({"num_channels": 3}, "num_channels must be even"),
        ({"shape": (3,)}, "shape must be at least the kernel's"),
    ],
    "generators.unet": lambda: [
        ({"shape": (16,)}, "shape must be"),
        ({"shape": (16, 16), "num_scales": 5}, "num_scales must be at most 3"),
    ],
    "generators.dcgan": lambda: [
        ({"name": (29, 28)}, "name must be a name or one of"),
        ({"name": "minst"}, "Did you mean 'mnist'"),
    ],
    "generators.deep_decoder": lambda: [({"input_size": 20}, "input_size must be")],
}
