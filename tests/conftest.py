"""Settings for the whole suite. ``JAX_ENABLE_X64=1`` runs it in float64 mode as well."""

import jax

jax.config.update("jax_default_matmul_precision", "highest")
