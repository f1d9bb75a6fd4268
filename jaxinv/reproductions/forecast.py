"""Predicted over real: errors by state evolution, written before the trials run."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv import shrinkage
from jaxinv.denoisers import total_variation
from jaxinv.generators._relu import Relu, random_weights
from jaxinv.operators import gaussian
from jaxinv.problems import Problem, Truth, sparse
from jaxinv.reproductions._registry import Outcome, Reproduction, Settings, trials
from jaxinv.reproductions.claims import compare_prediction, mean_error
from jaxinv.solvers import amp, damp, ml_vamp, trace, vamp
from jaxinv.sweeps import sweep
from jaxinv.theory import network_state_evolution, state_evolution
from jaxinv.theory.sparse._state_evolution import _squared_error
from jaxinv.viz import plot_iterations

_TOLERANCE, _STANDARD_ERRORS = 0.10, 3.0


class ForecastStudy(NamedTuple):
    """Sizes of the study.

    Attributes:
        sparse: m and n of ``amp`` and ``vamp``, of sparsity p and in dB above the noise.
        condition_number: of A of ``vamp``.
        widths, num_measurements, noise_std: of ``ml_vamp``.
        image: height and width of the image of ``damp``, measured by half as many rows.
        num_draws: of the noise, for the error of a denoiser.
        num_steps: of every method.
        num_trials: of every method.
    """

    sparse: tuple[int, int] = (1000, 2000)
    sparsity: float = 0.1
    snr_db: float = 30.0
    condition_number: float = 20.0
    widths: tuple[int, ...] = (200, 600, 800)
    num_measurements: int = 400
    noise_std: float = 0.01
    image: int = 64
    num_draws: int = 64
    num_steps: int = 12
    num_trials: int = 50


def predicted(study: ForecastStudy, key: Any) -> dict[str, list[float]]:
    """Return the error that state evolution predicts after every step of every method."""
    m, n = study.sparse
    posterior = shrinkage.posterior_mean(study.sparsity)
    network = network_state_evolution(
        study.widths, study.num_measurements, noise_std=study.noise_std, num_steps=study.num_steps
    )
    found = {
        "amp": state_evolution(
            posterior, aspect=m / n, sparsity=study.sparsity, snr_db=study.snr_db,
            num_steps=study.num_steps,
        ).nmse,
        "vamp": _vamp_evolution(study),
        "ml-vamp": network.nmse,
        "d-amp": _damp_evolution(study, key),
    }  # fmt: skip
    return {name: [float(value) for value in np.asarray(law)] for name, law in found.items()}


def _noise_variance(study: ForecastStudy) -> float:
    m, n = study.sparse
    return study.sparsity * n / m * 10 ** (-study.snr_db / 10)


def _vamp_evolution(study: ForecastStudy) -> list[float]:
    """Return the law of ``vamp``, with the singular values of the ladder, of square sum n."""
    (m, n), p = study.sparse, study.sparsity
    noise, posterior = _noise_variance(study), shrinkage.posterior_mean(p)
    squares = study.condition_number ** (-2 * np.arange(m) / (m - 1))
    squares = squares * n / squares.sum()
    variance, errors = p + noise * m / n, []
    for _ in range(study.num_steps):
        removed = float(np.sum(squares * variance / (squares * variance + noise)))
        seen = variance * (n - removed) / removed
        numbers = (jnp.asarray(number, float) for number in (math.sqrt(seen), p, 1.0))
        error = float(_squared_error(posterior, *numbers))
        errors.append(error / p)
        variance = 1 / (1 / error - 1 / seen)
    return errors


def _picture(size: int) -> np.ndarray:
    """Return an image of flat regions."""
    rows, columns = np.mgrid[:size, :size] / size
    image = 0.2 + 0.5 * ((rows - 0.5) ** 2 + (columns - 0.4) ** 2 < 0.09)
    image = image + 0.3 * ((rows > 0.55) & (columns > 0.6))
    return image.astype(np.float32)


def _image_noise(study: ForecastStudy) -> float:
    """Return σ of measurements by rows N(0, 1/m), in dB below their own size."""
    power = float(np.mean(np.square(_picture(study.image))))
    return math.sqrt(2 * power * 10 ** (-study.snr_db / 10))


@partial(jax.jit, static_argnums=(0, 1))
def _denoising_error(size: int, num_draws: int, noise_std: Any, key: Any) -> Any:
    """Return the mean squared error of the denoiser on the picture plus noise."""
    image, denoise = jnp.asarray(_picture(size)), total_variation()

    def one(key: Any) -> Any:
        noisy = image + noise_std * jax.random.normal(key, image.shape, image.dtype)
        return jnp.mean(jnp.square(denoise(noisy, noise_std) - image))

    return jnp.mean(jax.lax.map(one, jax.random.split(key, num_draws)))


def _damp_evolution(study: ForecastStudy, key: Any) -> list[float]:
    """Return the law of ``damp``: that of ``amp`` with the denoiser's error on the picture."""
    power = float(np.mean(np.square(_picture(study.image))))
    noise, error, errors = _image_noise(study) ** 2, power, []
    for step in range(study.num_steps):
        level = jnp.asarray(math.sqrt(noise + 2 * error), jnp.float32)
        args = (study.image, study.num_draws, level, jax.random.fold_in(key, step))
        error = float(_denoising_error(*args))
        errors.append(error / power)
    return errors


