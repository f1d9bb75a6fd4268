"""What the survey states about unfolded algorithms and sparse recovery."""

from jaxinv.theory._catalog import Statement

_DRAWING = "a drawing of an idea, without numbers"


def _survey(
    label: str, says: str, functions: tuple[str, ...], *runs: str, reason: str = ""
) -> Statement:
    return Statement("survey", label, says, functions, runs, reason)


STATEMENTS = (
    _survey(
        "Section I-C", "sparse recovery under restricted isometry and restricted eigenvalues",
        ("theory.restricted_isometry", "theory.restricted_eigenvalue", "theory.sufficient_sparsity",
         "solvers.basis_pursuit", "solvers.lasso"),
        "sparse-phase-diagram", "amp-state-evolution",
    ),
    _survey("Figure 6", "a recurrent network and its unrolled layers", ("unfolded.lista",),
            reason=_DRAWING),
    _survey(
        "Equations (36)-(37)", "ISTA: a gradient step, then soft thresholding",
        ("solvers.ista", "solvers.fista"), "step-lista",
    ),
    _survey(
        "Equations (38)-(40)", "LISTA: ISTA's steps as layers with trained matrices",
        ("unfolded.lista", "unfolded.fit"), "unfolded-noiseless", "unfolded-noise",
    ),
    _survey(
        "Theorem 9", "coupled layers converge linearly to the signal, up to the noise",
        ("theory.linear_rate", "theory.check_linear_rate", "unfolded.lista_cp"),
        "lista-linear-rates",
    ),
    _survey(
        "Theorem 10", "support selection converges faster, to a smaller error",
        ("theory.linear_rate", "theory.check_linear_rate", "unfolded.lista_cpss"),
        "lista-linear-rates",
    ),
    _survey(
        "Equations (47)-(48)", "ALISTA: analytic weights, two numbers trained a layer",
        ("unfolded.alista", "unfolded.analytic_weights", "theory.generalized_coherence"),
        "unfolded-noiseless",
    ),
    _survey("Equation (49)", "Hyper-LISTA: momentum, and three numbers for all layers",
            ("unfolded.hyperlista", "unfolded.tune"), "hyperlista-robustness",
            "unfolded-noiseless"),
    _survey(
        "Theorem 11", "the generalization gap grows like the root of log(layers)/samples",
        ("theory.generalization_bound", "theory.generalization_rate", "theory.check_perturbation"),
        "generalization-samples", "generalization-layers", "generalization-size",
    ),
)  # fmt: skip
