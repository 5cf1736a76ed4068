"""Photos of every kind, and files that are none."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from retinoscope.base.boxes import Box
from retinoscope.base.errors import BadInputError, BadPhotosError
from retinoscope.image import codec


def gradient(height: int = 24, width: int = 36) -> Image.Image:
    y, x = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([y * 255 // height, x * 255 // width, 255 - (x + y)], -1).astype(np.uint8))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_decode_turns_upright_as_exif_says(tmp_path: Path, orientation: int) -> None:
    stored, exif = gradient(), Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.png", exif=exif)
    pixels = np.asarray(stored)
    upright = {1: pixels, 2: pixels[:, ::-1], 3: pixels[::-1, ::-1], 4: pixels[::-1], 5: pixels.transpose(1, 0, 2)}
    upright |= {6: np.rot90(pixels, -1), 7: pixels[::-1, ::-1].transpose(1, 0, 2), 8: np.rot90(pixels, 1)}
    image = codec.decode(tmp_path / "a.png")
    assert np.array_equal(np.asarray(image), upright[orientation])
    assert codec.photo_size(tmp_path / "a.png") == (image.height, image.width)


@pytest.mark.parametrize("suffix", ["jpg", "tif", "webp"])
def test_header_and_pixels_agree_on_the_upright_size(tmp_path: Path, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    gradient().save(tmp_path / f"a.{suffix}", exif=exif)
    image = codec.decode(tmp_path / f"a.{suffix}")
    assert codec.photo_size(tmp_path / f"a.{suffix}") == (image.height, image.width) == (36, 24)


def test_grey_cmyk_and_palette_become_rgb(tmp_path: Path) -> None:
    for mode, suffix in [("L", "png"), ("1", "png"), ("P", "gif"), ("CMYK", "jpg"), ("YCbCr", "jpg"), ("LA", "png")]:
        gradient().convert(mode).save(tmp_path / f"{mode}.{suffix}")
        image = codec.decode(tmp_path / f"{mode}.{suffix}")
        assert (image.mode, image.size) == ("RGB", (36, 24))
    Image.new("CMYK", (8, 8), (255, 0, 0, 0)).save(tmp_path / "cyan.tif")
    assert np.asarray(codec.decode(tmp_path / "cyan.tif"))[0, 0].tolist() == [0, 255, 255]


def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path) -> None:
    values = np.array([[0, 257, 32768, 65535]], np.uint16)
    for suffix in ("png", "tif"):
        Image.fromarray(values).save(tmp_path / f"a.{suffix}")
        assert np.asarray(codec.decode(tmp_path / f"a.{suffix}"))[0, :, 0].tolist() == [0, 1, 128, 255]


def test_transparency_lies_on_mid_grey(tmp_path: Path) -> None:
    image = Image.new("RGBA", (2, 1), (255, 0, 0, 255))
    image.putpixel((1, 0), (255, 0, 0, 0))
    image.save(tmp_path / "a.png")
    assert np.asarray(codec.decode(tmp_path / "a.png")).tolist() == [[[255, 0, 0], [128, 128, 128]]]
    flat = Image.new("P", (2, 1))
    flat.putpalette([0, 0, 255, 0, 255, 0])
    flat.putpixel((1, 0), 1)
    flat.save(tmp_path / "b.png", transparency=1)
    assert np.asarray(codec.decode(tmp_path / "b.png")).tolist() == [[[0, 0, 255], [128, 128, 128]]]


def test_an_animation_gives_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert np.asarray(codec.decode(tmp_path / "a.gif"))[0, 0].tolist() == [255, 0, 0]


def jpeg(image: Image.Image, **settings: int) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", **settings)
    return stream.getvalue()


def test_unreadable_files_are_named_with_the_reason(tmp_path: Path) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    whole = jpeg(noise)
    cases = {"text.jpg": b"hello", "empty.png": b"", "cut.jpg": whole[: len(whole) // 2], "head.jpg": whole[:10]}
    stream = io.BytesIO()
    noise.save(stream, "PNG")
    cases |= {"cut.png": stream.getvalue()[:2000], "flip.png": stream.getvalue()[:60] + b"\0" * 500}
    for name, data in cases.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(BadPhotosError, match=name):
            codec.decode(tmp_path / name)
    with pytest.raises(BadPhotosError, match=r"none\.jpg.*no such file"):
        codec.photo_size(tmp_path / "none.jpg")
    with pytest.raises(BadPhotosError, match="not an image"):
        codec.photo_size(tmp_path / "text.jpg")


def test_float_pixels_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.ones((4, 4), np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(BadPhotosError, match="no known range"):
        codec.decode(tmp_path / "a.tif")


def bomb(side: int) -> bytes:
    """A PNG whose header promises side x side pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [9_600, 30_000])
