"""A spectrum as a figure: six labelled pictures over the histogram of all answers."""

import textwrap
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import ImageOps

from retinoscope.image.codec import to_image

if TYPE_CHECKING:
    from retinoscope.jobs.spectrum import Panel, Spectrum

INK, SOFT, BARS = "#1c2024", "#5a626b", "#8fa9c4"
COLOURS = ("#174a85", "#2f6fb6", "#5e8fbf", "#c98350", "#cc5a1c", "#a83404")
"""Blue for negative to orange for positive, as the explorer marks them."""


def draw(spectrum: "Spectrum") -> Figure:
    """The figure, 12 by 4.6 inches; never shown here."""
    figure = Figure(figsize=(12, 4.6), dpi=110, facecolor="white")
    grid = figure.add_gridspec(
        2, 6, height_ratios=(3, 1.45), left=0.05, right=0.985, top=0.84, bottom=0.11, hspace=0.36, wspace=0.08
    )
    figure.text(0.05, 0.965, str(spectrum.unit), fontsize=14, weight="bold", color=INK, va="top")
    if spectrum.layer != spectrum.unit.layer:
        figure.text(0.985, 0.96, f"read before its activation, at {spectrum.layer}", color=SOFT, va="top", ha="right")
    for place, (panel, colour) in enumerate(zip(spectrum.panels, COLOURS, strict=True)):
        _panel(figure.add_subplot(grid[0, place]), panel, colour)
    _answers(figure.add_subplot(grid[1, :]), spectrum)
    return figure


def _panel(axes: Axes, panel: "Panel", colour: str) -> None:
    axes.set_title(panel.title, fontsize=10.5, color=INK, pad=6)
    axes.set(xticks=[], yticks=[])
    axes.set_box_aspect(1)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if panel.image is None or panel.value is None:
        axes.text(0.5, 0.5, _wrapped(panel.note), fontsize=8, color=SOFT, ha="center", va="center")
        axes.set_facecolor("#f1f2ee")
        return
    image, side = to_image(panel.image), max(panel.image.shape[1:])
    axes.imshow(ImageOps.pad(image, (side, side), color="white"))
    axes.set_xlabel(f"{panel.value:.3g}", fontsize=11, weight="bold", color=colour, labelpad=5)


def _wrapped(text: str) -> str:
    return textwrap.fill(textwrap.shorten(text, 150, placeholder=" …"), 26)


def _answers(axes: Axes, spectrum: "Spectrum") -> None:
    axes.stairs(spectrum.counts, spectrum.edges, fill=True, color=BARS)
    axes.set_yscale("log", nonpositive="clip")
    axes.set_ylim(bottom=0.5)
    axes.axvline(0, color=INK, linewidth=0.8)
    for panel, colour in zip(spectrum.panels, COLOURS, strict=True):
        if panel.value is not None:
            axes.plot(
                panel.value, 0, marker="^", markersize=9, color=colour, transform=axes.get_xaxis_transform(),
                clip_on=False, zorder=3,
            )  # fmt: skip
    axes.tick_params(labelsize=8.5, colors=SOFT)
    axes.set_xlabel("activation, at all positions of all photos (counts are logarithmic)", fontsize=9, color=SOFT)
    for name, spine in axes.spines.items():
        spine.set_visible(name == "bottom")
        spine.set_color(SOFT)
