"""Pictures into a plain folder, batch by batch: what is finished stays when the work stops, and is not made again."""

import json
import os
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from retinoscope.base.errors import NoGradientError
from retinoscope.network.model import Model
from retinoscope.store.files import disk_errors
from retinoscope.synthesize.diagnose import unmoved
from retinoscope.synthesize.objectives import Objective
from retinoscope.synthesize.recipes import find, suited
from retinoscope.synthesize.render import Rendered, chunk_size, chunks, default_size, gather, render_stepwise
from retinoscope.synthesize.score import Target, groups

NOTES = "render.json"
"""The file beside the pictures that says how they were made."""


@dataclass(frozen=True)
class Made:
    """How far it is (`share` from 0 to 1), and the entries of `render.json` that were just finished."""

    share: float
    entries: tuple[dict[str, Any], ...] = ()


def render_into(
    model: Model,
    targets: Sequence[Target],
    folder: Path,
    *,
    size: int | None = None,
    steps: int | None = None,
    recipe: str | None = None,
    seed: int = 0,
) -> Generator[Made, None, list[dict[str, Any]]]:
    """Render objectives to PNG files in `folder`; yields Made after each step, returns an entry for each objective.

    `render.json` is written after every batch. Pictures that it names, made by the same settings, are kept. Raises
    NoGradientError when no gradient reaches any picture, StoreError when the folder cannot be written.
    """
    items = list(dict.fromkeys(groups(gather(model, targets))))
    plan = find(recipe or suited(model, items))
    side = size or plan.size or default_size(model, items)
    plan = replace(plan, steps=steps or plan.steps, size=side)
    settings = {"network": model.name, "weights": model.weights_hash, "seed": seed, "size": side, **plan.describe()}
    done = _done(folder, settings)
    pending = [item for item in items if repr(item) not in done]
    parts = chunks([each for item in pending for each in [item] * item.span], chunk_size(model, items, side))
    for place, part in enumerate(parts if pending else []):
        run = render_stepwise(model, list(groups(part)), size=side, recipe=plan, seed=seed, batch=len(part))
        try:
            while True:
                step = next(run)
                yield Made((place + step.done / step.total) / len(parts))
        except StopIteration as end:
            with disk_errors(folder):
                files = end.value.save(folder)
                made = _entries(part, files, end.value, unmoved(model, end.value))
                done |= made
                _write(folder, settings, list(done.values()))
            yield Made((place + 1) / len(parts), tuple(made.values()))
        except NoGradientError as error:
            made = {repr(item): {"unit": repr(item), "why": str(error)} for item in groups(part)}
            done |= made
            yield Made((place + 1) / len(parts), tuple(made.values()))
    answers = [done[repr(item)] for item in items]
    if not any("files" in answer for answer in answers):
        raise NoGradientError(answers[0]["why"])
    return answers


def _entries(
    part: Sequence[Objective], files: list[Path], rendered: Rendered, still: Sequence[int]
) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for place, (item, file, score) in enumerate(zip(part, files, rendered.scores.tolist(), strict=True)):
        entry = found.setdefault(repr(item), {"unit": repr(item), "files": [], "scores": []})
        entry["files"].append(file.name)
        entry["scores"].append(score)
        if place in rendered.unreached:
            entry["why"] = rendered.unreached[place]
        if place in still:
            entry["still"] = True  # its score hardly moved
    return found


def _done(folder: Path, settings: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What an earlier run by the same settings finished, by unit."""
    try:
        notes = json.loads((folder / NOTES).read_text())
        same = all(notes[key] == value for key, value in json.loads(json.dumps(settings)).items())
        kept = {entry["unit"]: entry for entry in notes["pictures"] if "why" not in entry} if same else {}
        return {unit: entry for unit, entry in kept.items() if all((folder / f).exists() for f in entry["files"])}
    except (OSError, ValueError, KeyError, TypeError):  # no notes, or not ours
        return {}


def _write(folder: Path, settings: dict[str, Any], pictures: list[dict[str, Any]]) -> None:
    fresh = folder / f"{NOTES}.new"
    fresh.write_text(json.dumps({**settings, "pictures": pictures}, indent=2) + "\n")
    os.replace(fresh, folder / NOTES)
