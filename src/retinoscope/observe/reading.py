"""What is read of a layer's answer to a stimulus: one number per channel."""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from retinoscope.base.errors import unknown
from retinoscope.tensor.axes import Maps

Reading = Callable[[Maps, tuple[int, int]], Float[Tensor, "b c"]]
"""`(maps, position) -> answers`: `position` (y, x) is that of the neuron the stimulus is centred on."""


def center(maps: Maps, position: tuple[int, int]) -> Float[Tensor, "b c"]:
    """The answer of the neurons on which the stimulus is centred."""
    return maps[:, :, position[0], position[1]]


def mean(maps: Maps, position: tuple[int, int]) -> Float[Tensor, "b c"]:
    """The mean over the whole map: for textures that fill the picture."""
    return maps.mean((2, 3))


def peak(maps: Maps, position: tuple[int, int]) -> Float[Tensor, "b c"]:
    """The largest answer anywhere; the picture's own border may be what it is an answer to."""
    return maps.amax((2, 3))


READINGS: dict[str, Reading] = {"center": center, "mean": mean, "peak": peak}


def find_reading(name: str) -> Reading:
    """A reading by its name; raises UnknownNameError."""
    if name not in READINGS:
        raise unknown("reading", name, READINGS)
    return READINGS[name]
