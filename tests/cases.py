"""The registry behind the contract tests: one row per generator, family, misfit and sampler.

Operators have theirs in ``operator_cases``, solvers in ``solver_cases``.

A row names a small instance and how to build it from a key; ``test_contracts_*.py`` gives every
row of a section the same tests. Sections stand one after the other, each with its own row type.
"""

import os
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import pytest
from jax import Array

import jaxinv as ji

O = ji.operators


# Programs whose bits are compared are compiled as users' are, not as conftest.py has it.
_SIMPLER = "--xla_cpu_use_fusion_emitters=false" in os.environ.get("XLA_FLAGS", "")
AS_USERS = {"xla_cpu_use_fusion_emitters": True} if _SIMPLER else {}


def rows(section: Iterable[Any]) -> Any:
    """Return the mark that gives a test every row of a section, named after itself.

    All tests of a module run on one row before the next, so that what they share compiles once
    whichever process they land in.
    """
    values = [pytest.param(row, id=row.name) for row in section]
    return pytest.mark.parametrize("case", values, scope="module")


def floats() -> Any:
    """Return the default real type: float32, or float64 when x64 is on."""
    return jnp.result_type(float)


def complexes() -> Any:
    """Return the default complex type."""
    return jnp.result_type(complex)


def normal(key: Array, shape: tuple[int, ...], dtype: Any = None) -> Array:
    """Return Gaussian entries, by default of the default real type."""
    return jax.random.normal(key, shape, floats() if dtype is None else dtype)


# -------------------------------------------------------------------------------- generators


class GeneratorCase(NamedTuple):
    """One generator: ``make(key)`` builds it, for latents of shape ``z_shape``."""

    name: str
    make: Callable[[Array], Any]
    z_shape: tuple[int, ...]


def _sine(params: dict[str, Array], z: Array) -> Array:
    return params["out"] @ jnp.sin(params["in"] @ z)


def _sine_params(key: Array) -> dict[str, Array]:
    return {"in": normal(key, (6, 3)), "out": normal(jax.random.fold_in(key, 1), (5, 6))}


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
        "piecewise_linear",
        lambda key: ji.generators.piecewise_linear(
            key, (3, 8, 6), negative_slope=-0.3, bias_std=0.5, dtype=floats()
        ),
        (3,),
    ),
    GeneratorCase(
        "convolutional",
        lambda key: ji.generators.convolutional(
            key, (2, 3, 1), 3, size=2, negative_slope=0.2, dtype=floats()
        ),
        (4,),
    ),
    GeneratorCase(
        "from_function",
        lambda key: ji.generators.from_function(_sine, _sine_params(key), in_shape=3),
        (3,),
    ),
    GeneratorCase("from_flax-linen", _linen, (3,)),
    GeneratorCase(
        "vae",
        lambda key: ji.generators.vae(key, 6, 3, hidden=(4,), dtype=floats()),
        (3,),
    ),
    GeneratorCase(
        "flow",
        lambda key: ji.generators.flow(key, 3, num_layers=2, hidden=(4,), dtype=floats()),
        (3,),
    ),
    GeneratorCase("circle", lambda key: ji.generators.circle(), (1,)),
    GeneratorCase("sparse_tents", lambda key: ji.generators.sparse_tents(6, 2, radius=3.0), (2,)),
    GeneratorCase("from_flax-nnx", _nnx, (3,)),
]


# ---------------------------------------------------------------------------------- families


class FamilyCase(NamedTuple):
    """One family: ``make()`` builds a small one; ``noise`` is the expected ‖η‖² of a problem.

    ``noise`` is None where the measurements are no array; ``share`` is the loss at the truth
    over ‖η‖².
    """

    name: str
    make: Callable[[], Any]
    noise: Callable[[Any], Array] | None
    share: float = 0.5


def _sparse_noise(problem: Any) -> Array:
    return 10**-2.0 * jnp.sum(jnp.square(problem.operator(problem.truth.x)))


def _shared_operator() -> Any:
    return O.gaussian(jax.random.key(3), 12, 24, dtype=floats())


