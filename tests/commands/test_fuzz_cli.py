"""Wrong values for every option of every subcommand: one line on stderr, exit status 2.

The options are read from the parser itself, so that a new one is covered on its day. A value that
turns out to be right starts the work, which is cut off: the options were all accepted by then.
"""

import argparse
import contextlib
import io
import signal

import jax
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jaxinv import cli

SECONDS = 1.0  # then the work has started
RIGHT = {
    "store verify": ["no.sqlite"],
    "store merge": ["no.sqlite", "--into", "all.sqlite"],
    "store export": ["no.sqlite", "all.nc"],
    "sweep": ["lasso", "--trials", "1"],
    "train": ["alista", "--steps", "1"],
    "reconstruct": ["y.npy", "--operator", "mask"],
    "simulate": ["camera", "--size", "16"],
    "reproduce": ["landscape-width", "--trials", "-1"],
}
NUMBERS = ("x", "", "-1", "0", "1.5", "nan", "inf", "-inf", "1e30", "1e400", "9" * 40, "1j", "2,3")
TEXTS = ("", " ", "no-such", "-", "\N{BULLET}", "a" * 5000, "0", "None")
PATHS = ("/dev/null/a", "/dev/null/a.png", "/dev/null/a.sqlite", "/proc/no/such.npz", "no/such.npz")
WRONG = NUMBERS + TEXTS + PATHS


class StartedError(BaseException):
    """The work has begun; no handler of the program's may keep this."""


def subparsers():
    """Return the parser of every subcommand by its name, such as ``store verify``."""

    def below(parser, name):
        inner = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
        if not inner:
            return {name: parser}
        found = {}
        for word, one in inner[0].choices.items():
            found |= below(one, f"{name} {word}".strip())
        return found

    return below(cli._parser(), "")


def options_of(name):
    """Return the options that take a value, in the way that they are typed."""
    held = (a for a in subparsers()[name]._actions if a.option_strings and a.nargs != 0)
    return [action.option_strings[-1] for action in held]


def switches_of(name):
    held = (a for a in subparsers()[name]._actions if a.option_strings and a.nargs == 0)
    return [a.option_strings[-1] for a in held if a.option_strings[-1] != "--help"]


@contextlib.contextmanager
def cut_off():
    def ring(*_):
        raise StartedError

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def run(arguments):
    """Return (exit status, stderr) of the program; status None when the work had begun."""
    out, err = io.StringIO(), io.StringIO()
    code = None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            with cut_off():
                code = cli.main(arguments)
        except SystemExit as ended:
            code = ended.code
        except StartedError:
            return None, ""
    return code, err.getvalue()


def check(arguments):
    code, err = run(arguments)
    shown = [argument[:40] for argument in arguments]
    assert code in (None, 0, 2), f"{shown}: {code}, {err}"
    assert "Traceback" not in err
    if code == 2:
        assert err.startswith("jaxinv"), f"{shown}: {err}"
        assert err.count("\n") == 1, f"{shown}: {err}"


def fuzz(name, number):
    options, switches = options_of(name), switches_of(name)
    pairs = st.tuples(st.sampled_from(options), st.sampled_from(WRONG)) if options else None
    wrongs = st.lists(pairs, min_size=1, max_size=2) if options else st.just([])
    chosen = st.lists(st.sampled_from(switches), max_size=1) if switches else st.just([])

    @settings(
        max_examples=number,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )
    @given(wrongs, chosen)
    def trial(wrong, flags):
        values = [f"{option}={value}" for option, value in wrong]
        check([*name.split(), *RIGHT[name], *flags, *values])

    trial()


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Run in a folder with one measurement, and undo what ``--compile-cache`` sets."""
    monkeypatch.chdir(tmp_path)
    np.save("y.npy", np.where(np.eye(16) > 0, np.nan, 1.0))
    folder = jax.config.jax_compilation_cache_dir
    yield
    jax.config.update("jax_compilation_cache_dir", folder)


def test_every_subcommand_is_fuzzed():
    assert set(subparsers()) == set(RIGHT)


@pytest.mark.parametrize("name", RIGHT)
def test_wrong_values(name):
    fuzz(name, 8)


@pytest.mark.slow
@pytest.mark.parametrize("name", RIGHT)
def test_many_wrong_values(name):
    fuzz(name, 100)


@pytest.mark.parametrize("name", RIGHT)
@pytest.mark.parametrize("value", [v for v in TEXTS if v not in ("", "-")])
def test_wrong_names(name, value):
    check([*name.split(), value, *RIGHT[name][1:]])


@pytest.mark.parametrize("arguments", [["--no-such"], ["no-such"], [""], ["sweep", "a", "b"]])
def test_wrong_commands(arguments):
    code, err = run(arguments)
    assert code == 2
    assert err.count("\n") == 1
