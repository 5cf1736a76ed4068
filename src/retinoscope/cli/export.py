"""retinoscope export: the explorer as a folder of files."""

from pathlib import Path
from typing import Annotated

import typer


def export(
    store: Annotated[Path, typer.Argument(help="The store's folder.")],
    out: Annotated[Path, typer.Argument(help="Folder to write; an earlier export there is replaced.")],
) -> None:
    """Write a store's explorer as plain files, for any web server, or to open from a disk."""
    from rich.progress import Progress

    from retinoscope.web.export import export as write

    with Progress(transient=True) as bar:
        task = bar.add_task("Writing pages and pictures", total=None)
        for done, total in write(store, out):
            bar.update(task, completed=done, total=total)
    typer.echo(f"Wrote {out / 'index.html'}: open it in a browser, or copy the folder to any web server")
