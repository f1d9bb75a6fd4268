"""What a store goes by: 25 changes that it must tell, and 25 that it must not mind."""

import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from jaxinv.sweeps import StoreError, _program, sweep
from jaxinv.sweeps._program import Program
from jaxinv.sweeps.store._store import Store

KEY = jax.random.key(0)
OTHER = "FACTOR = 2.0\ndef scaled(x): return FACTOR * x\n"


def trial_of(source, file="trial.py", other=OTHER):
    """Run the source of a module, which may import ``other``; returns its trial."""
    sys.modules["other"] = module = types.ModuleType("other")
    exec(other, module.__dict__)
    space = {"jax": jax, "jnp": jnp, "np": np, "Partial": Partial, "__name__": file[:-3]}
    exec(compile(source, file, "exec"), space)
    return space["trial"]


def identity(source, *arguments, **options):
    trial = trial_of(source, *arguments, **options)
    return Program(trial, {"n": 3}, {"a": 1.0}, 2, key_impl="threefry2x32").identity


def using(expression, before="", parameters=""):
    """Return the source of a module whose trial returns an expression in a draw ``x``."""
    lines = [
        before,
        f"def trial(key, *, n, a{parameters}):",
        "    x = jax.random.normal(key, (n,))",
    ]
    return "\n".join([*lines, f"    return {{'value': jnp.sum({expression}) * a}}"])


def closing(value):
    lines = ["def made(bound):", *(f"    {line}" for line in using("x * f(bound)").splitlines())]
    return "\n".join(["def f(b): return b[0] + 10 * b[1]", *lines, "    return trial"]) + (
        f"\ntrial = made({value})"
    )


def bound(*arrays):
    return (
        "def run(p, q, key, *, n, a):\n"
        "    x = jax.random.normal(key, (n,))\n"
        "    return {'value': jnp.sum(x) * a * jnp.sum(p) * jnp.sum(q.astype('float32'))}\n"
        f"trial = Partial(run, {', '.join(arrays)})"
    )


CLASS = "class Model:\n    rate = {0}\n    def __call__(self, x): return self.rate * x {1}\n"
SOLVE = "@jax.jit\ndef _solve(x): return jnp.sin(x) {0}\n"
NESTED = "RATE = {0}\nmake = lambda: (lambda x: RATE * x)\n"
BIG = "BIG = np.ones(5000, np.float32)\nBIG[4999] = {0}\n"

CHANGES = {
    "global number": [using("R * x", f"R = {v}") for v in (2.0, 2.5)],
    "global list": [using("R[1] * x", f"R = [1.0, {v}]") for v in (2.0, 2.5)],
    "global dict": [using("R['r'] * x", f"R = {{'r': {v}}}") for v in (2.0, 2.5)],
    "global in a nested lambda": [using("make()(x)", NESTED.format(v)) for v in (2.0, 2.5)],
    "global array": [using("R * x", f"R = np.array([1., 2., {v}])") for v in (3.0, 3.5)],
    "a bit of a large array": [using("jnp.max(BIG) * x", BIG.format(v)) for v in (1, 1.0000001)],
    "class attribute": [using("Model()(x)", CLASS.format(v, "")) for v in (2.0, 2.5)],
    "method body": [using("Model()(x)", CLASS.format(2.0, v)) for v in ("", "+ 1")],
    "a jitted function": [using("_solve(x)", SOLVE.format(v)) for v in ("", "+ 1")],
    "default argument": [using("b * x", parameters=f", b={v}") for v in (2.0, 2.5)],
    "closure": [closing(v) for v in ("(1, 2)", "(1, 3)")],
    "closure of joined digits": [closing(v) for v in ("(1, 23)", "(12, 3)")],
    "closure of joined floats": [closing(v) for v in ("[0.1, 10.5]", "[0.11, 0.5]")],
    "bound array": [bound("jnp.ones(3)", f"jnp.full(2, {v})") for v in (1.0, 2.0)],
    "bound type": [bound("jnp.ones(3)", f"jnp.ones(2, '{v}')") for v in ("float32", "float16")],
    "bound shape": [bound("jnp.ones(3)", f"jnp.ones({v})") for v in ("2", "(1, 2)")],
    "bound arrays cut otherwise": [
        bound("jnp.arange(2.)", "jnp.arange(2., 5.)"),
        bound("jnp.arange(3.)", "jnp.arange(3., 5.)"),
    ],
    "bound key": [
        f"def run(k, key, *, n, a): return {{'value': a * jax.random.normal(k)}}\n"
        f"trial = Partial(run, jax.random.key({v}))"
        for v in (0, 1)
    ],
    "sign of zero": [using("jnp.arctan2(R, x)", f"R = {v}") for v in ("0.0", "-0.0")],
    "order of a sum": [using("x + x**2 + x**3"), using("x + (x**2 + x**3)")],
    "precision of a product": [
        using(f"jnp.dot(x, x, precision='{v}')") for v in ("highest", "default")
    ],
    "name of a metric": [using("x"), using("x").replace("'value'", "'other'")],
    "which of two private functions": [
        using(f"{v}(x)", "@jax.jit\ndef _f(x): return x + 1\n@jax.jit\ndef _g(x): return x - 1")
        for v in ("_f", "_g")
    ],
    "attribute of another module": [OTHER, OTHER.replace("2.0", "2.5")],
    "function of another module": [OTHER, OTHER.replace("* x", "* x + 1")],
}
USES_OTHER = using("other.scaled(x)", "import other")


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_another_program(name):
    one, two = CHANGES[name]
    if "another module" in name:
        assert identity(USES_OTHER, other=one) != identity(USES_OTHER, other=two)
    else:
        assert identity(one) == identity(one) != identity(two)


