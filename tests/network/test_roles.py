"""Reshapes of named dimensions against the positions that torch itself moves."""

import pytest
import torch

from retinoscope.network.roles import Atom, Dims, plain, reshape, spatial, whole_axis

Y, X, C = plain("y", 6), plain("x", 4), plain("c", 8)


def rows(dims: Dims, shape: tuple[int, ...]) -> torch.Tensor:
    """The row that each element of a tensor with these dimensions comes from, computed from the atoms alone."""
    result = torch.zeros(shape, dtype=torch.long)
    for place, dim in enumerate(dims):
        index, value = torch.arange(shape[place]), torch.zeros(shape[place], dtype=torch.long)
        for atom in reversed(dim):
            value = value + (index % atom.size) * atom.step * (atom.label == "y")
            index = index // atom.size
        result = result + value.reshape([-1 if i == place else 1 for i in range(len(shape))])
    return result


@pytest.mark.parametrize(
    "shape",
    [(1, 8, 24), (8, 6, 4), (1, 2, 4, 6, 4), (1, 8, 2, 3, 2, 2), (48, 4), (1, 192), (1, 8, 3, 2, 4), (1, 8, 1, 6, 4)],
)
def test_reshape_moves_rows_where_torch_does(shape: tuple[int, ...]) -> None:
    start: Dims = ((), C, Y, X)
    dims = reshape(start, shape)
    assert dims is not None
    assert torch.equal(rows(dims, shape), rows(start, (1, 8, 6, 4)).reshape(shape))
    assert reshape(dims, (1, 8, 6, 4)) == start


@pytest.mark.parametrize("shape", [(1, 8, 12, 2), (1, 16, 12), (1, 4, 48)])
def test_axes_that_are_joined_or_cut_keep_their_rows(shape: tuple[int, ...]) -> None:
    dims = reshape(((), C, Y, X), shape)
    assert dims is None or torch.equal(rows(dims, shape), rows(((), C, Y, X), (1, 8, 6, 4)).reshape(shape))


def test_an_axis_cut_across_is_not_followed() -> None:
    assert reshape(((), C, Y, X), (1, 8, 4, 6)) is None
    assert reshape(((Atom("n", 25, prefix=1, inner=(*Y, *X)),),), (5, 5)) is None


def test_a_part_of_an_axis_is_not_the_axis() -> None:
    dims = reshape(((), C, Y, X), (1, 8, 2, 3, 4))
    assert dims is not None
    assert [whole_axis(dim) for dim in dims] == [None, None, None, "y", "x"]
    assert [spatial(dim) for dim in dims] == [set(), set(), {"y"}, {"y"}, {"x"}]
