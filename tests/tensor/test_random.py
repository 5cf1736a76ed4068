"""Every item's random numbers are its own."""

import torch

from retinoscope.tensor.random import Draws


def test_an_items_numbers_do_not_depend_on_its_neighbours() -> None:
    together, alone = Draws(7, ["a", "b", "c"]), Draws(7, ["b"])
    for _ in range(3):
        assert torch.equal(together.normal(4)[1], alone.normal(4)[0])
        assert torch.equal(together.uniform(2, 2)[1], alone.uniform(2, 2)[0])
        assert torch.equal(together.integers(9, 5)[1], alone.integers(9, 5)[0])


def test_seed_and_name_both_matter() -> None:
    numbers = [Draws(seed, [name]).uniform(3) for seed in (0, 1) for name in ("a", "b")]
    assert len({tuple(row.flatten().tolist()) for row in numbers}) == 4