def _patches() -> Any:
    images = normal(jax.random.key(4), (3, 9, 11))
    dictionary = ji.operators.dct_dictionary(4, dtype=floats())
    operator = O.gaussian(jax.random.key(5), 10, 16, dtype=floats())
    return ji.problems.patches(images, 4, operator, dictionary, snr_db=20)


def _fixed_generator() -> Any:
    prior = ji.generators.relu(jax.random.key(6), (3, 12, 16), dtype=floats())
    return ji.problems.generative(
        generator=prior, num_measurements=14, active_measurements=10, noise_std=0.1, dtype=floats()
    )


def _own_arrays() -> Any:
    signals = normal(jax.random.key(7), (50, 24))
    return ji.problems.from_arrays(_shared_operator(), signals, noise_std=0.1)


def _crops() -> Any:
    return ji.problems.images(
        normal(jax.random.key(8), (2, 6, 7)), O.identity((4, 5)), noise_std=0.1
    )


def _small_gaussian(key: Array) -> Any:
    return O.gaussian(key, 10, (4, 5), dtype=floats())


def _crops_and_operators() -> Any:
    return ji.problems.images(normal(jax.random.key(8), (2, 6, 7)), _small_gaussian, noise_std=0.1)


def _turned_signs(problem: Any) -> Array:
    """Four times the number of signs that Gaussian noise of 0.3 before them turns."""
    clean = problem.operator.linear(problem.truth.x) + problem.operator.dither
    turned = jax.scipy.stats.norm.cdf(-jnp.abs(clean) / 0.3)
    return 4 * jnp.sum(jnp.where(clean != 0, turned, 0))


def _one_bit() -> Any:
    widths, sizes = (3, 12, 16), {"active_measurements": 8, "dtype": floats()}
    return ji.problems.one_bit(widths, 10, noise_std=0.3, **sizes)


def _corrupted() -> Any:
    clean = ji.problems.generative((3, 12, 16), 20, active_measurements=16, dtype=floats())
    return ji.problems.corrupted(clean, outlier_share=0.25, outlier_value=2.0)


def _outliers(problem: Any) -> Array:
    """Four of sixteen measurements, each as likely, become 2."""
    clean = problem.operator(problem.truth.x)[:16]
    return 0.25 * jnp.sum(jnp.square(2.0 - clean))


