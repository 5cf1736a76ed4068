"""One figure for each section of *Feature Visualization*: `python examples/gallery.py [FIGURE...]`.

Writes gallery/FIGURE.jpg for the figures named, by default all, on the embedded network and the sample photos. All of
them take about a quarter of an hour on two cores.
"""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

import retinoscope as rs
from retinoscope.data.files import sample_photos
from retinoscope.image.codec import photo
from retinoscope.image.sheet import Cell, sheet
from retinoscope.jobs.spectrum import patch

# The tests make small figures of two steps over few photos.
SHORT = "RETINOSCOPE_EXAMPLE_STEPS" in os.environ
STEPS = int(os.environ.get("RETINOSCOPE_EXAMPLE_STEPS", "256"))
SIDE, SHOWN = (64, 64) if SHORT else (160, 168)

Pictures = Sequence[tuple[str, Tensor]]


def rows(lines: Sequence[Pictures]) -> Image.Image:
    """Lines of titled pictures (3, h, w), all of the same length, as one sheet."""
    return sheet([Cell(picture, title) for line in lines for title, picture in line], len(lines[0]), SHOWN)


def made(model: rs.Model, objectives: Sequence[str | rs.Objective], titles: Sequence[str] = ()) -> Pictures:
    """Each objective's picture, with its title or its formula."""
    out = rs.render(model, objectives, size=SIDE, steps=STEPS, seed=0)
    return list(zip(titles or [str(objective) for objective in objectives], out.images, strict=True))


def layers(model: rs.Model) -> Image.Image:
    """Edges, textures, patterns, parts, objects: units of five depths."""
    units = {
        "blocks.1.1": (2, 5, 9, 12, 17, 20),
        "blocks.2.1": (1, 9, 18, 29, 31, 14),
        "blocks.3.2": (42, 24, 44, 51, 69, 10),
        "blocks.5.3": (54, 112, 129, 103, 126, 44),
        "logits": (130, 323, 417, 340, 985, 963),
    }
    lines = [made(model, [f"{layer}:{channel}" for channel in channels]) for layer, channels in units.items()]
    named = [(f"{model.labels[int(title.split(':')[1])]}", picture) for title, picture in lines[-1]]
    return rows([*lines[:-1], named])


def objectives(model: rs.Model) -> Image.Image:
    """A neuron, a channel, a layer, a class before and after the softmax."""
    layer, channel, label = "blocks.4.2", 40, 323
    hidden = [rs.neuron(layer, channel), rs.channel(layer, channel), rs.deepdream(layer)]
    classes = [rs.logit(label), rs.probability(label)]  # apart, so that they get the recipe that suits classes
    return rows(
        [
            [
                *made(model, hidden, ["neuron", "channel", "layer (DeepDream)"]),
                *made(model, classes, ["class logit", "class probability"]),
            ]
        ]
    )


def examples(model: rs.Model, units: Sequence[str], count: int) -> dict[str, Pictures]:
    """The patches of sample photos that excite each unit most."""
    photos = rs.ImageSet(sample_photos(), rs.cuts.tiles())[: 4 if SHORT else None]
    scan = rs.scan(model, photos, layers=sorted({unit.split(":")[0] for unit in units}), k=4 * count)
    found = {}
    for unit in units:
        # One patch of each photo: neighbouring tiles show the same thing.
        best = {example.item.photo: example for example in reversed(scan.top(unit))}
        chosen = sorted(best.values(), key=lambda example: -example.score)[:count]
        crops = [(f"photo, {example.score:.3g}", patch(photos, example)) for example in chosen]
        found[unit] = crops + [("", torch.ones(3, 8, 8))] * (count - len(crops))
    return found


def why(model: rs.Model) -> Image.Image:
    """What a unit looks for beside what it finds: photos hold more than what causes the answer."""
    units = ["blocks.3.2:24", "blocks.4.2:40", "blocks.5.3:129", "blocks.5.3:103"]
    found = examples(model, units, 4)
    return rows([[picture, *found[picture[0]]] for picture in made(model, units)])


def diversity(model: rs.Model) -> Image.Image:
    """One picture alone, four that are kept apart, and photos: the facets of a unit."""
    units = ["blocks.4.2:40", "blocks.5.3:112", "blocks.5.3:17"]
    apart = rs.facets(model, units, n=4, size=SIDE, steps=STEPS, seed=0).images.split(4)
    found = examples(model, units, 2)
    return rows(
        [
            [picture, *[(f"facet {place + 1}", facet) for place, facet in enumerate(four)], *found[picture[0]]]
            for picture, four in zip(made(model, units), apart, strict=True)
        ]
    )


def arithmetic(model: rs.Model) -> Image.Image:
    """Units alone on the diagonal, and their sums: what two units look for together."""
    units = [rs.channel("blocks.4.2", channel) for channel in (40, 5, 71)]
    names = ["40", "5", "71"]
    pairs = [(row, column) for row in range(3) for column in range(row, 3)]
    sums = [units[row] if row == column else units[row] + units[column] for row, column in pairs]
    titles = [names[row] if row == column else f"{names[row]} + {names[column]}" for row, column in pairs]
    of = dict(zip(pairs, made(model, sums, titles), strict=True))
    return rows([[of[min(row, column), max(row, column)] for column in range(3)] for row in range(3)])


