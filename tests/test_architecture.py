"""The folders are floors, files are small, public names are documented, imports are light."""

import ast
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from exported import exports

import jaxinv

ROOT = Path(jaxinv.__file__).parent
FLOORS = {
    "_core": 0,
    "operators": 1,
    "generators": 1,
    "misfits": 1,
    "prox": 1,
    "shrinkage": 1,
    "metrics": 1,
    "denoisers": 1,
    "problems": 2,
    "ntk": 2,
    "solvers": 3,
    "samplers": 3,
    "unfolded": 4,
    "untrained": 4,
    "trained": 4,
    "theory": 4,
    "sweeps": 5,
    "images": 5,
    "data": 5,
    "viz": 5,
    "reproductions": 6,
    "_commands": 7,
    "cli": 7,
    "__main__": 7,
}
FILES = sorted(ROOT.rglob("*.py"))
NAMESPACES = (
    "operators",
    "generators",
    "problems",
    "solvers",
    "samplers",
    "theory",
    "sweeps",
    "images",
    "data",
    "misfits",
    "prox",
    "shrinkage",
    "denoisers",
    "metrics",
    "ntk",
    "unfolded",
    "untrained",
    "trained",
    "viz",
)
WITHOUT_EXAMPLES = ("viz",)  # they write files
SHAPED = (
    "operators", "generators", "misfits", "prox", "shrinkage", "denoisers", "metrics", "problems",
    "ntk", "solvers", "samplers", "theory",
)  # fmt: skip
ARGUMENT = re.compile(r"^    (\w+): (.*(?:\n     +.*)*)", re.MULTILINE)  # of an Args section
OF_PAPERS = ("shrinkage", "ntk", "solvers", "samplers", "theory", "unfolded", "untrained")


def part(path):
    """Return the folder or module of the package that a file belongs to."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path):
    """Yield the dotted names of this package that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.level:
                assert path.name == "__init__.py", f"{path}: relative import"
                continue
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_never_point_up(path):
    own = part(path)
    if own == "__init__":
        return
    for name in imported(path):
        pieces = name.split(".")
        if pieces[0] == "jaxinv" and len(pieces) > 1:
            assert pieces[1] in FLOORS, f"{path} imports {name}: give it a floor"
            assert FLOORS[pieces[1]] <= FLOORS[own], f"{path} imports {name}, which is above it"