def test_a_bomb_is_refused_by_its_header(tmp_path: Path, side: int) -> None:
    (tmp_path / "a.png").write_bytes(bomb(side))
    with pytest.raises(BadPhotosError, match=r"a\.png"):
        codec.decode(tmp_path / "a.png")


def test_a_huge_jpeg_is_decoded_smaller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "MOST_PIXELS", 1000)
    (tmp_path / "a.jpg").write_bytes(jpeg(gradient(100, 150)))
    (tmp_path / "b.jpg").write_bytes(jpeg(gradient(100, 150), progressive=1))
    (tmp_path / "c.jpg").write_bytes(jpeg(gradient(1000, 1500)))
    assert codec.photo_size(tmp_path / "a.jpg") == (100, 150)
    assert codec.decode(tmp_path / "a.jpg").size == (38, 25)
    for name in ("b.jpg", "c.jpg"):
        with pytest.raises(BadPhotosError, match="more than 1,000"):
            codec.decode(tmp_path / name)


def test_scale_asks_for_at_least_what_is_enough(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg(gradient(160, 240)))
    for scale, height in [(1, 160), (0.6, 160), (0.5, 80), (0.3, 80), (0.25, 40), (0.01, 20)]:
        assert codec.decode(tmp_path / "a.jpg", scale).height == height


def test_tensor_and_png_are_inverse_and_deterministic() -> None:
    image = gradient()
    tensor = codec.to_tensor(image)
    assert tensor.shape == (3, 24, 36)
    assert torch.equal(tensor[1, 3], torch.tensor(np.asarray(image)[3, :, 1]) / 255)
    data = codec.encode_png(tensor)
    assert data == codec.encode_png(tensor.clone())
    assert torch.equal(codec.photo(Image.open(io.BytesIO(data))), tensor)
    decoded = codec.photo(Image.open(io.BytesIO(codec.encode_jpeg(tensor, 95))))
    assert float((decoded - tensor).abs().mean()) < 0.02


def test_resize_takes_the_box() -> None:
    image = gradient(40, 60)
    assert codec.resize(image, Box(0, 0, 40, 60), (40, 60)) is image
    cut = np.asarray(codec.resize(image, Box(8, 4, 28, 24), (20, 20)))
    assert np.array_equal(cut, np.asarray(image)[8:28, 4:24])
    board = Image.fromarray((np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)).convert("RGB")
    small = np.asarray(codec.resize(board, Box(0, 0, 64, 64), (8, 8))).astype(int)
    assert abs(small - 127).max() <= 2  # without antialiasing the board would stay black and white


def test_photo_takes_a_path_a_picture_or_a_tensor(tmp_path: Path) -> None:
    image = gradient(20, 30)
    image.save(tmp_path / "a.png")
    tensor = codec.to_tensor(image)
    for source in (tmp_path / "a.png", str(tmp_path / "a.png"), image, tensor):
        assert torch.equal(codec.photo(source), tensor)
        assert torch.equal(codec.photo(source, (20, 20)), tensor[:, :, 5:25])
        assert codec.photo(source, (8, 12)).shape == (3, 8, 12)
    for wrong in (tensor[None], tensor[:1], tensor * 255, (tensor * 255).byte()):
        with pytest.raises(BadInputError):
            codec.photo(wrong)
    with pytest.raises(BadInputError, match="NaN"):
        codec.encode_png(tensor * torch.nan)
