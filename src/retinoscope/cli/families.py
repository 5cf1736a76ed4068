"""`retinoscope families MODEL --family F --layers A,B`: units of a kind, told from chance."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from retinoscope.base.errors import BadInputError
from retinoscope.cli.inputs import AsJson, Device, LayerNames, ModelName, Weights, load_model, split_names
from retinoscope.cli.output import print_json, print_table, progress, say
from retinoscope.cli.tune import number
from retinoscope.store.files import disk_errors

if TYPE_CHECKING:
    from retinoscope.observe.families import Found

HEAD = ("unit", "score", "p", "contrast", "direction", "prefers", "error", "reliability")


def families(
    model: ModelName,
    layers: LayerNames,
    family: Annotated[
        str, typer.Option(help="high-low-frequency, curve, edge, line or color-contrast")
    ] = "high-low-frequency",
    out: Annotated[Path | None, typer.Option(help="folder for the members' maps and their circle")] = None,
    draws: Annotated[int, typer.Option(min=1, help="shuffled networks that say what chance finds")] = 2,
    seed: Annotated[int, typer.Option(help="start of the random numbers")] = 0,
    weights: Weights = "default",
    device: Device = "cpu",
    as_json: AsJson = False,
) -> None:
    """Find units of a kind by their tuning, such as high-low frequency detectors."""
    from retinoscope.observe.families import find_family, find_stepwise

    find_family(family)
    network = load_model(model, weights, device)
    if not (names := split_names(layers)):
        raise BadInputError("--layers needs at least one layer")
    found = None
    with progress() as show:
        for share, latest in find_stepwise(network, family, names, draws, seed):
            show(share, family)
            found = latest
    assert found is not None
    rows = told(found)
    if out is not None and any(row["member"] for row in rows):
        with disk_errors(out):
            out.mkdir(parents=True, exist_ok=True)
            found.kin().sheet().savefig(out / "members.png")
            found.kin().radial().savefig(out / "circle.png")
    members = [row for row in rows if row["member"]]
    if as_json:
        print_json({
            "network": network.name, "weights": network.weights_hash, "family": family, "draws": draws, "seed": seed,
            "members": len(members), "gap": found.gap(), "likeness": number(found.likeness()),
            "layers": _layers(found, rows), "units": rows,
        })  # fmt: skip
        return
    alike = f"aligned curves {found.likeness():.2f} alike"
    say(f"{len(members)} of {len(rows)} units; widest gap {found.gap():.0f}°; {alike}")
    print_table(HEAD, [_cells(row) for row in sorted(members, key=lambda row: -row["score"])])


def told(found: "Found") -> list[dict[str, Any]]:
    """Every unit's numbers, plain; None where there is none."""
    from retinoscope.observe.curves import largest

    one, scores, members = found.tuning.preference(reduce=largest), found.scores, found.members.tolist()
    columns = {
        "score": scores.score, "p": found.p, "contrast": scores.contrast, "direction": scores.direction,
        "preferred": one.preferred, "error": one.error, "reliability": one.reliability,
    }  # fmt: skip
    return [
        {"unit": unit, "member": members[row], **{name: number(float(some[row])) for name, some in columns.items()}}
        for row, unit in enumerate(found.tuning.units)
    ]


def _layers(found: "Found", rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "layer": layer,
            "units": len(mine := [row for row in rows if row["unit"].rpartition(":")[0] == layer]),
            "members": sum(row["member"] for row in mine),
            "null_median": float(null.median()),
            "null_largest": float(null.max()),
        }
        for layer, null in found.null.items()
    ]


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    names = ("score", "p", "contrast", "direction", "preferred", "error", "reliability")
    return (row["unit"], *("-" if row[name] is None else f"{row[name]:.3g}" for name in names))
