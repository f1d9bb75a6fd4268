"""Cells of a grid: their keys, the blocks they ask for, the results they hold, and the Dataset."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import numbers
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv._core import checks
from jaxinv.sweeps._program import Block, Program, Results

if TYPE_CHECKING:
    import xarray as xr

    from jaxinv.sweeps._executors import Blueprint
    from jaxinv.sweeps._loop import Programs


def canonical(name: str, value: Any, where: str = "sweep") -> Any:
    """Return a cell value as plain Python, so that 20 and ``np.int64(20)`` are one value."""
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        value = value.item()
    if value is None or isinstance(value, bool | np.bool_ | str):
        return bool(value) if isinstance(value, np.bool_) else value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        if not math.isfinite(value):
            checks.fail(where, f"grid[{name!r}]", "have finite values", value)
        return float(value)
    if isinstance(value, tuple | list):
        return tuple(canonical(name, entry, where) for entry in value)
    expected = "have values that are numbers, strings, booleans, None or tuples of these"
    checks.fail_type(where, f"grid[{name!r}]", expected, value)


def token(value: Any) -> str:
    """Return the text of a canonical value; 1 and 1.0 are one value, True is another."""

    def plain(entry: Any) -> Any:
        if isinstance(entry, tuple | list):
            return [plain(inner) for inner in entry]
        whole = isinstance(entry, float) and entry.is_integer()
        return int(entry) if whole else entry

    return json.dumps(plain(value), separators=(",", ":"))


def cell_id(cell: Mapping[str, Any]) -> str:
    """Return the text that identifies a cell: its values by name, whatever their order."""
    pairs = (f"{json.dumps(name)}:{token(cell[name])}" for name in sorted(cell))
    return "{" + ",".join(pairs) + "}"


def cell_from_id(identifier: str) -> dict[str, Any]:
    """Return the cell that ``cell_id`` named."""

    def restore(value: Any) -> Any:
        return tuple(restore(entry) for entry in value) if isinstance(value, list) else value

    return {name: restore(value) for name, value in json.loads(identifier).items()}


def cell_key(root: jax.Array, identifier: str) -> jax.Array:
    """Return the key of a cell: the root folded with both halves of a 64-bit hash of its values."""
    digest = hashlib.sha256(identifier.encode()).digest()
    halves = np.frombuffer(digest[:8], ">u4").astype(np.uint32)
    return _folded(root, halves[0], halves[1])


@jax.jit
def _folded(key: jax.Array, first: Any, second: Any) -> jax.Array:
    """Fold twice; compiled, as a grid may have thousands of cells."""
    return jax.random.fold_in(jax.random.fold_in(key, first), second)


def check_grid(
    grid: Any, traced: Any, where: str = "sweep"
) -> tuple[dict[str, list[Any]], tuple[str, ...]]:
    """Return the grid with canonical values, and the traced names."""
    if not isinstance(grid, Mapping):
        checks.fail_type(where, "grid", "be a dict of names to values", grid)
    axes: dict[str, list[Any]] = {}
    for name, values in grid.items():
        if not isinstance(name, str) or not name.isidentifier() or name in ("trial", "key"):
            expected = "have names that are identifiers other than 'trial' and 'key'"
            checks.fail(where, "grid", expected, repr(name))
        axes[name] = [canonical(name, value, where) for value in _listed(where, name, values)]
        if not axes[name]:
            checks.fail(where, f"grid[{name!r}]", "have at least one value", "none")
        if len(set(map(token, axes[name]))) < len(axes[name]):
            checks.fail(where, f"grid[{name!r}]", "have different values", str(axes[name]))
    if isinstance(traced, str) or not isinstance(traced, Iterable):
        checks.fail_type(where, "traced", "be a tuple of names", traced)
    for name in traced:
        checks.choice(where, "traced", name, axes)
        for value in axes[name]:
            if isinstance(value, str | tuple) or value is None:
                expected = "be numbers, to be traced"
                checks.fail_type(where, f"grid[{name!r}]", expected, value)
            if isinstance(value, int) and not -(2**31) <= value < 2**31:
                checks.fail(where, f"grid[{name!r}]", "fit into int32, to be traced", value)
            largest = float(jnp.finfo(jnp.result_type(float)).max)
            if isinstance(value, float) and abs(value) > largest:
                checks.fail(where, f"grid[{name!r}]", "fit into float32, to be traced", value)
    return axes, tuple(sorted(traced))


def _listed(where: str, name: str, values: Any) -> Sequence[Any]:
    """Return the values of an axis: those of a sequence, or of an array or column of any kind."""
    if isinstance(values, Sequence) and not isinstance(values, str | bytes | bytearray):
        return values
    if not hasattr(values, "dtype") or not getattr(values, "ndim", 0):
        checks.fail_type(where, f"grid[{name!r}]", "be a sequence of values", values)
    if np.ma.is_masked(values):
        checks.fail(where, f"grid[{name!r}]", "have no masked values", str(values))
    array = np.asarray(values)  # also of a DataArray, an Index or a Series
    if array.dtype.kind in "mM":
        checks.fail_type(where, f"grid[{name!r}]", "have numbers, strings or booleans", values)
    return array.tolist()


def cells(axes: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Return every cell of the grid, the last name varying fastest."""
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


