"""``python -m jaxinv``."""

from jaxinv.cli import main

raise SystemExit(main())
