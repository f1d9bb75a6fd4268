"""Foundations that every other folder may use: pytrees, checks, status codes, numerics."""

from jaxinv._core import checks, numerics
from jaxinv._core.pytree import pytree, replace, static
from jaxinv._core.status import Status, describe, status_name

__all__ = ["Status", "checks", "describe", "numerics", "pytree", "replace", "static", "status_name"]