def test_no_import_cycles_between_parts():
    edges = {}
    for path in FILES:
        own = part(path)
        if own == "__init__":
            continue
        for name in imported(path):
            pieces = name.split(".")
            if pieces[0] == "jaxinv" and len(pieces) > 1 and pieces[1] != own:
                edges.setdefault(own, set()).add(pieces[1])

    def reaches(start, goal, seen):
        return any(
            nxt == goal or (nxt not in seen and reaches(nxt, goal, seen | {nxt}))
            for nxt in edges.get(start, ())
        )

    assert not [name for name in edges if reaches(name, name, {name})]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_and_functions_are_small(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            lines = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            assert lines <= 60, f"{path}:{node.lineno} {node.name} has {lines} lines"
    assert "jax._src" not in text


def test_every_module_says_what_it_is():
    for path in FILES:
        assert ast.get_docstring(ast.parse(path.read_text())), path
        assert not re.search(r"[\x00-\x09\x0b-\x1f]", path.read_text()), (
            f"{path}: a control character"
        )


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_public_names_are_documented(namespace):
    module = importlib.import_module(f"jaxinv.{namespace}")
    names = exports(module)
    assert names
    for name in names:
        value = getattr(module, name)
        assert inspect.getdoc(value), f"jaxinv.{namespace}.{name} has no docstring"
        if inspect.isfunction(value):
            lacking = lacking_sections(namespace, value)
            assert not lacking, f"jaxinv.{namespace}.{name} says nothing of {lacking}"
            missing = set(inspect.signature(value).parameters) - set(value.__annotations__)
            assert not missing, f"jaxinv.{namespace}.{name}: {missing} not annotated"


def lacking_sections(namespace, function):
    """Return the sections that the docstring of a public function should have and has not."""
    signature, doc = inspect.signature(function), inspect.getdoc(function)
    source = textwrap.dedent(inspect.getsource(inspect.unwrap(function)))
    code = "\n".join(ast.unparse(line) for line in ast.parse(source).body[0].body[1:])
    wanted = {
        "Args:": bool(signature.parameters),
        "Returns:": signature.return_annotation not in ("None", None),
        "Raises:": bool(re.search(r"\bchecks\.\w+\(|\braise\b", code)),
        "Example": namespace not in WITHOUT_EXAMPLES,
        # what is only a definition needs no source
        "Source:": namespace in OF_PAPERS and ".. math::" in doc,
    }
    return [name for name, needed in wanted.items() if needed and f"\n{name}" not in doc]


def public_signatures(module):
    """Yield the names and functions of a namespace, and the public methods of its classes."""
    for name in exports(module):
        value = getattr(module, name)
        if inspect.isfunction(value):
            yield name, inspect.unwrap(value)
        elif inspect.isclass(value):
            for key, member in vars(value).items():
                member = inspect.unwrap(getattr(member, "fget", None) or member)
                public = key == "__call__" or not key.startswith("_")
                if public and getattr(member, "__module__", "").startswith("jaxinv"):
                    yield f"{name}.{key}", member


def bare_arrays(annotation):
    """Return the arrays of an annotation that have no shape; what a Callable takes is its own."""
    if isinstance(annotation, ast.Subscript):
        inner = annotation.slice
        if ast.unparse(annotation.value) == "Callable" or not isinstance(inner, ast.Tuple):
            return []
        if isinstance(inner.elts[-1], ast.Constant) and isinstance(inner.elts[-1].value, str):
            return []  # Float[Array, "m n"]
    if ast.unparse(annotation).split(".")[-1] in ("Array", "ArrayLike", "ndarray"):
        return [ast.unparse(annotation)]
    return [bare for child in ast.iter_child_nodes(annotation) for bare in bare_arrays(child)]


@pytest.mark.parametrize("namespace", SHAPED)
def test_arrays_in_public_signatures_have_shapes(namespace):
    without = {}
    for name, function in public_signatures(importlib.import_module(f"jaxinv.{namespace}")):
        documented = dict(ARGUMENT.findall(inspect.getdoc(function) or ""))
        for argument, annotation in getattr(function, "__annotations__", {}).items():
            if not isinstance(annotation, str):
                annotation = inspect.formatannotation(annotation)
            says_shape = annotation == "Any" and "shape (" in documented.get(argument, "")
            if says_shape or bare_arrays(ast.parse(annotation, mode="eval").body):
                without[f"{name}: {argument}"] = annotation
    assert not without, 'Num[ArrayLike, "m n"] for what comes in, Float[Array, "m n"] for results'


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_names_are_exported_once_one_a_line_and_hide_no_module(namespace):
    path = ROOT / namespace / "__init__.py"
    if not path.exists():
        return  # a module
    names = []
    for node in ast.parse(path.read_text()).body[1:]:
        assert isinstance(node, ast.ImportFrom), f"{path}:{node.lineno}"
        (alias,) = node.names
        assert node.level == 1, f"{path}:{node.lineno}: from ._x import f as f"
        assert alias.asname == alias.name, f"{path}:{node.lineno}: from ._x import f as f"
        names.append(alias.name)
    assert len(names) == len(set(names))
    modules = {other.stem for other in path.parent.iterdir() if not other.stem.startswith("_")}
    assert not modules & set(names)


def test_every_solver_has_a_row_in_the_docs():
    table = (ROOT.parent / "docs" / "solvers.md").read_text()
    constructors = [n for n in exports(jaxinv.solvers) if n.islower()]
    loops = {"solve", "trace", "unfold", "raise_if_failed", "layers"}
    assert [name for name in constructors if name not in loops and f"`{name}`" not in table] == []


def test_importing_the_package_imports_nothing_heavy():
    heavy = ("flax", "matplotlib", "xarray", "pandas", "skimage", "sklearn", "rich", "pywt")
    code = (
        "import sys, jaxinv\n"
        f"print([name for name in {heavy!r} if name in sys.modules])\n"
        "import jax\n"
        "print(jax.config.jax_enable_x64, jax.config.jax_default_matmul_precision)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded, flags = out.stdout.strip().splitlines()
    assert loaded == "[]"
    assert flags.split()[1] == "None"


def test_every_module_can_be_imported():
    for info in pkgutil.walk_packages([str(ROOT)], "jaxinv."):
        if not info.name.endswith("__main__"):
            importlib.import_module(info.name)
