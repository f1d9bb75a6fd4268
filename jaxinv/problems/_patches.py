"""Patches of real images, drawn at random: sparse coding, and compressed sensing of blocks."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Num

from jaxinv._core import checks, numerics, pytree, replace, static
from jaxinv._core.typed import PyTree
from jaxinv.operators import LinearOperator, dense, identity
from jaxinv.operators._blocks import block_sides
from jaxinv.problems._crops import Crops, packed
from jaxinv.problems._problem import Family, Problem, Truth, num_starts, require_scalars

_PROBLEM, _SCALE = 0, 1  # streams of keys
_SCALE_SAMPLES = 4096
_SCALARS = ("scale", "snr_db", "noise_std")
_EXACT = 1e-4  # relative error up to which a dictionary reproduces every patch
_NORMALIZATIONS = ("images", "patch")


class PatchMeasurement(NamedTuple):
    """A problem made from one patch, and what leads back: patch ≈ mean + D u / scale.

    ``patches`` makes what measures.

    Attributes:
        problem: y, in the units of the codes, and the truth where it is known.
        mean: of the patch, which was taken off; 0 where it was not.
        scale: number by which the patch, less its mean, was multiplied.
    """

    problem: Problem
    mean: Array
    scale: Array


@pytree
class PatchFamily(Family):
    """Random patches of images, measured; see ``patches``.

    Attributes:
        crops: the images, all places of a patch being equally likely.
        operator: A = Φ D, from codes to measurements; that of all problems.
        measurement: Φ, from patches (p,) to measurements; None: the identity.
        dictionary: D, from codes to patches; None: the identity.
        analysis: the matrix that returns the codes of a patch; None: D does not determine them.
        scale: number by which patches are multiplied.
    """

    crops: Crops
    operator: LinearOperator
    measurement: LinearOperator | None
    dictionary: LinearOperator | None
    analysis: Array | None
    scale: Any
    snr_db: Any
    noise_std: Any
    remove_mean: bool = static()
    normalize: str = static()

    @property
    def patch_shape(self) -> tuple[int, ...]:
        """(height, width) of patches."""
        return self.crops.shape

    @property
    def axes(self) -> Problem:
        """All trials share the operator."""
        return Problem(operator=None, y=0, prior=None, truth=0 if self._codes_known else None)

    def sample(self, key: Any) -> Problem:
        """Draw a patch and noise from one key."""
        require_scalars(self, *_SCALARS)
        y, codes, noise, _, _ = _sampled(self, checks.key("sample", key))
        return self._problem(y, codes, noise)

    def draw(self, key: Any) -> Float[Array, "*patch"]:
        """Draw a patch as it is in its image, ``patch_shape``; every place is equally likely."""
        return self.crops.draw(checks.key("draw", key))

    def measure(self, patch: Num[ArrayLike, "*patch"], key: Any = None) -> PatchMeasurement:
        """Make the problem of a given patch, with the noise of a key, or none.

        Args:
            patch: ``patch_shape``, in the units of the images.
            key: a JAX PRNG key for the noise; None: no noise.

        Returns:
            ``PatchMeasurement(problem, mean, scale)``; for many patches ``vmap`` it, with
            ``out_axes=PatchMeasurement(family.axes, 0, 0)``.

        Raises:
            ValueError: a patch of another shape.
        """
        patch = checks.array("measure", "patch", patch).astype(self.crops.pixels.dtype)
        checks.shape_is("measure", "patch", patch, self.patch_shape)
        key = None if key is None else checks.key("measure", key)
        require_scalars(self, *_SCALARS)
        y, codes, noise, mean, scale = _measured(self, patch, key)
        return PatchMeasurement(self._problem(y, codes, noise), mean, scale)

    def restore(
        self, u: Num[ArrayLike, "n"], mean: Any = 0.0, scale: Any = None
    ) -> Float[Array, "*patch"]:
        """Return the patch that codes stand for: mean + D u / scale, of ``patch_shape``.

        Args:
            u: the codes, shape (n,).
            mean: what ``measure`` took off.
            scale: what ``measure`` multiplied by; default the family's own.
        """
        patch = u if self.dictionary is None else self.dictionary(u)
        scale = self.scale if scale is None else scale
        return mean + numerics.safe_divide(patch, scale).reshape(self.patch_shape)

    def initial(self, key: Any, num_restarts: int | None = None) -> Float[Array, "*restarts n"]:
        """Return the start 0, shape (n,), or (num_restarts, n); the key is not used."""
        checks.key("initial", key)
        shape = self.operator.in_shape
        if num_restarts is not None:
            shape = (num_starts(num_restarts), *shape)
        return jnp.zeros(shape, self.crops.pixels.dtype)

    @property
    def _codes_known(self) -> bool:
        return self.dictionary is None or self.analysis is not None

    def _problem(self, y: Array, codes: Array, noise: Array) -> Problem:
        truth = Truth(codes, codes, noise) if self._codes_known else None
        return Problem(self.operator, y, None, truth)

    def _noise(self, key: Array | None, clean: Array, scale: Array) -> Array:
        if key is None or (self.snr_db is None and self.noise_std is None):
            return jnp.zeros_like(clean)
        noise = jax.random.normal(key, clean.shape, clean.dtype)
        if self.snr_db is None:
            return noise * scale * jnp.asarray(self.noise_std).astype(clean.dtype)
        root_mean_square = numerics.safe_norm(clean) / clean.size**0.5
        return noise * root_mean_square * 10 ** (-jnp.asarray(self.snr_db).astype(clean.dtype) / 20)


# outside jit too, each is one program
@partial(jax.jit, inline=True)
def _sampled(family: PatchFamily, key: Array) -> tuple[Array, ...]:
    place_key, noise_key = jax.random.split(jax.random.fold_in(key, _PROBLEM))
    return _measured(family, family.draw(place_key), noise_key)


@partial(jax.jit, inline=True)
def _measured(family: PatchFamily, patch: Array, key: Array | None) -> tuple[Array, ...]:
    """Return the measurements, the codes, the noise, and the patch's mean and scale."""
    dtype = patch.dtype
    mean = jnp.mean(patch) if family.remove_mean else jnp.zeros((), dtype)
    scale = jnp.asarray(family.scale).astype(dtype)
    x = (scale * (patch - mean)).reshape(-1)
    codes = x if family.analysis is None else numerics.matmul(family.analysis, x)
    if family._codes_known:
        clean = family.operator(codes)
    else:
        clean = x if family.measurement is None else family.measurement(x)
    noise = family._noise(key, clean, scale)
    y = clean + noise
    if family.normalize == "patch":
        peak = jnp.max(jnp.abs(family.operator.adjoint(y)))
        factor = numerics.safe_divide(1, peak).astype(dtype)
        y, codes, noise, scale = (factor * value for value in (y, codes, noise, scale))
    return y, codes, noise, mean, scale