def _error(problem: Any, state: Any) -> Any:
    """Return the squared error of the estimate of x."""
    return jnp.sum(jnp.square(getattr(state, "x", state.u) - problem.truth.x))


def _run(solver: Any, problem: Any, start: Any, steps: int, energy: Any) -> dict[str, Any]:
    _, (_, errors) = trace(solver, problem, start, steps, measure=_error)
    return {f"{step + 1:02d}": errors[step] / energy for step in range(steps)}


def _sparse_trial(study: ForecastStudy, family: Any, solver: Any, key: Any) -> dict[str, Any]:
    energy = round(study.sparsity * study.sparse[1])
    return _run(solver, family.sample(key), family.initial(key), study.num_steps, energy)


def _network_trial(study: ForecastStudy, key: Any) -> dict[str, Any]:
    keys = jax.random.split(key, 4)
    k, m = study.widths[0], study.num_measurements
    G = Relu(random_weights(keys[0], study.widths, 2.0, jnp.float32))
    z, A = jax.random.normal(keys[1], (k,)), gaussian(keys[2], m, study.widths[-1])
    x = G(z)
    y = A(x) + study.noise_std * jax.random.normal(keys[3], (m,))
    problem = Problem(A, y, G, Truth(z, x))
    solver = ml_vamp(study.noise_std, 1.0, damping=0.0)
    return _run(solver, problem, jnp.ones(k), study.num_steps, k)  # E‖x‖² = k


def _image_trial(study: ForecastStudy, key: Any) -> dict[str, Any]:
    image = jnp.asarray(_picture(study.image))
    operator_key, noise_key = jax.random.split(key)
    m = image.size // 2
    A = gaussian(operator_key, m, image.shape)
    y = A(image) + _image_noise(study) * jax.random.normal(noise_key, (m,))
    problem = Problem(A, y, truth=Truth(image, image))
    energy = jnp.sum(jnp.square(image))
    return _run(damp(total_variation()), problem, jnp.zeros_like(image), study.num_steps, energy)


def _trials(study: ForecastStudy) -> dict[str, Callable[..., Any]]:
    """Return a trial of every method."""
    (m, n), p = study.sparse, study.sparsity
    count, posterior = round(p * n), shrinkage.posterior_mean(p)
    options: dict[str, Any] = {"snr_db": study.snr_db, "num_nonzeros": count, "unit_columns": False}
    plain = sparse(m, n, **options)
    ladder = sparse(m, n, condition_number=study.condition_number, **options)
    solvers = {"amp": (plain, amp(posterior)),
               "vamp": (ladder, vamp(posterior, math.sqrt(_noise_variance(study))))}  # fmt: skip
    trial = partial(_sparse_trial, study)
    found: dict[str, Callable[..., Any]] = {
        name: jax.tree_util.Partial(trial, *pair) for name, pair in solvers.items()
    }
    found["ml-vamp"] = partial(_network_trial, study)
    found["d-amp"] = partial(_image_trial, study)
    return found


def _write(folder: Path | None, found: Mapping[str, Any]) -> Mapping[str, Any]:
    """Write predictions, and return what is in the file."""
    if folder is None:
        return found
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "forecast-predicted.json"
    path.write_text(json.dumps(found, indent=2) + "\n")
    return json.loads(path.read_text())


def _forecast(study: ForecastStudy, settings: Settings) -> Outcome:
    """Write the forecast, run the trials, compare at every step."""
    law = _write(settings.folder, predicted(study, jax.random.fold_in(settings.key, 1)))
    claims, rows, series = [], [], {}
    for name, trial in _trials(study).items():
        found = sweep(
            trial, {}, key=settings.key, num_trials=trials(settings, study.num_trials),
            progress=settings.progress,
        )  # fmt: skip
        columns = [np.asarray(found[f"{step + 1:02d}"]) for step in range(study.num_steps)]
        samples, expected = np.stack(columns, axis=1), np.asarray(law[name])
        series[name] = (samples, expected)
        for step in range(study.num_steps):
            what = f"NMSE, {name}, step {step + 1}"
            claims.append(
                compare_prediction(
                    what, samples[:, step], float(expected[step]), tolerance=_TOLERANCE,
                    standard_errors=_STANDARD_ERRORS,
                )
            )  # fmt: skip
            rows.append({
                "method": name, "step": step + 1, "predicted": float(expected[step]),
                "mean": float(samples[:, step].mean()),
                "standard_error": mean_error(samples[:, step]),
            })  # fmt: skip
    return Outcome(claims, rows, partial(_draw, series))


def _draw(series: dict[str, Any], path: Path) -> str:
    return plot_iterations(path, series, title="forecast, and the trials that came after it")


ENTRIES = (
    Reproduction(
        name="forecast",
        title="errors of message passing, predicted in a file before the trials run",
        source="state evolution of AMP, VAMP, ML-VAMP and D-AMP: Donoho, Maleki, Montanari (2009); "
        "Rangan, Schniter, Fletcher (2019); Fletcher, Rangan, Schniter (2018); Metzler, Maleki, "
        "Baraniuk (2016)",
        run=partial(_forecast, ForecastStudy()),
        cost="10 minutes",
    ),
)
