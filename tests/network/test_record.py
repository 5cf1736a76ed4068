"""Recording gives every layer's true values, whatever comes after it, and stops where it can."""

import copy

import pytest
import torch
from torch import Tensor, nn

from retinoscope.base.errors import BadInputError, UnknownNameError
from retinoscope.network.model import Model
from retinoscope.network.record import record
from retinoscope.network.zoo import wrap
from tests.samples import Tiny, photos, tiny_module


def slow_values(module: Tiny, x: Tensor) -> dict[str, Tensor]:
    """Tiny's forward pass written out, without a single in-place operation."""
    seen = {"conv1": module.conv1(x)}
    seen["bn1"] = module.bn1(seen["conv1"])
    seen["relu#1"] = seen["bn1"].clamp(min=0)
    seen["depthwise"] = module.depthwise(seen["relu#1"])
    seen["relu#2"] = seen["depthwise"].clamp(min=0)
    seen["conv2"] = module.conv2(seen["relu#2"])
    after = seen["conv2"].clamp(min=0)
    seen["conv3"] = module.conv3(after)
    seen["head"] = seen["logits"] = module.head((seen["conv3"] + after).clamp(min=0).mean((2, 3)))
    return seen


def test_all_layers_at_once_are_right_with_in_place_shared_and_functional_relus(tiny: Model) -> None:
    x = photos(2, 32)
    expected = slow_values(tiny_module(), x)
    assert set(tiny.layers) == set(expected)
    with record(tiny, list(expected)) as trace:
        tiny(x)
    for name, value in expected.items():
        assert torch.equal(trace.raw(name), value), name
    assert trace["conv2"].min().item() < 0, "conv2 is recorded before its ReLU"


@pytest.mark.parametrize("name", ["conv1", "bn1", "relu#1", "relu#2", "conv2", "conv3"])
def test_each_layer_alone_is_right_too(tiny: Model, name: str) -> None:
    x = photos(2, 32)
    with record(tiny, [name]) as trace:
        tiny(x)
    assert torch.equal(trace.raw(name), slow_values(tiny_module(), x)[name])


def test_the_pass_stops_after_the_deepest_layer(tiny: Model) -> None:
    ran: list[str] = []
    handles = [m.register_forward_hook(lambda *_, n=n: ran.append(n)) for n, m in tiny.module.named_children()]
    with record(tiny, ["conv2", "conv1"]):
        assert tiny(photos(1, 32)).shape == (1, 0)
    for handle in handles:
        handle.remove()
    assert ran == ["conv1", "bn1", "relu", "depthwise", "relu", "conv2"]


def test_hooks_are_gone_after_an_error(tiny: Model) -> None:
    with pytest.raises(ZeroDivisionError), record(tiny, ["conv1"]):
        1 / 0  # noqa: B018
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in tiny.module.modules())


def test_the_trace_holds_the_latest_pass(tiny: Model) -> None:
    first, second = photos(1, 32, 0), photos(1, 32, 1)
    with record(tiny, ["relu#2"]) as trace:
        tiny(first)
        tiny(second)
    assert torch.equal(trace.raw("relu#2"), slow_values(tiny_module(), second)["relu#2"])


class Tokens(nn.Module):
    """A class token and a 4 x 4 patch grid through one mixing layer, as vision transformers lay it out (b, n, c)."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 6, 8, stride=8)
        self.cls = nn.Parameter(torch.zeros(1, 1, 6))
        self.mix = nn.Linear(6, 6)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(b, 3, 32, 32) to (b, 3)."""
        tokens = self.patch(x).flatten(2).transpose(1, 2)
        tokens = torch.cat((self.cls.expand(len(x), -1, -1), tokens), 1)
        return self.head(self.mix(tokens)[:, 0])


def test_tokens_come_as_their_patch_grid_channels_first() -> None:
    torch.manual_seed(0)
    module = Tokens().eval()
    model = wrap(module, input_size=32, fixed_size=True)
    x = photos(2, 32)
    with record(model, ["mix"]) as trace:
        model(x)
    grid = module.patch(x)
    expected = torch.einsum("bcyx,oc->boyx", grid, module.mix.weight) + module.mix.bias[:, None, None]
    assert model.layers["mix"].layout == "tokens"
    assert trace["mix"].shape == (2, 6, 4, 4)
    assert torch.allclose(trace["mix"], expected, atol=1e-6)
    assert trace.raw("mix").shape == (2, 17, 6)


def test_a_module_called_twice_must_be_named_with_its_call(tiny: Model) -> None:
    with pytest.raises(UnknownNameError, match="relu#1 to relu#2"), record(tiny, ["relu"]):
        pass


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (torch.rand(3, 32, 32), r"photo\[None\]"),
        (torch.rand(1, 1, 32, 32), "must be"),
        (torch.randint(0, 255, (1, 3, 32, 32)), "Divide bytes by 255"),
        (torch.rand(1, 3, 32, 32) * 255, "normalises itself"),
        (torch.full((1, 3, 32, 32), float("nan")), "must lie in"),
    ],
)
def test_bad_photos_say_what_came_and_what_to_do(tiny: Model, bad: Tensor, said: str) -> None:
    with pytest.raises(BadInputError, match=said):
        tiny.check(bad)  # what calling a Model does first


def test_grey_and_bgr_networks_get_luma_and_reversed_channels() -> None:
    x = photos(2, 16)
    grey = wrap(nn.Sequential(nn.Conv2d(1, 2, 3)), input_size=16, grey=True, mean=(0.5,), std=(0.25,))
    luma = 0.299 * x[:, 0] + 0.587 * x[:, 1] + 0.114 * x[:, 2]
    assert torch.allclose(grey.normalize(x)[:, 0], (luma - 0.5) / 0.25, atol=1e-5)
    bgr = wrap(nn.Sequential(nn.Conv2d(3, 2, 3)), input_size=16, bgr=True, mean=(0.1, 0.2, 0.3), std=(1.0, 2.0, 4.0))
    expected = (x.flip(1) - torch.tensor([0.1, 0.2, 0.3])[:, None, None]) / torch.tensor([1.0, 2.0, 4.0])[:, None, None]
    assert torch.allclose(bgr.normalize(x), expected, atol=1e-6)


def test_the_users_module_is_never_changed(tiny: Model) -> None:
    before = copy.deepcopy(tiny.module.state_dict())
    with record(tiny, ["conv3"]):
        tiny(photos(2, 32))
    after = tiny.module.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)
