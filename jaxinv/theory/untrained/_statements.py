"""What the papers state about untrained networks."""

from jaxinv.theory._catalog import Statement

_DRAWING = "a drawing of an idea, without numbers"
_PICTURES = "pictures beside each other, without numbers; what they show is measured by "
_XRAY = "the x-ray images are not free to ship; the same comparison runs on a retina and on digits"

_BOUNDS = ("untrained-bounds",)

_SURVEY = (
    Statement("survey", "Figure 3", "the deep decoder", ("generators.deep_decoder",),
              reason=_DRAWING),
    Statement("survey", "Equations (31)-(32)", "fit a network to one measurement",
              ("untrained.fit", "generators.two_layer_decoder"), ("untrained-compressive",)),
    Statement(
        "survey", "Proposition 2", "a small decoder fits a share p log n / n of noise",
        ("theory.noise_bound", "theory.check_noise_fit"), _BOUNDS,
    ),
    Statement(
        "survey", "Figure 4", "images are fitted long before noise", ("untrained.fit",),
        ("untrained-fit-time",),
    ),
    Statement(
        "survey", "Figure 5", "trigonometric basis functions", ("ntk.trigonometric_basis",),
        ("untrained-basis",),
    ),
    Statement(
        "survey", "Theorem 7", "early-stopped denoising with an over-parametrized network",
        ("theory.check_denoising_curve", "ntk.linearized_denoising"), ("untrained-denoising",),
    ),
    Statement(
        "survey", "Theorem 8", "recovery of an m/3-smooth signal where σ² decays geometrically",
        ("theory.geometric_recovery_bound", "theory.check_network_recovery"),
        ("untrained-bounds", "untrained-printed-claims"),
    ),
)  # fmt: skip


def _sensing(label: str, says: str, functions: tuple[str, ...], *runs: str) -> Statement:
    return Statement("sensing", label, says, functions, runs)


_SENSING = (
    _sensing("Figure 1", "a decoder run to convergence recovers images from n/4 measurements",
             ("untrained.fit", "generators.deep_decoder"),
             "untrained-compressive", "untrained-inpainting"),
    _sensing("Figure 2", "trigonometric basis functions, n = 300", ("ntk.trigonometric_basis",),
             "untrained-basis"),
    _sensing("Theorem 1", "error of a linear model from Gaussian measurements",
             ("theory.recovery_bound", "theory.check_sketched_recovery"), *_BOUNDS),
    _sensing("Equation (8)", "the same where σ² decays geometrically",
             ("theory.geometric_recovery_bound",), *_BOUNDS),
    _sensing("Figure 3", "wider kernels weigh low frequencies more", ("ntk.spectrum",),
             "untrained-spectrum", "untrained-printed-claims"),
    _sensing("Theorem 2", "recovery by a wide two-layer network",
             ("theory.check_network_recovery",), *_BOUNDS),
    _sensing("Figure 4", "singular values of a deep decoder's Jacobian along a fit",
             ("ntk.jacobian_singular_values",), "untrained-jacobian", "untrained-printed-claims"),
    _sensing("Figure 5", "magnetic resonance images from 8-fold undersampled k-space",
             ("operators.mri", "operators.multicoil_mri", "untrained.fit"), "untrained-mri"),
    _sensing("Proposition 1", "the error of a linear model, with its own coefficients",
             ("theory.sketch_bound", "theory.check_sketched_recovery"), *_BOUNDS),
    Statement("sensing", "Theorem 3", "the width and the step with which Theorem 2 is proved",
              ("theory.width_constants",), (),
              "a width above 10^40 channels: the constants are computed, no run can have them"),
    _sensing("Theorem 4", "descent on a network stays near that on its linear model",
             ("theory.check_linear_closeness",), *_BOUNDS),
    _sensing("Proposition 2", "closed form of descent on a linear model",
             ("theory.check_linear_dynamics", "ntk.linearized_descent", "ntk.linearized_distance"),
             *_BOUNDS),
    _sensing("Lemma 1", "norm of the output at a random start", ("generators.two_layer",),
             *_BOUNDS),
    _sensing("Lemma 2", "norm of the Jacobian", ("ntk.empirical_kernel",), *_BOUNDS),
    _sensing("Lemma 3", "the kernel at a random start concentrates about its mean",
             ("ntk.empirical_kernel", "ntk.expected_kernel"), *_BOUNDS),
    Statement("sensing", "Lemma 4", "a reference Jacobian near the one at the start exists",
              ("ntk.expected_kernel",), (),
              "existence, used in the proof of Theorem 3 only; check_linear_closeness takes any "
              "reference and measures its distance"),
    _sensing("Lemma 5", "how far the Jacobian moves near a random start", ("ntk.jacobian",),
             *_BOUNDS),
)  # fmt: skip


