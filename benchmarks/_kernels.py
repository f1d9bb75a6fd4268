"""The kernels that ``gpu.py`` measures: one batch of inputs, and a step of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from lista_training import loss_of
from untrained import networks, picture

import jaxinv as ji
from jaxinv.problems import Problem

RATE = 1e-3


class Kernel(NamedTuple):
    """A function of one batch of inputs.

    Attributes:
        name: what it is.
        step: the function, and ``inputs`` its arguments.
        count: how many of ``unit`` it takes at once.
        judged: the part of a result in which two devices must agree.
    """

    name: str
    step: Callable[..., Any]
    inputs: tuple[Any, ...]
    count: int
    unit: str = "problems"
    judged: Callable[[Any], Any] = lambda result: result


class Sizes(NamedTuple):
    """How large the kernels are; networks to fit are those of ``untrained.py``."""

    batch: int
    sparse: tuple[int, int]
    sparsity: int
    hidden: tuple[int, int]
    latent: int
    side: int
    layers: int
    trained: tuple[int, ...]
    trained_at_once: tuple[int, int, int, int]
    images_at_once: tuple[int, int, int, int]


FULL = Sizes(
    batch=256,
    sparse=(250, 500),
    sparsity=50,
    hidden=(700, 600),
    latent=64,
    side=64,
    layers=16,
    trained=(64, 1024),
    trained_at_once=(16, 50, 100, 8),
    images_at_once=(16, 32, 32, 3),
)
QUICK = Sizes(4, (16, 32), 3, (40, 80), 4, 16, 2, (4,), (2, 8, 16, 2), (2, 8, 4, 2))


def kernels(quick: bool) -> Iterator[Kernel]:
    """Make every kernel, when it is asked for."""
    sizes, key = QUICK if quick else FULL, jax.random.key(0)
    yield from product_kernels(key, sizes)
    yield from solver_kernels(key, sizes, quick)
    yield from network_kernels(key, sizes)
    yield from training_kernels(key, sizes)
    yield from fitting_kernels(key, sizes, quick)


def solver_kernels(key: Any, sizes: Sizes, quick: bool) -> Iterator[Kernel]:
    """One step of solvers on random problems with an operator, or a network, each."""
    m, n = sizes.sparse
    sparse = ji.problems.sparse(num_measurements=m, signal_size=n, sparsity=0.1)
    widths = (sizes.latent, *sizes.hidden)
    generative = ji.problems.generative(widths, sizes.hidden[1] // 2, dtype=jnp.float32)
    solvers = ji.solvers
    on_sparse = {
        "ista": solvers.ista(step_size=0.2, penalty=0.1),
        "fista": solvers.fista(step_size=0.2, penalty=0.1),
        "admm": solvers.admm(0.1),
        "amp": solvers.amp(),
        "vamp": solvers.vamp(noise_std=0.01),
        "iht": solvers.iht(sizes.sparsity, 0.2),
        "omp": solvers.omp(sizes.sparsity),
        "cosamp": solvers.cosamp(sizes.sparsity),
    }
    on_generative = {
        "subgradient": solvers.subgradient(0.1),
        "levenberg-marquardt": solvers.levenberg_marquardt(),
        "adam": solvers.gradient(optax.adam(0.01)),
    }
    if quick:  # each is one more program to compile
        on_sparse, on_generative = {"fista": on_sparse["fista"]}, {}
    rows = [(*row, sparse.sample, n) for row in on_sparse.items()]
    rows += [(*row, generative.sample, sizes.latent) for row in on_generative.items()]
    for name, solver, draw, size in rows:
        yield _solver_kernel(name, solver, draw, size, key, sizes.batch)


def _solver_kernel(name: str, solver: Any, draw: Any, size: int, key: Any, batch: int) -> Kernel:
    def begin(key: Any) -> Any:
        problem = draw(key)
        u0 = 0.1 * jax.random.normal(jax.random.fold_in(key, 1), (size,), jnp.float32)
        prepared = solver.prepare(problem)
        return prepared, problem, prepared.init(problem, u0)

    inputs = jax.jit(jax.vmap(begin))(jax.random.split(key, batch))

    def step(solvers: Any, problems: Any, states: Any) -> Any:
        def one(solver: Any, problem: Any, state: Any) -> Any:
            return solver.step(problem, state)[0]

        return jax.vmap(one)(solvers, problems, states)

    return Kernel(f"{name}, a step", step, inputs, batch)


def network_kernels(key: Any, sizes: Sizes) -> Iterator[Kernel]:
    """Passes through unfolded networks."""
    A, axes, problems = _sparse_batch(key, *sizes.sparse, sizes.batch)
    networks = {
        "alista": ji.unfolded.alista(A, sizes.layers),
        "hyperlista": ji.unfolded.hyperlista(A, sizes.layers),
        "lista-cp": ji.unfolded.lista_cp(A, sizes.layers),
    }

    def run(layers: Any, problems: Any) -> Any:
        return jax.vmap(partial(ji.unfold, layers), in_axes=(axes,))(problems)

    for name, network in networks.items():
        title = f"{name}, {sizes.layers} layers"
        yield Kernel(title, run, (network, problems), sizes.batch, "signals")


def product_kernels(key: Any, sizes: Sizes) -> Iterator[Kernel]:
    """What the inner loops are made of: products and transforms."""
    batch, (inner, outer), side = sizes.batch, sizes.hidden, sizes.side
    a = jax.random.normal(key, (batch, inner, outer), jnp.float32)
    x = jax.random.normal(key, (batch, outer), jnp.float32)
    images = jax.random.normal(key, (batch, side, side), jnp.float32)
    scan = ji.operators.mri(ji.operators.fourier_lines(key, (side, side), 4, 0.08), real=True)

    def relu_layer(a: Any, x: Any) -> Any:
        return jax.nn.relu(jnp.einsum("bmn,bn->bm", a, x, precision="highest"))

    yield Kernel("relu layer, a matrix each", relu_layer, (a, x), batch, "vectors")
    yield Kernel("mri and its adjoint", jax.vmap(scan.gram), (images,), batch, "images")


def training_kernels(key: Any, sizes: Sizes) -> Iterator[Kernel]:
    """Steps that train LISTA-CP: one network on a batch, and many networks with a matrix each."""
    for batch in sizes.trained:
        loss, *inputs = _lista_cp(key, *sizes.sparse, sizes.layers, batch)
        title = f"lista-cp, training step, batch {batch}"
        yield _descent(title, loss, tuple(inputs), batch, "signals")
    count, m, n, layers = sizes.trained_at_once
    made = [_lista_cp(k, m, n, layers, sizes.trained[0]) for k in jax.random.split(key, count)]
    inputs = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(one[1:] for one in made))
    title = f"lista-cp, training step, {count} networks at once"
    yield _descent(title, made[0][0], inputs, count, "networks", many=True)


def _sparse_batch(key: Any, m: int, n: int, batch: int) -> tuple[Any, Problem, Problem]:
    A = jax.random.normal(key, (m, n), jnp.float32)
    operator = ji.operators.dense(A / jnp.linalg.norm(A, axis=0))
    family = ji.problems.sparse(operator=operator)
    return operator, family.axes, jax.jit(family.batch)(jax.random.split(key, batch))


def _lista_cp(key: Any, m: int, n: int, layers: int, batch: int) -> tuple[Any, ...]:
    """Return a loss and its arguments: what is trained, the rest of the network, problems."""
    operator, axes, problems = _sparse_batch(key, m, n, batch)
    free, frozen = ji.unfolded.lista_cp(operator, layers).partition()
    free = {**free, "threshold": jnp.log(free["threshold"])}
    return partial(loss_of, axes), free, frozen, problems


def fitting_kernels(key: Any, sizes: Sizes, quick: bool) -> Iterator[Kernel]:
    """Steps that fit an untrained network to one image, and to many at once."""
    make = ji.generators
    if quick:
        priors: dict[str, Any] = {"unet": make.unet((8, 8, 3), 4, 1)}
    else:
        priors = {name: prior for name, (prior, _) in networks(quick).items()}
    for name, prior in priors.items():
        problem = Problem(ji.operators.identity(prior.out_shape), picture(prior.out_shape), prior)
        title = f"{name.replace('_', ' ')} {prior.out_shape}, fitting step"
        yield _descent(title, _misfit, (prior.params, problem), 1, "image")
    count, side, channels, layers = sizes.images_at_once
    prior = make.deep_decoder((side, side), channels, layers)
    images = picture((side, side)) + 0.05 * jax.random.normal(key, (count, side, side))
    operator = ji.operators.identity((side, side))

    def loss(params: Any, y: Any) -> Any:
        return Problem(operator, y, prior).loss(params)

    params = jax.jit(jax.vmap(prior.init))(jax.random.split(key, count))
    title = f"deep decoder ({side}, {side}), fitting step, {count} images at once"
    yield _descent(title, loss, (params, images), count, "images", many=True)


def _misfit(params: Any, problem: Problem) -> Any:
    return problem.loss(params)


def _descent(
    name: str, loss: Any, inputs: tuple[Any, ...], count: int, unit: str, *, many: bool = False
) -> Kernel:
    """Return a step of Adam, or one each for many. Judged are the loss and the gradients' means.

    The first step of Adam is a sign, in which two devices differ wherever a gradient is about 0.
    """
    optimizer = optax.adam(RATE)

    def step(params: Any, moments: Any, *data: Any) -> Any:
        value, gradient = jax.value_and_grad(loss)(params, *data)
        update, moments = optimizer.update(gradient, moments, params)
        return optax.apply_updates(params, update), moments, value

    params, *data = inputs
    moments = (jax.vmap(optimizer.init) if many else optimizer.init)(params)
    work = jax.vmap(step) if many else step
    return Kernel(name, work, (params, moments, *data), count, unit, lambda result: result[1:])
