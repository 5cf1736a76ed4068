"""Receptive-field arithmetic against the list of pixels that each position reads."""

from fractions import Fraction

import pytest

from retinoscope.network.geometry import Axis, adaptive_reads, resample, shift, transposed_window, unite, window

START = window(window(Axis(), 3, 2, 1), 2, 1, 0)


def ends(axis: Axis, i: int) -> tuple[Fraction, Fraction]:
    return i * axis.step + axis.low, i * axis.step + axis.high


@pytest.mark.parametrize("kernel", [1, 2, 5])
@pytest.mark.parametrize("stride", [1, 3])
@pytest.mark.parametrize("padding", [0, 2])
@pytest.mark.parametrize("dilation", [1, 3])
def test_window_unites_what_it_reads(kernel: int, stride: int, padding: int, dilation: int) -> None:
    after = window(START, kernel, stride, padding, dilation)
    for i in range(5):
        read = [ends(START, i * stride - padding + k * dilation) for k in range(kernel)]
        assert ends(after, i) == (min(low for low, _ in read), max(high for _, high in read))


def test_the_articles_closed_form() -> None:
    """Size 6, step 3, padding 1 for k 3, p 1, s 3, then k 2 (Araujo, Norris, Sim 2019)."""
    assert window(window(Axis(), 3, 3, 1), 2, 1, 0) == Axis(Fraction(3), Fraction(-1), Fraction(4))


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(4, 2, 1), (3, 2, 1), (2, 2, 0), (5, 3, 2)])
def test_transposed_window_covers_what_it_reads(kernel: int, stride: int, padding: int) -> None:
    after, tight = transposed_window(START, kernel, stride, padding), [False, False]
    for i in range(3 * stride):
        read = [ends(START, j) for j in range(-9, 9) if 0 <= i + padding - j * stride < kernel]
        low, high = ends(after, i)
        tight = [tight[0] or low == min(r[0] for r in read), tight[1] or high == max(r[1] for r in read)]
        assert low <= min(r[0] for r in read)
        assert high >= max(r[1] for r in read)
    assert tight == [True, True]


def test_padding_then_slicing_it_off_changes_nothing() -> None:
    assert shift(shift(START, -2), 2) == START
    assert ends(shift(START, 3, 2), 1) == ends(START, 5)


@pytest.mark.parametrize(("size", "target"), [(7, 3), (12, 4), (5, 5), (3, 8)])
def test_resample_covers_every_position(size: int, target: int) -> None:
    reads = adaptive_reads(size, target)
    after = resample(START, size, reads)
    for i, (first, last) in enumerate(reads):
        assert ends(after, i)[0] <= ends(START, first)[0]
        assert ends(after, i)[1] >= ends(START, last)[1]


def test_union_covers_every_path_and_says_whether_they_align() -> None:
    wide, same = Axis(Fraction(2), Fraction(-3), Fraction(3)), Axis(Fraction(2), Fraction(-1), Fraction(1))
    assert unite([same, wide], 9) == (wide, True)
    beside = Axis(Fraction(2), Fraction(0), Fraction(1))
    assert unite([beside, wide], 9) == (wide, False)
    slower = Axis(Fraction(1), Fraction(0), Fraction(0))
    both, aligned = unite([wide, slower], 9)
    assert not aligned
    assert all(ends(both, i)[0] <= ends(slower, i)[0] and ends(both, i)[1] >= ends(slower, i)[1] for i in range(9))
