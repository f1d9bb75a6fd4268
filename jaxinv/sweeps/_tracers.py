"""What JAX says of a value that is not known while it traces, as one line about the trial."""

from __future__ import annotations

import linecache
import re
import traceback
from collections.abc import Iterable
from pathlib import Path

import jax
import numpy as np

import jaxinv

_OF_TRACERS = (jax.errors.JAXTypeError, jax.errors.NonConcreteBooleanIndexError)
_NOT_THE_USERS = tuple(str(Path(lib.__file__ or "").parent) for lib in (jax, np, jaxinv))
_OF_SIZES = re.compile(  # JAX's words for a size that is traced, and ours
    r"(Shapes must be|Slice entries must be|sequence of integers|must be an integer).*Tracer"
)
_ARGUMENT = re.compile(r"(jnp|jax\.numpy)\.\w+ argument|argument of jnp\.|jnp\.repeat")


def is_of_tracers(error: Exception) -> bool:
    """Whether an error is about a number that was asked for while it is traced."""
    return isinstance(error, _OF_TRACERS) or bool(_OF_SIZES.search(str(error)))


def explained(where: str, error: Exception, traced: Iterable[str]) -> TypeError:
    """Return what to write in its place, with the line of the trial."""
    names = ", ".join(traced)
    among = f" (traced: {names})" if names else ""
    if isinstance(error, jax.errors.TracerBoolConversionError):
        expected = f"not ask whether a traced value{among} or one of the key is true"
        hint = "Write jnp.where(test, a, b) or jax.lax.cond in place of if, and & for and."
    elif isinstance(error, jax.errors.NonConcreteBooleanIndexError):
        expected = f"not select entries by a traced mask{among}"
        hint = "Write jnp.where(mask, x, 0) in place of x[mask]."
    elif _is_of_sizes(error):
        expected = f"not make a shape or an index of a traced value{among}"
        hint = (
            "Leave the name out of traced (one compile for each of its values), or pad to the "
            "largest one: problems.padded, family.with_active."
        )
    else:
        expected = f"keep traced values{among} and those of the key in JAX"
        hint = (
            "Use jax.numpy in place of numpy, and return values as they are, without float(), "
            "int() or .item(): the results are numbers."
        )
    return TypeError(f"{where}: trial must {expected}, got {_place(error)}. {hint}")


def _is_of_sizes(error: Exception) -> bool:
    if isinstance(error, jax.errors.ConcretizationTypeError):  # of jnp.arange and the like
        return bool(_ARGUMENT.search(str(error)))
    return not isinstance(error, jax.errors.TracerArrayConversionError)


def _place(error: Exception) -> str:
    """Return the line of the user's code that the error comes from."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith(_NOT_THE_USERS)]
    if not own:
        return " ".join(str(error).split())[:160]
    last = own[-1]
    line = (last.line or linecache.getline(last.filename, last.lineno or 0)).strip()
    return f"{line!r} ({Path(last.filename).name}, line {last.lineno})"
