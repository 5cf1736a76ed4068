"""The checks of a diagnosis: each looks at the evidence for one cause of grey pictures, and says what to do."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from retinoscope.image.spectrum import periodicity
from retinoscope.network.calibration import RANGES, Drift, drift, told_apart, under
from retinoscope.synthesize.evidence import Evidence
from retinoscope.tensor.axes import Images

Verdict = Literal["fine", "note", "fault", "unknown"]
"""`fault` spoils pictures; `note` is worth knowing and often harmless; `unknown` cannot be told from outside."""


@dataclass(frozen=True)
class Finding:
    """One check: what was looked at, the figure that was found, the verdict, and what to do (empty where nothing)."""

    check: str
    figure: str
    verdict: Verdict
    advice: str = ""


Check = Callable[[Evidence], Finding]

SPREAD = 1.6
"""A batch norm that sees so many times more or less spread than in training is shown another range. On five networks,
shipped photos gave 0.92 to 1.00 in the right range, and at most 0.52 or at least 1.95 in any wrong one."""

SHIFT = 0.75
"""And so many of training's standard deviations between the means: 0.10 to 0.19 in the right range."""

UNSURE = 0.6
"""Answers that say less than this share of what they say in another range are a fault of the range."""

MUTE = 0.25
"""Bits below which answers say nothing of the photos in any range."""

VANISHED = 1e-8
"""The constant that Adam adds to a gradient's size: a smaller gradient no longer moves a canvas."""

CROWDED = 0.5
"""Share of values at their bounds from which an activation counts as saturated."""

STRIPED = 0.1
"""Periodicity of the gradient from which its grid shows; smooth gradients stay below 0.03."""

NARROW = 7
"""Receptive fields of so many pixels or fewer hold a single edge or colour."""


def finite(evidence: Evidence) -> Finding:
    """NaN or infinite weights and activations."""
    name = "finite values"
    broken = [path for path, weight in evidence.exact.module.named_parameters() if not bool(weight.isfinite().all())]
    if broken:
        return Finding(name, f"{broken[0]} holds NaN or infinity", "fault", "load the weights again: they are broken")
    if evidence.unsound:
        advice = "check the weights, mean and std: values overflow there"
        return Finding(name, f"{evidence.unsound} gives NaN or infinity", "fault", advice)
    return Finding(name, f"all of {len(evidence.upstream)} layers", "fine")


def mode(evidence: Evidence) -> Finding:
    """Modules in training mode, and batch norms that take their statistics from the batch even in eval mode."""
    name = "eval mode"
    moody = [child for child in evidence.model.module.modules() if isinstance(child, _BatchNorm | _DropoutNd)]
    loose = sum(isinstance(child, _BatchNorm) and child.running_mean is None for child in moody)
    training = sum(child.training for child in moody)
    if loose:
        advice = "make them with track_running_stats=True: now pictures of one batch change each other's answers"
        return Finding(name, f"{loose} batch norms keep no statistics", "fault", advice)
    if training:
        advice = "call model.module.eval() before you ask it yourself; render works on a copy in eval mode"
        return Finding(name, f"{training} batch norms and dropouts in training mode", "note", advice)
    return Finding(name, f"{len(moody)} batch norms and dropouts", "fine")


def range_by_norms(evidence: Evidence) -> Finding:
    """Whether the first batch norm sees the mean and spread that it saw in training."""
    name = "input range (batch norm)"
    seen = drift(evidence.exact, evidence.photos)
    if seen is None:
        return Finding(name, "no trained batch norm", "unknown", "compare mean and std with the training code")
    figure = f"spread x{seen.spread:.3g} of training's, means {seen.shift:.2g} sd off"
    if not math.isfinite(seen.spread) or not _drifted(seen):
        return Finding(name, figure, "fine")
    options = {text: drift(under(evidence.exact, *pair), evidence.photos) for text, pair in RANGES.items()}
    best = min(options, key=lambda text: _distance(options[text]))
    fits = not _drifted(options[best])
    advice = f"the network was trained on {best}: give that mean and std to wrap" if fits else _OTHER_RANGE
    return Finding(name, figure, "fault", advice)


_OTHER_RANGE = "mean and std are not those of training, nor any usual ones: look them up in the training code"


def _drifted(seen: Drift | None) -> bool:
    return seen is None or not 1 / SPREAD < seen.spread < SPREAD or seen.shift > SHIFT


