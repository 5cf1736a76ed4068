"""Pictures in memory, as a scan's image set."""

from collections.abc import Iterator, Sequence

import torch

from retinoscope.base.boxes import Box, Item
from retinoscope.tensor.axes import Images


class Pictures:
    """Random pictures of one size; `labels` are their kinds, `tiles` how many items each photo has."""

    start = 0

    def __init__(
        self, count: int, side: int, labels: Sequence[str | None] | None = None, tiles: int = 1, seed: int = 0
    ) -> None:
        labels = [None] * count if labels is None else labels
        self.items = [
            Item(f"{i}#{t}", str(i), Box(0, 0, side, side), labels[i]) for i in range(count) for t in range(tiles)
        ]
        noise = torch.rand(count * tiles, 3, side, side, generator=torch.Generator().manual_seed(seed))
        low = torch.nn.functional.avg_pool2d(noise, 5, 1, 2, count_include_pad=False)
        self.images = ((low - 0.5) * torch.linspace(1, 3, count * tiles)[:, None, None, None] + 0.5).clamp(0, 1)

    def batches(self, size: tuple[int, int], batch: int) -> Iterator[tuple[list[Item], Images]]:
        for start in range(0, len(self.items), batch):
            yield self.items[start : start + batch], self.images[start : start + batch]
