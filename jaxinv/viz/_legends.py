"""Legends that hide no data: inside the axes where there is room, else below them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_PLACES = ("upper right", "upper left", "lower left", "lower right", "center right", "center left")
_ROOM = 4.0  # points kept free around a legend
_BELOW = 0.45  # inches from the axes to a legend below: ticks and the text of the axis
_LINE = 0.19  # inches of a line of a legend


def place_legends(drawing: Any, wanted: Mapping[Any, Mapping[str, Any]]) -> None:
    """Give each of the axes its legend, of names to handles."""
    drawing.draw_without_rendering()
    for axis, handles in wanted.items():
        _inside(axis, handles)
    low: list[Any] = []
    while crossed := [axis for axis in wanted if axis not in low and hides(axis)]:
        for axis in crossed:
            _below(axis, wanted[axis])
        lines = max(len(wanted[axis]) for axis in crossed)
        if not low:
            drawing.set_figheight(drawing.get_figheight() + _LINE * lines + 0.1)
        low += crossed
        drawing.draw_without_rendering()


def _inside(axis: Any, handles: Mapping[str, Any]) -> None:
    """Put a legend where it hides nothing; where there is no such place, anywhere."""
    for place in _PLACES:
        _make(axis, handles, loc=place)
        if not hides(axis):
            return


def _below(axis: Any, handles: Mapping[str, Any]) -> None:
    from matplotlib.transforms import ScaledTranslation

    shift = ScaledTranslation(0, -_BELOW, axis.figure.dpi_scale_trans)
    frame = axis.transAxes + shift
    _make(axis, handles, loc="upper left", bbox_to_anchor=(0, 0), bbox_transform=frame)


def _make(axis: Any, handles: Mapping[str, Any], **options: Any) -> None:
    style = {"framealpha": 1.0, "edgecolor": "none", "fontsize": 8, "borderaxespad": 0.4}
    axis.legend(list(handles.values()), list(handles), **style, **options)


def hides(axis: Any) -> bool:
    """Whether the legend of the axes lies on a line, a band, a bar or an image of theirs."""
    legend = axis.get_legend()
    if legend is None:
        return False
    padded = _ROOM * axis.figure.dpi / 72
    box = legend.get_window_extent().padded(padded)
    if axis.images or any(hasattr(found, "get_array") and found.get_array() is not None
                          for found in axis.collections):  # fmt: skip
        frame = axis.get_window_extent()
        if box.y1 > frame.y0 and box.x0 < frame.x1:
            return True
    return any(
        path.intersects_bbox(box, filled=filled) for path, filled in _paths(axis) if len(path)
    )


def _paths(axis: Any) -> Any:
    """Yield what is drawn, in pixels, and whether it is filled."""
    for line in axis.get_lines():
        yield line.get_transform().transform_path(line.get_path()), False
    for patch in axis.patches:
        yield patch.get_transform().transform_path(patch.get_path()), True
    for collection in axis.collections:
        for path in collection.get_paths():
            filled = len(collection.get_facecolor()) > 0
            yield collection.get_transform().transform_path(path), filled
