"""What the fuzzing tests put in the place of an argument, and how they judge what comes back."""

import contextlib
import functools
import inspect
import re
import signal
import warnings
from collections.abc import Callable, Iterator
from dataclasses import is_dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from cases import floats
from hypothesis import strategies as st

import jaxinv as ji

LIMIT = 60  # seconds that one call may take before it counts as a hang
KEY = jax.random.key(3)


class Row(NamedTuple):
    """One public callable and a call of it that is right.

    Attributes:
        name: ``"module.function"`` under ``jaxinv``.
        call: the callable.
        arguments: makes the right arguments, by name.
        says: how its messages may begin, besides with the function's own name.
        passes: arguments whose NaN and infinity the result may show, as its docstring says.
        overflows: arguments whose numbers near the largest float may end in NaN.
        slow: each call compiles for seconds, so that few are made.
    """

    name: str
    call: Callable[..., Any]
    arguments: Callable[[], dict[str, Any]]
    says: tuple[str, ...] = ()
    passes: tuple[str, ...] = ()
    slow: bool = False
    overflows: tuple[str, ...] = ()


def row(name: str, arguments: Callable[[], dict[str, Any]], **options: Any) -> Row:
    """Return the row of a public function, found by its name."""
    call = options.pop("call", None)
    if call is None:
        call = ji
        for part in name.split("."):
            call = getattr(call, part)
    return Row(name, call, arguments, **options)


def parameters(subject: Row) -> list[str]:
    """Return the names of the arguments that can be replaced."""
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    found = inspect.signature(subject.call).parameters.values()
    return [parameter.name for parameter in found if parameter.kind not in kinds]


# ------------------------------------------------------------------------------ wrong values


class FailsError(Exception):
    """What a function of the user's raises; it passes the library untouched."""


def _fails(*_: Any, **__: Any) -> Any:
    raise FailsError("a function of the user's that fails")


def _text(*_: Any, **__: Any) -> Any:
    return "text"


