"""Pictures from photos: a pair is judged as slow code says, the photo stays, and starts show the photo."""

import pytest
import torch
from torch import Tensor

from retinoscope.base.errors import BadInputError
from retinoscope.image.canvas import Fourier, Pixels
from retinoscope.network.model import Layer, Model, ReceptiveField
from retinoscope.network.record import Trace, record
from retinoscope.synthesize.caricature import (
    accented,
    accentuate,
    activation_difference,
    caricature,
    half_way,
    in_picture,
    likeness,
    nearness,
    squares,
)
from retinoscope.synthesize.objectives import as_objective, channel
from retinoscope.synthesize.optimize import optimize
from retinoscope.synthesize.render import final_scores, render
from tests.samples import photos


def trace_of(values: Tensor) -> Trace:
    field = ReceptiveField((3, 3), (1, 1), (1, 1))
    return Trace({"a": Layer("a", "a", 1, 0, "Conv2d", values.shape[1], (4, 6), field, 0.5)}, {"a": values})


def maps(count: int) -> Tensor:
    return torch.randn(count, 5, 4, 6, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_likeness_in_slow_code(power: float) -> None:
    values = maps(2)
    slow = 0.0
    for y in range(4):
        for x in range(6):
            p, a = values[0, :, y, x], values[1, :, y, x]
            cosine = float(p @ a) / (float(p.norm() * a.norm()) + 1e-4)
            slow += float(p @ a) * (max(0.1, cosine) ** power if power else 1) / 24
    assert likeness("a", power)(trace_of(values)).tolist() == pytest.approx([0.0, slow], abs=1e-5)


def test_nearness_is_minus_the_relative_distance() -> None:
    values = maps(2)
    slow = -float((values[1] - values[0]).square().sum() / values[0].square().sum())
    assert nearness("a")(trace_of(values)).tolist() == pytest.approx([0.0, slow], rel=1e-5)
    assert nearness("a")(trace_of(values[:1].repeat(2, 1, 1, 1))).abs().max() == 0


@pytest.mark.parametrize("objective", [likeness("a"), nearness("a"), in_picture(channel("a", 2))])
def test_a_photo_gets_no_gradient(objective: object) -> None:
    assert callable(objective)
    values = maps(2).requires_grad_()
    objective(trace_of(values)).sum().backward()
    assert values.grad is not None
    assert values.grad[0].abs().max() == 0
    assert values.grad[1].abs().max() > 0


def test_activation_difference_is_the_mean_square() -> None:
    values = maps(3)
    one = activation_difference("a", values[0])(trace_of(values))
    assert one.tolist() == pytest.approx([float((v - values[0]).square().mean()) for v in values], abs=1e-6)
    assert activation_difference("a", values)(trace_of(values)).abs().max() == 0
    with pytest.raises(BadInputError, match="answers 5 x 4 x 6 here; came a target of 5 x 2 x 6"):
        activation_difference("a", values[0, :, :2])(trace_of(values))


def test_a_code_is_inverted_by_its_difference(tiny: Model) -> None:
    photo = photos(1, 32)
    with record(tiny, ["conv1"]) as t, torch.no_grad():
        tiny(photo)
    code = t["conv1"][0]
    out = render(tiny, -activation_difference("conv1", code), size=32, steps=256, recipe="naive")
    blank = activation_difference("conv1", code)
    grey = float(final_scores(tiny, [blank], torch.full((1, 3, 32, 32), 0.5))[0])
    assert -float(out.scores) < 0.05 * grey


def test_a_caricature_exaggerates_its_photo(tiny: Model) -> None:
    photo = photos(2, 32)
    out = caricature(tiny, photo, "conv2", size=32, steps=48, recipe="naive")
    both = torch.stack([photo, photo], 1).flatten(0, 1)
    itself = final_scores(tiny, [likeness("conv2")] * 4, both)[1::2]
    assert (out.scores > itself).all()
    with record(tiny, ["conv2"]) as t, torch.no_grad():
        tiny(torch.cat([out.images, photo]))
    pictures, originals = t["conv2"].chunk(2)
    cosine = torch.nn.functional.cosine_similarity(pictures[:, None].flatten(2), originals[None].flatten(2), dim=2)
    assert cosine[0, 0] > cosine[0, 1]
    assert cosine[1, 1] > cosine[1, 0]


def test_accentuation_starts_at_the_photo_and_stays_nearer_with_more_weight(tiny: Model) -> None:
    photo = photos(1, 32)
    first = accentuate(tiny, photo, "conv3:2", size=32, steps=1, recipe="naive")
    assert (first.images - photo).abs().max() < 0.05
    loose, close = (
        accentuate(tiny, photo, "conv3:2", size=32, steps=32, recipe="naive", weight=weight) for weight in (0.0, 5.0)
    )
    away = [float((out.images - photo).square().mean()) for out in (loose, close)]
    assert away[1] < away[0]
    itself, moved = (
        final_scores(tiny, [as_objective("conv3:2")], images)[0] for images in (photo.clamp(0, 1), close.images)
    )
    assert moved > itself


def test_the_objective_of_an_accentuation_says_what_it_is(tiny: Model) -> None:
    objective = accented(tiny, channel("conv3", 2), weight=0.5)
    assert repr(objective) == "conv3:2 + 0.5 * magnitude(conv3:2) * nearness(depthwise)"
    assert objective.span == 2
    assert half_way(tiny, channel("conv1", 0)) == "conv1"


@pytest.mark.parametrize("canvas", [Pixels, Fourier])
def test_a_start_from_a_photo_has_the_photos_score(tiny: Model, canvas: type[Pixels] | type[Fourier]) -> None:
    photo = photos(1, 32)
    painted = canvas(1, 32)
    painted.paint(photo)
    assert (painted() - photo).abs().max() < 1.1e-3
    (step,) = optimize(tiny, "conv3:2", canvas=painted, transforms=(), steps=1, dtype=torch.float32)
    assert float(step.scores) == pytest.approx(float(final_scores(tiny, [channel("conv3", 2)], photo)), rel=1e-2)


def test_photos_come_in_any_form(tiny: Model) -> None:
    photo = photos(2, 48)
    assert squares(photo, 32).shape == (2, 3, 32, 32)
    assert torch.equal(squares(photo[0], 48), photo[:1])
    assert torch.equal(squares([photo[0], photo[1]], 48), photo)
    assert caricature(tiny, photo[0], "conv2", size=32, steps=1).images.shape == (1, 3, 32, 32)