class Cell:
    """One cell of the grid: its finished blocks, and how many trials of it are wanted by now."""

    def __init__(
        self, values: Mapping[str, Any], identifier: str, traced: tuple[str, ...], block_size: int
    ) -> None:
        self.values, self.identifier, self.block_size = dict(values), identifier, block_size
        self.static = {name: v for name, v in values.items() if name not in traced}
        self.traced = {name: values[name] for name in traced}
        self.blocks = Blocks(block_size)
        self.num_trials = 0
        self.num_running = 0
        self.key_data = np.zeros(0, np.uint32)

    @property
    def num_blocks(self) -> int:
        """Blocks that hold the wanted trials."""
        return math.ceil(self.num_trials / self.block_size)

    def missing(self) -> list[int]:
        """Return the wanted blocks that are not finished."""
        return [block for block in range(self.num_blocks) if block not in self.blocks]

    def visible(self, block: int) -> int:
        """Return how many of a block's trials are wanted."""
        return max(0, min(self.block_size, self.num_trials - block * self.block_size))

    def block(self, index: int) -> Block:
        """Return a block as the program takes it."""
        return Block(self.key_data, index, self.traced)


def keyed_cell(
    values: Mapping[str, Any], root: jax.Array, traced: tuple[str, ...], block_size: int
) -> Cell:
    """Return the cell of these values with the key that its trials are drawn from."""
    cell = Cell(values, cell_id(values), traced, block_size)
    cell.key_data = np.asarray(jax.random.key_data(cell_key(root, cell.identifier)))
    return cell


class Unit(NamedTuple):
    """One block of one cell."""

    group: Group
    cell: Cell
    number: int


class Group:
    """The cells that share a program, and their units that are ready to run."""

    def __init__(self, cells: list[Cell], programs: Programs) -> None:
        self.cells, self._programs = cells, programs
        self.ready: deque[Unit] = deque()

    def program(self) -> Program:
        """Return the program, traced now if it is not kept."""
        return self._programs.of(self.cells)

    def blueprint(self) -> Blueprint:
        """Return what a worker builds the program from."""
        return self._programs.blueprint(self.cells)

    def take(self, count: int) -> list[Unit]:
        """Return the next ``count`` units, or as many as are ready."""
        return [self.ready.popleft() for _ in range(min(count, len(self.ready)))]


def by_program(cells: list[Cell]) -> Iterator[list[Cell]]:
    """Yield the cells grouped by program, so that few programs are held at a time."""
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(program_name(cell), []).append(cell)
    yield from groups.values()


def program_name(cell: Cell) -> str:
    """Return what tells the program of a cell from others of the same trial."""
    kinds = {name: type(value).__name__ for name, value in cell.traced.items()}
    return cell_id(cell.static) + (f" traced {cell_id(kinds)}" if kinds else "")


def num_programs(axes: Mapping[str, Sequence[Any]], traced: Sequence[str]) -> int:
    """Return how many programs a grid compiles: traced values count by their types alone."""
    return math.prod(
        len(set(map(type, values))) if name in traced else len(values)
        for name, values in axes.items()
    )


