"""Canvases whose pictures share planes, stand beside a photo, or are seen together."""

import pytest
import torch
from torch.nn import functional as F

from retinoscope.base.errors import BadInputError
from retinoscope.image.beside import Beside
from retinoscope.image.canvas import Fourier, Pixels
from retinoscope.image.shared import Shared
from retinoscope.image.together import Together
from retinoscope.image.transforms import LUCID, ROBUST, Jitter, apply
from retinoscope.tensor.random import Draws
from tests.samples import photos


def test_a_new_canvas_is_the_fourier_canvas() -> None:
    shared, own = Shared(3, (24, 33)), Fourier(3, (24, 33))
    for canvas in (shared, own):
        canvas.start(Draws(0, ["a", "b", "c"]))
    assert torch.equal(shared(), own())
    assert not shared.blank


def test_an_items_start_does_not_depend_on_the_batch() -> None:
    many, one = Shared(4, 32, together=2), Shared(2, 32)
    many.start(Draws(0, ["a", "b", "c", "d"]))
    one.start(Draws(0, ["c", "d"]))
    assert torch.equal(many()[2:], one())


def test_a_painted_canvas_shows_the_images() -> None:
    images = photos(2, 40)
    canvas = Shared(2, 40)
    canvas.paint(images)
    assert (canvas() - images).abs().max() < 1.1e-3


def test_shared_planes_are_blended_between_the_ends() -> None:
    canvas = Shared(6, 32, together=3)
    canvas.paint(torch.full((6, 3, 32, 32), 0.5))
    draw = torch.Generator().manual_seed(0)
    for planes in (*canvas.whole, *canvas.ends):
        planes.data.copy_(torch.randn(planes.shape, generator=draw))
    slow = torch.zeros(6, 3, 32, 32)
    for item in range(6):
        group, share = item // 3, (item % 3) / 2
        for planes in canvas.whole:
            slow[item] += F.interpolate(planes[group], (32, 32), mode="bilinear")[0]
        for planes in canvas.ends:
            mixed = (1 - share) * planes[group, 0] + share * planes[group, 1]
            slow[item] += F.interpolate(mixed[None], (32, 32), mode="bilinear")[0]
    assert torch.allclose(canvas.planes(), slow, atol=1e-5)
    assert [tuple(planes.shape) for planes in canvas.whole] == [(2, 1, 3, n, n) for n in (16, 8, 4, 2)]
    assert [tuple(planes.shape) for planes in canvas.ends] == [(2, 2, 3, n, n) for n in (4, 2)]


def test_one_items_gradient_moves_its_group_alone() -> None:
    canvas = Shared(4, 32, together=2)
    canvas.start(Draws(0, list("abcd")))
    before = canvas().detach()
    (canvas()[0].sum()).backward()
    for parameter in canvas.parameters():
        assert parameter.grad is not None
        parameter.data += 0.1 * parameter.grad
    moved = (canvas().detach() - before).abs().amax((1, 2, 3))
    assert (moved[:2] > 0).all()
    assert (moved[2:] == 0).all()


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    with pytest.raises(BadInputError, match="batch of 5 cannot be shared by 2"):
        Shared(5, 32, together=2)


@pytest.mark.parametrize("transforms", [LUCID, ROBUST, (Jitter(4),)])
def test_together_equal_pictures_stay_equal(transforms: tuple[object, ...]) -> None:
    images = photos(2, 32).repeat_interleave(3, 0)
    seen = Together(3, transforms)(images, Draws(0, list("abcdef")))  # type: ignore[arg-type]
    assert torch.equal(seen[0], seen[1])
    assert torch.equal(seen[3], seen[5])
    expected = apply(transforms, images[::3], Draws(0, ["a", "d"]))  # type: ignore[arg-type]
    assert torch.allclose(seen[::3], expected, atol=1e-6)


def test_beside_shows_photos_and_pictures_in_turn() -> None:
    canvas = Beside(Pixels(2, 16), photos(2, 16))
    assert canvas.blank
    canvas.start(Draws(0, ["a", "b", "c", "d"]))
    alone = Pixels(2, 16)
    alone.start(Draws(0, ["a", "c"]))
    assert torch.equal(canvas()[0::2], photos(2, 16))
    assert torch.equal(canvas()[1::2], alone())
    images = photos(4, 16, seed=1)
    canvas.paint(images)
    assert torch.equal(canvas()[0::2], photos(2, 16))
    assert (canvas()[1::2] - images[1::2]).abs().max() < 1.1e-3
    assert [name for name, _ in canvas.named_parameters()] == ["canvas.values"]
