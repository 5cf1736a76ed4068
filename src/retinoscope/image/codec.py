"""Photos from files of every kind, and pictures back into files.

Every photo becomes 8-bit sRGB, upright as its EXIF orientation says. Colour profiles are ignored, as the training
pipelines of the usual networks ignore them. Transparent pixels are laid on mid grey; of an animation the first frame
counts. Memory is bounded: a JPEG too large to hold is decoded at 1/2, 1/4 or 1/8 of its size, other files are refused.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import ExifTags, Image, JpegImagePlugin, UnidentifiedImageError
from torch import Tensor

from retinoscope.base.boxes import Box
from retinoscope.base.errors import BadInputError, BadPhotosError

Picture = Float[Tensor, "3 h w"]
"""One sRGB image in [0, 1]."""

SUFFIXES = (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm")

MOST_PIXELS = 89_478_485
"""The largest picture that is decoded: Pillow's own limit, 268 MB as RGB."""

_GREY = (128, 128, 128)
_JPEG_START = b"\xff\xd8\xff"
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def photo_size(file: Path) -> tuple[int, int]:
    """Height and width of a photo, upright, from its header alone; raises BadPhotosError naming the file."""
    with _opened(file) as image:
        width, height = image.size
        return (width, height) if _orientation(image) >= 5 else (height, width)


def decode(file: Path, scale: float = 1.0) -> Image.Image:
    """A photo as an upright RGB picture; raises BadPhotosError naming the file and the reason.

    `scale`, in (0, 1], is the fraction of its own resolution that is enough: a JPEG may come back smaller by 2, 4 or 8
    (the decoder's own reduction, much faster), but never smaller than `scale` times its size.
    """
    with _opened(file) as image:
        orientation = _orientation(image)
        _reduce(image, scale)
        if image.width * image.height > MOST_PIXELS:
            raise ValueError(f"{image.width} x {image.height} pixels are more than {MOST_PIXELS:,}; make it smaller")
        image.load()
        method = _UPRIGHT.get(orientation)
        flat = _rgb(image)
        return flat if method is None else flat.transpose(method)


