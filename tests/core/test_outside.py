"""Arrays of other libraries: every public function takes them by value, or says the way out."""

import warnings

import jax
import jax.experimental.sparse
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import xarray as xr
from fuzz_cases_theory import CONSTRUCTORS
from fuzz_values import _is_numeric, names_argument

from jaxinv._core import checks

ROWS = [
    subject
    for subject in CONSTRUCTORS
    if subject.name != "generators.from_function"  # its params are whatever the user's apply takes
    and not subject.slow
    and any(_is_numeric(value) for value in subject.arguments().values())
]


class Tensor:
    """What an array of PyTorch offers: ``__array__``, and a type of its own."""

    dtype = "torch.float32"

    def __init__(self, values, error=None):
        self.values, self.shape, self.error = values, values.shape, error

    def __array__(self, dtype=None, copy=None):
        if self.error:
            raise self.error
        return self.values


def _table(values):
    return pd.DataFrame(values) if values.ndim == 2 else pd.Series(values)


TAKEN = {
    "big-endian": lambda x: x.astype(x.dtype.newbyteorder(">")),
    "nothing masked": np.ma.MaskedArray,
    "DataArray": xr.DataArray,
    "Tensor": Tensor,
    "list of arrays": lambda x: list(x) if x.ndim else x,
    "table": lambda x: _table(x) if x.ndim in (1, 2) else x,
    "read-only": lambda x: np.broadcast_to(x, x.shape),
}
REFUSED = {
    "masked": (lambda x: np.ma.MaskedArray(x, np.arange(x.size).reshape(x.shape) == 0), "filled"),
    "sparse": (lambda x: scipy.sparse.csr_array(np.atleast_2d(x.reshape(len(x), -1))), "toarray"),
    "missing": (lambda x: pd.Series([None, *x.ravel()[1:].real], dtype="Float64"), "fillna"),
    "objects": (lambda x: x.astype(object), "astype"),
    "tensor on a device": (lambda x: Tensor(x, RuntimeError("Use .cpu()")), "cpu"),
}


def _arrays(subject):
    return {
        name: np.asarray(value) for name, value in subject.arguments().items() if _is_numeric(value)
    }


@pytest.mark.parametrize("subject", [pytest.param(row, id=row.name) for row in ROWS])
def test_foreign_arrays_are_taken_by_value_or_refused(subject):
    right, arrays = subject.arguments(), _arrays(subject)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        expected = jax.tree.leaves(subject.call(**right))
        for form in ("big-endian", "DataArray"):  # JAX itself takes neither
            given = {name: TAKEN[form](value) for name, value in arrays.items()}
            found = jax.tree.leaves(subject.call(**{**right, **given}))
            for ours, theirs in zip(found, expected, strict=True):
                np.testing.assert_array_equal(ours, theirs, err_msg=form)
    for form, (make, hint) in REFUSED.items():
        for name, value in arrays.items():
            if value.dtype == bool and form == "missing":
                continue
            with pytest.raises((ValueError, TypeError)) as caught:
                subject.call(**{**right, name: make(value)})
            text = str(caught.value)
            assert names_argument(subject, text), (form, text)
            assert hint in text, (form, text)
            assert "\n" not in text


