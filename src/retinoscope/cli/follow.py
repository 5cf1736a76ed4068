"""`retinoscope follow MODEL PHOTOS [UNIT...]`: what becomes of channels from block to block of a residual network."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from retinoscope.cli.inputs import AsJson, Device, ModelName, PhotosName, Tiles, Weights, load_model, load_photos
from retinoscope.cli.output import print_json, print_table, say
from retinoscope.cli.scan import tell_skipped

if TYPE_CHECKING:
    from retinoscope.network.streams import Stream
    from retinoscope.observe.refinement import Refinement, Step, Stop

HEAD = ("stage", "step", "units", "shared", "random", "p", "rank", "random", "p", "own", "branch", "purity", "alike")


def follow(
    model: ModelName,
    photos: PhotosName,
    units: Annotated[
        list[str] | None, typer.Argument(metavar="[UNIT]...", help="layer:channel of any block of a stage")
    ] = None,
    stage: Annotated[str | None, typer.Option(help="one stage only, by its name or by any of its layers")] = None,
    k: Annotated[int, typer.Option("--k", min=1, help="examples that count")] = 9,
    draws: Annotated[int, typer.Option(min=1, help="random pairings that chance is judged by")] = 999,
    seed: Annotated[int, typer.Option(help="start of the random numbers")] = 0,
    tiles: Tiles = False,
    weights: Weights = "default",
    device: Device = "cpu",
    as_json: AsJson = False,
) -> None:
    """Follow channels along identity shortcuts: do a unit's photos stay the same, and grow purer?"""
    from retinoscope.network.streams import stream_of, streams
    from retinoscope.observe.peaks import peaks
    from retinoscope.observe.refinement import layers_of, refinements

    network, images = load_model(model, weights, device), load_photos(photos, tiles)
    found = streams(network)
    wanted = _units(found, units or [])
    if stage is not None or wanted:
        names = [*([stage] if stage is not None else []), *(unit.layer for unit in wanted)]
        chosen = [one for one in found if one in [stream_of(found, name) for name in names]]
    else:
        chosen = list(found)
    if not chosen:
        _nothing(network.name, as_json)
        return
    seen = peaks(network, images, layers_of(network, chosen, inner=bool(wanted)))
    tell_skipped(images.skipped)
    if wanted:
        _print_units(network, images, wanted, k, seen, as_json)
        return
    result = refinements(seen, chosen, k, draws, seed)
    if as_json:
        print_json({"network": network.name, "photos": len(seen.photos), "k": k, "stages": [_plain(r) for r in result]})
    else:
        print_table(HEAD, [row for one in result for row in rows(one)])


def _nothing(name: str, as_json: bool) -> None:
    say(f"{name} has no identity shortcuts: no layers share channels. Use correspond to match two layers' units")
    if as_json:
        print_json({"network": name, "stages": []})


def _units(found: "tuple[Stream, ...]", texts: list[str]) -> Any:
    from retinoscope.base.units import parse_units
    from retinoscope.network.streams import stream_of

    return parse_units(texts, lambda name: stream_of(found, name).channels)


def rows(one: "Refinement") -> list[tuple[str, ...]]:
    """A stage as rows of the table under HEAD: its border, then a row for each block."""
    names = [member.name for member in one.stream.members]
    steps = [(f"{names[i]} > {names[i + 1]}", step, i + 1) for i, step in enumerate(one.steps)]
    before = [(one.border.kind, one.border, 0)] if one.border else []
    return [_row(one, label, step, place) for label, step, place in (*before, *steps)]


def _row(one: "Refinement", label: str, step: "Step", place: int) -> tuple[str, ...]:
    pure = one.purities.mean(1)
    overlap, ranks = step.overlap, step.ranks
    energy = "-" if step.energy is None else f"{step.energy:.2f}"
    return (
        one.stream.name, label, str(overlap.pairs), f"{overlap.observed:.2f}", f"{overlap.random:.2f}",
        f"{overlap.p:.3f}", f"{ranks.observed:.2f}", f"{ranks.random:.2f}", f"{ranks.p:.3f}", f"{step.own:.0%}",
        energy, f"{float(pure[place]):.2f}", "-" if one.alike is None else f"{float(one.alike[place].mean()):.2f}",
    )  # fmt: skip


def _plain(one: "Refinement") -> dict[str, Any]:
    stream = one.stream
    return {
        "stage": stream.name,
        "channels": stream.channels,
        "additive": stream.additive,
        "layers": [
            {
                "name": member.name,
                "layer": member.layer,
                "kind": member.kind,
                "branch": member.branch,
                "purity": float(one.purities[place].mean()),
                "alike": None if one.alike is None else float(one.alike[place].mean()),
            }
            for place, member in enumerate(stream.members)
        ],
        "border": None if one.border is None else _plain_step(one.border),
        "steps": [_plain_step(step) for step in one.steps],
        "gain": one.gain,
        "gain_p": one.gain_p,
        "clearest": one.clearest(),
    }


def _plain_step(step: "Step") -> dict[str, Any]:
    return {
        "before": step.before,
        "after": step.after,
        "kind": step.kind,
        "units": step.overlap.pairs,
        "shared": _chance(step.overlap.observed, step.overlap.random, step.overlap.p),
        "rank": _chance(step.ranks.observed, step.ranks.random, step.ranks.p),
        "own": _number(step.own),
        "branch_energy": step.energy,
    }


def _chance(observed: float, random: float, p: float) -> dict[str, float | None]:
    return {"observed": _number(observed), "random": _number(random), "p": _number(p)}


def _number(value: float) -> float | None:
    return value if value == value else None  # JSON has no NaN


def _print_units(network: Any, images: Any, wanted: Any, k: int, seen: Any, as_json: bool) -> None:
    from retinoscope.observe.refinement import follow_unit

    found = [(unit, follow_unit(network, images, unit, k, seen=seen)) for unit in wanted]
    if as_json:
        plain = [{"unit": str(unit), "stops": [_stop(stop) for stop in stops]} for unit, stops in found]
        print_json({"network": network.name, "photos": len(seen.photos), "k": k, "units": plain})
        return
    for unit, stops in found:
        print(f"{unit} through its stage; shared examples of {k}, with the block before or the block it is in")
        print_table(
            ("what", "layer:channel", "shared", "rank", "branch", "purity", "alike", "best photos"), _cells(stops)
        )


def _stop(stop: "Stop") -> dict[str, Any]:
    return {
        "role": stop.role, "layer": stop.layer, "channel": stop.channel, "shared": stop.overlap, "rank": stop.rank,
        "branch_energy": stop.energy, "purity": stop.purity, "alike": stop.alike,
        "photos": list(stop.photos),
    }  # fmt: skip


def _cells(stops: "list[Stop]") -> list[tuple[str, ...]]:
    return [
        (
            stop.role,
            f"{stop.layer}:{stop.channel}",
            "-" if stop.overlap is None else str(stop.overlap),
            "-" if stop.rank is None else f"{stop.rank:.2f}",
            "-" if stop.energy is None else f"{stop.energy:.2f}",
            f"{stop.purity:.2f}",
            "-" if stop.alike is None else f"{stop.alike:.2f}",
            ", ".join(stop.photos[:3]),
        )
        for stop in stops
    ]
