"""The registry behind the contract tests: one row per operator, generator, solver and family.

A row names a small instance and how to build it from a key; ``test_contracts_*.py`` gives every
row of a section the same tests. Sections stand one after the other, each with its own row type.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
import pytest
from jax.tree_util import Partial

import jaxinv as ji

Array = jax.Array
O = ji.operators


def rows(section: Iterable[Any]) -> list[Any]:
    """Return the rows of a section as pytest parameters, named after themselves."""
    return [pytest.param(row, id=row.name) for row in section]


def floats() -> Any:
    """Return the default real type: float32, or float64 when x64 is on."""
    return jnp.result_type(float)


def complexes() -> Any:
    """Return the default complex type."""
    return jnp.result_type(complex)


# --------------------------------------------------------------------------------- operators


class OperatorCase(NamedTuple):
    """One linear operator: ``make(key)`` builds it, its arrays random, its structure fixed.

    ``real_signals`` marks maps from real signals to complex measurements, whose adjoint is that
    of the real inner product.
    """

    name: str
    make: Callable[[Array], O.LinearOperator]
    real_signals: bool = False


def _normal(key: Array, shape: tuple[int, ...], dtype: Any = None) -> Array:
    return jax.random.normal(key, shape, floats() if dtype is None else dtype)


def _complex(key: Array, shape: tuple[int, ...]) -> Array:
    return _normal(key, shape, complexes())


def _boolean(key: Array, shape: tuple[int, ...]) -> Array:
    return O.random_mask(key, shape, 0.5)


def _weighted_sums(matrix: Array, x: Array) -> Array:
    return jnp.stack([jnp.sum(matrix * x), x[0, 0] - x[1, 2], jnp.sum(jnp.flip(matrix) * x)])


def _half_spectrum(x: Array) -> Array:
    return jnp.fft.rfft(x)


def _mixed_sum(key: Array) -> O.LinearOperator:
    first, second = jax.random.split(key)
    fourier = O.subsampled_fourier(_boolean(first, (6,)), real=True)
    return fourier + O.dense(_complex(second, (6, 6)))


def _chain(key: Array) -> O.LinearOperator:
    first, second = jax.random.split(key)
    fourier = O.subsampled_fourier(_boolean(first, (8,)))
    return 0.5 * (fourier @ O.dense(_normal(second, (8, 5)))) - 2j * (
        O.dense(_complex(key, (8, 5)))
    )


OPERATORS = [
    OperatorCase("dense", lambda key: O.dense(_normal(key, (5, 7)))),
    OperatorCase("dense-complex", lambda key: O.dense(_complex(key, (5, 7)))),
    OperatorCase("gaussian", lambda key: O.gaussian(key, 4, 6, dtype=floats())),
    OperatorCase("gaussian-complex", lambda key: O.gaussian(key, 6, 4, dtype=complexes())),
    OperatorCase("identity", lambda key: O.identity((2, 3))),
    OperatorCase("mask-boolean", lambda key: O.mask(_boolean(key, (3, 4)))),
    OperatorCase("mask-integer", lambda key: O.mask(jax.random.randint(key, (6,), -2, 3))),
    OperatorCase("mask-real", lambda key: O.mask(_normal(key, (6,)))),
    OperatorCase("mask-complex", lambda key: O.mask(_complex(key, (6,)))),
    OperatorCase("fourier", lambda key: O.subsampled_fourier(_boolean(key, (4, 6)))),
    OperatorCase("fourier-weights", lambda key: O.subsampled_fourier(_complex(key, (7,)))),
    OperatorCase(
        "fourier-real", lambda key: O.subsampled_fourier(_normal(key, (3, 4)), real=True), True
    ),
    OperatorCase("hadamard", lambda key: O.subsampled_hadamard(key, 5, 8)),
    OperatorCase("hadamard-padded", lambda key: O.subsampled_hadamard(key, 6, (3, 4))),
    OperatorCase("dct", lambda key: O.dct(7)),
    OperatorCase("dct-2d", lambda key: O.dct((4, 5))),
    OperatorCase("convolution", lambda key: O.convolution(_normal(key, (4,)), 7)),
    OperatorCase("convolution-2d", lambda key: O.convolution(_normal(key, (3, 2)), (4, 5))),
    OperatorCase("convolution-complex", lambda key: O.convolution(_complex(key, (3,)), 6)),
    OperatorCase("downsample", lambda key: O.downsample(3, 9)),
    OperatorCase("downsample-2d", lambda key: O.downsample((2, 1), (4, 3))),
    OperatorCase("finite_difference", lambda key: O.finite_difference(6)),
    OperatorCase("finite_difference-2d", lambda key: O.finite_difference((4, 5))),
    OperatorCase("wavelet", lambda key: O.wavelet(16, "db2", 3)),
    OperatorCase("wavelet-2d", lambda key: O.wavelet((36, 4), "haar", 2)),
    OperatorCase(
        "from_function",
        lambda key: O.from_function(
            Partial(_weighted_sums, _normal(key, (3, 4))), (3, 4), floats()
        ),
    ),
    OperatorCase(
        "from_function-spectrum", lambda key: O.from_function(_half_spectrum, 6, floats()), True
    ),
    OperatorCase("adjoint", lambda key: O.dense(_complex(key, (3, 5))).H),
    OperatorCase("transpose", lambda key: O.dense(_complex(key, (3, 5))).T),
    OperatorCase("scaled", lambda key: (1 - 2j) * O.dct(6)),
    OperatorCase("product", lambda key: O.downsample(2, (2, 4)) @ O.mask(_normal(key, (2, 4)))),
    OperatorCase("chain", _chain),
    OperatorCase("sum-mixed", _mixed_sum, True),
    OperatorCase(
        "scaled-real-signals",
        lambda key: (2 - 1j) * O.subsampled_fourier(_boolean(key, (6,)), real=True),
        True,
    ),
]


class NonlinearCase(NamedTuple):
    """One nonlinear operator; ``smooth`` says whether its gradient can be checked numerically."""

    name: str
    make: Callable[[Array], O.Operator]
    smooth: bool = True


def _scaled_tanh(scale: Array, v: Array) -> Array:
    return jnp.tanh(v) * scale


NONLINEAR_OPERATORS = [
    NonlinearCase("magnitude", lambda key: O.magnitude(O.dense(_normal(key, (6, 4))))),
    NonlinearCase(
        "magnitude-complex",
        lambda key: O.magnitude(O.subsampled_fourier(_boolean(key, (4,)), real=True)),
    ),
    NonlinearCase("sign", lambda key: O.sign(O.dense(_normal(key, (6, 4)))), False),
    NonlinearCase(
        "sign-dither", lambda key: O.sign(O.dense(_normal(key, (6, 4))), _normal(key, (6,))), False
    ),
    NonlinearCase(
        "single_index", lambda key: O.single_index(O.dense(_normal(key, (6, 4))), jnp.tanh)
    ),
    NonlinearCase(
        "single_index-partial",
        lambda key: O.single_index(O.identity(4), Partial(_scaled_tanh, _normal(key, ()))),
    ),
]


# -------------------------------------------------------------------------------- generators


class GeneratorCase(NamedTuple):
    """One generator: ``make(key)`` builds it, for latents of shape ``z_shape``."""

    name: str
    make: Callable[[Array], Any]
    z_shape: tuple[int, ...]


def _sine(params: dict[str, Array], z: Array) -> Array:
    return params["out"] @ jnp.sin(params["in"] @ z)


def _sine_params(key: Array) -> dict[str, Array]:
    return {"in": _normal(key, (6, 3)), "out": _normal(jax.random.fold_in(key, 1), (5, 6))}


def _linen(key: Array) -> Any:
    from flax import linen

    module = linen.Sequential([linen.Dense(6), linen.tanh, linen.Dense(5)])
    return ji.generators.from_flax(module, module.init(key, jnp.ones(3, floats())), in_shape=3)


def _nnx(key: Array) -> Any:
    from flax import nnx

    module = nnx.Linear(3, 5, rngs=nnx.Rngs(key), param_dtype=floats())
    return ji.generators.from_flax(module, in_shape=3)


GENERATORS = [
    GeneratorCase("relu", lambda key: ji.generators.relu(key, (3, 8, 6), dtype=floats()), (3,)),
    GeneratorCase(
        "relu-one-layer",
        lambda key: ji.generators.relu(key, (2, 7), weight_scale=1.0, dtype=floats()),
        (2,),
    ),
    GeneratorCase(
        "from_function",
        lambda key: ji.generators.from_function(_sine, _sine_params(key), in_shape=3),
        (3,),
    ),
    GeneratorCase("from_flax-linen", _linen, (3,)),
    GeneratorCase("from_flax-nnx", _nnx, (3,)),
]


# ---------------------------------------------------------------------------------- families


class FamilyCase(NamedTuple):
    """One family: ``make()`` builds a small one; ``noise`` is the expected ‖η‖² of a problem."""

    name: str
    make: Callable[[], Any]
    noise: Callable[[Any], Array]


def _sparse_noise(problem: Any) -> Array:
    return 10**-2.0 * jnp.sum(jnp.square(problem.operator(problem.truth.x)))


def _shared_operator() -> Any:
    return O.gaussian(jax.random.key(3), 12, 24, dtype=floats())


def _patches() -> Any:
    images = _normal(jax.random.key(4), (3, 9, 11))
    dictionary = ji.problems.dct_dictionary(4, dtype=floats())
    operator = O.gaussian(jax.random.key(5), 10, 16, dtype=floats())
    return ji.problems.patches(images, 4, operator, dictionary, snr_db=20)


FAMILIES = [
    FamilyCase(
        "generative",
        lambda: ji.problems.generative((3, 12, 16), 10, noise_std=0.1, dtype=floats()),
        lambda problem: jnp.asarray(0.1**2 * 10),
    ),
    FamilyCase(
        "generative-padded",
        lambda: ji.problems.generative(
            (5, 12, 16),
            14,
            active_latent=3,
            active_measurements=10,
            noise_norm=0.2,
            dtype=floats(),
        ),
        lambda problem: jnp.asarray(0.2**2),
    ),
    FamilyCase(
        "sparse", lambda: ji.problems.sparse(12, 24, 0.2, 20, dtype=floats()), _sparse_noise
    ),
    FamilyCase(
        "sparse-padded",
        lambda: ji.problems.sparse(
            16, 24, snr_db=20, num_nonzeros=3, active_measurements=12, dtype=floats()
        ),
        _sparse_noise,
    ),
    FamilyCase(
        "sparse-shared",
        lambda: ji.problems.sparse(12, 24, 0.2, 20, operator=_shared_operator(), dtype=floats()),
        _sparse_noise,
    ),
    FamilyCase("patches", _patches, _sparse_noise),
]


# ----------------------------------------------------------------------------------- solvers


class SolverCase(NamedTuple):
    """One solver: ``make(value)`` sets one of its leaves, on a problem of ``family``.

    ``values`` are two values of that leaf that converge; ``diverging`` makes one that does not,
    and is None where every value is safe.
    """

    name: str
    make: Callable[[Any], ji.solvers.Solver]
    values: tuple[float, float]
    family: Callable[[], Any]
    num_restarts: int | None = None
    tol: float = 1e-5
    diverging: Callable[[], ji.solvers.Solver] | None = None


def _relu_family() -> Any:
    return ji.problems.generative((3, 20, 24), 18, dtype=floats())


def _sparse_family() -> Any:
    return ji.problems.sparse(16, 24, num_nonzeros=3, dtype=floats())


_INJECTED = optax.inject_hyperparams(optax.sgd)(learning_rate=0.1)


def _sgd(rate: Any) -> Any:
    return ji.solvers.gradient(_INJECTED, hyperparams={"learning_rate": rate})


SOLVERS = [
    SolverCase(
        "subgradient",
        lambda step: ji.solvers.subgradient(step),
        (0.3, 0.15),
        _relu_family,
        diverging=lambda: ji.solvers.subgradient(1e4),
    ),
    SolverCase(
        "subgradient-stagnation",
        lambda step: ji.solvers.subgradient(step, "stagnation"),
        (0.3, 0.15),
        _relu_family,
    ),
    SolverCase(
        "subgradient-incremental",
        lambda step: ji.solvers.subgradient(step, incremental=True),
        (0.3, 0.15),
        _relu_family,
    ),
    SolverCase(
        "levenberg_marquardt",
        lambda damping: ji.solvers.levenberg_marquardt(damping=damping),
        (1e-2, 1e-1),
        _relu_family,
    ),
    SolverCase(
        "levenberg_marquardt-restarts",
        lambda damping: ji.solvers.levenberg_marquardt(damping=damping, num_restarts=2),
        (1e-2, 1e-1),
        _relu_family,
        num_restarts=2,
    ),
    SolverCase(
        "gradient",
        _sgd,
        (0.1, 0.2),
        _sparse_family,
        tol=1e-4,
        diverging=lambda: ji.solvers.gradient(optax.sgd(10.0)),
    ),
    SolverCase(
        "ista",
        lambda penalty: ji.solvers.ista(penalty=penalty),
        (0.1, 0.05),
        _sparse_family,
        diverging=lambda: ji.solvers.ista(10.0, 0.1),
    ),
    SolverCase(
        "iht",
        lambda step: ji.solvers.iht(3, step),
        (0.2, 0.1),
        _sparse_family,
        diverging=lambda: ji.solvers.iht(3, 10.0),
    ),
    SolverCase(
        "iht-normalized",
        lambda fraction: ji.solvers.iht(fraction, normalized=True),
        (0.125, 0.17),
        _sparse_family,
    ),
    SolverCase(
        "omp",
        lambda fraction: ji.solvers.omp(fraction, max_nonzeros=6),
        (0.125, 0.08),
        _sparse_family,
    ),
    SolverCase(
        "cosamp", lambda fraction: ji.solvers.cosamp(fraction), (0.125, 0.17), _sparse_family
    ),
    SolverCase(
        "admm",
        lambda penalty: ji.solvers.admm(penalty),
        (0.1, 0.05),
        _sparse_family,
    ),
    SolverCase(
        "basis_pursuit",
        lambda augmentation: ji.solvers.basis_pursuit(augmentation=augmentation),
        (10.0, 5.0),
        _sparse_family,
    ),
    SolverCase(
        "amp",
        lambda multiplier: ji.solvers.amp(ji.shrinkage.soft(multiplier)),
        (1.0, 1.5),
        _sparse_family,
    ),
    SolverCase(
        "vamp",
        lambda multiplier: ji.solvers.vamp(ji.shrinkage.soft(multiplier), 0.1),
        (1.0, 1.5),
        _sparse_family,
    ),
    SolverCase(
        "fista",
        lambda penalty: ji.solvers.fista(penalty=penalty),
        (0.1, 0.05),
        _sparse_family,
        diverging=lambda: ji.solvers.fista(10.0, 0.1),
    ),
    SolverCase(
        "lasso",
        lambda penalty: ji.solvers.lasso(penalty),
        (0.1, 0.05),
        _sparse_family,
    ),
]
