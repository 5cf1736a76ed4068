"""Stimuli: exact in frequency, turned as a whole, free of steps; each against its formula or brute force."""

import math
from collections.abc import Callable
from itertools import product

import pytest
import torch
from torch import Tensor

from retinoscope.base.axis import Axis, listed, ratios_apart, spaced, turns
from retinoscope.base.errors import BadInputError, UnknownNameError
from retinoscope.image import stimuli
from retinoscope.image.stimuli.colors import LUMA
from retinoscope.image.stimuli.grid import Grid, share, wave
from retinoscope.image.stimuli.sweep import Sweep

ALL: dict[str, Callable[[], Sweep]] = {
    "frequency_pair": lambda: stimuli.frequency_pair(4, 3, 2),
    "frequency": lambda: stimuli.frequency(3, 2, 2),
    "grating": lambda: stimuli.grating(3, 2, 2),
    "texture": lambda: stimuli.texture(3, 2, 2),
    "edge": lambda: stimuli.edge(4, 2),
    "line": lambda: stimuli.line(3, 2),
    "curve": lambda: stimuli.curve(4, 3),
    "corner": lambda: stimuli.corner(4, 3),
    "color_contrast": lambda: stimuli.color_contrast(4, 3),
    "color": lambda: stimuli.color(4, 3),
    "brightness": lambda: stimuli.brightness(3),
    "turned": lambda: stimuli.turned([torch.rand(3, 40, 30), torch.rand(3, 20, 30)], 4, 32),
}


def drawn(sweep: Sweep, size: tuple[int, int] = (32, 32), **numbers: float) -> Tensor:
    """One grey picture (h, w) in float64."""
    row = [[numbers.get(name, axis.values[0]) for name, axis in sweep.all_axes.items()]]
    return sweep.images(Grid.around(size, dtype=torch.float64), torch.tensor(row, dtype=torch.float64))[0, 0]


def coordinates(size: tuple[int, int], degrees: float) -> tuple[Tensor, Tensor]:
    y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) - (n - 1) / 2 for n in size), indexing="ij")
    turn = math.radians(degrees)
    return x * math.cos(turn) + y * math.sin(turn), -x * math.sin(turn) + y * math.cos(turn)


def covered(inside: Callable[[Tensor, Tensor], Tensor], size: int, fine: int = 40) -> Tensor:
    """The share of each pixel where `inside(x, y)` holds, by looking at `fine` x `fine` points of it."""
    points = (torch.arange(size * fine, dtype=torch.float64) + 0.5) / fine - size / 2
    y, x = torch.meshgrid(points, points, indexing="ij")
    return torch.nn.functional.avg_pool2d(inside(x, y).double()[None, None], fine)[0, 0]


@pytest.mark.parametrize("degrees", [0.0, 30.0, 90.0, 135.0, 200.0])
@pytest.mark.parametrize("ratio", [1.0, 4.0, 16.5])
@pytest.mark.parametrize("phase", [0.0, 90.0])
def test_frequency_pair_is_its_formula(degrees: float, ratio: float, phase: float) -> None:
    picture = drawn(stimuli.frequency_pair(), (48, 40), orientation=degrees, ratio=ratio, phase=phase)
    u, v = coordinates((48, 40), degrees)
    wavelength = 15 * math.sqrt(ratio) ** -u.sign()
    value = torch.cos(2 * math.pi * u / wavelength + math.radians(phase)) * torch.cos(2 * math.pi * v / wavelength)
    away = u.abs() > math.sqrt(0.5)  # pixels the border does not touch
    assert torch.allclose(picture[away], (0.5 + 0.5 * value)[away], rtol=0, atol=1e-12)
    assert away.double().mean() > 0.9


@pytest.mark.parametrize("phase", [0.0, 90.0])
def test_half_a_turn_swaps_the_sides(phase: float) -> None:
    sweep = stimuli.frequency_pair()
    for degrees in (0.0, 17.0, 90.0, 140.0):
        one, other = (drawn(sweep, orientation=a, ratio=5.0, phase=phase) for a in (degrees, degrees + 180))
        assert torch.allclose(other, torch.rot90(one, 2), rtol=0, atol=1e-12)
        assert not torch.allclose(one, other, atol=0.1)


def test_at_ratio_one_there_is_no_border() -> None:
    for degrees in (0.0, 25.0):
        picture = drawn(stimuli.frequency_pair(), orientation=degrees, ratio=1.0)
        u, v = coordinates((32, 32), degrees)
        one = torch.cos(2 * math.pi * u / 15) * torch.cos(2 * math.pi * v / 15)
        assert torch.allclose(picture, 0.5 + 0.5 * one, rtol=0, atol=1e-12)


