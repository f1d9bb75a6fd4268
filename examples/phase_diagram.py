"""A phase diagram by library calls: success against latents k and measurements m, one compile."""

import argparse

import jax
from jax.tree_util import Partial

import jaxinv as ji


def trial(family, solver, key, *, k, m):
    """Draw one problem with k latents and m measurements, solve it, score it."""
    family = family.with_active(latent=k, measurements=m)
    problem = family.sample(key)
    solution = ji.solve(solver, problem, family.initial(key), max_steps=100)
    return {
        "error": ji.metrics.relative_error(solution.x, problem.truth.x),
        "num_steps": solution.num_steps,
        "status": solution.status,
    }


def main(
    widths=(200, 150), ks=(5, 10, 20, 30), ms=(20, 40, 60, 80), num_trials=20, store=None, plot=None
):
    """Run the grid, print the success rates, and draw them."""
    family = ji.problems.generative((max(ks), *widths), max(ms))
    results = ji.sweep(
        Partial(trial, family, ji.solvers.levenberg_marquardt()),
        {"k": ks, "m": ms},
        key=jax.random.key(0),
        num_trials=num_trials,
        traced=("k", "m"),  # padded sizes: the whole grid is one program
        store=store,
    )
    rates = ji.sweeps.success_rate(results["error"] < 1e-3)
    print(rates["rate"].to_pandas().round(2))
    if plot is not None:
        print(ji.viz.plot_phase_diagram(plot, rates, title=f"(k, {widths[0]}, {widths[1]})"))
    return rates


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--store", help="SQLite file: kill the program and run it again")
    parser.add_argument("--plot", default="results/phase_diagram.png")
    options = parser.parse_args()
    main(num_trials=options.trials, store=options.store, plot=options.plot)
