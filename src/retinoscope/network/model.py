"""Model and Layer: what a network is to the rest of the project."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from retinoscope.base.boxes import Box
from retinoscope.base.errors import BadInputError, unknown
from retinoscope.base.units import Unit, check_channel
from retinoscope.tensor.axes import Images

Layout = Literal["map", "map-last", "tokens", "vector"]
"""How a layer lays out its output: b c y x, b y x c, b n c, or b c."""

Side = Literal["output", "input"]
"""Which end of a module call a layer is."""


@dataclass(frozen=True)
class ReceptiveField:
    """Which input pixels one position of a map can see, per axis (y, x) (Araujo, Norris, Sim 2019).

    Position i of the map sees pixels `i * stride - padding` to `i * stride - padding + size - 1`. `whole` means the
    whole image (after global pooling, attention or a dense layer); then size is the input size. `aligned` is False
    when paths of different centres meet. `gated` means that a global signal (squeeze-and-excitation) scales the map:
    the box is then that of the local path.
    """

    size: tuple[int, int]
    stride: tuple[float, float]
    padding: tuple[float, float]
    aligned: bool = True
    whole: bool = False
    gated: bool = False

    def center(self, y: int, x: int) -> tuple[float, float]:
        """Pixel coordinates (y, x) of the centre of what position (y, x) sees."""
        return tuple(
            i * s - p + (r - 1) / 2 for i, s, p, r in zip((y, x), self.stride, self.padding, self.size, strict=True)
        )  # type: ignore[return-value]

    def box(self, y: int, x: int) -> Box:
        """The pixels that position (y, x) sees, as a half-open box that may reach outside the image."""
        if self.whole:
            return Box(0, 0, *self.size)
        top, left = y * self.stride[0] - self.padding[0], x * self.stride[1] - self.padding[1]
        return Box(top, left, top + self.size[0], left + self.size[1])


@dataclass(frozen=True)
class Layer:
    """One module call of a network whose output is a tensor with channels.

    `name` is the module's own dotted path, with `#k` behind it for the k-th call of a module that is called more than
    once; `index` its place in call order; `size` (y, x) of its map at the model's input size; `depth` relative to the
    last layer, in (0, 1]. `prefix` counts tokens before the patch grid (a class token). `overwritten` says that a
    later in-place operation changes the output's memory, so a recorder must copy it. A layer of side "input" is what
    goes into the call, with the index and depth of what comes out.
    """

    name: str
    module: str
    call: int
    index: int
    kind: str
    channels: int
    size: tuple[int, int]
    field: ReceptiveField
    depth: float
    layout: Layout = "map"
    prefix: int = 0
    overwritten: bool = False
    side: Side = "output"

    @property
    def stride(self) -> tuple[float, float]:
        """Input pixels per step on the map, (y, x)."""
        return self.field.stride


class Layers(Mapping[str, Layer]):
    """A network's layers in call order, by name; prints as a table; a wrong name raises with the nearest right ones.

    What goes into a module without submodules is found as "NAME.input", but is not listed: most such inputs are the
    output of the layer before. The sum before the last ReLU of a residual block is one that is not.
    """

    def __init__(self, layers: Mapping[str, Layer], inputs: Mapping[str, Layer] | None = None) -> None:
        self._layers = dict(layers)
        self._inputs = dict(inputs or {})

    @property
    def inputs(self) -> Mapping[str, Layer]:
        """The layers "NAME.input" by name."""
        return self._inputs

    def __getitem__(self, name: str) -> Layer:
        found = self._layers.get(name) or self._inputs.get(name)
        if found is None:
            raise self._unknown(name)
        return found

    def _unknown(self, name: str) -> Exception:
        calls = [key for key in self._layers if key.split("#")[0] == name]
        hint = f"'{name}' is called {len(calls)} times: say which, {calls[0]} to {calls[-1]}" if calls else ""
        return unknown("layer", name, self._layers, hint)

    def __contains__(self, name: object) -> bool:
        return name in self._layers or name in self._inputs

    def __iter__(self) -> Iterator[str]:
        return iter(self._layers)

    def __len__(self) -> int:
        return len(self._layers)

    def __repr__(self) -> str:
        rows: list[tuple[str, ...]] = [("layer", "kind", "channels", "map", "stride", "receptive field", "depth")]
        rows += [describe(layer) for layer in self._layers.values()]
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def describe(layer: Layer) -> tuple[str, ...]:
    """A layer as the cells of a table row: name, kind, channels, map, stride, receptive field, depth."""
    field = layer.field
    marks = "" if field.aligned else " (misaligned)"
    marks += " (gated)" if field.gated else ""
    seen = "whole image" if field.whole else _pair(field.size) + marks
    stride = "-" if field.whole else _pair(field.stride)
    size = _pair(layer.size)
    return (layer.name, layer.kind, str(layer.channels), size, stride, seen, f"{layer.depth:.2f}")


def _pair(values: tuple[float, float]) -> str:
    y, x = (f"{value:g}" for value in values)
    return y if y == x else f"{y}x{x}"


@dataclass(frozen=True)
class Model:
    """A network and all that is known of it; images outside it are sRGB `b 3 h w` in [0, 1].

    `mean` and `std` are per channel in units of [0, 1]; `bgr` reverses the channels; `grey` networks take one channel,
    the luma of the image. `fixed_size` networks accept `input_size` (h, w) only. `labels` are class names in the order
    of the logits, empty when unknown. `module` is the user's own, never changed.
    """

    name: str
    module: nn.Module
    layers: Layers
    input_size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    labels: tuple[str, ...] = ()
    weights_hash: str = ""
    bgr: bool = False
    grey: bool = False
    fixed_size: bool = False
    crop: float = 0.875

    def __call__(self, photos: Images) -> Tensor:
        """Logits (b, classes) of photos (b, 3, h, w) in [0, 1].

        Inside `record`, the pass may stop after the deepest layer asked for; the answer is then an empty (b, 0) tensor.
        """
        from retinoscope.network.record import forward

        self.check(photos)
        return forward(self.module, self.normalize(photos.to(self.device)))

    @property
    def device(self) -> torch.device:
        """Where the network's first parameter lives (the CPU for a network without parameters)."""
        return next((p.device for p in self.module.parameters()), torch.device("cpu"))

    def normalize(self, photos: Images) -> Tensor:
        """Photos in [0, 1] as the network's own input: luma or reversed channels, then (x - mean) / std."""
        if self.grey:
            weights = photos.new_tensor((0.299, 0.587, 0.114))  # ITU-R BT.601 luma
            photos = (photos * weights[:, None, None]).sum(1, keepdim=True)
        elif self.bgr:
            photos = photos.flip(1)
        mean, std = (photos.new_tensor(values)[:, None, None] for values in (self.mean, self.std))
        return torch.addcmul(-mean / std, photos, 1 / std)

    def check(self, photos: Tensor) -> None:
        """Raise BadInputError unless photos are float (b, 3, h, w) in [0, 1], of a size the network takes."""
        shape = tuple(photos.shape)
        if photos.ndim != 4 or shape[1] != 3 or 0 in shape:
            raise BadInputError(f"photos must be (b, 3, h, w); came {shape}. A single photo needs photo[None]")
        if not photos.is_floating_point():
            raise BadInputError(f"photos must be floats in [0, 1]; came {photos.dtype}. Divide bytes by 255")
        if self.fixed_size and shape[2:] != self.input_size:
            raise BadInputError(f"{self.name} takes {self.input_size} pixels only; came {shape[2:]}. Resize the photos")
        low, high = float(photos.detach().min()), float(photos.detach().max())
        if not (low >= -1e-3 and high <= 1 + 1e-3):
            raise BadInputError(
                f"photos must lie in [0, 1]; came [{low:.3g}, {high:.3g}]. "
                f"Give plain sRGB: {self.name} normalises itself"
            )

    def check_unit(self, unit: Unit) -> Layer:
        """The unit's layer; raises when the layer, channel or position does not exist."""
        from retinoscope.base.errors import BadUnitError

        layer = self.layers[unit.layer]
        check_channel(unit, layer.channels)
        if unit.position is not None and self.fixed_size:
            inside = all(0 <= i < n for i, n in zip(unit.position, layer.size, strict=True))
            if not inside:
                raise BadUnitError(f"'{unit}' is outside the {layer.size[0]} x {layer.size[1]} map of {layer.name}")
        return layer