class Thing:
    """An object of no use here; the class can be called with anything."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __repr__(self) -> str:
        return "Thing()"


WRONG: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "object": Thing,
    "class": lambda: Thing,
    "text": lambda: "nonsense",
    "empty text": lambda: "",
    "bytes": lambda: b"bytes",
    "True": lambda: True,
    "zero": lambda: 0,
    "one": lambda: 1,
    "negative": lambda: -1,
    "seven": lambda: 7,
    "huge integer": lambda: 2**40,
    "zero float": lambda: 0.0,
    "half": lambda: 0.5,
    "negative float": lambda: -1.5,
    "huge": lambda: 1e30,
    "tiny": lambda: 1e-30,
    "NaN": lambda: float("nan"),
    "infinity": lambda: float("inf"),
    "minus infinity": lambda: float("-inf"),
    "complex": lambda: 1j,
    "list": lambda: [1.0, 2.0],
    "ragged list": lambda: [[1.0], [2.0, 3.0]],
    "list of texts": lambda: ["a", "b"],
    "list of None": lambda: [None, None],
    "empty list": list,
    "empty tuple": tuple,
    "tuple": lambda: (3, 2),
    "tuple of zeros": lambda: (0, 4),
    "tuple of floats": lambda: (2.5, 2.5),
    "long tuple": lambda: (2, 2, 2, 2, 2),
    "empty dict": dict,
    "dict": lambda: {"a": np.ones(3, np.float32)},
    "set": lambda: {1, 2},
    "array of texts": lambda: np.array(["a", "b"]),
    "array of objects": lambda: np.array([None, 3], dtype=object),
    "no entries": lambda: np.zeros(0, np.float32),
    "no rows": lambda: np.zeros((0, 10), np.float32),
    "no columns": lambda: np.zeros((6, 0), np.float32),
    "NaN array": lambda: jnp.asarray(jnp.nan),
    "vector": lambda: np.ones(5, np.float32),
    "vector of NaN": lambda: np.full(10, np.nan, np.float32),
    "square": lambda: np.ones((3, 3), np.float32),
    "four axes": lambda: np.ones((2, 2, 2, 2), np.float32),
    "integers": lambda: np.arange(10),
    "Booleans": lambda: np.ones(10, bool),
    "half precision": lambda: np.float16(0.5),
    "date": lambda: np.datetime64("2020-01-01"),
    "key": lambda: jax.random.key(0),
    "old key": lambda: jax.random.PRNGKey(0),
    "keys": lambda: jax.random.split(jax.random.key(0), 3),
    "function that fails": lambda: _fails,
    "function of text": lambda: _text,
    "function of numpy": lambda: np.tanh,
    "type": lambda: np.int32,
    "wide type": lambda: np.complex128,
    "generator": lambda: (i for i in range(3)),
    "operator": lambda: ji.operators.identity(10),
    "solver": lambda: ji.solvers.fista(0.1, 0.1),
}


def _wide(leaf: Any) -> Any:
    return np.array(leaf, np.promote_types(leaf.dtype, np.float32))


def _spoil(value: float) -> Callable[[Any], Any]:
    """Return a change that sets the first entry."""

    def change(leaf: Any) -> Any:
        wide = _wide(leaf)
        wide.flat[:1] = value
        return wide

    return change


CHANGES: dict[str, Callable[[Any], Any]] = {
    "one NaN": _spoil(np.nan),
    "one infinity": _spoil(np.inf),
    "zeros": np.zeros_like,
    "times 1e30": lambda leaf: _wide(leaf) * 1e30,
    "times 1e-30": lambda leaf: _wide(leaf) * 1e-30,
    "negated": lambda leaf: leaf * np.asarray(-1).astype(leaf.dtype),
    "a first axis": lambda leaf: leaf[None],
    "a batch": lambda leaf: np.stack([leaf, leaf, leaf]),
    "flat": lambda leaf: leaf.reshape(-1),
    "one less": lambda leaf: leaf[1:] if leaf.ndim else leaf,
    "none": lambda leaf: leaf[:0] if leaf.ndim else leaf,
    "transposed": lambda leaf: leaf.T,
    "as integers": lambda leaf: np.real(leaf).astype(np.int32),
    "as Booleans": lambda leaf: leaf.astype(bool),
    "as half precision": lambda leaf: np.real(leaf).astype(np.float16),
    "as complex": lambda leaf: leaf.astype(np.complex64),
    "as objects": lambda leaf: np.asarray(leaf).astype(object),
    "as texts": lambda leaf: np.asarray(leaf).astype(str),
    "as a list": lambda leaf: np.asarray(leaf).tolist(),
}


IN_OBJECTS = ("one NaN", "zeros", "times 1e30", "times 1e-30", "a first axis", "a batch")


def has_arrays(value: Any) -> bool:
    """Whether there is an array of numbers in a right argument, which can be changed."""
    return any(_is_numeric(leaf) for leaf in jax.tree.leaves(value))


def _is_numeric(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray) and not jnp.issubdtype(
        leaf.dtype, jax.dtypes.prng_key
    )


def changed(value: Any, name: str) -> Any:
    """Return a right argument with every array in it changed."""

    def one(leaf: Any) -> Any:
        return CHANGES[name](np.asarray(leaf)) if _is_numeric(leaf) else leaf

    with np.errstate(all="ignore"):
        return jax.tree.map(one, value)


def wrongs(right: Any) -> list[str]:
    """Return the names of what may stand in the place of an argument."""
    if not has_arrays(right):
        return list(WRONG)
    return [*WRONG, *(CHANGES if _is_numeric(right) or isinstance(right, dict) else IN_OBJECTS)]


def replacement(right: Any, name: str) -> Any:
    """Return what stands in the place of a right argument."""
    return WRONG[name]() if name in WRONG else changed(right, name)


def replacements(subject: Row) -> st.SearchStrategy[dict[str, str]]:
    """Draw one or two arguments and what stands in their place."""
    right = subject.arguments()
    names = parameters(subject)
    one = st.sampled_from(names).flatmap(
        lambda name: st.tuples(st.just(name), st.sampled_from(wrongs(right.get(name))))
    )
    return st.lists(one, min_size=1, max_size=min(2, len(names)), unique_by=lambda p: p[0]).map(
        dict
    )


# --------------------------------------------------------------------------------- judgement


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in the main thread after some seconds."""

    def ring(*_: Any) -> None:
        raise TimeoutError(f"no result after {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _is_iterator(value: Any) -> bool:
    return isinstance(value, Iterator)


def _floats(value: Any) -> Iterator[np.ndarray]:
    for leaf in jax.tree.leaves(value, is_leaf=_is_iterator):
        if isinstance(leaf, bool | int | type) or not (
            isinstance(leaf, float | complex) or hasattr(leaf, "dtype")
        ):
            continue
        if not hasattr(leaf, "dtype") or jnp.issubdtype(leaf.dtype, jnp.inexact):
            yield np.asarray(leaf)


def has_nan(value: Any) -> bool:
    """Whether a floating leaf of a pytree holds NaN."""
    return any(bool(np.any(np.isnan(leaf))) for leaf in _floats(value))


def has_nonfinite(value: Any) -> bool:
    """Whether a floating leaf of a pytree holds NaN or infinity."""
    return any(not bool(np.all(np.isfinite(leaf))) for leaf in _floats(value))


def names_argument(subject: Row, message: str) -> bool:
    """Whether a message begins with the function's name and then names an argument."""
    begin, _, rest = message.partition(": ")
    words = set(re.findall(r"\w+", rest))
    if begin in {subject.name, subject.name.rpartition(".")[2], *subject.says}:
        return bool(words & (set(parameters(subject)) | _fields(subject)))
    return bool(words & _parts().get(begin, set()))


def _fields(subject: Row) -> set[str]:
    """Return the fields of the objects among the right arguments, such as ``solver`` of layers."""
    held = (getattr(value, "__dataclass_fields__", {}) for value in subject.arguments().values())
    return {name for fields in held for name in fields}


@functools.cache
def _parts() -> dict[str, set[str]]:
    """Return the public classes, whose objects say what is wrong with them, and their parts."""
    modules = (
        ji.operators, ji.generators, ji.prox, ji.shrinkage, ji.problems, ji.solvers, ji.ntk,
    )  # fmt: skip
    return {
        name: set(inspect.signature(value).parameters) | {"x", "y", "z", "v", "u"}
        for folder in modules
        for module in list(vars(folder).values())
        if inspect.ismodule(module)
        for name, value in vars(module).items()
        if is_dataclass(value) and value.__module__ == module.__name__
    }


def _reported(result: Any) -> bool:
    """Whether a result has a status that says that its numbers are no good."""
    status = np.asarray(getattr(result, "status", ji.Status.RUNNING))
    return bool(np.isin(status, (ji.Status.DIVERGED, ji.Status.NONFINITE)).any())


def finding(subject: Row, wrong: dict[str, str]) -> str | None:
    """Call with wrong arguments and say what is bad about the outcome, or None."""
    right = subject.arguments()
    arguments = right | {name: replacement(right.get(name), kind) for name, kind in wrong.items()}
    try:
        with time_limit(LIMIT), warnings.catch_warnings():
            own = subject.name.rpartition(".")[2]  # a warning that names the function is an answer
            warnings.filterwarnings("ignore", f"{own}: ", UserWarning)
            result = subject.call(**arguments)
            jax.block_until_ready(list(_floats(result)))
    except (ValueError, TypeError, FileNotFoundError) as error:
        if names_argument(subject, str(error)):
            return None
        return f"{type(error).__name__} that names no argument: {error}"
    except FailsError:
        return None
    except Exception as error:  # whatever else it is, it is the finding
        return f"{type(error).__name__}: {error}"
    objects = [name for name, value in right.items() if not _is_numeric(value)]
    passes = [name for name in (*subject.passes, *objects) if name in wrong]
    passed = any(has_nonfinite(arguments[name]) for name in passes if wrong[name] in CHANGES)
    passed |= any(wrong.get(name) == "times 1e30" for name in subject.overflows)
    passed |= any(has_nonfinite(arguments[name]) for name in subject.passes if name in wrong)
    if has_nan(result) and not passed and not _reported(result):
        return "a result with NaN"
    return None


def check(subject: Row, wrong: dict[str, str]) -> None:
    """Fail with the call and what was bad about it."""
    found = finding(subject, wrong)
    assert found is None, f"{subject.name} with {wrong}: {found}"


def unit_matrix(rows: int = 6, columns: int = 10) -> np.ndarray:
    """Return Gaussian columns of norm 1."""
    entries = np.random.default_rng(0).normal(size=(rows, columns))
    return (entries / np.linalg.norm(entries, axis=0)).astype(floats())


def ones(*shape: int) -> np.ndarray:
    return np.ones(shape, floats())


def A() -> Any:
    return ji.operators.dense(unit_matrix())
