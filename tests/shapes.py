"""The run-time type checker of the tests: beartype, which takes an int where a float is asked for, as mypy does."""

from collections.abc import Callable
from typing import Any

from beartype import BeartypeConf, beartype

check: Callable[..., Any] = beartype(conf=BeartypeConf(is_pep484_tower=True))
