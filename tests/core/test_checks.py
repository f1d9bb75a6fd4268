"""The texts of errors, and the numerics that are safe at zero."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxinv as ji
from jaxinv._core import checks, numerics, pytree, replace, static


@pytest.mark.parametrize("key", [jax.random.key(3), jax.random.PRNGKey(3), np.uint32([0, 3])])
def test_both_styles_of_key(key):
    found = checks.key("f", key)
    np.testing.assert_array_equal(jax.random.key_data(found), [0, 3])


@pytest.mark.parametrize("key", [0, None, "0", jnp.zeros(2), jnp.zeros(3, jnp.uint32), [0, 1]])
def test_what_is_no_key_is_named(key):
    with pytest.raises(TypeError, match=r"^f: key must be a JAX PRNG key, got .*random.key\(0\)"):
        checks.key("f", key)


def test_many_keys_are_not_one():
    with pytest.raises(ValueError, match="be one key, got a PRNG key of shape"):
        checks.key("f", jax.random.split(jax.random.key(0)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: checks.positive("f", "a", 0), "f: a must be finite and > 0, got 0"),
        (lambda: checks.positive("f", "a", np.nan), "f: a must be finite and > 0, got nan"),
        (lambda: checks.nonnegative("f", "a", -1.5), "f: a must be finite and >= 0, got -1.5"),
        (lambda: checks.scalar("f", "a", 2, low=0, high=1), r"f: a must be in \[0, 1\], got 2"),
        (lambda: checks.scalar("f", "a", jnp.inf), "f: a must be a finite number, got inf"),
        (lambda: checks.count("f", "n", -2), "f: n must be >= 1, got -2"),
        (lambda: checks.choice("f", "a", "fou", ["four", "six"]), "four, six, got 'fou'. Did you"),
        (lambda: checks.finite("f", "a", np.array([1, np.nan])), "finite, got 1 NaN or infinite"),
        (lambda: checks.shape("f", "s", (2, 0)), r"f: s\[1\] must be >= 1, got 0"),
        (lambda: checks.shape_is("f", "x", np.ones(3), (2,)), r"shape \(2,\), got shape \(3,\)"),
    ],
)
def test_messages(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("value", [True, 1.5, "3", None])
def test_counts_are_integers(value):
    with pytest.raises(TypeError, match="f: n must be an integer >= 1"):
        checks.count("f", "n", value)


@pytest.mark.parametrize("value", [True, "1", None, 1j])
def test_scalars_are_real(value):
    with pytest.raises(TypeError, match="f: a must be a real number"):
        checks.positive("f", "a", value)


def test_scalars_leave_tracers_and_batches_alone():
    assert type(checks.positive("f", "a", np.float32(2))) is float
    batch = jnp.array([1.0, 2.0])
    assert checks.positive("f", "a", batch) is batch
    assert jax.jit(lambda a: checks.positive("f", "a", a))(3.0) == 3


def test_safe_numerics_at_zero():
    zero = jnp.zeros(3)
    assert float(numerics.safe_norm(zero)) == 0
    assert jnp.isnan(numerics.safe_norm(jnp.array([0.0, jnp.nan])))
    assert jnp.isinf(numerics.safe_norm(jnp.array([0.0, jnp.inf])))
    np.testing.assert_array_equal(jax.grad(numerics.safe_norm)(zero), zero)
    assert float(numerics.safe_divide(1.0, 0.0, default=7.0)) == 7
    assert float(jax.grad(lambda d: numerics.safe_divide(1.0, d))(0.0)) == 0
    z = jnp.array([3 + 4j, 0])
    assert float(numerics.safe_norm(z)) == pytest.approx(5)


def test_power_iteration_per_lane():
    rng = np.random.default_rng(0)
    matrices = [(lambda b: b @ b.T)(rng.normal(size=(6, k))) for k in (2, 6)]
    batch = jnp.asarray(np.stack(matrices), jnp.float32)
    start = jnp.asarray(rng.normal(size=6), jnp.float32)

    def largest(matrix):
        return numerics.power_iteration(lambda v: matrix @ v, start, tol=1e-4, max_steps=500)

    found = jax.jit(jax.vmap(largest))(batch)
    exact = [np.linalg.eigvalsh(matrix)[-1] for matrix in matrices]
    np.testing.assert_allclose(found.value, exact, rtol=1e-4)
    assert (found.residual <= 1e-4).all()
    assert len(set(np.asarray(found.num_steps).tolist())) == 2
    for matrix, vector in zip(matrices, found.vector, strict=True):
        top = np.linalg.eigh(matrix)[1][:, -1]
        assert abs(top @ np.asarray(vector)) == pytest.approx(1, abs=1e-3)


def test_power_iteration_of_zero_is_zero():
    found = numerics.power_iteration(lambda v: 0 * v, jnp.ones(4), max_steps=5)
    assert float(found.value) == 0


@pytree
class Scale:
    factor: jax.Array
    name: str = static(default="scale")


def test_pytree_has_leaves_and_static_fields():
    scale = Scale(jnp.ones(2))
    assert len(jax.tree.leaves(scale)) == 1
    changed = replace(scale, name="other")
    assert jax.tree.structure(changed) != jax.tree.structure(scale)
    with pytest.raises(AttributeError):
        scale.factor = 3

    traces = []

    @jax.jit
    def apply(scale):
        traces.append(scale.name)
        return scale.factor

    for factor in (1.0, 2.0):
        apply(Scale(jnp.full(2, factor)))
    apply(changed)
    assert traces == [scale.name, "other"]


def test_the_structure_of_a_pytree_knows_its_type():
    # with structures that compare equal, jit runs about one program in seven of another type
    made = []
    for number in range(100):
        namespace = {"__annotations__": {"x": jax.Array}, "call": lambda self, i=number: self.x + i}
        made.append(pytree(type(f"Made{number}", (), namespace))(jnp.zeros(())))
    structures = [jax.tree.structure(each) for each in made]
    assert all(structure != structures[0] for structure in structures[1:])
    call = jax.jit(lambda each: each.call())
    assert [int(call(each)) for each in made] == list(range(100))


def test_a_pytree_names_its_leaves():
    paths = jax.tree_util.tree_leaves_with_path(Scale(jnp.ones(2)))
    assert jax.tree_util.keystr(paths[0][0]) == ".factor"


def test_status_texts_begin_with_their_name():
    for status in ji.Status:
        assert ji.describe(status).startswith(f"{status.name}: ")
    text = ji.describe(np.array([0, 0, 3]))
    assert text.splitlines()[0].endswith("(2 of 3)")
    assert "DIVERGED" in text


def test_raise_if_failed():
    good = ji.Solution(None, None, None, np.array([0, 2, 1]), None, None)
    assert ji.raise_if_failed(good) is good
    with pytest.raises(RuntimeError, match=r"DIVERGED: .* \(1 of 1\)"):
        ji.raise_if_failed(good._replace(status=np.array([0, 3])))
