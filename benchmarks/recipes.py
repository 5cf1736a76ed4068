"""Which settings make pictures that other networks read? A search by measurement over a literal list of candidates.

    python benchmarks/recipes.py [NAME ...] [--model NAME_OR_FACTORY] [--classes 16] [--steps 100] [--size 160]
        [--seeds 1] [--folder build/recipes] [--squeezenet squeezenet1_0.pt] [--judge file.py:factory ...] [--list]

Renders the logits of CLASSES classes of a network, by default EfficientNet-Lite0, with each candidate (all of
CANDIDATES without a name), and asks judges that the optimiser never saw and that know the same classes: top-1 / top-5
in %, and the mean log-probability of the wanted class, with its difference to the first candidate, paired by class, and
the standard error of that. The log-probability ranks settings with far fewer pictures than shares do. The classes are
none of those that transfer.py asks for (every tenth), so that what is chosen here is not tuned to the test there.
Candidates share starting noise and views class by class. Judges that know more classes are asked for a network's own
alone, found by their names.

Everything is kept in --folder: a run that was stopped goes on where it was, and contact sheets lie beside.
"""

import argparse
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from judges import Judge, add_options, ask, judges, save, saved, sheet
from torch import Tensor, nn

from retinoscope.image.canvas import Canvas, Fourier
from retinoscope.image.samples import sample_images
from retinoscope.image.transforms import LUCID, Resize, Views
from retinoscope.network.model import Model
from retinoscope.network.shaken import Shake, blocks
from retinoscope.network.zoo import load
from retinoscope.synthesize.ascent import Ascent, adam
from retinoscope.synthesize.natural import answering, natural
from retinoscope.synthesize.objectives import Objective, logit
from retinoscope.synthesize.penalties import total_variation
from retinoscope.synthesize.recipes import RECIPES, Recipe, no_prior, still
from retinoscope.synthesize.render import render
from retinoscope.tensor.memory import keep_memory
from retinoscope.tensor.random import Draws


def steady(steps: int) -> Ascent:
    """Adam at the same rate throughout."""
    return adam


@dataclass(frozen=True)
class Candidate:
    """A recipe, what it asks of a class, and its ascent for a number of steps."""

    recipe: Recipe
    objective: Callable[[int], Objective] = logit
    schedule: Callable[[int], Ascent] = steady

    def at(self, steps: int, size: int) -> Recipe:
        """The recipe for a number of steps and a side in pixels."""
        ascent = self.recipe.ascent if self.schedule is steady else self.schedule(steps)
        return replace(self.recipe, steps=steps, size=size, ascent=ascent)


@dataclass(frozen=True)
class Noise:
    """Normal noise, of a deviation up to `most` drawn per item."""

    most: float

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """(b, 3, h, w) to the same shape."""
        return images + draws.normal(*images.shape[1:]) * (self.most * draws.uniform(1))[:, :, None, None]


@dataclass(frozen=True)
class Blur:
    """Gaussian blur of a deviation up to `most` pixels drawn per item."""

    most: float

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """(b, 3, h, w) to the same shape."""
        reach, (b, c, h, _) = math.ceil(3 * self.most), images.shape
        distance = torch.arange(-reach, reach + 1.0)
        kernels = torch.exp(-(distance**2) / (2 * (self.most * draws.uniform(1)).clamp(min=0.1) ** 2))
        kernels = (kernels / kernels.sum(1, keepdim=True)).repeat_interleave(c, 0)
        padded = nn.functional.pad(images, (reach,) * 4, mode="reflect").reshape(1, b * c, h + 2 * reach, -1)
        across = nn.functional.conv2d(padded, kernels[:, None, None], groups=b * c)
        return nn.functional.conv2d(across, kernels[:, None, :, None], groups=b * c).view(images.shape)


@dataclass(frozen=True)
class Tint:
    """Saturation, contrast and brightness changed by up to these shares, drawn per item."""

    saturation: float = 0.5
    contrast: float = 0.3
    brightness: float = 0.2

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """(b, 3, h, w) to the same shape, not clipped."""
        by = (2 * draws.uniform(3) - 1)[:, :, None, None, None]
        grey = images.mean(1, keepdim=True)
        coloured = grey + (images - grey) * (1 + self.saturation * by[:, 0])
        middle = coloured.mean((1, 2, 3), keepdim=True)
        return middle + (coloured - middle) * (1 + self.contrast * by[:, 1]) + self.brightness * by[:, 2]


class Cosine(torch.optim.Adam):
    """Adam whose rate falls to 0 as half a cosine over `steps`."""

    def __init__(self, parameters: Iterable[nn.Parameter], rate: float, steps: int) -> None:
        super().__init__(parameters, lr=rate)
        self.rate, self.steps, self.index = rate, steps, 0

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step at the rate of its index."""
        for group in self.param_groups:
            group["lr"] = self.rate * (0.5 + 0.5 * math.cos(math.pi * self.index / self.steps))
        self.index += 1
        return super().step(closure)


def cosine(steps: int) -> Ascent:
    """`Cosine` for a number of steps."""
    return lambda parameters, rate: Cosine(list(parameters), rate, steps)


def margin(index: int) -> Objective:
    """A class's logit less the log-sum-exp of all others."""

    def evaluate(trace: object) -> Tensor:
        logits = trace["logits"].float().flatten(1)  # type: ignore[index]
        others = torch.cat((logits[:, :index], logits[:, index + 1 :]), 1)
        return logits[:, index] - others.logsumexp(1)

    return Objective(f"margin({index})", frozenset(["logits"]), evaluate)


