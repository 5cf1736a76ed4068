"""The command line: one file per verb, which imports what it needs when it runs, so that help comes at once."""

import sys
from typing import Annotated

import typer

from retinoscope.base.errors import RetinoscopeError
from retinoscope.cli.atlas import atlas
from retinoscope.cli.backproject import backproject
from retinoscope.cli.correspond import correspond
from retinoscope.cli.cures import cures
from retinoscope.cli.diagnose import diagnose
from retinoscope.cli.examples import examples
from retinoscope.cli.export import export
from retinoscope.cli.factors import factors
from retinoscope.cli.families import families
from retinoscope.cli.follow import follow
from retinoscope.cli.layers import layers
from retinoscope.cli.render import render
from retinoscope.cli.scan import scan
from retinoscope.cli.serve import serve
from retinoscope.cli.spectrum import spectrum
from retinoscope.cli.tune import tune
from retinoscope.cli.weights import weights

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, no_args_is_help=True, add_completion=False)


def _version(wanted: bool) -> bool:
    if wanted:
        from retinoscope import __version__

        print(f"retinoscope {__version__}")
        raise typer.Exit
    return wanted


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    """Look inside vision networks: what every unit looks for, and which photos excite it."""


COMMANDS = (
    layers, render, cures, diagnose, scan, examples, spectrum, backproject, tune, families, follow, correspond, weights,
    factors, atlas, serve, export,
)  # fmt: skip

for command in COMMANDS:
    app.command()(command)


def run() -> None:
    """Run the command line; what the user can mend becomes one line on stderr and exit status 2."""
    try:
        app()
    except RetinoscopeError as error:
        print("error: " + " ".join(str(error).split()), file=sys.stderr)
        sys.exit(2)