def to_dataset(
    axes: Mapping[str, Sequence[Any]],
    results: Mapping[tuple[str, ...], Trials],
    num_trials: int,
    attrs: Mapping[str, Any],
) -> xr.Dataset:
    """Return a Dataset with one dimension per grid name, and ``trial``.

    ``results`` maps the tokens of a cell's values, in the order of ``axes``, to its trials. What
    is missing becomes NaN, its variable floating, and the coordinate ``ran`` tells it from
    trials that failed.
    """
    import xarray as xr

    shape = (*(len(values) for values in axes.values()), num_trials)
    positions = [{token(v): i for i, v in enumerate(values)} for values in axes.values()]
    ran = np.zeros(shape, bool)
    metrics: dict[str, np.dtype] = {}
    places = {}
    names = {values: tuple(sorted(found.arrays)) for values, found in results.items()}
    for values, found in results.items():
        first = next(iter(names))
        if names[values] != names[first]:
            raise ValueError(
                f"sweep: the cells {first} and {values} have other metrics, {names[first]} and "
                f"{names[values]}: they are no one sweep."
            )
        place = tuple(index[value] for index, value in zip(positions, values, strict=True))
        places[values] = (*place, slice(0, min(num_trials, len(found.ran))))
        ran[places[values]] = found.ran[:num_trials]
        for name, array in found.arrays.items():
            metrics[name] = np.result_type(metrics.get(name, array.dtype), array.dtype)
    complete = bool(ran.all())
    variables = {}
    for name in sorted(metrics):
        dtype = metrics[name] if complete else np.result_type(metrics[name], np.float32)
        table = np.zeros(shape, dtype) if complete else np.full(shape, np.nan, dtype)
        for values, found in results.items():
            table[places[values]] = found.arrays[name][:num_trials]
        variables[name] = ((*axes, "trial"), table)
    coords: dict[str, Any] = {name: _coordinate(values) for name, values in axes.items()}
    coords["trial"] = np.arange(num_trials)
    if not complete:
        coords["ran"] = ((*axes, "trial"), ran)
    return xr.Dataset(variables, coords, dict(attrs))


def _coordinate(values: Sequence[Any]) -> list[Any]:
    plain = all(isinstance(value, bool | int | float | str) for value in values)
    return list(values) if plain else [str(value) for value in values]


class Trials(NamedTuple):
    """Trials of a cell in order, and which of them were run."""

    arrays: Results
    ran: np.ndarray


class Blocks(Mapping[int, Results]):
    """A mapping from block numbers to results, which takes few bytes for each trial.

    A block of one trial as a dict of arrays of its own would take hundreds.
    """

    def __init__(self, block_size: int, blocks: Mapping[int, Results] | None = None) -> None:
        self._size = block_size
        self._arrays: Results = {}
        self._done = np.zeros(0, bool)
        for number, results in (blocks or {}).items():
            self.put(number, results)

    def put(self, number: int, results: Results) -> None:
        """Keep a copy of the results of a block."""
        if number >= len(self._done):
            self._grow(max(number + 1, 2 * len(self._done)))
        place = slice(number * self._size, (number + 1) * self._size)
        for name, values in results.items():
            if name not in self._arrays:
                self._arrays[name] = np.zeros(len(self._done) * self._size, values.dtype)
            self._arrays[name][place] = values
        self._done[number] = True

    def _grow(self, count: int) -> None:
        more = count - len(self._done)
        self._done = np.pad(self._done, (0, more))
        for name, array in self._arrays.items():
            self._arrays[name] = np.concatenate([array, np.zeros(more * self._size, array.dtype)])

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and number < len(self._done) and bool(self._done[number])

    def __getitem__(self, number: int) -> Results:
        if number not in self:
            raise KeyError(number)
        place = slice(number * self._size, (number + 1) * self._size)
        return {name: array[place] for name, array in self._arrays.items()}

    def __iter__(self) -> Iterator[int]:
        return iter(np.flatnonzero(self._done).tolist())

    def __len__(self) -> int:
        return int(np.count_nonzero(self._done))

    def trials(self, num_trials: int) -> Trials:
        """Return the first ``num_trials`` trials; those of missing blocks are NaN."""
        done = self._done[: math.ceil(num_trials / self._size)]
        ran = np.zeros(num_trials, bool)
        there = np.repeat(done, self._size)[:num_trials]
        ran[: len(there)] = there
        arrays = {}
        for name, array in self._arrays.items():
            if ran.all():
                arrays[name] = array[:num_trials].copy()
                continue
            arrays[name] = np.full(num_trials, np.nan, np.result_type(array.dtype, np.float32))
            arrays[name][: len(there)][there] = array[: len(there)][there]
        return Trials(arrays, ran)
