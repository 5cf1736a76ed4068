"""`retinoscope correspond MODEL PHOTOS LAYER_A LAYER_B`: which units of two layers find the same."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from retinoscope.cli.inputs import AsJson, Device, ModelName, PhotosName, Tiles, Weights, load_model, load_photos
from retinoscope.cli.output import print_json, print_table
from retinoscope.cli.scan import tell_skipped

if TYPE_CHECKING:
    from retinoscope.observe.correspondence import Correspondence, Match


def correspond(
    model: ModelName,
    photos: PhotosName,
    a: Annotated[str, typer.Argument(metavar="LAYER_A", help="whose units are matched")],
    b: Annotated[str, typer.Argument(metavar="LAYER_B", help="among whose units matches are looked for")],
    k: Annotated[int, typer.Option("--k", min=1, help="examples that count")] = 9,
    level: Annotated[float, typer.Option(min=0, max=1, help="how rare a match must be under chance")] = 0.05,
    least: Annotated[float, typer.Option(min=-1, max=1, help="least rank correlation of a match")] = 0.5,
    draws: Annotated[int, typer.Option(min=1, help="shuffles of the photos that chance is judged by")] = 199,
    seed: Annotated[int, typer.Option(help="start of the random numbers")] = 0,
    tiles: Tiles = False,
    weights: Weights = "default",
    device: Device = "cpu",
    as_json: AsJson = False,
) -> None:
    """Match the units of two layers by the photos that excite them: one to one, and one to many."""
    from retinoscope.observe.correspondence import correspond as compare

    network, images = load_model(model, weights, device), load_photos(photos, tiles)
    found = compare(network, images, a, b, k, draws, seed)
    tell_skipped(images.skipped)
    one = {match.a: match for match in found.one_to_one()}
    many = [found.one_to_many(unit, level, least) for unit in range(len(found.overlap))]
    if as_json:
        print_json({"network": network.name, **_summary(found, many), "units": _plain(one, many)})
    else:
        _print(found, one, many)


def _summary(found: "Correspondence", many: "list[list[Match]]") -> dict[str, Any]:
    return {
        "layers": list(found.layers),
        "photos": found.photos,
        "k": found.k,
        "pairs_sharing_two": found.pairs(2),
        "pairs_sharing_two_by_chance": float(found.chance_pairs.float().mean()),
        "units_without_match": sum(not matches for matches in many),
        "units_with_one": sum(len(matches) == 1 for matches in many),
        "units_with_several": sum(len(matches) > 1 for matches in many),
    }


def _plain(one: "dict[int, Match]", many: "list[list[Match]]") -> list[dict[str, Any]]:
    return [
        {
            "unit": unit,
            "one_to_one": _match(one[unit]) if unit in one else None,
            "matches": [_match(match) for match in matches],
        }
        for unit, matches in enumerate(many)
    ]


def _match(match: "Match") -> dict[str, Any]:
    return {
        "unit": match.b,
        "shared": match.overlap,
        "rank": match.rank,
        "p_shared": match.p_overlap,
        "p_rank": match.p_rank,
    }


def _print(found: "Correspondence", one: "dict[int, Match]", many: "list[list[Match]]") -> None:
    words = _summary(found, many)
    print(
        f"{words['pairs_sharing_two']} pairs share two of {found.k} examples or more; "
        f"{words['pairs_sharing_two_by_chance']:.0f} by chance. Units of {found.layers[0]} with no match in "
        f"{found.layers[1]}: {words['units_without_match']}, one: {words['units_with_one']}, "
        f"several: {words['units_with_several']}"
    )
    cells = [
        (str(unit), *_cells(one.get(unit)), ", ".join(f"{m.b} ({m.rank:.2f})" for m in matches[:5]) or "-")
        for unit, matches in enumerate(many)
    ]
    print_table((found.layers[0], found.layers[1], "shared", "rank", "p", "all matches (rank)"), cells)


def _cells(match: "Match | None") -> tuple[str, str, str, str]:
    if match is None:
        return ("-", "-", "-", "-")
    return (str(match.b), str(match.overlap), f"{match.rank:.2f}", f"{match.p_rank:.3f}")