def peaks(picture: Tensor) -> set[tuple[int, int]]:
    """Frequencies (y, x), in cycles per picture, that hold the energy: all but a billionth."""
    power = torch.fft.fft2(picture - picture.mean()).abs().square()
    rows = (power > 1e-9 * power.sum()).nonzero().tolist()
    return {tuple(k if k <= n // 2 else k - n for k, n in zip(row, picture.shape, strict=True)) for row in rows}


def test_each_half_has_its_frequency_along_both_axes() -> None:
    picture = drawn(stimuli.frequency_pair(wavelength=16), (128, 128), orientation=0, ratio=4.0)
    low, high = picture[:64, :64], picture[:64, 64:]
    for half, wavelength in ((low, 32), (high, 8)):
        k = 64 // wavelength
        assert peaks(half) == set(product((k, -k), (k, -k)))


def test_single_frequency_has_four_peaks_and_a_quarter_turns_symmetry() -> None:
    sweep = stimuli.frequency()
    picture = drawn(sweep, (64, 64), wavelength=8)
    assert peaks(picture) == {(8, 0), (-8, 0), (0, 8), (0, -8)}
    for rotation in (0.0, 20.0):
        one = drawn(sweep, wavelength=7, rotation=rotation)
        assert torch.allclose(one, torch.rot90(one), rtol=0, atol=1e-12)
        assert torch.allclose(one, drawn(sweep, wavelength=7, rotation=rotation + 90), rtol=0, atol=1e-12)


@pytest.mark.parametrize("degrees", [0.0, 90.0])
def test_gratings_have_one_frequency(degrees: float) -> None:
    picture = drawn(stimuli.grating(), (64, 64), orientation=degrees, wavelength=16, phase=90)
    assert peaks(picture) == {(4, 0), (-4, 0)} if degrees else {(0, 4), (0, -4)}


def test_waves_are_sums_of_waves() -> None:
    grid = Grid.around((9, 7), dtype=torch.float64)
    angle, wavelength, phase = torch.rand(3, 2, 5, dtype=torch.float64)
    slow = sum(
        wave(grid.along(a[:, None, None]), w[:, None, None], p[:, None, None])
        for a, w, p in zip((360 * angle).T, (3 + wavelength).T, (360 * phase).T, strict=True)
    )
    assert torch.allclose(grid.waves(360 * angle, 3 + wavelength, 360 * phase), slow, rtol=0, atol=1e-12)


@pytest.mark.parametrize("degrees", [0.0, 7.0, 45.0, 90.0, 133.0, 270.0, 301.5])
def test_share_is_the_area_beyond_a_line(degrees: float) -> None:
    turn = math.radians(degrees)
    slow = covered(lambda x, y: (x - 0.3) * math.cos(turn) + (y + 0.2) * math.sin(turn) > 0, 12)
    grid = Grid.around((12, 12), (5.5 - 0.2, 5.5 + 0.3), dtype=torch.float64)
    angle = torch.tensor([[[degrees]]], dtype=torch.float64)
    assert torch.allclose(share(grid.along(angle), angle)[0], slow, rtol=0, atol=0.02)  # 40 points a side
    flipped = angle + 180
    assert torch.allclose(
        share(grid.along(angle), angle) + share(grid.along(flipped), flipped), torch.ones(()).double()
    )


@pytest.mark.parametrize("curvature", [0.0, 1 / 40, 1 / 12])
@pytest.mark.parametrize("degrees", [0.0, 70.0, 225.0])
def test_curves_are_strokes_along_circles(curvature: float, degrees: float) -> None:
    turn = math.radians(degrees)

    def inside(x: Tensor, y: Tensor) -> Tensor:
        u, v = x * math.cos(turn) + y * math.sin(turn), y * math.cos(turn) - x * math.sin(turn)
        if not curvature:
            return (u.abs() < 2) & (v.abs() < 10)
        radius = 1 / curvature
        along = radius * torch.atan2(v, radius - u).abs()
        return ((torch.hypot(u - radius, v) - radius).abs() < 2) & (along < min(10, math.pi / 2 * radius))

    sweep = stimuli.curve(width=4, length=20)
    picture = drawn(sweep, (40, 40), orientation=degrees, curvature=curvature, polarity=1)
    difference = (2 * (picture - 0.5) - covered(inside, 40)).abs()
    assert difference.max() < 0.35  # the four corners of the stroke's ends
    assert (difference > 0.06).sum() <= 16
    assert difference.mean() < 0.002


def test_a_corner_of_180_degrees_is_an_edge_and_others_are_wedges() -> None:
    wide = drawn(stimuli.corner(), orientation=40, opening=180, polarity=1)
    assert torch.allclose(wide, drawn(stimuli.edge(), orientation=40, contrast=1), rtol=0, atol=1e-12)
    picture = drawn(stimuli.corner(), orientation=40, opening=60, polarity=1)

    def wedge(x: Tensor, y: Tensor) -> Tensor:
        return ((torch.rad2deg(torch.atan2(y, x)) - 40 + 180) % 360 - 180).abs() < 30

    difference = (picture - covered(wedge, 32)).abs()
    assert (difference > 0.02).sum() <= 3
    assert difference.max() < 0.2


@pytest.mark.parametrize("width", [1.0, 5.0])
def test_lines_have_their_width(width: float) -> None:
    for degrees in (0.0, 30.0, 90.0):
        picture = drawn(stimuli.line(), (64, 64), orientation=degrees, width=width, polarity=1)
        area = float((2 * picture - 1).sum())
        longest = 64 / max(abs(math.cos(math.radians(degrees))), abs(math.sin(math.radians(degrees))))
        assert area == pytest.approx(width * longest, rel=1e-6)


def test_colors_differ_in_hue_alone() -> None:
    grid = Grid.around((8, 8), dtype=torch.float64)
    for sweep in (stimuli.color_contrast(6, 24), stimuli.color(24, 3)):
        pictures = sweep.images(grid, sweep.rows())
        luma = (pictures * torch.tensor(LUMA, dtype=torch.float64)[:, None, None]).sum(1)
        assert torch.allclose(luma, torch.full_like(luma, 0.5), rtol=0, atol=1e-12)
    far = (stimuli.color(24, 2).images(grid, stimuli.color(24, 2).rows())[1::2, :, 0, 0] - 0.5).norm(dim=1)
    assert torch.allclose(far, torch.full_like(far, 0.35))
    red = stimuli.color().picture(4, hue=0, saturation=0.35)[:, 0, 0]
    assert red[0] > 0.7 > max(red[1:])


def test_turned_patches_turn_clockwise() -> None:
    patch = torch.rand(3, 24, 24)
    sweep = stimuli.turned([patch], 4, 24)
    for quarters in range(4):
        turned = sweep.picture(24, rotation=90 * quarters)
        assert torch.allclose(turned, torch.rot90(patch, -quarters, (1, 2)), atol=1e-4)


def test_textures_hold_one_band_and_one_orientation() -> None:
    sweep = stimuli.texture(samples=3, spread=20)
    for sample in range(3):
        picture = drawn(sweep, (128, 128), orientation=0, wavelength=8, sample=sample)
        assert picture.std() == pytest.approx(0.2, rel=0.25)
        window = torch.hann_window(128, dtype=torch.float64)  # the picture does not come around
        power = torch.fft.fft2((picture - picture.mean()) * torch.outer(window, window)).abs().square()
        y, x = torch.meshgrid(*[torch.fft.fftfreq(128, dtype=torch.float64)] * 2, indexing="ij")
        octaves = (torch.hypot(y, x) * 8).clamp(min=1e-9).log2().abs()
        tilt = torch.rad2deg(torch.atan2(y.abs(), x.abs()))
        assert power[(octaves < 0.5) & (tilt < 25)].sum() > 0.97 * power.sum()
    assert not torch.equal(drawn(sweep, sample=0), drawn(sweep, sample=1))
    assert torch.equal(drawn(sweep, sample=1), drawn(stimuli.texture(samples=2, spread=20), sample=1))


@pytest.mark.parametrize("name", ALL)
def test_batches_are_the_pictures_one_by_one(name: str) -> None:
    sweep = ALL[name]()
    together = torch.cat(list(sweep.batches((20, 24), 5, (12.0, 9.0))))
    assert together.shape == (len(sweep), 3, 20, 24)
    assert together.dtype == torch.float32
    grid = Grid.around((20, 24), (12.0, 9.0))
    alone = torch.cat([sweep.images(grid, row[None]) for row in sweep.rows()])
    assert torch.allclose(together, alone, atol=1e-5)
    assert together.aminmax() == (together.clamp(0, 1).amin(), together.clamp(0, 1).amax())
    assert [len(part) for part in sweep.batches((20, 24), 5)][:-1] == [5] * ((len(sweep) - 1) // 5)


@pytest.mark.parametrize("name", ALL)
def test_stimuli_lie_around_the_centre_they_are_given(name: str) -> None:
    sweep = ALL[name]()
    moved = torch.cat(list(sweep.batches((24, 24), 64, (13.0, 9.0))))
    still = torch.cat(list(sweep.batches((24, 24), 64, (11.0, 11.0))))
    assert torch.allclose(moved[:, :, 4:, :20], still[:, :, 2:22, 2:22], atol=1e-4)


def test_rows_are_in_the_order_of_the_axes() -> None:
    sweep = stimuli.frequency_pair(3, 2, 2)
    names = list(sweep.all_axes)
    assert (names, sweep.shape) == (["orientation", "ratio", "phase"], (3, 2, 2))
    rows = sweep.rows().view(*sweep.shape, 3)
    assert rows[2, 1, 0].tolist() == pytest.approx([240.0, 16.5, 0.0])
    assert rows[0, 0, 1].tolist() == [0.0, 1.0, 180.0]


def test_a_stimulus_of_ones_own() -> None:
    def rings(grid: Grid, wavelength: Tensor, phase: Tensor) -> Tensor:
        return 0.5 + 0.5 * wave(grid.radius, wavelength, phase)

    sweep = Sweep("rings", rings, {"wavelength": ratios_apart(4, 16, 3, "px")}, {"phase": stimuli.phases(2)})
    assert repr(sweep) == "Sweep(rings: 3 wavelength, each over 2 phase; 6 pictures)"
    (pictures,) = sweep.batches((9, 9))
    assert pictures.shape == (6, 3, 9, 9)
    assert pictures[0, 0, 4, 4] == 1
    assert pictures[1, 0, 4, 4] == 0
    assert pictures[2, 0, 4, 8] == pytest.approx(0, abs=1e-5)  # half a wave of 8 pixels out


def test_values_can_be_held_and_pictures_masked() -> None:
    sweep = stimuli.frequency_pair(4, 3, 2)
    held = sweep.at(ratio=3.3, phase=45)
    assert held.shape == (4, 1, 1)
    assert torch.equal(held.picture(16), sweep.picture(16, ratio=3.3, phase=45))
    masked = stimuli.color_contrast().within(6, 2).picture(32)
    assert torch.equal(masked[:, :, :7], torch.full_like(masked[:, :, :7], 0.5))
    assert torch.equal(masked[:, 14:18, 12:20], stimuli.color_contrast().picture(32)[:, 14:18, 12:20])


def test_sheets_and_strips() -> None:
    sweep = stimuli.frequency_pair(6, 3)
    assert sweep.strip("ratio", 16).shape == (3, 3, 16, 16)
    assert torch.equal(
        sweep.strip("orientation", 16)[2], sweep.picture(16, orientation=120, ratio=sweep.axis("ratio").values[2])
    )
    assert sweep.sheet(32).width == 6 * (32 + 14) + 14
    assert sweep.sheet(32, most=3).width == 3 * (32 + 14) + 14
    assert stimuli.brightness().sheet()._repr_png_()[:4] == sweep._repr_png_()[:4]


def test_axes() -> None:
    assert turns(4).values == (0, 90, 180, 270)
    assert turns(3, 90).period == 90
    assert spaced(1, 2, 3).values == (1, 1.5, 2)
    assert ratios_apart(1, 16, 3).values == pytest.approx((1, 4, 16))
    assert ratios_apart(16, 1, 3).places == pytest.approx((4, 2, 0))
    assert ratios_apart(1, 16, 3).value(2) == 4
    assert [turns(1).label(45), ratios_apart(1, 2, 2, "px").label(3.71), spaced(0, 1, 2, ":1").label(4)] == [
        "45°", "3.71 px", "4:1",
    ]  # fmt: skip


def draws(shape: tuple[int, ...], value: float = 0.5) -> Sweep:
    return Sweep("odd", lambda grid, a: torch.full(shape, value), {"a": listed([1.0, 2.0])})


@pytest.mark.parametrize(
    ("mistake", "told"),
    [
        (lambda: stimuli.frequency_pair(wavelength=8), r"cannot show a wavelength of 1\.97; it must exceed 2\.83"),
        (lambda: stimuli.grating(shortest=2), "must exceed 2"),
        (lambda: stimuli.turned([]), "at least one patch"),
        (lambda: stimuli.edge(0), "at least one; came"),
        (lambda: Axis((1.0, math.nan)), "finite"),
        (lambda: ratios_apart(0, 1, 2), "positive"),
        (lambda: Axis((0.0, 1.0), scale="log"), "log scale must be positive"),
        (lambda: Sweep("s", lambda grid: grid.x, {}), "came none"),
        (lambda: Sweep("s", lambda grid: grid.x, {"a": turns(2)}, {"a": turns(2)}), "'a' cannot be both"),
        (lambda: draws((2, 4, 4)).picture(8), r"odd drew \(2, 4, 4\); give \(1, 8, 8\) for grey pictures"),
        (lambda: draws((1, 8, 8), 1.5).picture(8), r"values in \[1\.5, 1\.5\]"),
        (lambda: draws((1, 8, 8), math.nan).picture(8), "nan"),
    ],
)
def test_mistakes(mistake: Callable[[], object], told: str) -> None:
    with pytest.raises(BadInputError, match=told):
        mistake()


def test_an_unknown_axis() -> None:
    with pytest.raises(UnknownNameError, match="no axis of edge named 'orientatoin'; nearest: orientation"):
        stimuli.edge().picture(8, orientatoin=3)