@jax.jit
def _level(family: PatchFamily) -> Array:
    """Return the root mean square of the pixels of many patches, each less its mean."""
    keys = jax.random.split(jax.random.key(_SCALE), _SCALE_SAMPLES)
    drawn = jax.vmap(family.draw)(keys)
    if family.remove_mean:
        drawn -= jnp.mean(drawn, axis=(1, 2), keepdims=True)
    return numerics.safe_norm(drawn) / drawn.size**0.5


def patches(
    images: PyTree,
    patch_shape: Any = 8,
    operator: Any = None,
    dictionary: Num[ArrayLike, "p n"] | LinearOperator | None = None,
    *,
    snr_db: Any = None,
    noise_std: Any = None,
    remove_mean: bool = True,
    normalize: str = "images",
    scale: Any = None,
) -> PatchFamily:
    r"""Make the family of measurements of random patches of images.

    .. math:: y = \Phi x + \eta = A u + \eta, \qquad x = s \, (\text{patch} - \text{mean}),
        \quad x = D u, \quad A = \Phi D

    Real signals to train networks on. The problem is posed in the codes u: its operator is the
    matrix A, for which networks are made too (``family.operator``), and there is no prior.

    - Sparse coding: a dictionary and no ``operator``; y is the patch itself. Codes of an
      overcomplete dictionary are not determined by the patch, so that problems have no truth:
      train with ``loss="lasso"``.
    - Compressed sensing of blocks: an ``operator`` and ``dct_dictionary(patch_shape)``.
    - Neither: noisy patches, to be denoised.

    ``restore`` leads from codes back to pixels, ``measure`` makes the problem of a given patch.

    Args:
        images: one array of equal images (N, h, w), one image (h, w), or a sequence of images
            of any sizes, in one channel. They are leaves of the family, held once.
        patch_shape: (height, width) of patches, or one number for both; p pixels.
        operator: Φ, a linear operator from (p,), the patch row by row, to (m,); None: identity.
        dictionary: D, a matrix of shape (p, n) or a linear operator from (n,) to (p,); None: the
            identity, u is the patch.
        snr_db: 10 log₁₀ of ‖Φ x‖² over the expected ‖η‖², per patch; None: no noise.
        noise_std: σ >= 0 of the noise in the units of the images; not with ``snr_db``.
        remove_mean: take off each patch's mean. With compressed sensing it counts as one
            measurement more, which ``measure`` makes exactly.
        normalize: ``"images"``: s is the same for all patches; ``"patch"``: s also makes
            max |A* y| = 1 in each, so that a Lasso penalty is the share of the smallest one that
            leaves nothing.
        scale: s; default: 1 over the root mean square of patches of these images less their
            means. State the one of training when testing on other images.

    Returns:
        A family with ``sample(key)``, ``initial(key)`` (zero), ``batch(keys)``, ``axes``,
        ``draw(key)``, ``measure(patch)`` and ``restore(u)``.

    Raises:
        ValueError: images smaller than a patch, in color, constant, or not finite; an operator
            or a dictionary of other shapes; both kinds of noise.

    Cost: the pixels are held once; a draw takes the products with D⁻¹ and A.

    Example:
        >>> import jax, jaxinv as ji
        >>> train = [ji.data.image(name, gray=True) for name in ("brick", "coins")]
        >>> Phi = ji.operators.gaussian(jax.random.key(0), 16, 64)
        >>> family = patches(train, 8, Phi, ji.operators.dct_dictionary(8))
        >>> problem = family.sample(jax.random.key(1))
        >>> problem.y.shape, problem.truth.u.shape
        ((16,), (63,))

        Test on another image, block by block:

        >>> camera = ji.data.image("camera")
        >>> blocks = ji.operators.split_blocks(camera, 8)
        >>> problem, mean, scale = family.measure(blocks[0])
        >>> back = family.restore(problem.truth.u, mean, scale)
        >>> bool(jax.numpy.allclose(back, blocks[0], atol=1e-5))
        True

    Source: blocks less their mean, as in Chen, Liu, Wang, Yin (2018), section 4.3; the
        normalization of each patch, as in Ablin, Moreau, Massias, Gramfort (2019), section 5.
    """
    where = "patches"
    sides = block_sides(where, patch_shape, "patch_shape")
    crops = packed(where, images, sides, real=True)
    dtype, size = crops.pixels.dtype, sides[0] * sides[1]
    if snr_db is not None and noise_std is not None:
        checks.fail(where, "snr_db and noise_std", "not both be set", f"{snr_db}, {noise_std}")
    if snr_db is not None:
        snr_db = checks.decibels(where, "snr_db", snr_db)
    if noise_std is not None:
        noise_std = checks.nonnegative(where, "noise_std", noise_std)
    remove_mean = checks.boolean(where, "remove_mean", remove_mean)
    operator = _linear(where, "operator", operator, lambda op: op.in_shape == (size,), f"({size},)")
    dictionary = _dictionary(where, dictionary, size)
    analysis = None if dictionary is None else _analysis(dictionary, size, remove_mean)
    family = PatchFamily(
        crops=crops,
        operator=_composed(operator, dictionary, size),
        measurement=operator,
        dictionary=dictionary,
        analysis=None if analysis is None else jnp.asarray(analysis, dtype),
        scale=1.0 if scale is None else checks.positive(where, "scale", scale),
        snr_db=snr_db,
        noise_std=noise_std,
        remove_mean=remove_mean,
        normalize=checks.choice(where, "normalize", normalize, _NORMALIZATIONS),
    )
    return family if scale is not None else _scaled(where, family)


