"""`retinoscope weights MODEL UNIT --from LAYER --to LAYER`: what a unit is made of, and what it is used for."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from retinoscope.base.errors import BadInputError
from retinoscope.cli.inputs import AsJson, Device, ModelName, load_model
from retinoscope.cli.output import print_json, print_table
from retinoscope.store.files import disk_errors

if TYPE_CHECKING:
    from retinoscope.circuits.ranking import Link
    from retinoscope.network.model import Model

Out = Annotated[Path | None, typer.Option(help="folder for the figures and their numbers as JSON")]
Steps = Annotated[
    int | None, typer.Option(min=0, help="optimisation steps of the pictures in the figures; 0 for none of them")
]
Seed = Annotated[int, typer.Option(help="start of the random numbers")]


def weights(
    model: ModelName,
    unit: Annotated[str, typer.Argument(metavar="UNIT", help="layer:channel")],
    source: Annotated[
        str | None, typer.Option("--from", metavar="LAYER", help="an earlier layer: what is the unit made of?")
    ] = None,
    target: Annotated[
        str | None, typer.Option("--to", metavar="LAYER", help="a later layer: what is the unit used for?")
    ] = None,
    k: Annotated[int, typer.Option("--k", "-k", min=1, help="channels to show")] = 16,
    out: Out = None,
    steps: Steps = None,
    seed: Seed = 0,
    file: Annotated[
        str, typer.Option("--weights", help="a .safetensors, .pth or .pt file; 'none' for random weights")
    ] = "default",
    device: Device = "cpu",
    as_json: AsJson = False,
) -> None:
    """Rank the channels that weigh most for a unit, and the units that it weighs most for, through all between."""
    if source is None and target is None:
        raise BadInputError("say --from an earlier layer, --to a later one, or both")
    from retinoscope.circuits.ranking import made_of, used_by

    network = load_model(model, file, device)
    found: dict[str, list[Link]] = {}
    if source is not None:
        found["made of"] = made_of(network, unit, source, k)
    if target is not None:
        found["used by"] = used_by(network, unit, target, k)
    plain: dict[str, Any] = {"network": network.name, "weights": network.weights_hash, "unit": unit}
    plain |= {name.replace(" ", "_"): [_plain(link) for link in links] for name, links in found.items()}
    if as_json:
        print_json(plain)
    else:
        _print(unit, found)
    if out is not None:
        _write(out, network, unit, found, plain, steps, seed)


def _plain(link: "Link") -> dict[str, Any]:
    return {
        "unit": str(link.unit), "norm": link.norm, "share": link.share, "sign": link.sign,
        "kernel": link.kernels[0].tolist(),
    }  # fmt: skip


def _print(unit: str, found: "dict[str, list[Link]]") -> None:
    for name, links in found.items():
        rows = [(str(one.unit), f"{one.norm:.3f}", f"{one.share:.1%}", f"{one.sign:+.2f}") for one in links]
        print(f"{unit} is {name}")
        print_table(("unit", "norm", "energy", "sign"), rows)


def _write(
    out: Path, network: "Model", unit: str, found: "dict[str, list[Link]]", plain: Any, steps: int | None, seed: int
) -> None:
    from retinoscope.circuits.figures import weight_sheet
    from retinoscope.jobs.circuits import unit_pictures

    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        for name, links in found.items():
            units = [str(link.unit) for link in links] if steps != 0 else []
            pictures = unit_pictures(network, units, steps=steps, seed=seed)
            file = out / f"{name.replace(' ', '_')}.png"
            weight_sheet(links, f"{unit} is {name}", pictures).save(file)
            print(file)
        (out / "weights.json").write_text(json.dumps(plain, indent=2) + "\n")
