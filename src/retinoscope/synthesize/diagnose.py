"""Why is it grey? What keeps a unit's picture from forming, and what to do about it."""

from dataclasses import dataclass

import torch

from retinoscope.base.errors import BadInputError
from retinoscope.image.samples import sample_images
from retinoscope.network.model import Model
from retinoscope.synthesize.checks import CHECKS, Finding
from retinoscope.synthesize.evidence import gather
from retinoscope.synthesize.objectives import as_objective, check
from retinoscope.synthesize.render import Rendered, final_scores
from retinoscope.synthesize.score import Target, names
from retinoscope.tensor.axes import Images
from retinoscope.tensor.random import Draws

UNMOVED = 0.05
"""A score that rose by less than this share of its size, before and after, did not move."""


@dataclass(frozen=True, repr=False)
class Diagnosis:
    """What was found about a unit of a network, one Finding per check; prints as a table, advice below."""

    network: str
    objective: str
    findings: tuple[Finding, ...]

    @property
    def faults(self) -> tuple[Finding, ...]:
        """The findings that spoil a picture."""
        return tuple(finding for finding in self.findings if finding.verdict == "fault")

    def __repr__(self) -> str:
        rows = [("check", "verdict", "figure"), *((f.check, f.verdict, f.figure) for f in self.findings)]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        table = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
        advice = [f"{f.check}: {f.advice}" for f in self.findings if f.advice]
        return "\n".join([f"{self.objective} of {self.network}", *table, *advice])


def diagnose(model: Model, unit: Target, photos: Images | None = None, *, seed: int = 0) -> Diagnosis:
    """Look for what spoils the picture of a unit: range, mode, dead units, gradients, saturation, strides, fields.

    `photos` (n, 3, h, w) in [0, 1] are of the kind that the network was trained on, a dozen or more; by default 16 of
    the shipped ones, which suit networks for everyday photos. The starting noise is drawn from `seed`. Nothing of the
    network is changed. Raises BadInputError for an objective that reads no layer.
    """
    objective = as_objective(unit)
    check(model, objective)
    if not objective.layers:
        raise BadInputError(f"{objective} reads no layer of the network, so there is nothing to diagnose")
    shown = sample_images(model.input_size) if photos is None else photos
    evidence = gather(model, objective, shown, seed)
    return Diagnosis(model.name, repr(objective), tuple(look(evidence) for look in CHECKS))


@torch.no_grad()
def unmoved(model: Model, rendered: Rendered) -> list[int]:
    """The places of a rendering whose score hardly rose from the noise it began with."""
    canvas = rendered.recipe.canvas(len(rendered), rendered.images.shape[-1]).to(model.device)
    canvas.start(Draws(rendered.seed, names(rendered.objectives), model.device))
    before = final_scores(model, rendered.objectives, canvas())
    gained = rendered.scores - before
    still = gained <= UNMOVED * (rendered.scores.abs() + before.abs()) / 2
    return still.nonzero().flatten().tolist()
