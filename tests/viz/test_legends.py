"""Rendered figures by their pixels: no legend on data, no text on text, none too small."""

from itertools import combinations

import numpy as np
import pytest
import xarray as xr
from matplotlib.backends.backend_agg import FigureCanvasAgg

import jaxinv as ji
from jaxinv.sweeps import success_rate
from jaxinv.viz import _panels
from jaxinv.viz._panels import Bars, Line, Map, Panel, Picture, figure, over_layers

KS = np.array([10, 20, 40, 80, 120, 160, 200, 240])
MS = np.array([8, 16, 32, 64, 96])


def rates_over(k, middle):
    chance = 1 / (1 + np.exp((KS - middle) / 12))
    won = np.random.default_rng(0).random((len(KS), 30)) < chance[:, None]
    return success_rate(xr.DataArray(won, dims=(k, "trial"), coords={k: KS}))


def phase_map():
    chance = 1 / (1 + np.exp((KS[:, None] - 2 * MS) / 9))
    won = np.random.default_rng(0).random((len(KS), len(MS), 30)) < chance[..., None]
    return success_rate(
        xr.DataArray(won, dims=("k", "m", "trial"), coords={"k": KS, "m": MS})
    )  # fmt: skip


@pytest.fixture
def drawn(monkeypatch):
    """Return the figures that plots would write."""
    kept = []
    monkeypatch.setattr(_panels, "_save", lambda drawing, path: kept.append(drawing) or str(path))
    return kept


def legends_of(drawing):
    return [*drawing.legends, *(a.get_legend() for a in drawing.axes if a.get_legend())]


def pixels_of(drawing):
    canvas = FigureCanvasAgg(drawing)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].astype(int)


def check(drawing):
    """Fail where a legend hides what is drawn, or a text another, or a text is below 7 points."""
    drawing.set_dpi(100)
    pixels_of(drawing)
    found = legends_of(drawing)
    boxes = [legend.get_window_extent() for legend in found]
    texts = texts_of(drawing)
    assert min(text.get_fontsize() for text in texts) >= 7
    edge = drawing.bbox
    for text in texts:
        box = text.get_window_extent()
        assert box.x0 >= -1 and box.y0 >= -1, text  # noqa: PT018
        assert box.x1 <= edge.x1 + 1 and box.y1 <= edge.y1 + 1, text  # noqa: PT018
    for one, other in combinations(texts, 2):
        first, second = (text.get_window_extent().padded(-0.5) for text in (one, other))
        assert not first.overlaps(second), (one, other)
    drawing.set_layout_engine("none")  # all else stays where it is
    for legend in found:
        legend.set_visible(False)
    bare = pixels_of(drawing)
    for box in boxes:
        height = len(bare)
        inside = bare[height - int(box.y1) : height - int(box.y0), int(box.x0) : int(box.x1)]
        gray = np.ptp(inside, axis=-1) <= 2  # the grid, and nothing of a color
        assert np.all(gray & (inside.min(axis=-1) > 200)), "a legend hides data"


def texts_of(drawing):
    """Return the texts that are drawn: ticks beyond the ends of an axis are not."""
    found = [text for legend in legends_of(drawing) for text in legend.get_texts()]
    for axes in drawing.axes:
        if not axes.axison:
            found.append(axes.title)
            continue
        found += [axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.label]
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
            found += [tick.label1 for tick in ticks if low <= tick.get_loc() <= high]
    return [text for text in found if text.get_text().strip() and text.get_visible()]


CURVES = ("levenberg-marquardt", "subgradient", "fista", "own method", "omp", "amp")


@pytest.mark.parametrize("count", [1, 2, 6])
def test_success_rates(drawn, count):
    middles = dict(zip(CURVES, (150, 120, 90, 60, 180, 100), strict=True))
    rates = {name: rates_over("k", middles[name]) for name in CURVES[:count]}
    ji.viz.plot_success_rates(
        "a.png",
        rates,
        label="latent dimension k",
        title="a title that is so long that it has to be broken into lines, as titles may be",
        published={20: 1.0, 80: 0.9, 160: 0.2},
        transition=(200.0, "bound"),
    )
    check(drawn[0])
    places = [float(text.get_text()) for text in drawn[0].axes[0].get_xticklabels()]
    assert set(places) <= set(KS)
    assert {40, 80, 120, 160, 200, 240} <= set(places)


def test_a_phase_diagram_and_a_curve_beyond_it(drawn):
    beyond = (np.array([1, 4, 300]), np.array([2, 8, 600]), "k = 2 m")
    labels = {"k": "latent dimension k", "m": "measurements m"}
    ji.viz.plot_phase_diagram("a.png", phase_map(), curve=beyond, labels=labels, title="own")
    ji.viz.plot_phase_diagram("b.png", phase_map())
    for drawing in drawn:
        axis = drawing.axes[0]
        assert axis.get_ylim() == (5, 260) and axis.get_xlim() == (4, 112)  # noqa: PT018
        assert "success rate 1/2" in [t.get_text() for t in axis.get_legend().get_texts()]
        places = {float(text.get_text()) for text in axis.get_xticklabels()}
        assert places == set(MS)
        check(drawing)


def test_the_contour_is_seen_on_every_color(drawn):
    for values in (np.full((3, 3), 0.5), np.zeros((3, 3)), np.ones((3, 3))):
        values = values.copy()
        values[0], values[2] = values[1] - 0.02, values[1] + 0.02
        panel = Panel("", "m", "k", map=Map([1, 2, 3], [1, 2, 3], values, "rate", values[1, 1]))
        drawing = figure([panel], size=(3, 3))
        pixels = pixels_of(drawing)
        box = drawing.axes[0].get_window_extent()
        inside = pixels[len(pixels) - int(box.y1) : len(pixels) - int(box.y0), : int(box.x1)]
        column = inside[:, int(box.x0) + int(box.width / 2)]
        assert np.any(column.min(axis=-1) > 240), "white is there"
        assert np.any(column.max(axis=-1) < 60), "and black beside it"


def test_iterations(drawn):
    steps = np.arange(1, 11)
    laws = {"amp": np.exp(-0.5 * steps), "vamp": np.exp(-0.9 * steps)}
    noise = np.random.default_rng(0).uniform(0.5, 2, (20, 10))
    ji.viz.plot_iterations("a.png", {name: (law * noise, law) for name, law in laws.items()})
    check(drawn[0])


@pytest.mark.parametrize("slope", [-1.0, 0.0, 1.0])
def test_panels_of_lines_and_bars(slope):
    layers = np.arange(1, 17)
    curves = {f"network {i}": (slope + 0.1 * i) * layers + i * (slope == 0) for i in range(5)}
    heights = {"a": {"tv": 0.1, "wavelet": 1.0}, "b": {"tv": 0.9, "wavelet": 0.8}}
    bars = Bars("bars", "mse", heights)
    band = Line(layers, 0 * layers, "range", band=(-layers, layers))
    filled = Panel("filled", "x", "y", [band])
    picture = Picture("image", np.random.default_rng(0).random((8, 8)), bar=True)
    check(figure([over_layers("lines", curves, {"floor": 0.5}), filled, picture, bars]))
    check(figure([over_layers("lines", curves), filled], one_legend=True))
