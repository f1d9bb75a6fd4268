"""Fits that go on where an earlier one ended."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv._core import Status, checks

_WHERE = "fit"
_SAME = "Give the same prior, optimizer, stop, number of keys and shapes as before."


def steps_done(fit: Any) -> int:
    """Return how many steps an earlier fit has taken."""
    if getattr(fit, "state", None) is None or not hasattr(fit, "history"):
        checks.fail_type(_WHERE, "resume", "be what fit returned, or untrained.load", fit)
    steps = fit.history.look_steps
    return int(steps[-1]) if steps.size else 0


def continued(expected: Any, prior: Any, fit: Any) -> Any:
    """Return the state of an earlier fit in the structure that this one has."""
    _require_same_prior(prior, fit.prior)
    wanted, structure = jax.tree_util.tree_flatten_with_path(expected)
    leaves = jax.tree.leaves(fit.state)
    if len(leaves) != len(wanted):
        got = f"a state of {len(leaves)} arrays for {len(wanted)}"
        checks.fail(_WHERE, "resume", "be a fit of this kind", got, _SAME)
    for leaf, (path, like) in zip(leaves, wanted, strict=True):
        if leaf.shape != like.shape or leaf.dtype != like.dtype:
            where = jax.tree_util.keystr(path)[-60:]
            got = f"{checks.show(leaf)} for {like.dtype}{list(like.shape)} at {where}"
            checks.fail(_WHERE, "resume", "be a fit of this kind", got, _SAME)
    copies = [jnp.copy(leaf) for leaf in leaves]  # buffers of a state are reused by the next
    lane, carry = jax.tree.unflatten(structure, copies)
    is_over = carry.status == Status.MAX_STEPS
    running = jnp.asarray(Status.RUNNING, carry.status.dtype)
    return lane, carry._replace(status=jnp.where(is_over, running, carry.status))


def _require_same_prior(prior: Any, fitted: Any) -> None:
    ours, theirs = jax.tree.leaves(prior), jax.tree.leaves(fitted)
    same = jax.tree.structure(prior) == jax.tree.structure(fitted)
    if not same or not all(_equal(a, b) for a, b in zip(ours, theirs, strict=True)):
        hint = "Pass resume.prior, or build it with the same key."
        checks.fail(_WHERE, "prior", "be the one that was fitted", "another one", hint)


def _equal(a: Any, b: Any) -> bool:
    if not (checks.is_concrete(a) and checks.is_concrete(b)):
        return True
    return jnp.shape(a) == jnp.shape(b) and np.array_equal(_plain(a), _plain(b))


def _plain(leaf: Any) -> np.ndarray:
    is_key = hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(leaf) if is_key else leaf)