def _distance(seen: Drift | None) -> float:
    return math.inf if seen is None else abs(math.log(max(seen.spread, 1e-12))) + seen.shift


def range_by_answers(evidence: Evidence) -> Finding:
    """Whether the classes tell photos apart as well as they do in other ranges."""
    name = "input range (answers)"
    if (own := evidence.bits) is None:
        return Finding(name, "no classes to ask, or one photo only", "unknown")
    most = math.log2(len(evidence.photos))
    figure = f"{own:.2f} bits of {most:.2f} tell {len(evidence.photos)} photos apart"
    if own >= UNSURE * most:  # no other range can tell so much more
        return Finding(name, figure, "fine")
    bits = {text: told_apart(under(evidence.exact, *pair), evidence.photos) for text, pair in RANGES.items()}
    best = max(bits, key=lambda text: bits[text])
    if own < UNSURE * bits[best] and bits[best] > MUTE:
        advice = f"{bits[best]:.2f} bits with inputs from {best}: check mean and std"
        return Finding(name, figure, "note" if _louder(evidence, best) else "fault", advice)
    if own < MUTE:
        advice = "the classes say nothing in any usual range: random weights, or photos of another kind?"
        return Finding(name, figure, "note", advice)
    return Finding(name, figure, "fine")


def _louder(evidence: Evidence, text: str) -> bool:
    """Whether a range is so much wider than the network's own that any network grows surer in it."""
    return 3 * max(RANGES[text][1]) < min(evidence.model.std)


def channel_order(evidence: Evidence) -> Finding:
    """RGB or BGR: told by answers, and not surely."""
    name = "channel order"
    if evidence.model.grey or (own := evidence.bits) is None:
        return Finding(name, "cannot be asked", "unknown")
    other = told_apart(replace(evidence.exact, bgr=not evidence.model.bgr), evidence.photos)
    orders = ("BGR", "RGB") if evidence.model.bgr else ("RGB", "BGR")
    figure = f"{orders[0]} {own:.2f} bits, {orders[1]} {other:.2f}"
    return Finding(name, figure, "unknown", "answers hardly depend on it: look it up in the training code")


def alive(evidence: Evidence) -> Finding:
    """Units that answer nothing, or the same to everything."""
    name = "living unit"
    noise, photos = evidence.noise_values, evidence.photo_values
    shares = [float((values != 0).float().mean()) for values in (noise, photos)]
    figure = f"not 0 at {shares[0]:.0%} of places on noise, {shares[1]:.0%} on photos"
    both = torch.cat((noise.flatten(), photos.flatten()))
    if not any(shares):
        return Finding(name, figure, "fault", f"a dead unit here: {_before(evidence)}")
    if both.min() == both.max():
        return Finding(name, f"{float(both[0]):.4g} everywhere", "fault", "the same to every image: check mean and std")
    if not shares[0]:
        advice = f"off on noise: start from a photo (start=), or {_before(evidence)}"
        return Finding(name, figure, "note", advice)
    return Finding(name, figure, "fine")


def _before(evidence: Evidence) -> str:
    """The layer before an activation function, where the order of calls tells it."""
    above = [layer for layer in evidence.upstream if layer.index < evidence.layer.index]
    same = [layer for layer in above[-1:] if layer.channels == evidence.layer.channels]
    return f"try {same[0].name}, the layer before" if same else "take a layer before the activation function"


def reach(evidence: Evidence) -> Finding:
    """Whether the objective's gradient reaches the image, and is large enough to move it."""
    name = "gradient reach"
    noise, photos = evidence.noise_gradient, evidence.photo_gradient
    if noise is None or photos is None:
        advice = "the graph is cut: look for .detach(), torch.no_grad() or an integer step in the network"
        return Finding(name, "no path from the unit to the image", "fault", advice)
    sizes = [_size(gradient) for gradient in (noise, photos)]
    figure = f"at most {sizes[0]:.2g} per pixel on noise, {sizes[1]:.2g} on photos"
    if not all(map(math.isfinite, sizes)):
        return Finding(name, figure, "fault", "the gradient is not finite: see the values above")
    if max(sizes) < VANISHED:
        return Finding(name, figure, "fault", f"it vanishes: {_before(evidence)}, or the logit for a probability")
    if sizes[0] < VANISHED:
        return Finding(name, figure, "note", f"start from a photo (start=), or {_before(evidence)}")
    return Finding(name, figure, "fine")


