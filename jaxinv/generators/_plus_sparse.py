"""A generator plus a sparse part: signals near its range."""

from __future__ import annotations

from typing import Any

import jax
from jax import Array
from jaxtyping import Float

from jaxinv._core import checks, pytree
from jaxinv.generators._base import Generator
from jaxinv.operators import LinearOperator, identity


@pytree
class Shifted(Generator):
    """``x = inner(u + before) + after``, of a generator or a linear operator."""

    inner: Any
    before: Any = None
    after: Any = None

    @property
    def params(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The parameters of what is shifted."""
        return getattr(self.inner, "params", ())

    @property
    def in_shape(self) -> tuple[int, ...] | None:
        return self.inner.in_shape

    def _apply(self, z: Any) -> Array:
        x = self.inner(self._moved(z))
        return x if self.after is None else x + self.after

    def _moved(self, z: Any) -> Any:
        return z if self.before is None else z + self.before

    def energy(self, z: Any) -> Float[Array, ""]:
        """Return the energy of what is shifted."""
        return self.inner.energy(self._moved(z))

    def reflections(self, z: Any) -> tuple[Any, ...]:
        """Return those of what is shifted; ``z`` alone where the latent is."""
        known = self.before is None and isinstance(self.inner, Generator)
        return self.inner.reflections(z) if known else (z,)

    def jacobian(self, z: Any) -> Array:
        """Return the Jacobian of what is shifted."""
        jacobian = getattr(self.inner, "jacobian", None) or jax.jacfwd(self.inner)
        return jacobian(self._moved(z))


@pytree
class PlusSparse(Generator):
    """A generator plus coefficients of a basis; see ``plus_sparse``."""

    generator: Any
    basis: Any = None

    @property
    def params(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The parameters of the generator."""
        return self.generator.params

    @property
    def in_shape(self) -> None:
        """The unknown is a pair, not one array."""
        return None

    @property
    def unknown_like(self) -> Any:
        """The pair of latent and coefficients, where the generator knows its own shape."""
        like = self.generator.unknown_like
        if like is None:
            return None
        x = jax.eval_shape(self.generator, like)
        shape = x.shape if self.basis is None else self.basis.in_shape
        return like, jax.ShapeDtypeStruct(shape, x.dtype)

    @property
    def homogeneous(self) -> bool:
        return self.generator.homogeneous

    @property
    def zero_is_fixed(self) -> bool:
        return self.generator.zero_is_fixed

    def _apply(self, z: Any) -> Array:
        if not (isinstance(z, tuple | list) and len(z) == 2):
            checks.fail_type("PlusSparse", "z", "be a pair (z, s)", z)
        x, sparse = self.generator(z[0]), self._synthesized(z[1])
        checks.shape_is("PlusSparse", "the sparse part", sparse, x.shape, "As G(z) has.")
        return x + sparse

    def _synthesized(self, s: Array) -> Array:
        return s if self.basis is None else self.basis(s)

    def energy(self, z: Any) -> Float[Array, ""]:
        """Return the energy of the latent; that of the sparse part is a penalty of the solver."""
        return self.generator.energy(z[0])

    def reflections(self, z: Any) -> tuple[Any, ...]:
        """Return the reflections of the latent, each with the same sparse part."""
        return tuple((one, z[1]) for one in self.generator.reflections(z[0]))

    def part(self, index: int, z: Any) -> Generator:
        """Return the prior of one of the two unknowns, the other held."""
        if index == 0:
            return Shifted(self.generator, after=self._synthesized(z[1]))
        basis = identity(z[1].shape) if self.basis is None else self.basis
        return Shifted(basis, after=self.generator(z[0]))


def plus_sparse(generator: Generator, basis: LinearOperator | None = None) -> PlusSparse:
    r"""Add a sparse part to a generator, for signals that its range does not quite reach.

    .. math:: x = G(z) + B s, \qquad s \text{ sparse}

    The unknown is the pair (z, s). Solve by ``solvers.alternating([levenberg_marquardt(),
    fista(penalty=λ)])``, which is Sparse-Gen; start at ``(z0, zeros)``.

    Args:
        generator: G.
        basis: B, a linear operator from coefficients to signals, such as
            ``operators.wavelet(shape).H``; None for entries of the signal.

    Returns:
        A generator whose latent is a tuple of two.

    Raises:
        TypeError: what is no generator, a basis that is no linear operator; at the call, what is
            no pair.
        ValueError: at the call, parts of different shapes.

    Example:
        >>> import jax, jaxinv as ji
        >>> G = plus_sparse(ji.generators.relu(jax.random.key(0), (2, 8, 6)))
        >>> G((jax.numpy.ones(2), jax.numpy.zeros(6))).shape
        (6,)

    Source: Dhar, Grover, Ermon (2018), "Modeling sparse deviations for compressed sensing using
        generative models", equation (5).
    """
    where = "plus_sparse"
    if not isinstance(generator, Generator):
        hint = "Wrap a function of (params, z) by generators.from_function."
        checks.fail_type(where, "generator", "be a generator", generator, hint)
    if basis is not None and not isinstance(basis, LinearOperator):
        hint = "Wrap a matrix with operators.dense."
        checks.fail_type(where, "basis", "be a linear operator", basis, hint)
    return PlusSparse(generator, basis)
