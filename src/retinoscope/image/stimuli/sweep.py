"""Sweep: a pure function of named numbers that draws pictures, and the values these numbers take.

A stimulus of one's own is a function `(grid, **numbers) -> pictures` and a Sweep around it:

    def rings(grid, wavelength, phase):
        return 0.5 + 0.5 * wave(grid.radius, wavelength, phase)

    Sweep("rings", rings, {"wavelength": ratios_apart(4, 32, 8, "px")}, {"phase": phases(4)})
"""

import io
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from retinoscope.base.axis import Axis, turns
from retinoscope.base.errors import BadInputError, unknown
from retinoscope.image.sheet import Cell, sheet
from retinoscope.image.stimuli.grid import Grid
from retinoscope.tensor.axes import Images

Draw = Callable[..., Tensor]
"""`(grid, **numbers) -> pictures`: numbers are (b, 1, 1); grey pictures (b, h, w) or (b, 3, h, w) in [0, 1].

Axes along which a picture does not change may have length 1."""

SHARPEST = 2.0
"""Pixels of the shortest wavelength a grid can show along its axes: Nyquist's limit."""


@dataclass(frozen=True, repr=False)
class Sweep:
    """All pictures that `draw` makes of the values of `axes`, each in all the variants of `over`.

    `axes` are what one wants to know an answer's dependence on; `over` what it should not depend on (phases, samples,
    polarities): answers are averaged over these, and their spread over them says how sure the average is.
    """

    name: str
    draw: Draw = field(compare=False)
    axes: Mapping[str, Axis]
    over: Mapping[str, Axis] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.axes or (both := self.axes.keys() & self.over.keys()):
            told = f"'{min(both)}' cannot be both" if self.axes else "came none"
            raise BadInputError(f"{self.name}: a sweep needs axes, each either looked at or averaged over; {told}")

    @property
    def all_axes(self) -> dict[str, Axis]:
        """The axes looked at, then those averaged over."""
        return {**self.axes, **self.over}

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of values of each of all axes."""
        return tuple(len(axis) for axis in self.all_axes.values())

    def __len__(self) -> int:
        return math.prod(self.shape)

    def __repr__(self) -> str:
        looked = " x ".join(f"{len(axis)} {name}" for name, axis in self.axes.items())
        over = " x ".join(f"{len(axis)} {name}" for name, axis in self.over.items())
        return f"Sweep({self.name}: {looked}{', each over ' + over if over else ''}; {len(self)} pictures)"

    def axis(self, name: str) -> Axis:
        """One of all axes; raises UnknownNameError."""
        if name not in self.all_axes:
            raise unknown(f"axis of {self.name}", name, self.all_axes)
        return self.all_axes[name]

    def images(self, grid: Grid, rows: Float[Tensor, "b a"]) -> Images:
        """The pictures of rows of numbers, one column for each of all axes.

        Raises BadInputError where the function draws anything but pictures in [0, 1].
        """
        rows = rows.to(grid.x)
        numbers = {name: rows[:, place, None, None] for place, name in enumerate(self.all_axes)}
        return _checked(self.name, self.draw(grid, **numbers), (len(rows), *grid.size))

    def rows(self) -> Float[Tensor, "n a"]:
        """The numbers of all pictures in order, the last axis fastest; float64."""
        return torch.tensor(list(product(*(axis.values for axis in self.all_axes.values()))), dtype=torch.float64)

    def batches(
        self,
        size: tuple[int, int],
        batch: int = 32,
        center: tuple[float, float] | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> Iterator[Images]:
        """All pictures in order, `batch` at a time, drawn on `device` around `center` (y, x) in pixels."""
        grid = Grid.around(size, center, device, dtype)
        for rows in torch.split(self.rows(), batch):
            yield self.images(grid, rows)

    def picture(self, size: tuple[int, int] | int = 64, **numbers: float) -> Float[Tensor, "3 h w"]:
        """One picture of any numbers, also between those of the axes; axes not named take their first value."""
        for name in numbers:
            self.axis(name)
        row = [[numbers.get(name, axis.values[0]) for name, axis in self.all_axes.items()]]
        shape = (size, size) if isinstance(size, int) else size
        return self.images(Grid.around(shape), torch.tensor(row, dtype=torch.float64))[0]

    def strip(self, name: str, size: int = 64) -> Float[Tensor, "m 3 h w"]:
        """Small pictures along one axis, the others at typical values."""
        values = self.axis(name).values
        return torch.stack([self.picture(size, **{**self._typical(), name: value}) for value in values])

    def at(self, **values: float) -> "Sweep":
        """The same sweep with some axes held at one value each: at(ratio=4)."""
        fixed = {name: replace(self.axis(name), values=(float(value),)) for name, value in values.items()}
        return replace(
            self,
            axes={name: fixed.get(name, axis) for name, axis in self.axes.items()},
            over={name: fixed.get(name, axis) for name, axis in self.over.items()},
        )

    def within(self, radius: float, soft: float = 4.0) -> "Sweep":
        """The same pictures inside a disc of `radius` pixels; outside mid grey, with a border `soft` pixels wide."""
        draw = self.draw

        def masked(grid: Grid, **numbers: Tensor) -> Tensor:
            inside = 0.5 + 0.5 * torch.cos(((grid.radius - radius) / soft).clamp(0, 1) * math.pi)
            pictures = draw(grid, **numbers)
            return 0.5 + (pictures - 0.5) * (inside if pictures.ndim == 3 else inside[:, None])

        return replace(self, draw=masked)

    def sheet(self, size: int = 72, most: int = 12) -> Image.Image:
        """The pictures of the first two axes, at most `most` values of each, the others at typical values."""
        across, *rest = self.axes
        down = rest[:1]
        lines = [{name: value} for name in down for value in _thinned(self.axes[name], most)] or [{}]
        columns = [{across: value} for value in _thinned(self.axes[across], most)]
        cells = [self._cell(size, {**column, **line}) for line in lines for column in columns]
        words = ", ".join([f"{across} across", *(f"{name} down" for name in down)])
        return sheet(cells, len(columns), size, f"{self.name}: {words}")

    def _cell(self, size: int, values: dict[str, float]) -> Cell:
        title = "  ".join(self.axes[name].label(value) for name, value in values.items())
        return Cell(self.picture(size, **{**self._typical(), **values}), title)

    def _typical(self) -> dict[str, float]:
        """Values that show what the axes are about; of variants the first."""
        return {name: axis.values[0 if name in self.over else _telling(axis)] for name, axis in self.all_axes.items()}

    def _repr_png_(self) -> bytes:
        stream = io.BytesIO()
        self.sheet().save(stream, format="PNG")
        return stream.getvalue()


def phases(count: int = 4) -> Axis:
    """`count` phases of a wave, evenly around 360 degrees, from 0."""
    return turns(count)


def _telling(axis: Axis) -> int:
    """The place of a value that says much: two thirds up, or the first of those that come around."""
    if axis.period is not None:
        return 0
    return len(axis) * 2 // 3 if axis.values[-1] >= axis.values[0] else len(axis) // 3


def _thinned(axis: Axis, most: int) -> tuple[float, ...]:
    return axis.values[:: -(-len(axis) // most)]


def _checked(name: str, pictures: Tensor, shape: tuple[int, int, int]) -> Images:
    low, high = torch.aminmax(pictures)
    if not (low >= -1e-4 and high <= 1 + 1e-4):  # what is left of rounding is clipped
        raise BadInputError(f"{name} drew values in [{float(low):.3g}, {float(high):.3g}]; pictures lie in [0, 1]")
    pictures = pictures.clamp(0, 1)
    wanted = (shape[0], 3, *shape[1:])
    try:
        return (pictures[:, None] if pictures.ndim == 3 else pictures).expand(wanted)
    except RuntimeError as error:
        raise BadInputError(
            f"{name} drew {tuple(pictures.shape)}; give {shape} for grey pictures, or {wanted}"
        ) from error
