"""Run a job of pictures: simple, negative or diverse ones of a layer's channels; a note where there can be none."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import cast

import torch
from torch import Tensor

from retinoscope.base.errors import NoGradientError
from retinoscope.base.units import Unit
from retinoscope.image.codec import encode_png
from retinoscope.jobs.job import FacetChunk, NegativeChunk, Pictures
from retinoscope.jobs.outcome import Outcome, Run
from retinoscope.jobs.peaks import peaks
from retinoscope.network.model import Model
from retinoscope.network.preactivation import pre_activation
from retinoscope.store.files import picture_file
from retinoscope.store.records import NoteRecord, PictureRecord, Provenance
from retinoscope.synthesize.diversity import facet_objectives
from retinoscope.synthesize.objectives import Objective, as_objective
from retinoscope.synthesize.optimize import RESCUE_STEPS, precision
from retinoscope.synthesize.render import Rendered, final_scores, render, render_stepwise


def make_pictures(job: Pictures, model: Model) -> Run:
    """Optimise the pictures of one job."""
    units = [Unit(job.layer, channel) for channel in range(job.first, job.last + 1)]
    origin = _provenance(job, model)
    if isinstance(job, NegativeChunk) and (before := pre_activation(model, job.layer)):
        yield 1.0
        why = f"{job.layer} gives what an activation has let through; what is negative is seen at the layer {before}"
        return Outcome([_note(job, unit, why, origin) for unit in units])
    steps = render_stepwise(
        model, _objectives(job, model, units), size=job.size, steps=job.steps, recipe=job.recipe, seed=job.seed,
        batch=len(units) * job.each,
    )  # fmt: skip
    try:
        while True:
            progress = next(steps)
            yield progress.done / progress.total
    except StopIteration as end:
        return _kept(job, model, units, cast(Rendered, end.value), origin)
    except NoGradientError as error:
        why_not = {unit: _why(job, model, unit) or str(error) for unit in units}
        return Outcome([_note(job, unit, text, origin) for unit, text in why_not.items()])


def _objectives(job: Pictures, model: Model, units: Sequence[Unit]) -> list[Objective]:
    """One objective for each unit."""
    plain = [as_objective(unit) for unit in units]
    if isinstance(job, NegativeChunk):
        return [-objective for objective in plain]
    return facet_objectives(model, plain, job.each) if isinstance(job, FacetChunk) else plain


def _why(job: Pictures, model: Model, unit: Unit) -> str:
    """Why no gradient reaches an image from a unit, found by rendering it alone; empty when one does."""
    try:
        alone = _objectives(job, model, [unit])
        render(model, alone, size=job.size, steps=RESCUE_STEPS, recipe=job.recipe, seed=job.seed)
    except NoGradientError as error:
        return str(error)
    return ""


def _provenance(job: Pictures, model: Model) -> Provenance:
    settings: dict[str, object] = {**json.loads(job.settings), "size": job.size}
    if isinstance(job, NegativeChunk):
        settings["objective"] = "-1 * unit"
    if isinstance(job, FacetChunk):
        example = _objectives(job, model, [Unit(job.layer, job.first)])[0].formula
        settings |= {"facets": job.count, "objective": example.replace(f"{job.layer}:{job.first}", "unit")}
    kind = str(precision(model.device)).removeprefix("torch.")
    return Provenance(version("retinoscope"), settings, job.seed, model.weights_hash, None, model.device.type, kind)


@dataclass(frozen=True)
class _Made:
    """A picture of a unit: its place in the batch, its image, the unit's mean answer and its strongest one."""

    place: int
    image: Tensor
    score: float
    peak: float


def _kept(job: Pictures, model: Model, units: Sequence[Unit], rendered: Rendered, origin: Provenance) -> Outcome:
    """The records and files of finished pictures."""
    own = [unit for unit in units for _ in range(job.each)]
    scores = final_scores(model, [as_objective(unit) for unit in own], rendered.images)
    extremes = peaks(model, own, rendered.images, -1 if isinstance(job, NegativeChunk) else 1)
    rows = zip(range(len(own)), rendered.images, scores.tolist(), extremes.tolist(), strict=True)
    made = [_Made(*row) for row in rows]
    outcome = Outcome(files=(files := []))
    for place, unit in enumerate(units):
        group = made[place * job.each : (place + 1) * job.each]
        if why := next(filter(None, (rendered.unreached.get(one.place) or _unfit(job, one) for one in group)), ""):
            outcome.records.append(_note(job, unit, why, origin))
            continue
        for number, one in enumerate(group, 1):
            kind = f"{job.kind} {number}" if isinstance(job, FacetChunk) else job.kind
            file = picture_file(model.name, unit.layer, unit.channel, kind)
            files.append((file, encode_png(one.image)))
            height, width = one.image.shape[1:]
            where = (model.name, unit.layer, unit.channel, kind, file)
            outcome.records.append(PictureRecord(*where, height, width, one.score, origin, one.peak))
    return outcome


def _unfit(job: Pictures, made: _Made) -> str:
    if not (math.isfinite(made.score) and bool(torch.isfinite(made.image).all())):
        return "the picture or its score became NaN or infinite; the network overflows in this precision"
    if isinstance(job, NegativeChunk) and made.peak == 0:
        return "its least answer is exactly 0, as after a ReLU: nothing is negative"
    return ""


def _note(job: Pictures, unit: Unit, text: str, origin: Provenance) -> NoteRecord:
    return NoteRecord(job.network.name, unit.layer, unit.channel, job.kind, text, origin)
