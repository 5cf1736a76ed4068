"""Where every page lies: one name for the URL, for the exported file, and for the link between two pages.

Names of networks and layers may hold anything (`torchvision/resnet50`, `layer1.0.relu#2`). A segment escapes what is
special in a URL or on a disk as `~2F`: percent signs would be decoded by one server and not by the next.
"""

import hashlib
import re
from urllib.parse import quote, unquote

HOME = ""
SEARCH = "search"
STATIC = "_static/"
MEDIA = "_store/"
PHOTOS = "_photos/"
CLASSES = "_classes/"
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


def name_of(segment: str) -> str:
    """The name that a segment stands for, where it was not cut; what is no segment stays as it is."""
    if "%" in segment:
        return segment
    escaped = re.sub(r"(?:~[0-9A-F]{2})+", lambda found: "%" + found[0][1:].replace("~", "%"), segment)
    return unquote(escaped, errors="replace")


def network(name: str) -> str:
    """The page of a network, relative to the explorer's root."""
    return f"{segment(name)}/"


def layer(network_name: str, name: str) -> str:
    """The page of a layer, relative to the explorer's root."""
    return f"{segment(network_name)}/{segment(name)}/"


def unit(network_name: str, layer_name: str, channel: int) -> str:
    """The page of a unit, relative to the explorer's root."""
    return f"{layer(network_name, layer_name)}{channel}/"


def photo(id: str) -> str:
    """The page of a photo, relative to the explorer's root; no segment of a name begins with an underscore."""
    return f"{PHOTOS}{segment(id)}/"


def label(name: str) -> str:
    """The page of a class of photos, relative to the explorer's root."""
    return f"{CLASSES}{segment(name)}/"


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