def _size(gradient: Tensor) -> float:
    return float(gradient.abs().amax())


def saturation(evidence: Evidence) -> Finding:
    """Activation functions at their bounds, whose gradient is then zero or nearly so."""
    name = "saturation"
    shares = {**evidence.ceilings, **_own_ceiling(evidence)}
    if not shares:
        return Finding(name, "no bounded activation on the way", "fine")
    worst = max(shares, key=lambda layer: shares[layer])
    figure = f"{shares[worst]:.0%} of {worst} at its bounds on photos"
    if shares[worst] > CROWDED:
        return Finding(name, figure, "fault", "inputs too large or weights too strong: check mean and std first")
    return Finding(name, figure, "fine")


def _own_ceiling(evidence: Evidence) -> dict[str, float]:
    """The unit's own share of values that equal its largest, where that is a clamp that no module shows."""
    values = evidence.photo_values
    high, low = values.max(), values.min()
    return {f"{evidence.objective}": float((values == high).float().mean())} if high > low and high > 0 else {}


def probabilities(evidence: Evidence) -> Finding:
    """Softmax outputs as objectives: they also rise as the rivals fall, and their gradient vanishes at 0 and 1."""
    name = "probabilities"
    asked = "probability(" in evidence.objective.formula
    with torch.no_grad():
        maps = evidence.trace(evidence.photos)[evidence.layer.name].float()
    if not asked and not _sums_to_one(maps):
        return Finding(name, f"{evidence.layer.name} is no softmax", "fine")
    odds = maps.softmax(1) if asked else maps
    slope = float((odds * (1 - odds)).amax(1).median())
    figure = f"slope of the softmax {slope:.2g} at most, of 0.25"
    advice = "maximise the logit: rs.logit" if asked else f"maximise the logits: {_before(evidence)}"
    return Finding(name, figure, "note" if asked else "fault", advice)


def _sums_to_one(maps: Tensor) -> bool:
    return maps.shape[1] > 1 and bool((maps >= 0).all()) and bool(((maps.sum(1) - 1).abs() < 1e-3).all())


def strides(evidence: Evidence) -> Finding:
    """A grid in the gradient, from strided convolutions and pools."""
    name = "stride artefacts"
    both = [g for g in (evidence.noise_gradient, evidence.photo_gradient) if g is not None and 0 < _size(g) < math.inf]
    if not both:
        return Finding(name, "no gradient to look at", "unknown")
    found = {period: max(grid(gradient)[period] for gradient in both) for period in grid(both[0])}
    strong = max(found.values())
    period = next(key for key, value in found.items() if value >= 0.8 * strong - 0.01)  # a pattern repeats on and on
    figure = f"period {period}: {found[period]:+.2f} in the gradient's size"
    if found[period] > STRIPED:
        advice = "pixel canvases will show that grid: keep a Fourier canvas with robust views, the default"
        return Finding(name, figure, "note", advice)
    return Finding(name, figure, "fine")


def grid(gradient: Images) -> dict[int, float]:
    """How much the size of a gradient (b, 3, h, w) repeats after 2, 4, 8 and 16 pixels: `periodicity`, mean over b."""
    largest = gradient.abs().amax((1, 2, 3), keepdim=True).clamp(min=1e-30)  # squares neither overflow nor vanish
    size = (gradient / largest).square().sum(1).sqrt()
    periods = [period for period in (2, 4, 8, 16) if 2 * (period + 1) <= min(size.shape[1:])]
    return {period: float(periodicity(size, period).mean()) for period in periods}


def field(evidence: Evidence) -> Finding:
    """Units that see a few pixels only."""
    name = "receptive field"
    seen = evidence.layer.field
    if seen.whole:
        return Finding(name, "the whole image", "fine")
    figure = f"{seen.size[0]} x {seen.size[1]} pixels"
    if max(seen.size) <= NARROW:
        return Finding(name, figure, "note", "it can only show a colour or an edge, repeated: expect a plain texture")
    return Finding(name, figure, "fine")


CHECKS: tuple[Check, ...] = (
    finite, mode, range_by_norms, range_by_answers, channel_order,
    alive, reach, saturation, probabilities, strides, field,
)  # fmt: skip
"""All checks, in the order in which their causes come before one another."""
