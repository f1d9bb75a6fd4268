"""Wrong and extreme arguments for every public callable: a result without NaN, or one clear line.

Every public function has a row in ``fuzz_cases``. (Classes hold what the functions checked: a
pytree is rebuilt from any leaves.) The examples are chosen by hypothesis, the same in every run;
``-m slow`` takes many more of them.
"""

import importlib
import inspect
from typing import Any

import pytest
from exported import exports
from fuzz_cases import MODULES
from fuzz_cases_theory import CONSTRUCTORS
from fuzz_values import check, has_nan, parameters, replacements
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from refusal_cases import REFUSALS as OF_METHODS
from refusal_cases_generative import GENERATIVE as OF_GENERATIVE
from refusal_cases_problems import PROBLEMS as OF_PROBLEMS
from refusal_cases_samplers import SAMPLERS as OF_SAMPLERS

REFUSALS: dict[str, list[Any]] = {}
for column in (OF_METHODS, OF_PROBLEMS, OF_GENERATIVE, OF_SAMPLERS):
    for name, refusals in column.items():
        REFUSALS.setdefault(name, []).append(refusals)
WITH_ARGUMENTS = [subject for subject in CONSTRUCTORS if parameters(subject)]
QUICK = [subject for subject in WITH_ARGUMENTS if not subject.slow]
SLOW = [subject for subject in WITH_ARGUMENTS if subject.slow]
FILES = dict.fromkeys(("unfolded", "untrained", "ntk", "theory", "metrics"), "_theory")
FILES |= {"operators": "_operators", "trained": "_trained"}  # of their rows
QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large]


def fuzz(subject, examples):
    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=QUIET,
    )
    @given(st.data())
    def run(data):
        check(subject, data.draw(replacements(subject)))

    run()


def named(subjects):
    return pytest.mark.parametrize("subject", [pytest.param(s, id=s.name) for s in subjects])


def public_functions():
    for name in MODULES:
        module = importlib.import_module(f"jaxinv.{name}")
        for key in exports(module):
            value = getattr(module, key)
            if callable(value) and not inspect.isclass(value):
                yield f"{name}.{key}"


def skeleton(name):
    """Return the row that a public function lacks, to be filled in."""
    namespace, _, own = name.partition(".")
    signature = inspect.signature(getattr(importlib.import_module(f"jaxinv.{namespace}"), own))
    needed = [p.name for p in signature.parameters.values() if p.default is p.empty]
    arguments = ", ".join(f'"{argument}": ...' for argument in needed)
    if namespace in ("solvers", "misfits"):
        file = "solver_cases" if namespace == "solvers" else "cases"
        held = f"the row of {own} in {namespace.upper()} of {file}.py"
        return f"arguments=lambda: {{{arguments}}}, in {held}"
    file = f"fuzz_cases{FILES.get(namespace, '')}"
    section = "PROX" if namespace == "shrinkage" else namespace.upper()
    return f'row("{name}", lambda: {{{arguments}}}), in {section} of {file}.py'


def test_every_public_function_has_a_row():
    rows, public = {subject.name for subject in CONSTRUCTORS}, set(public_functions())
    lacking = [skeleton(name) for name in sorted(public - rows)]
    assert not lacking, "add, with small right arguments: " + "; ".join(lacking)
    assert not rows - public, "rows of what is not public"
    assert not REFUSALS.keys() - rows, "refusals of what has no row"


@named([subject for subject in CONSTRUCTORS if subject.name in REFUSALS])
def test_it_refuses_in_one_line(subject):
    for changes, words in (one for column in REFUSALS[subject.name] for one in column()):
        with pytest.raises((TypeError, ValueError), match=words) as caught:
            subject.call(**subject.arguments() | changes)
        assert len(str(caught.value).splitlines()) == 1


NO_FILE = ("unfolded.load", "unfolded.load_notes", "unfolded.save")  # right but for the file


@pytest.mark.slow
@named([subject for subject in CONSTRUCTORS if subject.name not in NO_FILE])
def test_the_right_call_is_right(subject):
    assert not has_nan(subject.call(**subject.arguments()))


@named(QUICK)
def test_wrong_arguments(subject):
    fuzz(subject, examples=4)


@named(SLOW)
def test_wrong_arguments_of_long_calls(subject):
    fuzz(subject, examples=1)


@pytest.mark.slow
@named(WITH_ARGUMENTS)
def test_many_wrong_arguments(subject):
    fuzz(subject, examples=4 if subject.slow else 25)
