"""The strongest answer anywhere in a picture: what compares an optimised picture with a scan's examples."""

from collections.abc import Sequence

from torch import Tensor

from retinoscope.base.units import Unit
from retinoscope.network.model import Model
from retinoscope.network.record import Trace
from retinoscope.synthesize.objectives import Objective
from retinoscope.synthesize.render import final_scores
from retinoscope.tensor.axes import Images, Scores


def peaks(model: Model, units: Sequence[Unit], images: Images, sign: int = 1) -> Scores:
    """The largest (`sign` 1) or smallest (-1) activation of each picture's own unit at any position, in float32.

    A picture's score is its unit's mean over all positions; an example's is its largest.
    """
    return sign * final_scores(model, [_extreme(unit, sign) for unit in units], images)


def _extreme(unit: Unit, sign: int) -> Objective:
    def evaluate(trace: Trace) -> Tensor:
        return (sign * trace[unit.layer][:, unit.channel].float()).amax((1, 2))

    return Objective(f"peak({sign}, {unit})", frozenset([unit.layer]), evaluate, (unit,))
