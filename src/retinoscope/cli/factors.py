"""`retinoscope factors MODEL UNIT... --from LAYER -k 2`: the groups of channels that units are arranged of."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from retinoscope.base.errors import BadUnitError
from retinoscope.cli.inputs import AsJson, Device, ModelName, Weights, load_model
from retinoscope.cli.output import print_json, print_table
from retinoscope.cli.weights import Out, Seed, Steps
from retinoscope.store.files import disk_errors

if TYPE_CHECKING:
    from retinoscope.base.units import Unit
    from retinoscope.circuits.evidence import Choice
    from retinoscope.circuits.factors import Factors
    from retinoscope.network.model import Model


def factors(
    model: ModelName,
    units: Annotated[list[str], typer.Argument(metavar="UNIT...", help="layer:channel, layer:0-31, layer:*")],
    source: Annotated[
        str, typer.Option("--from", metavar="LAYER", help="the earlier layer whose channels are grouped")
    ],
    k: Annotated[
        int | None, typer.Option("--k", "-k", min=1, help="number of factors; by default what the evidence speaks for")
    ] = None,
    out: Out = None,
    steps: Steps = None,
    seed: Seed = 0,
    weights: Weights = "default",
    device: Device = "cpu",
    as_json: AsJson = False,
) -> None:
    """Factorize the weights of units: a few groups of channels, and how each unit arranges them in space."""
    from retinoscope.base.units import parse_units
    from retinoscope.circuits.evidence import choose_k
    from retinoscope.circuits.expand import expand
    from retinoscope.circuits.factors import factorize

    network = load_model(model, weights, device)
    wanted = parse_units(units, lambda name: network.layers[name].channels)
    target = _one_layer(wanted)
    kernels = expand(network, source, target, [unit.channel for unit in wanted])
    choice = choose_k(kernels, seed=seed) if k is None else None
    found = factorize(kernels, k or (choice.k if choice else 1))
    plain = {
        "network": network.name,
        "weights": network.weights_hash,
        "units": [str(u) for u in wanted],
        "from": source,
    }
    plain |= _plain(found, choice)
    if as_json:
        print_json(plain)
    else:
        _print(found, choice, source)
    if out is not None:
        _write(out, network, wanted, source, found, plain, steps, seed)


def _one_layer(units: "list[Unit]") -> str:
    layers = {unit.layer for unit in units}
    if len(layers) != 1:
        raise BadUnitError(f"factors are of units of one layer; came {', '.join(sorted(layers))}")
    return layers.pop()


def _plain(found: "Factors", choice: "Choice | None") -> dict[str, Any]:
    evidence = [vars(rank) for rank in choice.ranks] if choice else []
    return {
        "error": found.error, "bound": found.bound, "channels": found.channels.tolist(),
        "spatial": found.spatial.tolist(), "evidence": evidence,
    }  # fmt: skip


def _print(found: "Factors", choice: "Choice | None", source: str) -> None:
    if choice is not None:
        head = ("k", "error", "bound", "explains", "by chance", "found again")
        rows = [
            (r.k, f"{r.error:.3f}", f"{r.bound:.3f}", f"{r.explained:.3f}", f"{r.chance:.3f}", f"{r.stability:.2f}")
            for r in choice.ranks
        ]
        print_table(head, rows)
    print(f"{len(found.channels)} factors, relative error {found.error:.3f}, at least {found.bound:.3f}")
    energy = found.spatial.square().sum((0, 2, 3))
    rows_of = [
        (
            place + 1,
            f"{float(energy[place] / energy.sum()):.0%}",
            ", ".join(f"{c} ({w:.2f})" for c, w in found.top(place)),
        )
        for place in range(len(found.channels))
    ]
    print_table(("factor", "energy", f"channels of {source}"), rows_of)


def _write(
    out: Path,
    network: "Model",
    units: "list[Unit]",
    source: str,
    found: "Factors",
    plain: Any,
    steps: int | None,
    seed: int,
) -> None:
    from retinoscope.circuits.figures import factor_sheet
    from retinoscope.jobs.circuits import factor_pictures

    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        pictures = [] if steps == 0 else list(factor_pictures(network, source, found, steps=steps, seed=seed))
        factor_sheet(found, [str(unit) for unit in units], source, pictures).save(out / "factors.png")
        print(out / "factors.png")
        (out / "factors.json").write_text(json.dumps(plain, indent=2) + "\n")
