"""Where weights and pictures meet: pictures of the units that weights join, and of the factors of weights."""

from collections.abc import Sequence

from torch import Tensor

from retinoscope.circuits.factors import Factors
from retinoscope.network.model import Model
from retinoscope.synthesize.objectives import Objective, direction
from retinoscope.synthesize.render import render


def unit_pictures(
    model: Model, units: Sequence[str], *, steps: int | None = None, size: int | None = None, seed: int = 0
) -> dict[str, Tensor]:
    """One optimised picture (3, h, w) of each unit, by its text; steps and size as of `render`."""
    wanted = list(dict.fromkeys(units))
    if not wanted:
        return {}
    return dict(zip(wanted, render(model, wanted, steps=steps, size=size, seed=seed).images, strict=True))


def factor_objectives(source: str, factors: Factors) -> list[Objective]:
    """What to maximise to see each factor: the mixture of the source's channels that it is [schubert2021]."""
    return [direction(source, row.float()) for row in factors.channels]


def factor_pictures(
    model: Model,
    source: str,
    factors: Factors,
    *,
    steps: int | None = None,
    size: int | None = None,
    seed: int = 0,
) -> Tensor:
    """One optimised picture of each factor, (r, 3, h, w)."""
    return render(model, factor_objectives(source, factors), steps=steps, size=size, seed=seed).images
