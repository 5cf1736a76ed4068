"""Rectangles in pixels, and the items of an image set, as plain values. Always (y, x)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels, half open: rows top..bottom, columns left..right; may reach outside the image."""

    top: float
    left: float
    bottom: float
    right: float

    @property
    def height(self) -> float:
        return self.bottom - self.top

    @property
    def width(self) -> float:
        return self.right - self.left

    def clip(self, height: float, width: float) -> "Box":
        """The part of the box inside an image of that size (empty boxes collapse onto the border)."""
        top, bottom = (min(max(edge, 0.0), height) for edge in (self.top, self.bottom))
        left, right = (min(max(edge, 0.0), width) for edge in (self.left, self.right))
        return Box(top, left, bottom, right)

    def within(self, outer: "Box", height: float, width: float) -> "Box":
        """Carry a box on an image of size (height, width) into `outer`, the rectangle that image was cut from."""
        down, across = outer.height / height, outer.width / width
        return Box(
            outer.top + self.top * down,
            outer.left + self.left * across,
            outer.top + self.bottom * down,
            outer.left + self.right * across,
        )


@dataclass(frozen=True)
class Item:
    """One picture that a network is shown: a rectangle of a photo.

    `id` is stable across runs and machines (`relative/path.jpg`, with `#top,left,height,width` for a tile); `photo` is
    the photo's id, `box` the rectangle in the photo's own upright pixels, `label` its class folder's name or None.
    """

    id: str
    photo: str
    box: Box
    label: str | None = None