def directions(model: rs.Model) -> Image.Image:
    """Basis directions, which are units, above random ones."""
    layer = "blocks.4.2"
    basis = [f"{layer}:{channel}" for channel in (3, 18, 40, 57, 71, 90)]
    random = [rs.direction(layer, vector) for vector in rs.random_directions(model, layer, 6, seed=0)]
    return rows([made(model, basis), made(model, random, [f"random direction {place + 1}" for place in range(6)])])


def interpolation(model: rs.Model) -> Image.Image:
    """From one unit to another on a shared canvas, so that neighbours stay alike."""
    pairs = [("blocks.3.2:42", "blocks.3.2:51"), ("blocks.5.3:112", "blocks.5.3:103")]
    lines = []
    for first, second in pairs:
        strip = rs.interpolate(model, first, second, n=6, size=SIDE, steps=STEPS, seed=0).images
        titles = [first, *[f"{place / 5:.0%}" for place in range(1, 5)], second]
        lines.append(list(zip(titles, strip, strict=True)))
    return rows(lines)


def enemy(model: rs.Model) -> Image.Image:
    """Pixels and nothing else, against the default: what the network is fooled by comes first and stays."""
    unit, wanted = "blocks.3.2:21", (1, 8, 32, 128, STEPS)
    lines = []
    for recipe in ("naive", "robust"):
        shown = snapshots(model, unit, recipe, wanted)
        lines.append([(f"{recipe}, step {step}", picture) for step, picture in shown])
    return rows(lines)


def snapshots(model: rs.Model, unit: str, recipe: str, wanted: Sequence[int]) -> list[tuple[int, Tensor]]:
    """A picture after each number of steps."""
    return [
        (count, rs.render(model, unit, recipe=recipe, size=SIDE, steps=min(count, STEPS), seed=0).images[0])
        for count in wanted
    ]


def growth(model: rs.Model) -> Image.Image:
    """From noise to a picture: the same unit after more and more steps."""
    wanted = (1, 4, 16, 64, STEPS)
    lines = [
        snapshots(model, unit, recipe, wanted)
        for unit, recipe in (("blocks.5.3:112", "robust"), ("logits:323", "natural"))
    ]
    return rows([[(f"step {step}", picture) for step, picture in line] for line in lines])


def families(model: rs.Model) -> Image.Image:
    """The families of regularization on one unit, with their figures."""
    return rs.cures(model, "blocks.3.2:21", size=SIDE, steps=STEPS, views=2 if SHORT else 64, seed=0).figure()


def preconditioning(model: rs.Model) -> Image.Image:
    """The direction of steepest ascent from one photo in three metrics, and a picture made of steps in each."""
    unit = "blocks.3.2:21"
    canvas = rs.Fourier(1, SIDE)
    canvas.paint(photo(sample_photos() / "skimage_chelsea.jpg", (SIDE, SIDE))[None])
    before = canvas()
    before.retain_grad()
    with rs.record(model, ["blocks.3.2"]) as trace:
        model(before)
    trace["blocks.3.2"][:, 21].mean().backward()
    step = canvas.coefficients.grad
    assert before.grad is not None
    assert step is not None
    with torch.no_grad():
        canvas.coefficients += 1e-3 * step / step.norm()
        decorrelated = canvas() - before
    steepest = [
        ("L2: the gradient", before.grad),
        ("L-infinity: its sign", before.grad.sign()),
        ("decorrelated", decorrelated),
    ]
    first = [(name, (0.5 + step[0] / step.std() / 6).clamp(0, 1)) for name, step in steepest]
    recipes = ("naive", "jitter", "decorrelated")
    titles = ("pixels", "pixels, jittered", "decorrelated space")
    out = [rs.render(model, unit, recipe=recipe, size=SIDE, steps=STEPS, seed=0).images[0] for recipe in recipes]
    return rows([first, list(zip(titles, out, strict=True))])


def caricature(model: rs.Model) -> Image.Image:
    """A photo, and what four layers see in it, exaggerated."""
    original = photo(sample_photos() / "skimage_chelsea.jpg", (SIDE, SIDE))
    seen = [
        (layer, rs.caricature(model, original, layer, size=SIDE, steps=STEPS, seed=0).images[0])
        for layer in ("blocks.1.1", "blocks.2.1", "blocks.3.2", "blocks.5.3")
    ]
    return rows([[("photo", original), *seen]])


def spectrum(model: rs.Model) -> Image.Image:
    """A unit from its negative to its positive picture."""
    photos = rs.ImageSet(sample_photos(), rs.cuts.tiles())[: 4 if SHORT else None]
    file = rs.spectrum(model, "blocks.3.2:21", photos, steps=STEPS).save(Path("gallery") / "spectrum.png")
    with Image.open(file) as opened:
        figure = opened.convert("RGB")
    file.unlink()
    return figure


FIGURES: dict[str, Callable[[rs.Model], Image.Image]] = {
    "layers": layers,
    "growth": growth,
    "objectives": objectives,
    "why": why,
    "spectrum": spectrum,
    "diversity": diversity,
    "arithmetic": arithmetic,
    "directions": directions,
    "interpolation": interpolation,
    "enemy": enemy,
    "families": families,
    "preconditioning": preconditioning,
    "caricature": caricature,
}


def main(names: list[str]) -> None:
    """Make the figures named, each as soon as it is ready."""
    model = rs.load("efficientnet-lite0")
    Path("gallery").mkdir(exist_ok=True)
    for name in names:
        FIGURES[name](model).save(f"gallery/{name}.jpg", quality=88)
        print(f"wrote gallery/{name}.jpg", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or list(FIGURES))
