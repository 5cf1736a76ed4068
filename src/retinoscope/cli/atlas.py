"""`retinoscope atlas MODEL PHOTOS --store DIR`: everything about a network in one folder that a browser can open."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from retinoscope.cli.inputs import (
    Device,
    LayerNames,
    ModelName,
    PhotosName,
    Tiles,
    Weights,
    load_model,
    load_photos,
    split_names,
)
from retinoscope.cli.output import duration, progress, say
from retinoscope.cli.scan import tell_few, tell_skipped

if TYPE_CHECKING:
    from retinoscope.jobs.job import Job
    from retinoscope.jobs.tasks import Context
    from retinoscope.store.database import Store


def atlas(
    model: ModelName,
    photos: PhotosName,
    store: Annotated[Path, typer.Option(help="folder of the atlas; an interrupted one goes on where it was")],
    layers: LayerNames = "",
    k: Annotated[int, typer.Option("--k", min=1, help="example photos per unit and side")] = 9,
    tiles: Tiles = False,
    pictures: Annotated[int | None, typer.Option(min=0, help="picture only so many units of each layer")] = None,
    kinds: Annotated[
        str, typer.Option(metavar="A,B", help="kinds of pictures: optimised, negative, facets, with commas between")
    ] = "optimised",
    backward: Annotated[
        str, typer.Option(metavar="A,B", help="run top examples backwards, by guided, deconvnet, gradient")
    ] = "",
    facets: Annotated[int, typer.Option(min=2, help="diverse pictures of each unit, where kinds has facets")] = 4,
    size: Annotated[int | None, typer.Option(min=16, help="side of pictures in pixels; by default by layer")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="optimisation steps per picture")] = None,
    recipe: Annotated[
        str | None, typer.Option(help="of the pictures; by default what suits the network and layer")
    ] = None,
    seed: Annotated[int, typer.Option(help="start of the random numbers")] = 0,
    weights: Weights = "default",
    device: Device = "cpu",
) -> None:
    """Make an atlas: examples, histograms and pictures of every unit. Run the same command again to go on."""
    from retinoscope.jobs.plan import plan_atlas
    from retinoscope.jobs.tasks import Context
    from retinoscope.store.database import Store

    network, images = load_model(model, weights, device), load_photos(photos, tiles)
    jobs = plan_atlas(
        network, images, layers=split_names(layers), k=k, recipe=recipe, size=size, steps=steps, seed=seed,
        pictures=pictures, kinds=split_names(kinds), facets=facets, backward=split_names(backward),
    )  # fmt: skip
    with Store.create(store) as open_store:
        tell_few(images, k)
        try:
            skipped, seconds = _run(jobs, Context(network, images, lambda name: store / name), open_store)
        except KeyboardInterrupt:
            say(f"stopped; what is made is kept in {store}: run the same command again to go on")
            raise typer.Exit(130) from None
        tell_skipped([*images.skipped, *skipped])
        _summarise(open_store, network.name, seconds)


def _run(jobs: "list[Job]", context: "Context", store: "Store") -> tuple[list[tuple[str, str]], float]:
    from retinoscope.jobs.local import run_all

    skipped: list[tuple[str, str]] = []
    seconds = 0.0
    with progress() as show:
        for at in run_all(jobs, context, store):
            seconds = at.seconds
            show(seconds / (seconds + at.left + 1e-9), f"{at.job.title}, job {at.done} of {at.total}", at.left)
            skipped += at.outcome.skipped if at.outcome else ()
    return skipped, seconds


def _summarise(store: "Store", network: str, seconds: float) -> None:
    contents = store.contents(network)
    pictures, units = (sum(counts[which] for counts in contents.values()) for which in (0, 1))
    notes = [note for layer in contents for note in store.notes(network, layer)]
    print(f"{network}: {len(contents)} layers, {units} units scanned, {pictures} pictures, in {duration(seconds)}")
    if notes:
        first = notes[0]
        unit = f"{first.layer}:{first.channel}"
        print(f"{len(notes)} units lack a kind of picture; the first, {unit}, has no {first.kind} one: {first.text}")
    print(f"look at it with: retinoscope serve {store.folder}")