def _cs_dip(
    label: str, says: str, functions: tuple[str, ...], *runs: str, reason: str = ""
) -> Statement:
    return Statement("cs-dip", label, says, functions, runs, reason)


_CS_DIP = (
    _cs_dip("Theorem 4.1", "a wide network fits any signal at a linear rate",
            ("theory.check_fitting_rate",), *_BOUNDS),
    _cs_dip("Table 1", "learned regularization helps most with few or noisy measurements",
            ("untrained.learned_regularizer", "untrained.fit"), "untrained-learned-regularization"),
    _cs_dip("Figure 1", "error against measurements, x-rays and digits", ("untrained.fit",),
            "untrained-digits"),
    _cs_dip("Figure 2", "reconstructions of x-rays and digits", (),
            reason=_PICTURES + "figure 1"),
    _cs_dip("Table 2", "run times of the algorithms", (),
            reason="seconds on a processor of 2017; benchmarks/ compares with peers in one run"),
    _cs_dip("Figure 3", "error against measurements, a retina and Fourier rows",
            ("untrained.fit", "operators.subsampled_fourier"), "untrained-retina",
            "untrained-digits"),
    _cs_dip("Figure 4", "a trained prior and an untrained one on digits; x-rays in noise",
            ("generators.vae", "untrained.fit"), "csgm-untrained"),
    _cs_dip("Algorithm 1", "mean and covariance of the weights of fitted networks",
            ("untrained.learned_regularizer",), "untrained-learned-regularization"),
    _cs_dip("Lemma B.1", "least singular value of the Jacobian at the start",
            ("theory.check_fitting_rate",), *_BOUNDS),
    _cs_dip("Lemma B.2", "how far the Jacobian moves near the start", ("ntk.jacobian",),
            *_BOUNDS),
    _cs_dip("Lemma B.3", "largest singular value of the Jacobian",
            ("theory.check_fitting_rate",), *_BOUNDS),
    _cs_dip("Lemma B.4", "misfit at the start", ("theory.check_fitting_rate",), *_BOUNDS),
    _cs_dip("Theorem B.5", "linear convergence where the Jacobian moves little",
            ("theory.check_fitting_rate", "theory.check_linear_closeness"), *_BOUNDS),
    _cs_dip("Theorem C.1", "sums of random semidefinite matrices from below", (),
            reason="a tool of the proof of Lemma B.1, which is measured"),
    _cs_dip("Lemma C.2", "few signs change near the start", (),
            reason="a tool of the proof of Lemma B.2, which is measured"),
    _cs_dip("Lemma C.3", "few small entries, few sign changes", (),
            reason="a tool of the proof of Lemma B.2, which is measured"),
    _cs_dip("Lemma C.4", "small entries of a Gaussian vector are few", (),
            reason="a tool of the proof of Lemma B.2, which is measured"),
    _cs_dip("Figures 5 to 12", "reconstructions of digits, x-rays and a retina", (),
            reason=_PICTURES + "figures 1 and 3"),
    _cs_dip("Figure 13", "radial lines in the Fourier domain", ("operators.radial_lines",),
            "untrained-retina"),
    _cs_dip("Figure 14", "reconstructions from Fourier coefficients", (), reason=_XRAY),
)  # fmt: skip

STATEMENTS = (*_SURVEY, *_SENSING, *_CS_DIP)
