"""The part of a network between two layers, as a linear map whose weights can be read.

A unit in the middle of the later map is run backwards: what arrives at the earlier map are its weights. The image is
made just so large that no connection is lost at the map's border.
"""

import copy
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from retinoscope.base.boxes import Box
from retinoscope.base.errors import BadNetworkError
from retinoscope.base.units import Unit, check_channel
from retinoscope.circuits.linear import Alter, Linear, keep
from retinoscope.network.model import Layer, Model
from retinoscope.network.record import channels_first, forward, record
from retinoscope.tensor.random import generator

CHUNK = 16
"""Units whose weights are found in one backward pass."""

ROOM = 2
"""Positions of the earlier map, beyond the kernel's own, that the image has room for."""

TRIES = 4
"""How often the image grows until no kernel reaches the map's border."""

ROUNDING = 1e-8
"""Relative difference from which on a path is not linear; float64 rounds at 1e-16, over some hundred operations."""


@dataclass(frozen=True)
class _Run:
    """One pass: the earlier map, to differentiate by; the later map's middle units (b, o), and where they are."""

    leaf: Tensor
    middle: Tensor
    place: tuple[int, int]
    size: tuple[int, int]
    linear: Linear


def _chosen(layer: Layer, channels: Sequence[int] | None) -> list[int]:
    chosen = list(range(layer.channels)) if channels is None else list(channels)
    for channel in chosen:
        check_channel(Unit(layer.name, channel), layer.channels)
    return chosen


@dataclass(frozen=True)
class _Room:
    """What a kernel needs: an image's size, the middle unit's place, the source's map, and the box with its paths."""

    image: tuple[int, int]
    place: tuple[int, int]
    size: tuple[int, int]
    box: Box
    paths: Tensor

    @property
    def bounded(self) -> bool:
        """Whether the box reaches the map's border, so that there may be paths outside."""
        inside = self.box.top > 0 and self.box.left > 0
        return not (inside and self.box.bottom < self.size[0] and self.box.right < self.size[1])


