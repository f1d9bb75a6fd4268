"""Options that several subcommands share."""

from __future__ import annotations

import argparse
from typing import Any


def add_seed(parser: Any) -> None:
    """Add ``--seed``."""
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the root key")


def root_key(where: str, options: argparse.Namespace) -> Any:
    """Return the key of ``--seed``."""
    import jax

    from jaxinv._core import checks

    if not 0 <= options.seed < 2**32:
        checks.fail(where, "seed", "be in [0, 2**32)", options.seed)
    return jax.random.key(options.seed)
