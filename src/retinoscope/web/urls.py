"""Where every page lies: one name for the URL, for the exported file, and for the link between two pages.

Names of networks and layers may hold anything (`torchvision/resnet50`, `layer1.0.relu#2`). A segment escapes what is
special in a URL or on a disk as `~2F`: percent signs would be decoded by one server and not by the next.
"""

import hashlib
import re
from urllib.parse import quote

HOME = ""
SEARCH = "search"
STATIC = "_static/"
MEDIA = "_store/"
INDEX = "index.html"

_PLAIN = re.compile(r"[A-Za-z0-9.,@+=_-]")
_RESERVED = frozenset({"search", "index", "CON", "PRN", "AUX", "NUL"})
_LONGEST = 120


def segment(name: str) -> str:
    """A name as one path segment: escaped, never hidden nor reserved, cut and marked with a hash when too long."""
    text = "".join(character if _PLAIN.match(character) else _escape(character) for character in name)
    if not text or text[0] in "._" or name in _RESERVED:
        text = _escape(name[:1]) + text[1:]
    text = re.sub(r"\.(json|html|)$", r"~2E\1", text)
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST - 20]}~~{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    return text


def _escape(character: str) -> str:
    return "".join(f"~{byte:02X}" for byte in character.encode()) or "~"


def network(name: str) -> str:
    """The page of a network, relative to the explorer's root."""
    return f"{segment(name)}/"


def layer(network_name: str, name: str) -> str:
    """The page of a layer, relative to the explorer's root."""
    return f"{segment(network_name)}/{segment(name)}/"


def unit(network_name: str, layer_name: str, channel: int) -> str:
    """The page of a unit, relative to the explorer's root."""
    return f"{layer(network_name, layer_name)}{channel}/"


def media(file: str) -> str:
    """An image file of the store, relative to the explorer's root."""
    return MEDIA + quote(file)


def twin(page: str) -> str:
    """The JSON twin of a page."""
    return f"{page.rstrip('/') or 'index'}.json"


def link(page: str, target: str, index: str = "") -> str:
    """A relative link from one page to a page or file; `index` is what a folder's page is called in an export."""
    shared = 0
    while (cut := page.find("/", shared) + 1) and target.startswith(page[shared:cut], shared):
        shared = cut
    rest = target[shared:]
    if not rest or rest.endswith("/"):
        rest += index
    return "../" * page.count("/", shared) + rest or "./"
