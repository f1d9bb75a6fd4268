"""Training and scoring refuse a family that measures otherwise than the network was made for."""

import jax
import jax.numpy as jnp
import pytest

import jaxinv as ji
from jaxinv.unfolded._scoring import check_family

DTYPE = jnp.float64 if jax.config.jax_enable_x64 else jnp.float32
M, N = 20, 40
FAMILY = ji.problems.sparse(
    num_nonzeros=3,
    operator=ji.problems.sparse(M, N, dtype=DTYPE).sample(jax.random.key(0)).operator,
    dtype=DTYPE,
)


@ji.pytree
class InDictionary(ji.problems.Family):
    """Signals of a family, seen through a dictionary."""

    family: object
    dictionary: object

    @property
    def axes(self):
        return self.family.axes

    def sample(self, key):
        return self.family.sample(key)._replace(prior=self.dictionary)


def turned():
    return jnp.eye(N, dtype=DTYPE)[::-1]


OTHER = {
    "one for each trial": (lambda: ji.problems.sparse(M, N, dtype=DTYPE), "for each trial"),
    "another": (
        lambda: ji.problems.sparse(
            M, N, dtype=DTYPE, operator=ji.operators.dense(FAMILY.operator.matrix[:, ::-1])
        ),
        "another operator",
    ),
    "another shape": (
        lambda: ji.problems.sparse(
            10, N, dtype=DTYPE, operator=ji.operators.dense(FAMILY.operator.matrix[:10])
        ),
        "measure as the network",
    ),
    "another, as a product": (
        lambda: ji.problems.sparse(
            M, N, dtype=DTYPE, operator=FAMILY.operator @ ji.operators.dense(turned())
        ),
        "another operator",
    ),
    "another dictionary": (
        lambda: InDictionary(FAMILY, ji.operators.dense(turned())),
        "another operator, with its prior",
    ),
}


def test_the_same_operator_in_another_form_is_accepted():
    layers = ji.unfolded.hyperlista(FAMILY.operator, 2)
    same = ji.operators.dense(turned()) @ ji.operators.dense(turned())
    for other in (
        ji.problems.sparse(M, N, dtype=DTYPE, operator=FAMILY.operator @ same),
        InDictionary(FAMILY, ji.operators.identity(N)),
    ):
        check_family("fit", layers, other, truth=True)


@pytest.mark.parametrize("name", OTHER)
@pytest.mark.parametrize("run", ["fit", "fit_stagewise", "tune", "evaluate"])
def test_a_family_with_another_operator_is_refused(run, name):
    make, words = OTHER[name]
    layers = ji.unfolded.hyperlista(FAMILY.operator, 2)
    with pytest.raises(ValueError, match=words):
        getattr(ji.unfolded, run)(jax.random.key(0), layers, make())