@pytest.mark.parametrize("form", TAKEN)
def test_every_form_is_taken_by_value(form):
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(checks.array("f", "x", TAKEN[form](values)), values)
    with pytest.raises(ValueError, match=r"f: x must have 1 dimension"):
        checks.array("f", "x", TAKEN[form](values), ndim=1)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (np.ones(2, ">f2"), "float16"),
        (np.ones(2, ml_dtypes.bfloat16), "bfloat16"),
        (np.ones(2, ">c8"), "complex64"),
        (np.ones(2, np.longdouble), None),
        (np.ones(2, ml_dtypes.int4), None),
        (pd.Series([1, 2], dtype="Int8"), None),
        (pd.Series([True, False], dtype="boolean"), None),
        (pd.DataFrame({"a": pd.array([1, 1]), "b": [1.0, 1.0]}), None),
        (pd.Index([1, 2]), None),
        (pd.Series(pd.arrays.SparseArray([0.0, 1.0])), None),
        ([np.ma.MaskedArray([1.0]), xr.DataArray([2.0])], None),
        (xr.Variable("x", [1, 2]), None),
        (np.matrix([[1, 2]]), None),
    ],
)
def test_types_are_kept_and_numbers_become_the_default_float(value, dtype):
    found = checks.array("f", "x", value)
    assert found.dtype == (jnp.result_type(float) if dtype is None else dtype)
    expected = [np.asarray(v) for v in value] if isinstance(value, list) else np.asarray(value)
    np.testing.assert_array_equal(found, np.asarray(expected, found.dtype))


def test_wide_integers_round_to_the_nearest_float():
    # JAX alone wraps them to 32 bits
    for value in ([2**40 + 1, -(2**40)], np.array([2**64 - 1], np.uint64), [2**24 + 1]):
        found = checks.array("f", "x", value)
        np.testing.assert_array_equal(found, np.asarray(value).astype(found.dtype))


def test_numbers_that_the_type_cannot_hold_are_named():
    for value in ([1.0, 1e300], [0.0, -1e-200]):
        if jax.config.read("jax_enable_x64"):
            value = np.asarray(value, np.longdouble) ** 10
        with pytest.raises(ValueError, match=r"f: x must fit float.* in magnitude, got .*Scale it"):
            checks.array("f", "x", value)
    assert checks.array("f", "x", [1.0, 1e-300, np.inf]).tolist()[::2] == [1.0, np.inf]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([np.ma.masked, 1.0], "no masked entries, got 1 of 1"),
        ([[1], [2, 3]], r"list \[\[1\], \[2, 3\]\]. Its rows have different lengths"),
        (np.zeros(2, [("a", "f4"), ("b", "i4")]), "one of its fields, a, b"),
        (pd.Series(pd.date_range("2020", periods=2)), "times as numbers"),
        (pd.Series(["1", "2"]), "objects such as str"),
        (xr.Dataset({"a": ("x", [1.0])}), "DataArray"),
        (jax.experimental.sparse.BCOO.fromdense(jnp.eye(2)), r"\.todense\(\)"),
        (scipy.sparse.linalg.aslinearoperator(np.eye(2)), "operators.from_linear_operator"),
        ([2**70], r"objects such as int; numbers pass after \.astype\(float\)"),
    ],
)
def test_what_is_refused_names_the_way_out(value, message):
    with pytest.raises((TypeError, ValueError), match=rf"^f: x must .*{message}") as caught:
        checks.array("f", "x", value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "value", ["a", [1, "b"], None, {"a": 1}, [[1, 2], [3]], jax.random.key(0), object(), np.float32]
)
def test_what_is_no_array_is_named(value):
    with pytest.raises(TypeError, match=r"^f: x must be an array of numbers, got"):
        checks.array("f", "x", value)


@pytest.mark.parametrize("form", TAKEN)
def test_scalars_of_other_libraries(form):
    assert checks.positive("f", "a", TAKEN[form](np.array(2.0))) == 2
    batch = checks.positive("f", "a", TAKEN["big-endian"](np.array([1.0, 2.0])))
    assert batch.dtype.isnative
    assert batch.tolist() == [1, 2]


def test_scalars_refuse_masked_and_missing_values():
    for value in (
        np.ma.masked, pd.Series([1, None], dtype="Int64"), pd.NA, 10**400, xr.DataArray(-1.0)
    ):  # fmt: skip
        with pytest.raises((TypeError, ValueError), match=r"^f: a must.*\.$") as caught:
            checks.positive("f", "a", value)
        assert "\n" not in str(caught.value)


def test_lists_may_hold_tracers():
    found = jax.jit(lambda a: checks.array("f", "x", [a, 1.0]))(2.0)
    assert found.tolist() == [2, 1]
