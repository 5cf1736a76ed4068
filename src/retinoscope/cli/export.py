"""retinoscope export: the explorer as a folder of files."""

from pathlib import Path
from typing import Annotated

import typer

from retinoscope.cli.output import progress


def export(
    store: Annotated[Path, typer.Argument(help="The store's folder.")],
    out: Annotated[Path, typer.Argument(help="Folder to write; an earlier export there is replaced.")],
) -> None:
    """Write a store's explorer as plain files, for any web server, or to open from a disk."""
    from retinoscope.web.export import export_stepwise as write

    with progress() as show:
        for done, total in write(store, out):
            show(done / total, "writing pages and pictures")
    typer.echo(f"Wrote {out / 'index.html'}: open it in a browser, or copy the folder to any web server")
