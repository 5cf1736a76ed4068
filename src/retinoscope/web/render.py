"""Pages as HTML and JSON text. Everything a store says is escaped."""

import json
import math
from collections.abc import Iterable
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from retinoscope.web import geometry, urls
from retinoscope.web.pages import Page

SPOTS = 6
"""Patches marked on a photo."""


@cache
def environment() -> Environment:
    """The templates, with the words they may use."""
    made = Environment(
        loader=PackageLoader("retinoscope.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {"to": _to, "static": _static, "urls": urls, "plot": geometry.plot}
    made.tests |= {"whole": geometry.is_whole}
    made.filters |= {
        "box_style": geometry.box_style,
        "patch_style": geometry.patch_style,
        "photo_style": geometry.photo_style,
        "whole": geometry.is_whole,
        "tiny": geometry.is_tiny,
        "settings": lambda body: list(geometry.flatten(body)),
        "first_boxes": _first_boxes,
        "number": _number,
        "times": _times,
        "sortable": lambda value: None if value is None else f"{value:.6g}",
        "pair": _pair,
        "breakable": _breakable,
    }
    return made


@pass_context
def _to(context: Context, target: str) -> str:
    """A relative link to a page or file."""
    return urls.link(context["page"].path, target, context["index"])


@pass_context
def _static(context: Context, file: str) -> str:
    return urls.link(context["page"].path, urls.STATIC + file)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.3g}"


def _first_boxes(units: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first few units whose patches differ: those to be marked on a photo."""
    return list({tuple(unit["patch"]["box"]): unit for unit in reversed(list(units)[:SPOTS])}.values())[::-1]


def _times(lift: float) -> str:
    """How many times as often, in two digits: 0.5, 2.3, 41."""
    return f"{lift:.2g}" if lift < 10 else f"{lift:,.0f}"


def _pair(values: list[float] | None) -> str:
    """A (y, x) pair as one number where both are equal."""
    if values is None:
        return "–"
    y, x = (f"{value:g}" for value in values)
    return y if y == x else f"{y} × {x}"


def _breakable(name: str) -> Markup:
    """A dotted name that may break after its dots, so that it fits on a phone."""
    return Markup(str(Markup.escape(name)).replace(".", ".<wbr>").replace("/", "/<wbr>").replace("_", "_<wbr>"))


def html(page: Page, index: str = "") -> str:
    """A page as HTML; in an export, `index` is the file name that links to folders end with."""
    searching = urls.SEARCH + ".html" if index else urls.SEARCH
    return environment().get_template(page.template).render(page=page, index=index, searching=searching, **page.data)


def text(data: dict[str, Any]) -> str:
    """Data as JSON that every reader takes: numbers that are not finite become null."""
    return json.dumps(_finite(data), ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list) else value
