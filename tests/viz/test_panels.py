"""What is declared is what is drawn: every line, level, mark, band and bar, each named once."""

import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import to_hex

import jaxinv as ji
from jaxinv.viz._colors import MEASURED, looks
from jaxinv.viz._panels import Bars, Line, Map, Panel, Picture, figure, over_layers


def texts(legend):
    return [text.get_text() for text in legend.get_texts()]


def test_a_panel_draws_all_that_it_holds():
    x = np.array([1.0, 2.0, 3.0])
    lines = [
        Line(x, x, "a", band=(x - 1, x + 1), band_label="range"),
        Line(x, 2 * x, "b", errors=0.5 * x),
    ]
    squares = Map([0, 1], [0, 1], np.array([[0.1, 0.9], [0.2, 0.8]]), "rate", 0.5)
    panel = Panel("t", "across", "up", lines, {"level": 1.5}, {"mark": 2.0}, squares)
    axis = figure([panel]).axes[0]
    drawn = {line.get_label(): line for line in axis.get_lines()}
    np.testing.assert_array_equal(drawn["a"].get_ydata(), x)
    np.testing.assert_array_equal(drawn["level"].get_ydata(), [1.5, 1.5])
    np.testing.assert_array_equal(drawn["mark"].get_xdata(), [2.0, 2.0])
    bars = axis.containers[0].lines[2][0].get_segments()
    np.testing.assert_allclose([s[:, 1] for s in bars], [[1.5, 2.5], [3, 5], [4.5, 7.5]])
    expected = {"a", "range", "b", "level", "mark", "rate 1/2"}
    assert set(texts(axis.get_legend())) == expected
    assert (axis.get_title("left"), axis.get_xlabel(), axis.get_ylabel()) == ("t", "across", "up")
    assert [c.get_label() for c in axis.figure.axes[1:]] == ["<colorbar>"]


def test_a_name_has_one_color_and_is_in_the_one_legend_once():
    names = [f"network {i}" for i in range(len(MEASURED) + 1)]
    first = over_layers("1", {n: [1.0, 2.0] for n in names}, {"floor": -3.0, "law": [0.0, -1.0]})
    second = over_layers("2", {n: [3.0] for n in reversed(names)}, places=[4])
    drawing = figure([first, second], one_legend=True)
    assert sorted(texts(drawing.legends[0])) == sorted([*names, "floor", "law"])
    for axis in drawing.axes:
        drawn = {line.get_label(): line for line in axis.get_lines()}
        assert [to_hex(drawn[n].get_color()) for n in names[:-1]] == [c.lower() for c in MEASURED]
        assert drawn[names[-1]].get_color() == drawn[names[0]].get_color()
        assert drawn[names[-1]].get_linestyle() != drawn[names[0]].get_linestyle()


def test_pictures_and_bars_stand_beside_lines():
    pixels = np.array([[-1.0, 0.5], [1.0, 9.0]])
    bars = Bars("b", "height", {"g": {"p": 1.0, "q": 10.0}})
    panels = [Picture("image", pixels, bar=True), bars, Panel("l", "x", "y")]
    drawing = figure(panels, num_columns=2)
    shown, barred = drawing.axes[0].images[0].get_array(), drawing.axes[1]
    np.testing.assert_array_equal(shown, [[0, 0.5], [1, 1]])
    assert [patch.get_height() for patch in barred.patches] == [1.0, 10.0]
    assert not drawing.axes[3].axison  # what is left of the grid


def test_a_method_has_one_color_in_every_figure():
    first = looks(["fista", "own", "omp"])
    second = looks(["another", "omp (95 % interval, 30 trials)", "FISTA, 50 steps", "alista-at"])
    assert first["fista"][0] == second["FISTA, 50 steps"][0]
    assert first["omp"][0] == second["omp (95 % interval, 30 trials)"][0]
    assert second["alista-at"] != looks(["alista"])["alista"]
    assert first["own"][0] not in (first["fista"][0], first["omp"][0])
    shared = looks(["fista", "alista"])  # of one color: told apart by the style
    assert shared["fista"] == (shared["alista"][0], 0) != shared["alista"]


@pytest.mark.parametrize("name", ["a.gif", "no/such/folder/a.png"])
def test_a_path_that_cannot_be_is_refused_before_the_run(tmp_path, name):
    with pytest.raises(ValueError, match=r"plot must (end in|lie in)"):
        ji.viz.check_path("sweep", tmp_path / name)


def test_rates_of_other_dimensions_are_refused(tmp_path):
    won = xr.DataArray(np.ones((2, 3, 4), bool), {"k": [1, 2], "m": [1, 2, 3]}, ("k", "m", "trial"))
    rates = ji.sweeps.success_rate(won)
    with pytest.raises(ValueError, match="rates must have one dimension"):
        ji.viz.plot_success_rates(tmp_path / "a.png", {"x": rates}, label="k", title="")
    with pytest.raises(ValueError, match="rates must have two dimensions"):
        ji.viz.plot_phase_diagram(tmp_path / "a.png", rates.isel(k=0))


def test_a_map_of_a_metric_of_ones_own(tmp_path):
    values = np.linspace(0, 1, 24).reshape(2, 3, 4)
    mine = xr.DataArray(values, {"k": [1, 2], "m": [1, 2, 3]}, ("k", "m", "trial"), name="mine")
    assert ji.viz.plot_phase_diagram(tmp_path / "a.png", mine).endswith("a.png")
    with pytest.raises(ValueError, match=r"rates must lie in"):
        ji.viz.plot_phase_diagram(tmp_path / "b.png", 2 * mine.mean("trial"))
    with pytest.raises(TypeError, match=r"It holds mine: take one"):
        ji.viz.plot_phase_diagram(tmp_path / "b.png", mine.to_dataset())
    with pytest.raises(TypeError, match=r"The path comes first"):
        ji.viz.plot_phase_diagram(mine, tmp_path / "b.png")
    assert not (tmp_path / "b.png").exists()