def canvas(decay: float) -> Callable[[int, int], Canvas]:
    """A Fourier canvas of another decay."""
    return partial(Fourier, decay=decay)


@dataclass(frozen=True)
class Habits:
    """The natural prior at another weight."""

    weight: float

    def __call__(self, model: Model, side: int, deepest: int) -> tuple[Objective, ...]:
        """From the photos that come with the package."""
        photos = sample_images((side, side), count=64)
        return (natural(model, photos, answering(model, deepest), self.weight),)


@dataclass(frozen=True)
class Shaking:
    """Every block shaken by another deviation."""

    deviation: float

    def __call__(self, model: Model) -> Shake:
        """The blocks that a network repeats."""
        return Shake(blocks(model), self.deviation)


def plain(name: str, **changes: object) -> Recipe:
    """The robust recipe at 160 px with changes."""
    return replace(RECIPES["robust"], **{"name": name, "origin": "a candidate", "size": 160, **changes})  # type: ignore[arg-type]


def living(name: str, **changes: object) -> Recipe:
    """The natural recipe with changes."""
    return replace(RECIPES["natural"], **{"name": name, "origin": "a candidate", **changes})  # type: ignore[arg-type]


CANDIDATES: dict[str, Candidate] = {
    "robust": Candidate(plain("robust")),
    "robust 128": Candidate(plain("robust 128", size=128)),
    "lucid views": Candidate(plain("lucid views", transforms=LUCID)),
    "closer": Candidate(plain("closer", transforms=(Views((0.3, 1.0)),))),
    "farther": Candidate(plain("farther", transforms=(Views((0.6, 1.0)),))),
    "coarse canvas": Candidate(plain("coarse canvas", size=96, transforms=(Resize(160, 160), Views()))),
    "decay 1.5": Candidate(plain("decay 1.5", canvas=canvas(1.5))),
    "noise 0.2": Candidate(plain("noise 0.2", transforms=(Views(), Noise(0.2)))),
    "blur 1.5": Candidate(plain("blur 1.5", transforms=(Views(), Blur(1.5)))),
    "tint": Candidate(plain("tint", transforms=(Views(), Tint()))),
    "margin": Candidate(plain("margin"), objective=margin),
    "natural": Candidate(RECIPES["natural"]),
    "habits alone": Candidate(living("habits alone", shake=still)),
    "shaking alone": Candidate(living("shaking alone", prior=no_prior)),
    "natural 160": Candidate(living("natural 160", size=160)),
    "natural 112": Candidate(living("natural 112", size=112)),
    "habits 30": Candidate(living("habits 30", prior=Habits(30.0))),
    "habits 120": Candidate(living("habits 120", prior=Habits(120.0))),
    "shaking 0.15": Candidate(living("shaking 0.15", shake=Shaking(0.15))),
    "shaking 0.2": Candidate(living("shaking 0.2", shake=Shaking(0.2))),
    "natural closer": Candidate(living("natural closer", transforms=(Views((0.35, 1.0)),))),
    "natural farther": Candidate(living("natural farther", transforms=(Views((0.6, 1.0)),))),
    "natural margin": Candidate(living("natural margin"), objective=margin),
    "natural cosine": Candidate(living("natural cosine", rate=0.1), schedule=cosine),
    "natural rate 0.03": Candidate(living("natural rate 0.03", rate=0.03)),
    "natural 224": Candidate(living("natural 224", size=224)),
    "natural 192": Candidate(living("natural 192", size=192)),
    "habits 5": Candidate(living("habits 5", prior=Habits(5.0))),
    "habits 15": Candidate(living("habits 15", prior=Habits(15.0))),
    "habits 240": Candidate(living("habits 240", prior=Habits(240.0))),
    "natural rate 0.1": Candidate(living("natural rate 0.1", rate=0.1)),
    "rate 0.2": Candidate(living("rate 0.2", rate=0.2)),
    "rate 0.1, decay 1.3": Candidate(living("rate 0.1, decay 1.3", rate=0.1, canvas=canvas(1.3))),
    "rate 0.1, decay 1.5": Candidate(living("rate 0.1, decay 1.5", rate=0.1, canvas=canvas(1.5))),
    "rate 0.1, habits 15": Candidate(living("rate 0.1, habits 15", rate=0.1, prior=Habits(15.0))),
    "rate 0.1, habits alone": Candidate(living("rate 0.1, habits alone", rate=0.1, shake=still)),
    "rate 0.1, farther": Candidate(living("rate 0.1, farther", rate=0.1, transforms=(Views((0.6, 1.0)),))),
    "rate 0.1, blur 1": Candidate(living("rate 0.1, blur 1", rate=0.1, transforms=(Views(), Blur(1.0)))),
    "maco": Candidate(RECIPES["maco"]),
    "rate 0.1, habits 5": Candidate(living("rate 0.1, habits 5", rate=0.1, prior=Habits(5.0))),
    "rate 0.2, habits 15": Candidate(living("rate 0.2, habits 15", rate=0.2, prior=Habits(15.0))),
    "rate 0.2, habits alone": Candidate(living("rate 0.2, habits alone", rate=0.2, shake=still)),
    "rate 0.2, decay 1.5": Candidate(living("rate 0.2, decay 1.5", rate=0.2, canvas=canvas(1.5))),
    "rate 0.1, variation": Candidate(living("rate 0.1, variation", rate=0.1, penalties=(-0.05 * total_variation(),))),
    "robust rate 0.1": Candidate(plain("robust rate 0.1", rate=0.1)),
    "natural decay 1.3": Candidate(living("natural decay 1.3", canvas=canvas(1.3))),
    "natural blur 1": Candidate(living("natural blur 1", transforms=(Views(), Blur(1.0)))),
}


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--model", default="efficientnet-lite0", help="whose classes are rendered")
    parser.add_argument("--classes", type=int, default=16)
    parser.add_argument("--seeds", type=int, default=1, help="pictures of each class")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--size", type=int, help="instead of each candidate's")
    parser.add_argument("--folder", type=Path, default=Path("build/recipes"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--list", action="store_true")
    add_options(parser)
    options = parser.parse_args()
    if options.list:
        print("\n".join(CANDIDATES))
        return
    keep_memory()
    torch.set_num_threads(options.threads)
    model = load(options.model)
    known = model.layers["logits"].channels
    among = [judge for judge in map(partial(knowing, model), judges(options, options.model)) if judge]
    classes = (others(options.classes) if known == 1000 else spread(known, options.classes)) * options.seeds
    print(f"{model.name}, {len(classes)} pictures of classes, {options.steps} steps\n")
    print(f"| candidate | px | s per class | {' | '.join(judge.name for judge in among)} |")
    print("|---" * (3 + len(among)) + "|")
    first: list[Tensor] = []
    for name in options.names or CANDIDATES:
        pictures, seconds = pictured(model, name, classes, options)
        texts, first = compared(pictures, classes, among, first)
        print(f"| {name} | {pictures.shape[-1]} | {seconds / len(classes):.2f} | {' | '.join(texts)} |", flush=True)


def knowing(model: Model, judge: Judge) -> Judge | None:
    """A judge of the same classes: as many, or the network's own among a judge's by their names."""
    same = judge.classes == model.layers["logits"].channels
    return judge if same else judge.restricted(model.labels)


def spread(known: int, count: int) -> list[int]:
    """At most `count` of the classes, at equal distances."""
    return [index * known // count for index in range(count)] if known > count else list(range(known))


def others(count: int) -> list[int]:
    """Classes at equal distances, none of them a tenth one."""
    spread = [index * 1000 // count + 5 for index in range(count)]
    return [index + (index % 10 == 0) for index in spread]


def pictured(model: Model, name: str, classes: list[int], options: argparse.Namespace) -> tuple[Tensor, float]:
    """A candidate's pictures and the seconds they took, kept in the folder."""
    chosen = CANDIDATES[name]
    size = options.size or min(chosen.recipe.size or 160, *model.input_size)
    file = options.folder / model.name / f"{name.replace(' ', '-')}-{len(classes)}-{size}-{options.steps}.pt"
    if saved(file) is None:
        began = time.perf_counter()
        recipe, each = chosen.at(options.steps, size), len(classes) // options.seeds
        asked = [chosen.objective(index) for index in classes[:each]]
        images = torch.cat(
            [render(model, asked, recipe=recipe, batch=16, seed=seed).images for seed in range(options.seeds)]
        )
        save(images, time.perf_counter() - began, file)
        sheet(images, file.with_suffix(".png"), columns=8)
    return saved(file) or (torch.empty(0), 0.0)


def compared(
    pictures: Tensor, classes: list[int], among: list[Judge], first: list[Tensor]
) -> tuple[list[str], list[Tensor]]:
    """A cell per judge, and the first candidate's log-probabilities."""
    verdicts = [ask(judge, pictures, classes) for judge in among]
    surprises = [verdict.surprise for verdict in verdicts]
    texts = []
    for verdict, base in zip(verdicts, first or surprises, strict=True):
        best, five = (100 * verdict.share(count).float().mean() for count in (1, 5))
        change = verdict.surprise - base
        error = change.std() / math.sqrt(len(change))
        texts.append(f"{best:.0f} / {five:.0f}, {verdict.surprise.mean():.2f} ({change.mean():+.2f} ± {error:.2f})")
    return texts, first or surprises


if __name__ == "__main__":
    main()