def _reduce(image: Image.Image, scale: float) -> None:
    """Ask a JPEG decoder for a smaller picture where that is enough, or where the whole would not fit."""
    if not isinstance(image, JpegImagePlugin.JpegImageFile):
        return
    width, height = image.size
    divisor = max((d for d in (1, 2, 4, 8) if scale * d <= 1), default=1)
    # Progressive files are held whole inside the decoder, so that reducing them saves no memory.
    while divisor < 8 and not image.info.get("progressive") and width * height > MOST_PIXELS * divisor**2:
        divisor *= 2
    if image.info.get("progressive") and width * height > MOST_PIXELS:
        return
    if divisor > 1:
        image.draft(image.mode, (width // divisor, height // divisor))


@contextmanager
def _opened(file: Path) -> Iterator[Image.Image]:
    """Open a file as a picture; every failure inside the block names the file."""
    try:
        with Path(file).open("rb") as stream, _open(stream) as image:
            yield image
    except Exception as error:  # decoders meet broken bytes with errors of any type
        raise BadPhotosError(f"cannot read photo '{file}': {_reason(error)}") from error


def _open(stream: BinaryIO) -> Image.Image:
    start = stream.read(len(_JPEG_START))
    stream.seek(0)
    # Image.open refuses huge files by their header; a JPEG can still be decoded small.
    return JpegImagePlugin.JpegImageFile(stream) if start == _JPEG_START else Image.open(stream)


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return f"it is not an image of a known kind ({', '.join(SUFFIXES)})"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8. Pillow turns TIFF itself; a PNG whose EXIF follows the pixels counts as upright."""
    if image.format == "TIFF" or (image.format == "PNG" and "exif" not in image.info):
        return 1
    return int(image.getexif().get(ExifTags.Base.Orientation, 1))


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise ValueError("floating-point pixels have no known range; save it with 8 or 16 bits per channel")
    if image.mode.startswith("I"):
        return _from_integers(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        flat = Image.new("RGB", image.size, _GREY)
        flat.paste(image, mask=image.getchannel("A"))
        return flat
    return image if image.mode == "RGB" else image.convert("RGB")


def _from_integers(image: Image.Image) -> Image.Image:
    """16-bit grey, 0 to 65535, as RGB."""
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise ValueError("its pixels have more than 16 bits; save it with 8 or 16 bits per channel")
    return Image.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8)).convert("RGB")


def resize(image: Image.Image, box: Box, size: tuple[int, int]) -> Image.Image:
    """The rectangle `box` (pixels of `image`) as a picture of `size` (h, w), bicubic with antialiasing."""
    box = box.clip(image.height, image.width)
    corners = (box.left, box.top, box.right, box.bottom)
    if corners == (0, 0, image.width, image.height) and image.size == (size[1], size[0]):
        return image
    # A gap of 3 shrinks by whole factors first; Pillow calls the outcome nearly the same as without.
    return image.resize((size[1], size[0]), Image.Resampling.BICUBIC, box=corners, reducing_gap=3.0)


def to_tensor(image: Image.Image) -> Picture:
    """An RGB picture as (3, h, w) float32 in [0, 1]."""
    return to_batch([image])[0].contiguous()


def to_batch(images: list[Image.Image]) -> Float[Tensor, "b 3 h w"]:
    """RGB pictures of one size as (b, 3, h, w) float32 in [0, 1], channels last in memory."""
    pixels = np.stack([np.asarray(image) for image in images])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).to(torch.float32).div_(255)


def photo(source: "str | Path | Image.Image | Tensor", size: tuple[int, int] | None = None) -> Picture:
    """A photo as (3, h, w) in [0, 1], from a path, a PIL picture or such a tensor.

    With `size` (h, w), the largest central rectangle of that shape, resized. Raises BadPhotosError for a file that
    cannot be read, BadInputError for a tensor of another shape or range.
    """
    if isinstance(source, Tensor):
        return _checked(source) if size is None else _center(_checked(source), size)
    image = _rgb(source) if isinstance(source, Image.Image) else decode(Path(source))
    return to_tensor(image if size is None else resize(image, center_box(image.height, image.width, size), size))


def center_box(height: int, width: int, shape: tuple[float, float] = (1, 1)) -> Box:
    """The largest rectangle with the proportions of `shape` (h, w) in the middle of a picture, in whole pixels."""
    unit = min(height / shape[0], width / shape[1])
    tall, wide = (max(1, round(unit * side)) for side in shape)
    top, left = (height - tall) // 2, (width - wide) // 2
    return Box(top, left, top + tall, left + wide)


def _center(image: Picture, size: tuple[int, int]) -> Float[Tensor, "3 y x"]:
    box = center_box(image.shape[1], image.shape[2], size)
    cut = image[:, int(box.top) : int(box.bottom), int(box.left) : int(box.right)]
    if cut.shape[1:] == size:
        return cut
    return F.interpolate(cut[None], size, mode="bicubic", antialias=True)[0].clamp(0, 1)


def _checked(image: Tensor) -> Picture:
    if image.ndim != 3 or image.shape[0] != 3 or 0 in image.shape or not image.is_floating_point():
        raise BadInputError(f"a photo must be a float (3, h, w); came {image.dtype} {tuple(image.shape)}")
    low, high = float(image.detach().min()), float(image.detach().max())
    if not (low >= -1e-3 and high <= 1 + 1e-3):
        raise BadInputError(f"a photo must lie in [0, 1]; came [{low:.3g}, {high:.3g}]. Divide bytes by 255")
    return image.detach().float()


def to_image(image: Picture, alpha: Float[Tensor, "1 h w"] | None = None) -> Image.Image:
    """A (3, h, w) tensor in [0, 1] as an RGB picture; with an opacity `alpha` (1, h, w) as RGBA.

    Values outside are clipped, NaN raises BadInputError.
    """
    planes = image if alpha is None else torch.cat((image, alpha))
    if not bool(torch.isfinite(planes).all()):
        raise BadInputError("a picture holds NaN or infinite values and cannot be saved")
    pixels = (planes.detach().float().clamp(0, 1) * 255).round().to(torch.uint8)
    return Image.fromarray(pixels.permute(1, 2, 0).contiguous().cpu().numpy())


def encode_png(image: Picture, alpha: Float[Tensor, "1 h w"] | None = None) -> bytes:
    """A (3, h, w) tensor in [0, 1], and its opacity (1, h, w) if it has one, as the bytes of a PNG file.

    Equal pictures give equal bytes.
    """
    return _save(to_image(image, alpha), format="PNG", compress_level=6)


def encode_jpeg(image: Picture, quality: int = 90) -> bytes:
    """A (3, h, w) tensor in [0, 1] as the bytes of a JPEG file; `quality` 1 to 95."""
    return _save(to_image(image), format="JPEG", quality=quality)


def _save(image: Image.Image, **settings: str | int) -> bytes:
    stream = io.BytesIO()
    image.save(stream, **settings)  # type: ignore[arg-type]
    return stream.getvalue()