FAMILIES = [
    FamilyCase(
        "phase_retrieval",
        lambda: ji.problems.phase_retrieval(
            (3, 12, 16), 14, active_measurements=10, noise_std=0.1, dtype=floats()
        ),
        lambda problem: jnp.asarray(0.1**2 * 10),
    ),
    FamilyCase("one_bit", _one_bit, _turned_signs),
    FamilyCase(
        "single_index",
        lambda: ji.problems.single_index((3, 12, 16), 10, noise_norm=0.2, dtype=floats()),
        lambda problem: jnp.asarray(0.2**2),
    ),
    FamilyCase(
        "wigner",
        lambda: ji.problems.spiked((3, 12, 16), noise_std=0.3, active_latent=2, dtype=floats()),
        lambda problem: jnp.asarray(0.3**2 * (16 + 1)),
        share=0.25,
    ),
    FamilyCase(
        "wishart",
        lambda: ji.problems.spiked(
            (3, 12, 16), 9, model="wishart", active_measurements=6, dtype=floats()
        ),
        None,
    ),
    FamilyCase(
        "spikes",
        lambda: ji.problems.spiked((3, 12, 16), noise_std=0.3, rank=2, dtype=floats()),
        lambda problem: jnp.asarray(0.3**2 * (16 + 1)),
        share=0.25,
    ),
    FamilyCase(
        "blind_demodulation",
        lambda: ji.problems.blind_demodulation(
            (3, 12, 16), (4, 16), active_first=2, noise_std=0.1, signal_norm=2.0, dtype=floats()
        ),
        lambda problem: jnp.asarray(0.1**2 * 16),
    ),
    FamilyCase("corrupted", _corrupted, _outliers),
    FamilyCase("generator", _fixed_generator, lambda problem: jnp.asarray(0.1**2 * 10)),
    FamilyCase("from_arrays", _own_arrays, lambda problem: jnp.asarray(0.1**2 * 12)),
    FamilyCase("images", _crops, lambda problem: jnp.asarray(0.1**2 * 20)),
    FamilyCase("images-operators", _crops_and_operators, lambda problem: jnp.asarray(0.1**2 * 10)),
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


# ----------------------------------------------------------------------------------- misfits


class MisfitCase(NamedTuple):
    """One misfit: its constructor, right arguments, and what it is of.

    ``data`` are real numbers, labels or counts. ``curvature`` is "exact" where it is the second
    derivative, "bound" where the quadratic that it makes lies above the misfit, and "piece" where
    it is exact as long as the median block stays. ``is_smooth`` says whether it is bounded.
    """

    name: str
    arguments: Callable[[], dict[str, Any]] = dict
    data: str = "reals"
    curvature: str = "exact"
    is_smooth: bool = True

    def make(self) -> Any:
        """Return the misfit."""
        return getattr(ji.misfits, self.name)(**self.arguments())

    def measurements(self, key: Array, size: int) -> tuple[Array, Array]:
        """Return measurements, and a prediction that has a misfit of order 1."""
        y, prediction = normal(key, (2, size))
        if self.data == "labels":
            return jnp.where(y > 0, 1.0, -1.0).astype(y.dtype), prediction
        if self.data == "counts":
            return jnp.round(3 * jnp.abs(y)), 1 + jnp.abs(prediction)
        return y, prediction


MISFITS = [
    MisfitCase("squared"),
    MisfitCase("weighted", lambda: {"weights": 2.0}),
    MisfitCase("huber", lambda: {"delta": 0.7}, curvature="bound"),
    MisfitCase("absolute", lambda: {"weight": 1.5}, curvature="bound", is_smooth=False),
    MisfitCase("student_t", lambda: {"noise_std": 0.5, "degrees": 2.0}, curvature="bound"),
    MisfitCase("logistic", data="labels"),
    MisfitCase(
        "poisson", lambda: {"background": 0.5, "weight": 2.0}, data="counts", is_smooth=False
    ),
    MisfitCase("censored", lambda: {"threshold": 0.3}),
    MisfitCase("trimmed", lambda: {"share": 0.25}, curvature="piece"),
    MisfitCase("median_of_means", lambda: {"block_size": 6}, curvature="piece", is_smooth=False),
]


# ---------------------------------------------------------------------------------- samplers


class SamplerCase(NamedTuple):
    """One sampler: ``make(value)`` sets its step or noise, for a posterior of two latents, noise 1.

    ``values`` are two values of that step; with the first, the covariance of 64 chains of 2000
    steps is right within ``accuracy``.
    """

    name: str
    make: Callable[[Any], ji.samplers.Sampler]
    values: tuple[float, float]
    accuracy: float = 0.05


SAMPLERS = [
    SamplerCase("langevin", lambda step: ji.samplers.langevin(step, 1.0), (0.3, 0.1)),
    SamplerCase(
        "langevin-unadjusted",
        lambda step: ji.samplers.langevin(step, 1.0, adjust=False),
        (0.03, 0.1),
        accuracy=0.08,
    ),
    SamplerCase(
        "annealed_langevin",
        lambda step: ji.samplers.annealed_langevin(
            step, 1.0, first_noise_std=3.0, num_levels=2, steps_per_level=2
        ),
        (0.3, 0.1),
    ),
    SamplerCase(
        "preconditioned-tempered",
        lambda step: ji.samplers.preconditioned(
            ji.samplers.tempered(ji.samplers.langevin(step, 1.0), (1.0, 3.0), swap_every=2)
        ),
        (0.4, 0.1),
    ),
    SamplerCase("hmc", lambda step: ji.samplers.hmc(step, 1.0, 4), (0.35, 0.2)),
    SamplerCase("laplace", lambda noise_std: ji.samplers.laplace(noise_std), (1.0, 0.7)),
    SamplerCase(
        "laplace-adjusted",
        lambda noise_std: ji.samplers.laplace(noise_std, adjust=True),
        (1.0, 0.7),
    ),
]
