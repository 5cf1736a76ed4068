"""The loop: it climbs, repeats itself to the bit, keeps items apart, and says why when it cannot."""

import copy

import pytest
import torch
from torch import nn

from retinoscope.base.errors import BadInputError, NoGradientError, UnknownNameError
from retinoscope.image.canvas import Fourier, Pixels
from retinoscope.image.transforms import Jitter, Views, apply
from retinoscope.network.model import Model
from retinoscope.network.record import record
from retinoscope.network.zoo import wrap
from retinoscope.synthesize.diversity import diversity
from retinoscope.synthesize.objectives import channel, deepdream, logit, neuron
from retinoscope.synthesize.optimize import optimize
from retinoscope.synthesize.recipes import RECIPES
from retinoscope.synthesize.render import chunk_size, default_size, render, robust_scores
from retinoscope.tensor.random import Draws
from tests.samples import photos, tiny_module


def test_every_unit_beats_its_photos_when_nothing_holds_it_back(tiny: Model) -> None:
    out = render(tiny, "conv3:*", size=32, steps=64, recipe="naive")
    with record(tiny, ["conv3"]) as trace, torch.no_grad():
        tiny(photos(200, 32))
        best = trace["conv3"].mean((2, 3)).amax(0)
    assert (out.scores > best).all()


def test_final_scores_are_the_objectives_of_the_images(tiny: Model) -> None:
    objectives = [channel("conv3", 0), 0.5 * channel("conv2", 1) - channel("conv2", 2), logit(3), deepdream("conv1")]
    out = render(tiny, objectives, size=32, steps=4)
    with record(tiny, ["conv1", "conv2", "conv3", "logits"]) as trace:
        tiny(out.images)
        expected = torch.stack([item(trace)[place] for place, item in enumerate(objectives)])
    assert torch.allclose(out.scores, expected, atol=1e-5)
    assert out.images.shape == (4, 3, 32, 32)
    assert out.images.min() >= 0
    assert out.images.max() <= 1


def test_same_seed_same_bits_other_seed_other_picture(tiny: Model) -> None:
    first, again, other = (render(tiny, "conv3:2", size=32, steps=8, seed=seed).images for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert (first - other).abs().max() > 0.01


def test_a_picture_does_not_depend_on_its_neighbours(tiny: Model) -> None:
    units = [f"conv3:{i}" for i in range(6)]
    together = render(tiny, units, size=32, steps=12, dtype=torch.float32)
    chunks = render(tiny, units, size=32, steps=12, batch=4, dtype=torch.float32)
    alone = render(tiny, units[3], size=32, steps=12, dtype=torch.float32)
    assert (together.images[3] - alone.images[0]).abs().max() < 1e-4
    assert (together.images - chunks.images).abs().max() < 1e-4


def test_equal_objectives_in_one_batch_start_apart(tiny: Model) -> None:
    out = render(tiny, ["conv3:1", "conv3:1"], size=32, steps=4)
    assert (out.images[0] - out.images[1]).abs().max() > 1e-3


def test_an_items_gradient_reaches_its_own_image_only(tiny: Model) -> None:
    canvas = Pixels(2, 32)
    canvas.paint(photos(2, 32))
    steps = optimize(tiny, [channel("conv1", 0), 0 * channel("conv1", 0)], canvas=canvas, transforms=(), steps=1)
    next(steps)
    assert canvas.values.grad is not None
    assert canvas.values.grad[0].abs().max() > 0
    assert canvas.values.grad[1].abs().max() == 0


def test_a_loop_equals_plain_adam_on_the_bare_network(tiny: Model) -> None:
    canvas, mine = Pixels(1, 32), Pixels(1, 32)
    canvas.paint(photos(1, 32))
    mine.paint(photos(1, 32))
    for _ in optimize(tiny, "conv3:2", canvas=canvas, transforms=(), steps=5, dtype=torch.float32):
        pass
    adam = torch.optim.Adam(mine.parameters(), lr=0.05)
    for _ in range(5):
        adam.zero_grad()
        with record(tiny, ["conv3"]) as trace:
            tiny(mine())
        (-trace["conv3"][:, 2].mean()).backward()
        adam.step()
    assert torch.allclose(canvas(), mine(), atol=1e-4)


def test_steps_carry_their_index_scores_and_images(tiny: Model) -> None:
    canvas = Fourier(2, 32)
    seen = list(optimize(tiny, "conv3:2", canvas=canvas, transforms=(Views(),), steps=3))
    assert [step.index for step in seen] == [0, 1, 2]
    assert seen[0].scores.shape == (2,)
    assert seen[0].images.shape == (2, 3, 32, 32)
    assert not torch.equal(seen[0].images, seen[2].images)
    assert not seen[0].images.requires_grad


def test_the_network_is_left_alone_and_hooks_are_gone_when_a_loop_is_dropped(tiny: Model) -> None:
    before = copy.deepcopy(tiny.module.state_dict())
    steps = optimize(tiny, "conv3:2", canvas=Fourier(1, 32), steps=10)
    next(steps)
    steps.close()  # type: ignore[attr-defined]
    assert all(torch.equal(before[key], value) for key, value in tiny.module.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in tiny.module.parameters())
    assert not any(m._forward_hooks for m in tiny.module.modules())


def test_hooks_are_gone_after_an_error_in_the_loop(tiny: Model) -> None:
    def broken(images: torch.Tensor, gradient: torch.Tensor, index: int) -> torch.Tensor:
        raise ZeroDivisionError

    before = {name: vars(module).keys() for name, module in tiny.module.named_modules()}
    with pytest.raises(ZeroDivisionError):
        next(optimize(tiny, "conv3:2", canvas=Fourier(1, 32), corrections=(broken,), steps=3))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in tiny.module.modules())
    assert {name: vars(module).keys() for name, module in tiny.module.named_modules()} == before
    assert render(tiny, "conv3:2", size=32, steps=2).scores.isfinite().all(), "and the next picture is made as ever"


