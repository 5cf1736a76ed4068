"""The command line as a function: arguments in, status and both streams out."""

import sys
from collections.abc import Callable

import pytest

from retinoscope.cli import main

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the command line with arguments."""

    def ran(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["retinoscope", *arguments])
        with pytest.raises(SystemExit) as end:
            main.run()
        streams = capsys.readouterr()
        return int(end.value.code or 0), streams.out, streams.err

    return ran
