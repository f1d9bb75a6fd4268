"""Write your own unfolded network in 20 lines: a step of yours, its numbers trained per layer.

Run: python examples/own_network.py
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

import jaxinv as ji


class State(NamedTuple):
    """What the next layer needs: the estimate."""

    u: jax.Array


@ji.pytree
class Garrote(ji.solvers.Solver):
    """ALISTA with the garrote, z - threshold^2 / z, which hardly biases large entries."""

    weights: jax.Array
    step_size: jax.Array
    threshold: jax.Array
    positive = ("threshold",)  # no annotation, so no field: what training keeps positive

    def init(self, problem, u0):
        return State(u0)

    def step(self, problem, state):
        residual = problem.y - problem.operator(state.u)
        z = state.u + self.step_size * (self.weights.T @ residual)
        safe = jnp.where(jnp.abs(z) > self.threshold, z, jnp.inf)  # no division by 0
        u = jnp.where(jnp.abs(z) > self.threshold, z - self.threshold**2 / safe, 0)
        error = jnp.max(jnp.abs(u - state.u))
        return State(u), ji.solvers.Info(0.5 * jnp.sum(residual**2), error)


def network(A, num_layers):
    """Repeat the step; the matrix is one for all layers, the numbers are trained."""
    first = Garrote(ji.unfolded.analytic_weights(A.matrix), jnp.ones(()), jnp.array(0.1))
    trained = ("step_size", "threshold")
    return ji.Layers.repeat(first, num_layers, shared=("weights",), trainable=trained)


def main(m=100, n=200, sparsity=0.05, num_layers=10, num_steps=400):
    """Train it beside ALISTA without support selection; returns the error of both in dB."""
    A = ji.problems.sparse(m, n).sample(jax.random.key(0)).operator
    family = ji.problems.sparse(m, n, sparsity, operator=A)
    plain = ji.unfolded.alista(A, num_layers, bypass_rate=0.0)
    errors = {}
    for name, layers in {"garrote": network(A, num_layers), "soft threshold": plain}.items():
        trained = ji.unfolded.fit(jax.random.key(1), layers, family, num_steps=num_steps).layers
        errors[name] = ji.unfolded.evaluate(
            jax.random.key(2), trained, family, num_problems=1000
        ).nmse_db
        print(f"{name:14s} NMSE {errors[name]:6.1f} dB")
    return errors


if __name__ == "__main__":
    main()