class Path:
    """A network between two layers, linear, with a frozen float64 copy of the network inside.

    `box` are the positions of the source's map that the middle unit of the target, at `place`, is connected to, on
    images of size `image`. `bounded` says that the box reaches the map's border. `replaced` are the functions that were
    taken as linear.
    """

    def __init__(self, model: Model, source: str, target: str) -> None:
        self.source, self.target = model.layers[source], model.layers[target]
        if self.source.index >= self.target.index:
            raise BadNetworkError(f"'{target}' does not come after '{source}': give the earlier layer first")
        module = copy.deepcopy(model.module).eval().requires_grad_(False)
        module = module.cpu() if model.device.type == "mps" else module  # which has no float64
        self.model = replace(model, module=module.double())
        self.narrow = True
        room = self._find_room()
        self.bounded = room.bounded
        room = room if room.bounded else self._tightened(room)
        self.image, self.place, self.box = room.image, room.place, room.box
        self.replaced = self._check_linear()

    def weights(
        self, alter: Alter = keep, units: Sequence[int] | None = None, channels: Sequence[int] | None = None
    ) -> Tensor:
        """Kernels (o, i, kh, kw) of units from channels, by default all, with every weight on the way altered.

        Units are run backwards, or channels forwards, whichever is less work.
        """
        outputs, inputs = _chosen(self.target, units), _chosen(self.source, channels)
        if not outputs or not inputs:
            return torch.zeros(len(outputs), len(inputs), *self.kernel, dtype=torch.float64)
        if len(inputs) * self.kernel[0] * self.kernel[1] < len(outputs):
            return self._forwards(alter, inputs)[outputs].cpu()
        return self._backwards(alter, outputs)[:, inputs].cpu()

    @property
    def kernel(self) -> tuple[int, int]:
        """How large a kernel is, (kh, kw)."""
        return int(self.box.height), int(self.box.width)

    def _backwards(self, alter: Alter, units: list[int]) -> Tensor:
        """Kernels of units from all channels: what arrives at the source from the middle unit."""
        run = self._run(alter, self.image, min(CHUNK, len(units)))
        self._refuse_unclear(alter, run.linear)
        top, left = (int(edge) for edge in self._corner)
        parts = []
        for start in range(0, len(units), CHUNK):
            some = units[start : start + CHUNK]
            chosen = torch.zeros_like(run.middle)
            chosen[range(len(some)), some] = 1
            maps = self._pull(run, chosen)[: len(some)]
            parts.append(maps[:, :, top : top + self.kernel[0], left : left + self.kernel[1]].clone())
        return torch.cat(parts)

    def _forwards(self, alter: Alter, channels: list[int]) -> Tensor:
        """Kernels of all units from channels: what the middle units answer to a 1 at each position of the kernel."""
        still = self._run(alter, self.image)
        self._refuse_unclear(alter, still.linear)
        rows, columns = (range(int(start), int(start) + k) for start, k in zip(self._corner, self.kernel, strict=True))
        places = list(itertools.product(channels, rows, columns))
        answers = []
        for start in range(0, len(places), CHUNK):
            some = places[start : start + CHUNK]
            values = still.leaf.detach().new_zeros(len(some), *still.leaf.shape[1:])
            channel, row, column = zip(*some, strict=True)
            channels_first(values, self.source)[range(len(some)), channel, row, column] = 1  # a view of the values
            moved = self._run(alter, self.image, len(some), values)
            answers.append((moved.middle - still.middle).detach())
        return rearrange(torch.cat(answers), "(i kh kw) o -> o i kh kw", i=len(channels), kh=self.kernel[0])

    @property
    def _corner(self) -> tuple[float, float]:
        return self.box.top, self.box.left

    def _run(self, alter: Alter, image: tuple[int, int], batch: int = 1, values: Tensor | None = None) -> _Run:
        """One pass with `values` on the source's map, by default 0."""
        grey = torch.full((1, 3, *image), 0.5, device=self.model.device, dtype=torch.float64)
        grey = self.model.normalize(grey)
        if batch > 1 and self.narrow:  # up to the source, all items are the same: one will do, if nothing runs beside
            try:
                run = self._pass(alter, grey, batch, values)
                if len(run.middle) == batch:
                    return run
            except RuntimeError:
                pass
            self.narrow = False
        return self._pass(alter, grey.expand(batch, -1, -1, -1), batch, values)

    def _pass(self, alter: Alter, pictures: Tensor, batch: int, values: Tensor | None) -> _Run:
        leaves: list[Tensor] = []
        calls = iter(range(1, self.source.call + 1))

        def plant(_module: Any, _inputs: Any, output: Tensor) -> Tensor | None:
            if next(calls, None) != self.source.call:
                return None
            leaf = output.new_zeros(batch, *output.shape[1:]) if values is None else values
            leaves.append(leaf.detach().requires_grad_())
            return leaves[0].clone()  # the network may write into it

        handle = self.model.module.get_submodule(self.source.module).register_forward_hook(plant)
        try:
            with torch.enable_grad(), record(self.model, [self.target.name]) as trace, Linear(alter) as linear:
                forward(self.model.module, pictures)
        finally:
            handle.remove()
        maps = trace[self.target.name]
        y, x = maps.shape[2] // 2, maps.shape[3] // 2
        size = channels_first(leaves[0], self.source).shape[2:]
        return _Run(leaves[0], maps[:, :, y, x], (y, x), (size[0], size[1]), linear)

    def _pull(self, run: _Run, chosen: Tensor) -> Tensor:
        """Gradients (b, i, y, x) on the source's map of a weighted sum of the middle units."""
        if not run.middle.requires_grad:
            raise BadNetworkError(f"'{self.target.name}' does not depend on '{self.source.name}'")
        (found,) = torch.autograd.grad(run.middle, run.leaf, chosen, retain_graph=True)
        return channels_first(found, self.source)

    def _find_room(self) -> "_Room":
        """An image on which the middle unit's connections end before the map's border, if there is one."""
        image, usual, room = self._least_image(), self.model.input_size, None
        for _ in range(TRIES):
            try:
                room = self._room(image)
            except (RuntimeError, IndexError):  # too small, or not of the size that the network takes
                if image == usual:
                    raise
                image = usual
                continue
            if not room.bounded or not self._may_grow():
                break
            image = self._larger(image)
        return room or self._room(usual)

    def _room(self, image: tuple[int, int]) -> "_Room":
        """How many paths lead from the source's positions to the middle units, and where they end."""
        run = self._run(torch.ones_like, image)
        paths = self._pull(run, torch.ones_like(run.middle))[0].detach()
        reached = (paths != 0).any(0)
        rows, columns = (reached.any(axis).nonzero().flatten().tolist() for axis in (1, 0))
        if not rows:
            raise BadNetworkError(f"'{self.target.name}' does not depend on '{self.source.name}'")
        box = Box(rows[0], columns[0], rows[-1] + 1, columns[-1] + 1)
        return _Room(image, run.place, run.size, box, paths[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])

    def _tightened(self, room: "_Room") -> "_Room":
        """A smaller image, if one has all the paths: on it, all else goes faster."""
        spare = [n - int(k) for n, k in zip(room.size, (room.box.height, room.box.width), strict=True)]
        steps = [self._step(axis) for axis in (0, 1)]
        less = [int(few * self.source.stride[axis]) // steps[axis] for axis, few in enumerate(spare)]
        for back in range(TRIES):
            image = [n - max(cut - back, 0) * step for n, cut, step in zip(room.image, less, steps, strict=True)]
            if min(image) < 1 or tuple(image) == room.image:
                continue
            try:
                found = self._room((image[0], image[1]))
            except (RuntimeError, IndexError, BadNetworkError):
                continue
            if torch.equal(found.paths, room.paths):
                return found
        return room

    def _may_grow(self) -> bool:
        layers = (self.source, self.target)
        whole = any(layer.field.whole or layer.layout in ("tokens", "vector") for layer in layers)
        return not (whole or self.model.fixed_size)

    def _least_image(self) -> tuple[int, int]:
        """The least size with room for the kernel, which leaves the same remainders as the input size does."""
        if not self._may_grow():
            return self.model.input_size
        sizes = []
        for axis, usual in enumerate(self.model.input_size):
            near, far = self.source.field, self.target.field
            positions = (far.size[axis] - near.size[axis]) / near.stride[axis] + 1 + ROOM
            step = self._step(axis)
            least = positions * near.stride[axis] + step
            sizes.append(usual + step * ceil((least - usual) / step))
        return sizes[0], sizes[1]

    def _step(self, axis: int) -> int:
        return ceil(max(self.source.stride[axis], self.target.stride[axis]))

    def _larger(self, image: tuple[int, int]) -> tuple[int, int]:
        """Half as large again, with the same remainders."""
        tall, wide = (n + self._step(axis) * ceil(n / 2 / self._step(axis)) for axis, n in enumerate(image))
        return tall, wide

    def _check_linear(self) -> frozenset[str]:
        """What was taken as linear; raises where the path is not, though all of that is."""
        still = self._run(keep, self.image)
        random = generator(0, "linear")
        mixture = torch.randn(still.middle.shape, generator=random, dtype=torch.float64).to(still.middle)
        values = torch.randn(still.leaf.shape, generator=random, dtype=torch.float64).to(still.leaf)
        moved = self._run(keep, self.image, values=values)
        (gradient,) = torch.autograd.grad(still.middle, still.leaf, mixture)
        parts = gradient * values
        change = ((moved.middle - still.middle).detach() * mixture).sum()
        if not abs(float(change - parts.sum())) <= ROUNDING * (float(parts.abs().sum()) + 1e-300):
            found = ", ".join(sorted(still.linear.unclear)) or "a function of torch that is on no list"
            raise BadNetworkError(
                f"there is more than weights between '{self.source.name}' and '{self.target.name}': {found}. "
                "Choose two layers with none of that between them"
            )
        return frozenset(still.linear.replaced)

    def _refuse_unclear(self, alter: Alter, linear: Linear) -> None:
        if alter is not keep and linear.unclear:
            raise BadNetworkError(
                f"cannot tell the signs of what lies between '{self.source.name}' and '{self.target.name}': "
                f"{', '.join(sorted(linear.unclear))}. Use expand, which takes them together"
            )