def _linear(where: str, argument: str, value: Any, fits: Any, expected: str) -> Any:
    if value is None:
        return None
    if not isinstance(value, LinearOperator):
        checks.fail_type(where, argument, "be a linear operator", value, "See jaxinv.operators.")
    if not fits(value) or len(value.in_shape) != 1 or len(value.out_shape) != 1:
        expected = f"map a vector {expected}, the patch row by row, to a vector"
        checks.fail(where, argument, expected, f"one from {value.in_shape} to {value.out_shape}")
    return value


def _dictionary(where: str, dictionary: Any, size: int) -> LinearOperator | None:
    if dictionary is None:
        return None
    if not isinstance(dictionary, LinearOperator):
        matrix = checks.array(where, "dictionary", dictionary, ndim=2)
        checks.finite(where, "dictionary", matrix)
        if not matrix.size:
            checks.fail(where, "dictionary", "have at least one row and one column", matrix)
        dictionary = dense(matrix)
    if len(dictionary.in_shape) != 1 or dictionary.out_shape != (size,):
        expected = f"map codes (n,) to a patch ({size},), row by row"
        got = f"one from {dictionary.in_shape} to {dictionary.out_shape}"
        checks.fail(where, "dictionary", expected, got)
    return dictionary


def _composed(operator: Any, dictionary: Any, size: int) -> LinearOperator:
    if dictionary is None:
        return identity((size,)) if operator is None else operator
    matrix = dictionary.todense()
    if operator is not None:
        matrix = jax.vmap(operator, in_axes=1, out_axes=1)(matrix)
    return dense(matrix)


def _analysis(dictionary: LinearOperator, size: int, remove_mean: bool) -> np.ndarray | None:
    """Return the matrix from patches to codes where every patch has exactly one code."""
    matrix = np.asarray(dictionary.todense(), np.float64)
    if matrix.shape[1] > size:
        return None
    inverse = np.linalg.pinv(matrix)
    patches = np.eye(size) - (1 / size if remove_mean else 0)
    unique = np.abs(inverse @ matrix - np.eye(matrix.shape[1])).max() < _EXACT
    exact = np.abs(matrix @ (inverse @ patches) - patches).max() < _EXACT
    return inverse if unique and exact else None


def _scaled(where: str, family: PatchFamily) -> PatchFamily:
    level = _level(family)
    if checks.is_concrete(level) and not float(level) > 0:
        checks.fail(where, "images", "vary within patches", "constant ones", "State scale.")
    scale = float(1 / level) if checks.is_concrete(level) else 1 / level
    return replace(family, scale=scale)