PLAIN = '''
import math

RATE = 2.0

def _helper(x):
    return jnp.sin(x) * RATE

@jax.jit
def _solve(x, y):
    return jax.lax.fori_loop(0, 3, lambda i, z: _inner(z) + y, x)

@jax.jit
def _inner(z):
    return jnp.cos(z)

class Model:
    def run(self, x):
        return _solve(x, _helper(x))

def trial(key, *, n, a):
    """Old words."""
    x = jax.random.normal(key, (n,))
    y = Model().run(x)
    return {"value": a * jnp.sum(y), "first": y[0]}
'''
HARMLESS = {
    "a private function": ("_helper", "_assistant"),
    "a jitted function": ("_solve", "_minimize"),
    "a jitted function that a loop calls": ("_inner", "_step"),
    "a jitted function's name in order": ("_solve", "_a_solve"),
    "a name that a custom call has": ("_inner", "lapack_sgetrf_ffi"),
    "a name like that of another": ("_inner", "_solve_0"),
    "a class": ("Model", "Network"),
    "a method": ("run", "apply"),
    "a local name": ("y = Model", "y = z = Model"),
    "a global name": ("RATE", "FACTOR"),
    "names of parameters": ("(z):\n    return jnp.cos(z)", "(w):\n    return jnp.cos(w)"),
    "a docstring": ("Old words.", "New words, more of them."),
    "a comment": ("    y = Model", "    # why\n    y = Model"),
    "line numbers": ("\nimport math\n", "\n" * 50 + "import math\n"),
    "an import": ("import math\n", "import math, os\n"),
    "an unused function": ("RATE = 2.0\n", "RATE = 2.0\n\ndef unused(x):\n    return x + 1\n"),
    "an unused number": ("RATE = 2.0\n", "RATE = 2.0\nUNUSED = 3.0\n"),
    "a computation without use": ("    y = Model", "    unused = jnp.exp(x)\n    y = Model"),
    "annotations": ("def _helper(x):", "def _helper(x: jax.Array) -> jax.Array:"),
    "a number written otherwise": ("RATE = 2.0", "RATE = 4 / 2"),
    "an assertion": ("    y = Model", "    assert n > 0\n    y = Model"),
    "a named scope": ("    y = M", "    with jax.named_scope('s'):\n        y = M"),
    "a print": ("    y = Model", "    print(end='')\n    y = Model"),
    "a helper in between": ("_solve(x, _helper(x))", "(lambda v: _solve(v, _helper(v)))(x)"),
    "the file": ("", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", HARMLESS)
def test_a_harmless_change_is_the_same_program(name):
    old, new = HARMLESS[name]
    file = "elsewhere/moved.py" if name == "the file" else "trial.py"
    changed = PLAIN.replace(old, new)
    assert changed != PLAIN or name == "the file"
    assert identity(changed, file) == identity(PLAIN)


def test_both_tables_are_full():
    assert len(CHANGES) == len(HARMLESS) == 25


# --- what is not in the program --------------------------------------------------------------


def environment_with(monkeypatch, **changes):
    for name, value in changes.items():
        monkeypatch.setenv(name, value)
    return _program.environment()


@pytest.mark.parametrize(
    ("flags", "same"),
    [
        ("--xla_cpu_max_isa=AVX2", False),
        ("--xla_cpu_enable_fast_math=true --xla_cpu_max_isa=SSE4_2", False),
        ("--xla_force_host_platform_device_count=4", True),
        ("--xla_dump_to=/tmp/somewhere", True),
        ("  ", True),
    ],
)
def test_flags_of_the_compiler(monkeypatch, tmp_path, flags, same):
    plain = environment_with(monkeypatch, XLA_FLAGS="")
    changed = environment_with(monkeypatch, XLA_FLAGS=flags)
    assert (plain == changed) == same
    backwards = environment_with(monkeypatch, XLA_FLAGS=" ".join(reversed(flags.split())))
    assert backwards == changed
    (tmp_path / "flags").write_text(flags)
    assert environment_with(monkeypatch, XLA_FLAGS=str(tmp_path / "flags")) == changed


class Device:
    platform = "cpu"
    client = types.SimpleNamespace(platform_version="cpu")

    def __init__(self, kind):
        self.device_kind = kind


def test_a_store_is_refused_with_what_differs(monkeypatch, tmp_path):
    claims = {"names": ["n"], "block_size": 1}
    store = tmp_path / "sweep.sqlite"
    with Store(store, write=True) as opened:
        opened.claim({**claims, **_program.environment()})

    def refused(match, **changes):
        with (
            pytest.raises(StoreError, match=match) as caught,
            Store(store, write=True) as opened,
        ):
            opened.claim({**claims, **_program.environment(), **changes})
        assert str(caught.value).count("\n") == 0

    refused("block_size is 1 in the store and 2 now", block_size=2)
    refused("identity is None in the store and v1 now", identity="v1")
    with jax.enable_x64(not jax.config.jax_enable_x64):
        refused(r"float is float\d\d in the store and float\d\d now; jax_flags is")
    with jax.default_matmul_precision("tensorfloat32"):
        refused("jax_flags is .* and .*tensorfloat32.* now")
    with monkeypatch.context() as patch:
        patch.setattr(_program, "_device", lambda: Device("another chip"))
        refused("device is cpu in the store and another chip now")
    with monkeypatch.context() as patch:
        patch.setattr(_program, "_processor", lambda: "x86_64 another, features 0")
        refused("processor is .* and x86_64 another, features 0 now")
    with monkeypatch.context() as patch:
        patch.setattr(jax, "__version__", "9.9")
        refused("jax is .* and 9.9 now")
    with monkeypatch.context() as patch:
        patch.setenv("XLA_FLAGS", "--xla_cpu_max_isa=AVX")
        refused("xla_flags is .* now")
    with Store(store, write=True) as opened:
        opened.claim({**claims, **_program.environment()})


def test_a_worker_of_another_kind_is_refused(monkeypatch):
    from jaxinv.sweeps._executors import _require

    here = _program.environment()
    _require(None)
    _require(here)
    with pytest.raises(RuntimeError, match=r"worker computes otherwise .*: device is cpu there"):
        _require({**here, "device": "another chip"})


# --- what no program tells -------------------------------------------------------------------


def called_back(factor):
    def trial(key, *, a):
        x = jax.random.normal(key)
        result = jax.ShapeDtypeStruct((), jnp.float32)
        return {"x": jax.pure_callback(lambda x: np.float32(factor * x), result, x)}

    return trial


def ordered(key, *, a):
    from jax.experimental import io_callback

    return {"x": io_callback(lambda: np.float32(1), jax.ShapeDtypeStruct((), jnp.float32))}


def printing(key, *, a):
    jax.debug.callback(lambda x: None, a)
    return {"x": jax.random.normal(key)}


def in_a_loop(key, *, a):
    def body(i, x):
        result = jax.ShapeDtypeStruct((), jnp.float32)
        return jax.pure_callback(lambda x: np.float32(x), result, x)

    return {"x": jax.lax.fori_loop(0, 2, body, jax.random.normal(key, dtype=jnp.float32))}


@pytest.mark.parametrize("trial", [called_back(1.0), ordered, printing, in_a_loop])
def test_a_trial_that_calls_python_needs_a_version(tmp_path, trial):
    options = {"key": KEY, "num_trials": 2, "block_size": 1}
    with pytest.raises(ValueError, match=r'identity must be given with a store.*identity="v1"'):
        sweep(trial, {"a": [1]}, store=tmp_path / "sweep.sqlite", **options)
    assert not list(tmp_path.iterdir())  # nothing was begun
    sweep(trial, {"a": [1]}, **options)


def test_a_named_version_has_a_store(tmp_path):
    options = {"key": KEY, "num_trials": 2, "store": tmp_path / "sweep.sqlite"}
    first = sweep(called_back(1.0), {"a": [1]}, identity="v1", **options)
    again = sweep(called_back(1.0), {"a": [1]}, identity="v1", **options)
    np.testing.assert_array_equal(first["x"], again["x"])
    for version in ("v2", None):
        with pytest.raises((StoreError, ValueError), match="identity"):
            sweep(called_back(2.0), {"a": [1]}, identity=version, **options)
    with pytest.raises(TypeError, match="identity must be a text"):
        sweep(called_back(2.0), {"a": [1]}, identity=2, **options)


def callback_counter(key, *, a):
    """A trial without callbacks, though names and metrics sound like some."""
    return {"pure_callback": jnp.float32(a)}


def test_a_name_is_no_callback(tmp_path):
    options = {"key": KEY, "num_trials": 1}
    sweep(callback_counter, {"a": [1]}, store=tmp_path / "sweep.sqlite", **options)


def test_what_a_callback_raises_names_the_cell_and_keeps_the_block_before(tmp_path):
    def fails_once(x):
        if x > 1:
            raise ArithmeticError("too large")
        return np.float32(x)

    def trial(key, *, a):
        result = jax.ShapeDtypeStruct((), jnp.float32)
        return {"x": jax.pure_callback(fails_once, result, jax.random.normal(key))}

    options = {"key": KEY, "num_trials": 30, "store": tmp_path / "sweep.sqlite"}
    with pytest.raises(Exception, match="too large") as caught:
        sweep(trial, {"a": [1]}, block_size=1, identity="1", **options)
    note = next(note for note in caught.value.__notes__ if "in the cell" in note)
    failed = int(note.split()[-1])
    assert failed > 0
    with Store(options["store"], write=False) as store:
        assert sorted(block for _, block, _ in store.blocks()) == list(range(failed))
