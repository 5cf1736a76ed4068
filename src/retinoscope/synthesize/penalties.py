"""Penalties: objectives on the picture itself, under Lucid's names and with Lucid's signs.

Costs are positive: `L1`, `L2`, `total_variation` and the others grow as the picture gets worse, and regularize where
they are *subtracted*, as in `unit - 0.25 * total_variation()` or `penalties=(-0.25 * total_variation(),)`.
`penalize_boundary_complexity` alone is negative already, as Lucid's is: it regularizes where it is added. All look at
the picture before its views, sRGB in [0, 1], and sum over its pixels: a larger picture needs smaller weights.
"""

from collections.abc import Callable

from torch import Tensor

from retinoscope.base.errors import BadInputError
from retinoscope.image import regularizers
from retinoscope.network.record import Trace
from retinoscope.synthesize.objectives import Objective

INPUT = "input"
"""The name by which Lucid calls the picture among the layers."""


def L1(layer: str = INPUT, constant: float = 0.0) -> Objective:  # noqa: N802 (Lucid's name)
    """Sum of |x - constant| over the picture, or over a layer's map; `constant` 0.5 pulls a picture to mid-grey."""
    return _of(f"L1({_told(layer, constant=constant)})", layer, lambda x: regularizers.l1(x, constant))


def L2(layer: str = INPUT, constant: float = 0.0, epsilon: float = 1e-6) -> Objective:  # noqa: N802 (Lucid's name)
    """sqrt(epsilon + sum of (x - constant)^2) of the picture, or of a layer's map."""
    return _of(f"L2({_told(layer, constant=constant)})", layer, lambda x: regularizers.l2(x, constant, epsilon))


def total_variation(layer: str = INPUT) -> Objective:
    """Sum of absolute differences between neighbours of the picture, or of a layer's map [simonyan2014, lucid2018]."""
    return _of(f"total_variation({_told(layer)})", layer, regularizers.total_variation)


def total_variation_power(power: float = 2.0) -> Objective:
    """TV^beta: sum of (down^2 + right^2) ** (power / 2) [mahendran2015]."""
    return _of(f"total_variation_power({power:g})", INPUT, lambda x: regularizers.total_variation_power(x, power))


def alpha_norm(power: float = 6.0, constant: float = 0.5) -> Objective:
    """Sum of |x - constant| ** power [mahendran2015]; it has nothing to do with opacity."""
    told = _told(INPUT, power=power, constant=constant)
    return _of(f"alpha_norm({told})", INPUT, lambda x: regularizers.alpha_norm(x, power, constant))


def blur_input_each_step() -> Objective:
    """Half the squared distance to the picture's own blur: subtract it k times for k of a blur each step [nguyen2015].

    Exactly so for gradient ascent of rate one on the pixels; Adam and other canvases make of it a pull that way.
    """
    return _of("blur_input_each_step()", INPUT, regularizers.blur_cost)


def blur_alpha_each_step() -> Objective:
    """The same for the opacity of a transparent picture."""
    return Objective("blur_alpha_each_step()", frozenset(), lambda t: regularizers.blur_cost(_opacity(t)))


def mean_alpha() -> Objective:
    """Mean opacity of a transparent picture: `unit * (1 - mean_alpha())` leaves out what the unit does not need."""
    return Objective("mean_alpha()", frozenset(), lambda t: _opacity(t).mean((1, 2, 3)))


def penalize_boundary_complexity(width: int = 20, color: float = 0.5) -> Objective:
    """Minus the detail and the colour in a border of `width` pixels: add it. Lucid's atlas takes a width of 5.

    Differs from Lucid: it needs no shape, and takes no mask.
    """

    def evaluate(trace: Trace) -> Tensor:
        return -regularizers.boundary_complexity(_picture(trace), width, color)

    return Objective(f"penalize_boundary_complexity({_told(INPUT, width=width, color=color)})", frozenset(), evaluate)


def _of(formula: str, layer: str, cost: Callable[[Tensor], Tensor]) -> Objective:
    """The cost of a picture or of a layer's map."""
    if layer == INPUT:
        return Objective(formula, frozenset(), lambda trace: cost(_picture(trace)))
    return Objective(formula, frozenset([layer]), lambda trace: cost(trace[layer].float()))


def _told(layer: str, **settings: float) -> str:
    shown = [] if layer == INPUT else [layer]
    return ", ".join([*shown, *(f"{name}={value:g}" for name, value in settings.items() if value)])


def _picture(trace: Trace) -> Tensor:
    if trace.images is None:
        raise BadInputError("a penalty on the picture needs a trace that holds it; layers alone were recorded")
    return trace.images


def _opacity(trace: Trace) -> Tensor:
    if trace.alpha is None:
        raise BadInputError("the picture has no opacity; render it on a transparent canvas, rs.Transparent(canvas)")
    return trace.alpha
