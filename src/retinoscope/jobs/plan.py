"""What an atlas needs, as Jobs in an order in which each finds what it needs.

How work is cut into jobs depends on the plan alone, never on the machine: pictures optimised together are optimised
together again after a kill, and come out the same to the byte.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import partial

from retinoscope.base.errors import BadInputError, unknown
from retinoscope.data.imageset import ImageSet
from retinoscope.jobs.job import (
    BackwardChunk,
    Describe,
    FacetChunk,
    Job,
    MergeScan,
    NegativeChunk,
    Network,
    Relate,
    RenderChunk,
    Scanning,
)
from retinoscope.jobs.layers import atlas_layers
from retinoscope.network.backward import find_rule
from retinoscope.network.model import Layer, Layers, Model
from retinoscope.synthesize.objectives import channel
from retinoscope.synthesize.recipes import Recipe, find, suited
from retinoscope.synthesize.render import chunk_size, default_size

KINDS = ("optimised", "negative", "facets")
"""Kinds of pictures that an atlas can have: simple ones, those of the least answer, and several diverse ones."""

BACKWARD_PICTURES = 128
"""Backward pictures between two saves, by each rule."""


def plan_atlas(
    model: Model,
    photos: ImageSet,
    *,
    layers: Sequence[str] = (),
    k: int = 9,
    recipe: str | None = None,
    size: int | None = None,
    steps: int | None = None,
    seed: int = 0,
    pictures: int | None = None,
    kinds: Sequence[str] = ("optimised",),
    facets: int = 4,
    backward: Sequence[str] = (),
) -> list[Job]:
    """The jobs of an atlas: the network, the scan of the photos and what units share in it, then the pictures.

    Pictures come kind by kind and layer by layer.
    `layers` are names or patterns (`blocks.*`), by default `atlas_layers`; `pictures` at most so many first channels
    of each layer get pictures, by default all. `kinds` are KINDS: negative pictures cost as much as the simple ones,
    facets `facets` times as much. `backward` are rules by which the top examples of the same units are run backwards,
    right after the scan. Without a `recipe` each layer gets the one suited to it (`suited`).
    Raises UnknownNameError for a layer, recipe, kind or rule that does not exist.
    """
    network = Network.of(model)
    chosen = find_layers(model.layers, layers) or atlas_layers(model.layers)
    scanning = Scanning(photos.content_hash, len(photos), tuple(layer.name for layer in chosen), k)
    merge = MergeScan(network, scanning)
    rows = {layer.name: find(recipe or suited(model, [channel(layer.name, 0)])) for layer in chosen}
    rows = {name: replace(row, steps=steps or row.steps) for name, row in rows.items()}
    makers = _makers(kinds, facets)
    renders = [
        _renders(model, layer, rows[layer.name], size, seed, pictures, make) for make in makers for layer in chosen
    ]
    rules = tuple(find_rule(rule).name for rule in dict.fromkeys(backward))
    back = [job for layer in chosen for job in _backward(network, scanning, layer, rules, pictures)]
    return [
        Describe(network),
        *merge.shards,
        merge,
        Relate(network, scanning),
        *back,
        *(job for jobs in renders for job in jobs),
    ]


def _backward(
    network: Network, scanning: Scanning, layer: Layer, rules: tuple[str, ...], pictures: int | None
) -> list[Job]:
    count = layer.channels if pictures is None else min(pictures, layer.channels)
    chunk = max(1, BACKWARD_PICTURES // scanning.k)
    firsts = range(0, count if rules else 0, chunk)
    return [
        BackwardChunk(network, scanning, layer.name, first, min(first + chunk, count) - 1, rules) for first in firsts
    ]


@dataclass(frozen=True)
class _Maker:
    """Makes the jobs of one kind of pictures, `each` of every channel."""

    make: Callable[..., Job]
    each: int = 1


def _makers(kinds: Sequence[str], facets: int) -> list[_Maker]:
    makers = {
        "optimised": _Maker(RenderChunk),
        "negative": _Maker(NegativeChunk),
        "facets": _Maker(partial(FacetChunk, count=facets), facets),
    }
    if wrong := [kind for kind in kinds if kind not in makers]:
        raise unknown("kind of pictures", wrong[0], KINDS)
    if "facets" in kinds and facets < 2:
        raise BadInputError(f"facets differ from each other: there must be 2 or more of a unit, came {facets}")
    return [makers[kind] for kind in KINDS if kind in kinds]


def find_layers(layers: Layers, patterns: Iterable[str]) -> list[Layer]:
    """The layers that any of the names or shell patterns means, in call order; raises when one means none."""
    chosen: set[str] = set()
    for pattern in patterns:
        found = {name for name in layers if name == pattern or fnmatchcase(name, pattern)}
        chosen |= found or {layers[pattern].name}  # which raises, with the nearest names
    return [layer for name, layer in layers.items() if name in chosen]


def _renders(
    model: Model, layer: Layer, recipe: Recipe, size: int | None, seed: int, pictures: int | None, maker: _Maker
) -> list[Job]:
    sample = [channel(layer.name, 0)]
    side = size or recipe.size or default_size(model, sample)
    chunk = max(1, chunk_size(model, sample, side) // maker.each)
    settings = json.dumps(recipe.describe(), sort_keys=True)
    count = layer.channels if pictures is None else min(pictures, layer.channels)
    return [
        maker.make(
            Network.of(model), layer.name, first, min(first + chunk, count) - 1,
            recipe.name, settings, side, recipe.steps, seed,
        )
        for first in range(0, count, chunk)
    ]  # fmt: skip
