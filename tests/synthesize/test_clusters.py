"""Groups of photos, and the two facets of a planted unit from them."""

import math
from dataclasses import replace

import pytest
import torch
from sklearn.metrics import adjusted_rand_score
from torch import Tensor

from retinoscope.base.errors import BadInputError
from retinoscope.image.canvas import Fourier
from retinoscope.image.transforms import Jitter
from retinoscope.network.model import Model
from retinoscope.network.record import record
from retinoscope.synthesize.clusters import Clusters, apart, centroid_facets, cluster, codes, mean_facets, mean_images
from retinoscope.synthesize.recipes import RECIPES
from tests.planted import SIDE, two_patterns
from tests.samples import photos

RECIPE = replace(RECIPES["naive"], canvas=Fourier, transforms=(Jitter(4),))


def striped(count: int) -> tuple[Tensor, Tensor]:
    """Photos of noise with vertical (0) or horizontal (1) stripes of 4 pixels' period, and which."""
    draw = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % 3 // 2  # twice as many of the first
    phase = torch.rand(count, 1, 1, 1, generator=draw) * 2 * math.pi
    waves = (torch.arange(SIDE) * (math.pi / 2) + phase).cos().expand(-1, 3, SIDE, -1)
    stripes = torch.where(labels.view(-1, 1, 1, 1) == 0, waves, waves.transpose(2, 3))
    return (0.5 + 0.2 * stripes + 0.1 * torch.randn(stripes.shape, generator=draw)).clamp(0, 1), labels


def features(model: Model, images: Tensor) -> Tensor:
    with record(model, ["features"]) as t, torch.no_grad():
        model(images)
    return t["features"].mean((2, 3))


def test_codes_are_mean_answers(tiny: Model) -> None:
    images = photos(40, 32)
    with record(tiny, ["conv2"]) as t, torch.no_grad():
        tiny(images)
    assert torch.allclose(codes(tiny, "conv2", images), t["conv2"].mean((2, 3)), atol=1e-5)


def test_a_planted_units_photos_fall_into_its_two_groups() -> None:
    model, (images, labels) = two_patterns(), striped(45)
    found = cluster(codes(model, "features", images), 2)
    assert adjusted_rand_score(labels.numpy(), found.labels.numpy()) >= 0.95
    assert torch.bincount(found.labels).tolist() == [30, 15]  # the largest first
    again = cluster(codes(model, "features", images), 2)
    assert torch.equal(found.labels, again.labels)


def test_a_mean_image_is_that_of_the_nearest_of_its_group() -> None:
    points = torch.tensor([[0.0], [1.0], [4.0], [10.0], [11.0]])
    images = photos(5, 8)
    groups = Clusters(torch.tensor([0, 0, 0, 1, 1]), torch.tensor([[5 / 3], [10.5]]))
    means = mean_images(images, points, groups, nearest=2)
    assert torch.allclose(means[0], (images[0] + images[1]) / 2)
    assert torch.allclose(means[1], (images[3] + images[4]) / 2)
    assert torch.allclose(mean_images(images, points, groups)[0], images[:3].mean(0))


def each_shows_one(answers: Tensor) -> None:
    """Picture 0 excites the first feature five times as much as the second, picture 1 the other way round."""
    assert answers[0, 0] > 5 * answers[0, 1]
    assert answers[1, 1] > 5 * answers[1, 0]


def test_mean_image_facets_of_a_planted_unit_are_its_two_patterns() -> None:
    model, (images, _) = two_patterns(), striped(45)
    out = mean_facets(model, "logits:0", images, 2, layer="features", size=SIDE, steps=64, recipe=RECIPE)
    each_shows_one(features(model, out.images))


@pytest.mark.parametrize("seed", range(4))
def test_centroid_facets_of_a_planted_unit_are_its_two_patterns(seed: int) -> None:
    model, (images, _) = two_patterns(), striped(45)
    settings = {"layer": "features", "size": SIDE, "steps": 64, "recipe": RECIPE, "seed": seed}
    out = centroid_facets(model, "logits:0", images, 2, **settings)  # type: ignore[arg-type]
    answers = features(model, out.images)
    each_shows_one(answers)
    assert torch.allclose(out.scores, answers.amax(1), rtol=1e-4)
    assert [repr(item) for item in out.objectives] == ["logits:0", "logits:0"]


def test_directions_apart_are_from_the_mean_of_the_centres() -> None:
    centers = torch.tensor([[1.0, 3.0], [3.0, 5.0]])
    assert torch.equal(torch.stack(list(apart(centers))), torch.tensor([[-1.0, -1.0], [1.0, 1.0]]))
    assert torch.equal(apart(centers[:1])[0], centers[0])


def test_too_many_groups_are_refused() -> None:
    with pytest.raises(BadInputError, match="3 photos cannot make 4 groups"):
        cluster(torch.zeros(3, 2), 4)
