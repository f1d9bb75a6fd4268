"""Refusals of problems, samplers, operators, scores and networks; see ``refusal_cases``."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from cases import floats
from fuzz_cases import IMAGE, A, ones, sparse_problem
from fuzz_cases_theory import network
from fuzz_values import KEY
from refusal_cases import O, Refusals, each, inf, nan

import jaxinv as ji


def sparse() -> Refusals:
    given = {"operator": A(), "snr_db": None}
    return [
        ({"sparsity": 0.0}, r"sparsity must be in \(0, 1\], got 0"),
        ({"sparsity": 1.5}, "sparsity"),
        ({"snr_db": inf}, "snr_db must be a finite number"),
        ({"snr_db": 1e4}, "snr_db must be 0 dB, or between 1 and 200"),
        ({"snr_db": 0.01}, "snr_db must be .*None is no noise"),
        ({"num_nonzeros": 11}, r"num_nonzeros must be in \[0, 10\]"),
        ({"num_nonzeros": 2.5}, "num_nonzeros"),
        ({"num_measurements": 0}, "num_measurements must be >= 1"),
        ({"num_measurements": 2.5}, "num_measurements"),
        ({"active_measurements": 7}, r"in \[1, 6\]"),
        ({"condition_number": 0.5}, "condition_number"),
        ({"dtype": jnp.int32}, "dtype must be a real floating type"),
        ({"dtype": "no type"}, "dtype"),
        (
            {**given, "num_measurements": 5},
            r"operator must map shape \(10,\) to \(5,\), got one from \(10,\) to \(6,\)",
        ),
        ({**given, "condition_number": 2}, "condition_number must"),
        ({**given, "active_measurements": 2}, "active_measur"),
        (
            {"operator": O.identity((3, 3)), "num_measurements": None, "signal_size": None},
            "operator must map vectors to vectors",
        ),
        *each("operator", "operator", np.ones((6, 10)), O.magnitude(A())),
    ]


def generative() -> Refusals:
    prior = ji.generators.relu(KEY, (3, 8, 6), dtype=floats())
    fixed = {"widths": None, "num_measurements": None, "generator": prior}
    shapeless = ji.generators.from_function(jnp.multiply, 1.0)
    return [
        ({"widths": (5,)}, "widths must be"),
        ({"num_measurements": 0}, "num_measurements must be >= 1"),
        ({"active_latent": 4}, r"active_latent.*\[1, 3\]"),
        ({"active_latent": 2.0}, "active_latent"),
        ({"noise_norm": -1}, "noise_norm"),
        ({"noise_norm": 1, "noise_std": 1}, "not both be set"),
        ({"signal_norm": 0}, "signal_norm"),
        ({"dtype": complex}, "dtype must be"),
        ({"generator": prior}, "widths must be None"),
        ({**fixed, "signal_norm": 1}, "signal_norm must be None"),
        ({**fixed, "generator": jnp.tanh}, "generator must be a generator"),
        ({**fixed, "generator": shapeless}, "generator must know the shape of its latent"),
        (
            {**fixed, "num_measurements": 4, "active_measurements": 5},
            r"active_measurements must be in \[1, 4\]",
        ),
    ]


def spiked() -> Refusals:
    prior = ji.generators.relu(KEY, (3, 8, 6), dtype=floats())
    too_many = r"rank must be at most k = 3, the size of the latent, got 4\. Use a network"
    return [
        ({"rank": 0}, "rank must be >= 1, got 0"),
        ({"rank": 2.0}, "rank must be an integer >= 1"),
        ({"rank": 4}, too_many),
        ({"rank": 4, "widths": None, "generator": prior}, too_many),
        ({"rank": 2, "active_latent": 1}, "rank must be at most k = 1"),
    ]


def from_arrays() -> Refusals:
    return [
        ({"operator": np.eye(3), "x": np.eye(3)}, "operator must be an operator"),
        ({"x": ones(10)}, r"x must have shape \(N, 10\)"),
        ({"y": ones(3, 6)}, "4 signals"),
        ({"y": ones(4, 5)}, r"shape \(N, 6\)"),
        ({"y": ones(4, 6), "noise_std": 1}, "be None: y is given"),
        ({"x": ones(2, 10) * nan}, "x must be finite"),
    ]


def images() -> Refusals:
    broken = np.where(np.arange(64).reshape(8, 8) == 0, nan, IMAGE)
    color = O.identity((4, 5, 3))
    return [
        ({"operator": jnp.eye(3)}, "images: operator must be an operator, or a function of a key"),
        ({"images": IMAGE[:, :4]}, r"images\[0\] must be at least as large as a crop, \(8, 8\)"),
        ({"images": broken}, r"images: images\[0\] must be finite, got 1 NaN"),
        ({"noise_std": 0.1}, "not both be set"),
        ({"snr_db": None, "noise_std": -1.0}, "noise_std must be finite and >= 0"),
        ({"prior": lambda u: u}, "prior must be a linear operator"),
        ({"prior": O.identity((3, 3))}, r"prior must map to shape \(8, 8\)"),
        ({"prior": 2.0 * O.identity((8, 8))}, "prior must reproduce the image"),
        ({"images": IMAGE[None], "operator": O.identity(64)}, r"images must have shape \(h\) or"),
        ({"operator": jnp.tanh}, "operator must accept a key"),
        ({"operator": jax.random.normal}, "operator must return an operator"),
        ({"images": []}, "hold at least one image"),
        ({"operator": color}, r"images must have shape \(h, w, 3\) or \(N, h, w, 3\)"),
    ]


def patches() -> Refusals:
    eye = {"images": np.eye(9), "patch_shape": 3}
    return [
        ({"images": np.ones((8, 8, 3))}, r"images\[0\] must be at least as large|have shape \(h"),
        ({"images": np.ones((4, 9)), "patch_shape": 8}, r"images\[0\] must be at least as large"),
        ({"images": np.ones((9, 9)), "patch_shape": 8}, "images must vary within patches"),
        ({"images": []}, "images must hold at least one image"),
        ({"images": "camera"}, "images must be an array"),
        ({"images": np.full((9, 9), nan)}, r"images\[0\] must be finite"),
        ({**eye, "patch_shape": (2, 2, 2)}, "patch_shape must be an int or"),
        ({**eye, "operator": "gaussian"}, "operator must be a linear operator"),
        ({**eye, "dictionary": np.ones((8, 9))}, "dictionary must map codes"),
        ({"snr_db": 20, "noise_std": 1}, "must not both be set"),
        ({"normalize": "all"}, "normalize must"),
        ({"scale": 0.0}, "scale must"),
        ({"noise_std": -1.0}, "noise_std must"),
    ]


def sample() -> Refusals:
    problem = ji.Problem(O.identity(6), ones(6), ji.generators.from_function(jnp.add, ones(6)))
    wide = ji.generators.from_function(jnp.add, ones(6), in_shape=6, energy=jnp.square)
    several = {"a": ones(2, 3), "b": ones(4, 3)}
    return [
        ({"sampler": ji.solvers.fista(0.1, 0.1)}, "sampler must be a sampler"),
        ({"sampler": ji.samplers.langevin(ones(3), 1.0)}, "sampler.step_size must be a scalar"),
        ({"u0s": several}, "as many chains .* 2, 4 chains"),
        ({"u0s": 1.0}, "u0s must have a first axis for the chains"),
        ({"u0s": ones(2, 6) * nan}, "u0s must be finite"),
        ({"u0s": ones(2, 6) * 1j}, "u0s must be real"),
        ({"key": 3}, "key must be a JAX PRNG key"),
        ({"key": jax.random.split(KEY, 2)}, "key must be one key"),
        ({"burn_in": 12}, "burn_in must be below num_steps = 12"),
        ({"burn_in": -1}, "burn_in must be >= 0"),
        ({"thin": 3}, "thin must divide num_steps - burn_in = 8"),
        ({"thin": 0}, "thin must be >= 1"),
        ({"thin": 4}, "num_steps must leave 4 draws of each chain"),
        ({"problem": problem._replace(prior=wide)}, "energy must return one real"),
        ({"problem": problem._replace(prior=None)}, "prior must have an energy"),
        ({"problem": None}, "problem must be a jaxinv.Problem"),
    ]


def draws() -> Refusals:
    return [
        ({"draws": np.ones(9)}, "draws must have 2 dimension"),
        ({"draws": np.ones((2, 3))}, "draws must hold 4 draws of each chain"),
        ({"draws": np.ones((2, 9)) * 1j}, "draws must be real"),
    ]


def oracle() -> Refusals:
    problem = sparse_problem()
    bent = problem._replace(operator=O.magnitude(problem.operator), y=jnp.abs(problem.y))
    return [
        ({"problem": problem._replace(truth=None)}, r"oracle: problem\.truth must be known, got"),
        ({"problem": bent}, "oracle: problem must have a linear operator"),
    ]


def training() -> Refusals:
    ista = ji.solvers.ista(0.1, 0.1)
    return [
        ({"num_steps": 0}, "num_steps must be >= 1"),
        ({"batch_size": 1.5}, "batch_size must be an integer"),
        ({"loss": "l2"}, "loss must be one of"),
        ({"loss": "lasso"}, "have a penalty for loss='lasso'"),
        ({"supervision": -1}, "supervision must be"),
        ({"family": 3}, "family must be a family of problems"),
        ({"optimizer": optax.adam}, "optimizer must be an optax transformation"),
        ({"progress": 3}, "progress must be a function"),
        ({"layers": ji.Layers.repeat(ista, 2, trainable=())}, "have a trainable field"),
        ({"layers": ista}, r"be a jaxinv\.Layers"),
    ]


def perturbation() -> Refusals:
    given = {"matrix": np.eye(2), "first": np.eye(2), "second": np.eye(2), "num_layers": 1}
    return [
        ({**given, "second": 2 * np.eye(2), "measurements": np.eye(2)}, "second must be orthogon"),
        ({**given, "measurements": np.eye(3)}, r"measurements must have shape \(3, 2\)"),
    ]


PROBLEMS = {
    "problems.sparse": sparse,
    "problems.generative": generative,
    "problems.spiked": spiked,
    "problems.from_arrays": from_arrays,
    "problems.images": images,
    "problems.patches": patches,
    "samplers.sample": sample,
    "samplers.rhat": draws,
    "samplers.effective_sample_size": draws,
    "solvers.oracle": oracle,
    "solvers.debias": lambda: [
        ({"support": jnp.asarray([1, 5, 7])}, r"support must have shape \(10,\).*not indices"),
        ({"problem": ones(6)}, r"debias: problem must be a jaxinv\.Problem"),
        *each("support", "debias: support must be an array of numbers", None, "all"),
        ({"support": np.full(10, nan)}, "debias: support must be finite, got 10 NaN"),
    ],
    "solvers.damp": lambda: [
        ({"denoiser": 3}, "be a function denoiser"),
        ({"damping": 1.0}, r"damping must be in \[0, 1\)"),
        ({"scaling": "rows"}, "scaling must be one of columns, norm"),
        ({"seed": -1}, "seed must be >= 0"),
    ],
    "solvers.primal_dual": lambda: [
        ({"prox": 0.1}, "prox must be a proximal operator"),
        ({"operator": ones(3)}, "be a linear operator"),
        ({"balance": 0.0}, "balance must be"),
        ({"constraint": 3}, "must be a proximal operator"),
    ],
    "solvers.levenberg_marquardt": lambda: [
        ({"latent_penalty": -1.0}, "latent_penalty must be finite and >= 0")
    ],
    "generators.from_function": lambda: [({"energy": 3.0}, "energy must be a function")],
    "generators.from_weights": lambda: [
        ({"weights": ones(3, 2)}, "weights must be a list of matrices, one a layer"),
        ({"weights": [ones(3, 4), ones(4, 5)]}, r"weights\[1\] must have 3 columns.*given as W.T"),
        ({"weights": [ones(4, 3), 1j * ones(5, 4)]}, r"weights\[1\] must be real"),
        ({"weights": [nan * ones(4, 3), ones(5, 4)]}, r"weights\[0\] must be finite"),
        ({"weights": [ones(2, 4, 3), ones(5, 4)]}, r"weights\[0\] must have 2 dim.*Use jax.vmap"),
        ({"biases": [ones(4)]}, "biases must be 2, one a layer, got 1"),
        ({"biases": [ones(4), ones(4)]}, r"biases\[1\] must have shape \(5,\)"),
        ({"negative_slope": jnp.ones(2)}, "negative_slope must be a scalar"),
        ({"dtype": np.complex64}, "dtype must be a real floating type"),
    ],
    "generators.product": lambda: [({"second": ones(3)}, "second must be a generator")],
    "operators.join_blocks": lambda: [
        ({"blocks": np.ones((3, 2, 2)), "image_shape": (4, 4)}, "blocks must be 4 of 2 x 2")
    ],
    "operators.dct_dictionary": lambda: [
        ({"block_shape": 8, "num_frequencies": 7}, "num_frequencies must be at least 8"),
        ({"block_shape": 1}, "block_shape must have more than one pixel"),
    ],
    "operators.convolution": lambda: [
        ({"kernel": np.array([1.0, -1.0]), "normalize": True}, "kernel must have a sum that is no")
    ],
    "metrics.ssim": lambda: [
        *(
            ({"estimate": ones(*shape), "truth": ones(*shape)}, r"truth must have shape \(h, w\)")
            for shape in ((6, 20), (20,), (2, 20, 20, 3))
        ),
        ({"truth": ones(8, 9)}, "estimate must have shape"),
        ({"estimate": ones(8, 8) * 1j}, "must be real"),
    ],
    "metrics.psnr": lambda: [
        ({"estimate": ones(0, 3), "truth": ones(0, 3)}, "psnr: truth must have at least one entry")
    ],
    "theory.generalization_rate": lambda: [
        ({"num_samples": 0}, "num_samples must be finite and >= 1"),
        ({"form": "x"}, "form must be one of source"),
    ],
    "theory.perturbation_constant": lambda: [
        ({"step_size": 1.0}, "step_size must be at most 1/‖A‖²")
    ],
    "theory.check_perturbation": perturbation,
    "unfolded.fit": training,
    "unfolded.evaluate": lambda: [
        ({"layers": network().solver}, r"evaluate: layers must be a jaxinv\.Layers"),
        ({"key": 0}, "evaluate: key must be"),
        ({"num_problems": 0}, "num_problems must be >= 1"),
    ],
    "unfolded.tune": lambda: [
        ({"layers": ji.unfolded.alista(A(), 16)}, "at most 12 trainable numbers")
    ],
    "unfolded.iht_network": lambda: [
        ({"ramp": 0.5}, "num_nonzeros or ramp must be left out, one of the two, got both"),
        ({"num_nonzeros": 0}, "num_nonzeros must be >= 1"),
        ({"num_nonzeros": 11}, "num_nonzeros must be at most n = 10, got 11"),
        ({"num_nonzeros": 1.5}, r"num_nonzeros must be in \(0, 1\]"),
        ({"num_nonzeros": None, "ramp": 0.0}, r"ramp must be in \(0, 1\]"),
        ({"initial_weights": "no"}, "initial_weights must be one of analytic, adjoint"),
        ({"num_nonzeros": True}, "num_nonzeros must be an integer"),
        ({"num_layers": 0}, "num_layers must be >= 1"),
    ],
    "unfolded.gated_lista": lambda: [
        ({"gain": "elu"}, "gated_lista: gain must be one of relu, exp, inv"),
        ({"gain": "relu", "overshoot": 0.1}, "overshoot must be True or False"),
    ],
    "unfolded.aglista": lambda: [
        ({"num_layers": 0}, "aglista: num_layers must be >= 1"),
        ({"bypass_limit": 13}, r"aglista: bypass_limit must be in \[0, 1\]"),
    ],
}