def test_networks_of_one_size_get_views_of_that_size() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 8, stride=8), nn.Flatten(), nn.Linear(4 * 16, 3))
    model = wrap(module.eval(), input_size=32, fixed_size=True)
    out = render(model, "logits:1", size=48, steps=3)
    assert out.images.shape == (1, 3, 48, 48)


class Dead(nn.Module):
    """Channel 0 is dead for every image, channel 1 lives; channel 2 is dead on the start but a push can wake it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        self.conv.weight.data.fill_(1.0)
        self.conv.bias.data.copy_(torch.tensor([-100.0, 1.0, -1.55]))
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(b, 3, h, w) to the same shape."""
        return self.relu(self.conv(x))


def test_a_dead_unit_says_why() -> None:
    model = wrap(Dead().eval(), input_size=16)
    with pytest.raises(NoGradientError, match="dead ReLU"):
        render(model, "relu:0", size=16, steps=20)


def test_a_dead_unit_does_not_spoil_its_neighbours() -> None:
    model = wrap(Dead().eval(), input_size=16)
    out = render(model, ["relu:0", "relu:1"], size=16, steps=20)
    assert list(out.unreached) == [0]
    assert "dead ReLU" in out.unreached[0]
    assert out.scores[1] > 2.5


def test_redirected_gradients_wake_a_unit_that_noise_cannot() -> None:
    model = wrap(Dead().eval(), input_size=16)
    out = render(model, "relu:2", size=16, steps=40)
    assert not out.unreached
    assert out.scores[0] > 0.2


def test_a_detached_graph_is_named() -> None:
    class Detached(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 2, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.conv(x.detach())

    with pytest.raises(NoGradientError, match="detaches its graph"):
        render(wrap(Detached().eval(), input_size=16), "conv:0", size=16, steps=3)


def test_wrong_requests_are_refused(tiny: Model) -> None:
    with pytest.raises(BadInputError, match="2 objectives for a canvas of 3"):
        optimize(tiny, ["conv1:0", "conv1:1"], canvas=Fourier(3, 32))
    with pytest.raises(UnknownNameError, match="recipe"):
        render(tiny, "conv1:0", recipe="lucit")


def test_robust_scores_are_means_over_views(tiny: Model) -> None:
    images = photos(2, 32)
    scores = robust_scores(tiny, ["conv3:0", "conv3:1"], images, views=64)
    assert scores.shape == (2,)
    with record(tiny, ["conv3"]) as trace:
        tiny(images)
    plain = torch.stack([channel("conv3", i)(trace)[i] for i in range(2)])
    assert (scores - plain).abs().max() < 1.0
    assert not torch.equal(scores, plain)


def test_robust_scores_are_those_of_view_after_view(tiny: Model) -> None:
    """Views that are judged in batches are the same views, also of pictures that are judged together."""
    images, draws = photos(4, 32), Draws(5, [f"robust score {name}" for name in ("conv3:0", "conv3:1")])
    slow = torch.zeros(2)
    for _ in range(37):
        seen = apply(RECIPES["robust"].transforms, images[:2], draws)
        with record(tiny, ["conv3"]) as trace, torch.no_grad():
            tiny(seen)
        slow += torch.stack([trace["conv3"][place, place].mean() for place in range(2)]) / 37
    scores = robust_scores(tiny, ["conv3:0", "conv3:1"], images[:2], views=37, seed=5)
    assert torch.allclose(scores, slow, atol=1e-5)
    pair = channel("conv3", 0) + diversity("conv3", 2)
    both = robust_scores(tiny, [pair, pair, pair, pair], images, views=20)
    assert torch.allclose(robust_scores(tiny, [pair, pair], images[:2], views=20), both[:2], atol=1e-5)


def test_early_layers_get_smaller_canvases(lite0: Model) -> None:
    sizes = [
        default_size(lite0, [channel(name, 0)]) for name in ("conv_stem", "blocks.1.1", "blocks.2.1", "blocks.6.0")
    ]
    assert sizes == sorted(sizes)
    assert sizes[0] == 64
    assert sizes[-1] == 160


def test_chunks_shrink_with_the_picture(lite0: Model) -> None:
    deep = [channel("blocks.6.0", 0)]
    assert chunk_size(lite0, deep, 96) > chunk_size(lite0, deep, 1024) >= 1


def test_pictures_are_saved_one_file_each(tiny: Model, tmp_path: object) -> None:
    out = render(tiny, ["conv3:0", "conv3:0", neuron("conv2", 3, 1, 2)], size=32, steps=2)
    paths = out.save("pictures")
    assert [path.name for path in paths] == ["conv3_0.png", "conv3_0#1.png", "conv2_3@1,2.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


def test_jitter_as_the_only_view_works(tiny: Model) -> None:
    canvas = Fourier(1, 40)
    steps = list(optimize(tiny, "conv3:0", canvas=canvas, transforms=(Jitter(8),), steps=20, seed=3))
    assert steps[-1].scores > steps[0].scores


def test_a_module_in_training_mode_renders_as_in_eval() -> None:
    trained, evaluated = wrap(tiny_module().train(), input_size=32), wrap(tiny_module().eval(), input_size=32)
    first, second = (render(model, "conv3:2", size=32, steps=4).images for model in (trained, evaluated))
    assert torch.equal(first, second)
