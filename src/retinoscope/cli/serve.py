"""retinoscope serve: open a store in a browser."""

from pathlib import Path
from typing import Annotated

import typer


def serve(
    store: Annotated[Path, typer.Argument(help="The store's folder.")],
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes any free one.")] = 8000,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Open a store in a browser, also while its atlas is being made."""
    from retinoscope.web.serve import address, check, listen, run

    check(store)
    listener = listen(host, port)
    typer.echo(f"Looking at {store} on {address(listener)} (Ctrl+C ends)")
    if open_browser:
        typer.launch(address(listener))
    run(store, listener)
