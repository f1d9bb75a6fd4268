"""What the survey and Cocola's paper state about generative priors."""

from jaxinv.theory._catalog import Statement

_CONDITIONS = ("range-certificates",)
_WEIGHTS = ("weight-distribution",)
_DESCENT = ("descent-guarantee",)


def _survey(label: str, says: str, functions: tuple[str, ...], *runs: str) -> Statement:
    return Statement("survey", label, says, functions, runs)


_SURVEY = (
    Statement("survey", "Figure 1", "a typical deep generative model", ("generators.relu",),
              reason="a drawing of an idea, without numbers"),
    Statement("survey", "Equation (10)", "a circle as the range of a generator",
              ("generators.circle",),
              reason="an example of a range, exact by construction: its test has the closed form"),
    _survey("Theorem 1", "error of the best fit by an L-Lipschitz generator: 6, 3 and 2",
            ("theory.range_recovery_bound", "theory.check_range_recovery",
             "theory.sufficient_measurements"), "range-recovery"),
    _survey("Theorem 2", "error of the best fit by a ReLU generator: 6 and 3",
            ("theory.range_recovery_bound", "theory.check_range_recovery",
             "theory.sufficient_measurements"), "range-recovery"),
    _survey("Definition 1", "set-restricted eigenvalue condition (S-REC)",
            ("theory.set_restricted_eigenvalue",), *_CONDITIONS),
    Statement("survey", "Theorem 3", "k log(L r / delta) measurements are necessary",
              ("theory.necessary_measurements",),
              reason="a bound on every decoder up to a constant that is not stated: computed "
              "with a constant of the caller's, and no run can refute it"),
    _survey("Equations (19)-(20)", "the mean squared error is of the order of the noise",
            ("theory.noise_law", "theory.check_noise_gain"), "noise-law", "noise-gain"),
    Statement("survey", "Theorem 4", "k log w, and k d, measurements are necessary for networks",
              ("theory.necessary_measurements",),
              reason="as Theorem 3; the generator of its proof is Figure 2's"),
    _survey("Figure 2", "a generator whose outputs are 1-sparse", ("generators.sparse_tents",),
            "sparse-tents"),
    _survey("Definition 2", "weight distribution condition (WDC)",
            ("theory.weight_distribution",), *_WEIGHTS),
    _survey("Definition 3", "range restricted isometry condition (RRIC)",
            ("theory.range_restricted_isometry",), *_CONDITIONS),
    _survey("Theorem 5", "the loss descends everywhere but near the signal and a multiple of it",
            ("theory.check_landscape", "theory.expected_gradient", "theory.rho"),
            *_DESCENT, "landscape-gradient", "landscape-loss", "landscape-rho"),
    _survey("Theorem 6", "subgradient descent with negation converges linearly",
            ("theory.descent_guarantee", "theory.check_descent", "solvers.subgradient"),
            *_DESCENT),
    _survey("Proposition 1", "random networks meet the WDC and the RRIC",
            ("theory.check_expansive_conditions", "theory.width_conditions"), *_WEIGHTS),
)  # fmt: skip


def _cocola(label: str, says: str, functions: tuple[str, ...], *runs: str) -> Statement:
    return Statement("non-expansive", label, says, functions, runs)


_COCOLA = (
    _cocola("Theorem 1.1", "contracting random networks: recovery with an error √(k/m) ‖η‖",
            ("solvers.subgradient", "theory.noise_law"), "noise-law",
            "nonexpansive-3layer-subgradient"),
    _cocola("Theorem 1.2", "the same for phase retrieval, denoising and spiked matrices",
            ("problems.phase_retrieval", "problems.denoising", "problems.spiked"),
            "phase-retrieval", "denoising-law", "spiked-wigner", "spiked-wishart"),
    _cocola("Algorithm 1", "subgradient descent with negation", ("solvers.subgradient",),
            "nonexpansive-2layer-subgradient", "nonexpansive-3layer-subgradient", "negation"),
    _cocola("Definition 4.1", "RRIC", ("theory.range_restricted_isometry",), *_CONDITIONS),
    _cocola("Definition 4.2", "WDC", ("theory.weight_distribution",), *_WEIGHTS),
    _cocola("Definition 4.3", "R2WDC: the WDC on the range of the layers before",
            ("theory.range_restricted_weight_distribution",), *_WEIGHTS),
    _cocola("Theorem 4.4", "recovery under the RRIC and the R2WDC: steps, rate, error",
            ("theory.descent_guarantee", "theory.check_descent"), *_DESCENT),
    _cocola("Lemma 5.1", "Gaussian measurements meet the RRIC",
            ("theory.check_range_isometry",), *_CONDITIONS),
    _cocola("Lemma 5.2", "Gaussian networks of widths k log n meet the R2WDC",
            ("theory.check_range_weights", "theory.width_conditions"), *_WEIGHTS),
    _cocola("Lemma 5.3", "the noise enters by ω ‖η‖ only",
            ("theory.noise_gain", "theory.check_noise_gain"), "noise-gain"),
    _cocola("Theorem 5.4", "recovery by random networks with an error ω ‖η‖",
            ("theory.descent_guarantee", "theory.check_descent", "theory.noise_gain"),
            *_DESCENT, "noise-gain"),
    Statement("non-expansive", "Remark 3", "widths that contract and meet the condition",
              ("theory.contractive_widths", "theory.width_conditions"),
              reason="a choice of numbers, checked against the condition by its test"),
    _cocola("Appendix H, experiment 1", "success against k, two and three layers",
            ("solvers.subgradient", "solvers.levenberg_marquardt"),
            "nonexpansive-2layer-subgradient", "nonexpansive-3layer-subgradient",
            "nonexpansive-2layer-levenberg-marquardt", "nonexpansive-3layer-levenberg-marquardt"),
    _cocola("Appendix H, experiment 2", "error against k with noise of three levels",
            ("theory.noise_law",), "noise-law"),
)  # fmt: skip

STATEMENTS = (*_SURVEY, *_COCOLA)
