"""Facets that photos suggest: a unit's photos fall into groups, and each group is a place to start from or to go to.

`mean_facets` starts a picture from the mean of each group's photos [nguyen2016b]; `centroid_facets` moves a picture
towards the centre of each group's codes [wei2015]. A photo's code is its mean answer (c,) at a layer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from sklearn.cluster import KMeans
from torch import Tensor

from retinoscope.base.errors import BadInputError
from retinoscope.base.units import Unit
from retinoscope.image.transforms import apply
from retinoscope.network.model import Model
from retinoscope.network.record import forward, record
from retinoscope.synthesize.directions import direction_cossim
from retinoscope.synthesize.diversity import compared_at, magnitude
from retinoscope.synthesize.objectives import Objective, as_objective
from retinoscope.synthesize.recipes import Recipe
from retinoscope.synthesize.render import Rendered, final_scores, render
from retinoscope.synthesize.score import resize
from retinoscope.tensor.axes import Images
from retinoscope.tensor.random import Draws

CHUNK = 32
"""Photos that go through the network together."""


@dataclass(frozen=True)
class Clusters:
    """Groups of photos by their codes: `labels` (n,) from 0 to k - 1, `centers` (k, c), largest group first."""

    labels: Int[Tensor, " n"]
    centers: Float[Tensor, "k c"]


@torch.no_grad()
def codes(model: Model, layer: str, photos: Images) -> Float[Tensor, "b c"]:
    """The mean answer over positions of a layer to each photo."""
    parts = []
    for part in torch.split(photos, CHUNK):
        with record(model, [layer]) as trace:
            forward(model.module, model.normalize(apply(resize(model), part.to(model.device), Draws(0, []))))
        parts.append(trace[layer].float().mean((2, 3)))
    return torch.cat(parts)


def cluster(points: Float[Tensor, "n c"], k: int, seed: int = 0) -> Clusters:
    """k-means (scikit-learn, 10 starts) of codes; the same for the same seed."""
    if not 1 <= k <= len(points):
        raise BadInputError(f"{len(points)} photos cannot make {k} groups; ask for 1 to {len(points)}")
    found = KMeans(k, n_init=10, random_state=seed).fit(points.double().cpu().numpy())
    labels = torch.as_tensor(found.labels_).long()
    order = torch.bincount(labels, minlength=k).argsort(descending=True, stable=True)
    centers = torch.as_tensor(found.cluster_centers_, dtype=torch.float32)
    return Clusters(order.argsort()[labels], centers[order])


def mean_images(
    photos: Images, points: Float[Tensor, "b c"], groups: Clusters, nearest: int = 15
) -> Float[Tensor, "k 3 h w"]:
    """The mean of the `nearest` photos to each centre, (k, 3, h, w), from its own group alone [nguyen2016b]."""
    distance = torch.cdist(groups.centers, points.cpu())
    means = []
    for label, row in enumerate(distance):
        own = (groups.labels == label).nonzero().flatten()
        means.append(photos[own[row[own].argsort()[:nearest]]].mean(0))
    return torch.stack(means)


def mean_facets(
    model: Model,
    unit: Objective | Unit | str,
    photos: Images,
    n: int = 4,
    *,
    nearest: int = 15,
    layer: str | None = None,
    size: int | None = None,
    steps: int | None = None,
    recipe: str | Recipe = "robust",
    seed: int = 0,
    dtype: torch.dtype | None = None,
) -> Rendered:
    """Render a unit from the mean image of each of n groups of its photos: multifaceted visualization [nguyen2016b].

    `photos` (b, 3, h, w) in [0, 1] are those that excite the unit most, a few dozen or more. They are grouped by their
    codes at `layer`, by default the map where facets are compared (`compared_at`). The other arguments are `render`'s.
    The paper groups fc7 codes by t-SNE and k-means and takes 10 groups of 15; we group the codes themselves.
    """
    wanted = as_objective(unit)
    points = codes(model, layer or compared_at(model, wanted), photos)
    means = mean_images(photos, points, cluster(points, n, seed), nearest)
    return render(model, [wanted] * n, start=means, size=size, steps=steps, recipe=recipe, seed=seed, dtype=dtype)


def centroid_facets(
    model: Model,
    unit: Objective | Unit | str,
    photos: Images,
    n: int = 4,
    *,
    weight: float = 4.0,
    layer: str | None = None,
    size: int | None = None,
    steps: int | None = None,
    recipe: str | Recipe = "robust",
    seed: int = 0,
    dtype: torch.dtype | None = None,
) -> Rendered:
    """Render a unit n times, each time towards the centre of a group of its photos' codes [wei2015].

    Each picture maximises `unit + weight * magnitude(unit) * direction_cossim(layer, centre - mean of the centres)`,
    groups as in `mean_facets`; the scores are the unit's alone. More weight is surer to reach the group and costs
    more of the unit. The paper maximises the likeness to a centre's code alone.
    """
    wanted = as_objective(unit)
    place = layer or compared_at(model, wanted)
    centers = cluster(codes(model, place, photos), n, seed).centers
    items = [wanted + weight * magnitude(wanted) * direction_cossim(place, center) for center in apart(centers)]
    out = render(model, items, size=size, steps=steps, recipe=recipe, seed=seed, dtype=dtype)
    return replace(out, objectives=(wanted,) * n, scores=final_scores(model, [wanted] * n, out.images))


def apart(centers: Float[Tensor, "k c"]) -> Sequence[Tensor]:
    """Each centre's direction from the mean of all: what sets it apart. A single centre stays as it is."""
    return list(centers - centers.mean(0)) if len(centers) > 1 else list(centers)
