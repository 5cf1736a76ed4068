"""`python -m retinoscope` is the command line."""

from retinoscope.cli.main import run

run()
