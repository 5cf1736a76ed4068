"""Expanded weights: closed forms, one autograd call per channel, and the linear network's own answers."""

from functools import cache

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from retinoscope.base.errors import BadNetworkError, BadUnitError, UnknownNameError
from retinoscope.circuits.expand import expand, influence, raw_kernels, route
from retinoscope.network.model import Model
from retinoscope.network.record import forward, record
from retinoscope.network.wrap import wrap
from tests.circuits.networks import Body, by_hand, chain, fires, straightened
from tests.residual import Gated, Head, Tokens, first_version, lively, padded, second_version
from tests.samples import photos


def weight(model: Model, path: str) -> Tensor:
    return model.module.get_submodule(path).weight.detach()


def same(a: Tensor, b: Tensor, most: float = 1e-12) -> bool:
    """Whether two tensors of one shape differ by no more than `most` of the larger's scale."""
    return a.shape == b.shape and float((a - b).abs().max()) <= most * max(1.0, float(b.abs().max()))


def test_one_by_one_and_three_by_three_are_the_einsum() -> None:
    model = chain(
        nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 4, 1), nn.ReLU(inplace=True), nn.Conv2d(4, 5, 3, padding=1)
    )
    w1, w2 = weight(model, "body.2"), weight(model, "body.4")
    for source in ("body.0", "body.1"):
        assert same(expand(model, source, "body.4"), torch.einsum("obyx,bi->oiyx", w2, w1[:, :, 0, 0]))
    assert same(expand(model, "body.2", "body.4"), w2)
    assert same(expand(model, "body.1", "body.3"), w1)


def test_three_by_three_after_three_by_three_is_the_full_convolution() -> None:
    model = chain(
        nn.Conv2d(3, 6, 3, padding=1), nn.ReLU6(), nn.Conv2d(6, 4, 3), nn.SiLU(), nn.Conv2d(4, 5, 3, padding=1)
    )
    w1, w2 = weight(model, "body.2"), weight(model, "body.4")
    # A kernel over kernels: E[o, i](d) = sum over b, u + v = d of w2[o, b](u) w1[b, i](v).
    full = F.conv2d(w1.transpose(0, 1), w2.flip(2, 3), padding=2).transpose(0, 1)
    assert full.shape == (5, 6, 5, 5)
    assert same(expand(model, "body.0", "body.4"), full)


def test_batch_norms_are_folded() -> None:
    model = chain(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 4, 3), nn.BatchNorm2d(4))
    first, last = (model.module.get_submodule(f"body.{place}") for place in (1, 4))
    gains = [norm.weight.detach() / (norm.running_var + norm.eps).sqrt() for norm in (first, last)]
    folded = gains[1][:, None, None, None] * weight(model, "body.3")
    assert same(expand(model, "body.1", "body.4"), folded)
    assert same(expand(model, "body.0", "body.4"), folded * gains[0][:, None, None])


@cache
def everything() -> Model:
    """All that is linear: grouped, depthwise, dilated and strided convolutions, batch norm, mean pool, odd paddings."""
    return chain(
        nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, 2, 1, groups=8), nn.BatchNorm2d(8),
        nn.Conv2d(8, 12, 3, padding=2, dilation=2, groups=4), nn.AvgPool2d(2),
        nn.Conv2d(12, 12, (3, 5), 1, (0, 2), (2, 1), 12),
        nn.ConvTranspose2d(12, 6, 2, 2), nn.Conv2d(6, 5, 3, padding=1, padding_mode="zeros"), size=64,
    )  # fmt: skip


@pytest.mark.parametrize(("source", "target"), [("body.0", "body.5"), ("body.0", "body.3"), ("body.2", "body.4")])
def test_a_linear_networks_answers_are_its_weights_on_the_patch(source: str, target: str) -> None:
    """At several positions, on photos of the network's own size: also proves stride and offset of the route."""
    model = everything()
    kernels, way = expand(model, source, target), route(model, source, target)
    with torch.no_grad(), record(model, [source, target]) as trace:
        model(photos(2, 64).double())
        maps, answers = trace[source], trace[target]
        forward(model.module, torch.zeros(2, 3, 64, 64))
        rest, shift = trace[source], trace[target]
    assert way.size == tuple(kernels.shape[2:])
    middle = answers.shape[2] // 2
    for y, x in [(middle, middle), (middle - 1, middle), (middle, middle - 2)]:
        top, left = (int(p * s + o) for p, s, o in zip((y, x), way.stride, way.offset, strict=True))
        patch = (maps - rest)[:, :, top : top + way.size[0], left : left + way.size[1]]
        assert same(torch.einsum("oiyx,biyx->bo", kernels, patch), (answers - shift)[:, :, y, x], 1e-10)


def test_every_unit_has_the_middle_units_kernel_on_larger_maps_too() -> None:
    model = everything()
    way = route(model, "body.0", "body.5")
    assert (way.stride, way.bounded, way.replaced) == ((4.0, 4.0), False, ())
    reach = [model.layers["body.5"].field.size[axis] - model.layers["body.0"].field.size[axis] + 1 for axis in (0, 1)]
    assert all(size <= most for size, most in zip(way.size, reach, strict=True))


@pytest.mark.parametrize(
    ("source", "target"),
    [("body.0", "body.3"), ("body.3", "body.4"), ("body.4", "body.6"), ("body.3.one", "body.4"), ("body.1", "body.5")],
)
def test_concatenations_and_max_pools_against_one_call_per_channel(
    source: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = fires()
    kernels, way = expand(model, source, target), route(model, source, target)
    layer = model.layers[target]
    place = (layer.size[0] // 2, layer.size[1] // 2)
    monkeypatch.setattr(F, "relu", lambda x: x)
    maps = by_hand(straightened(model.module), source, target, 67, place)
    top, left = (int(p * s + o) for p, s, o in zip(place, way.stride, way.offset, strict=True))
    cut = maps[:, :, top : top + way.size[0], left : left + way.size[1]]
    assert same(kernels, cut, 1e-10)
    assert float(cut.abs().sum()) == pytest.approx(float(maps.abs().sum()))
    assert way.size == (int((maps != 0).any(3).any(0).any(0).sum()), int((maps != 0).any(2).any(0).any(0).sum()))


def test_an_identity_shortcut_adds_one_at_the_middle() -> None:
    model = second_version()
    block = model.module.get_submodule("body.2")
    with_shortcut = expand(model, "body.1", "body.2")
    branch = expand(model, "body.1", "body.2.conv2")
    delta = torch.zeros_like(branch)
    delta[range(8), range(8), 2, 2] = 1
    assert branch.shape == (8, 8, 5, 5)
    assert same(with_shortcut - branch, delta)
    first, second = (getattr(block, name) for name in ("norm1", "norm2"))
    g1, g2 = (n.weight.detach().double() / (n.running_var.double() + n.eps).sqrt() for n in (first, second))
    w1, w2 = block.conv1.weight.detach().double() * g1[:, None, None], block.conv2.weight.detach().double()
    w2 = w2 * g2[:, None, None]
    assert same(branch, F.conv2d(w1.transpose(0, 1), w2.flip(2, 3), padding=2).transpose(0, 1))


def test_padded_and_projected_shortcuts() -> None:
    model = padded()
    whole, branch = (expand(model, "body.0", target) for target in ("body.1", "body.1.conv2"))
    way, inner = (route(model, "body.0", target) for target in ("body.1", "body.1.conv2"))
    assert way.offset == inner.offset
    at = -int(way.offset[0])
    expected = torch.zeros_like(branch)
    expected[range(2, 6), range(4), at, at] = 1
    assert same(whole - branch, expected)
    model = first_version()
    parts = [expand(model, "body.1.2", f"body.2.0.{name}") for name in ("bn3", "projection")]
    total = expand(model, "body.1.2", "body.2.0")
    assert parts[1].shape[2:] == (1, 1)
    assert same(total, parts[0] + F.pad(parts[1], (1, 1, 1, 1)))


def paths(w1: Tensor, w2: Tensor) -> tuple[Tensor, Tensor]:
    """Sums of all positive and of all negative products over a 3 x 3 after a 3 x 3, by loops."""
    positive = torch.zeros(len(w2), w1.shape[1], 5, 5, dtype=torch.float64)
    negative = positive.clone()
    for (uy, ux), (vy, vx) in [
        ((a, b), (c, d)) for a in range(3) for b in range(3) for c in range(3) for d in range(3)
    ]:
        for b in range(len(w1)):
            product = w2[:, b, uy, ux, None] * w1[None, b, :, vy, vx]
            positive[:, :, uy + vy, ux + vx] += product.clamp(min=0)
            negative[:, :, uy + vy, ux + vx] += (-product).clamp(min=0)
    return positive, negative


def test_positive_and_negative_influence_are_the_sums_over_paths() -> None:
    model = chain(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 3, 3, padding=1), nn.ReLU(), nn.Conv2d(3, 5, 3))
    found = influence(model, "body.0", "body.3")
    positive, negative = paths(weight(model, "body.1"), weight(model, "body.3"))
    assert same(found.positive, positive)
    assert same(found.negative, negative)


class Differences(nn.Module):
    """Signs that no weight holds: a difference, a negative factor, a negation, in place and as operators."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1, bias=False), nn.Conv2d(4, 4, 1, bias=False)
        self.out = nn.Conv2d(4, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.a(x)
        y = -0.5 * self.b(x) - F.relu(self.c(x)) / torch.tensor(-2.0, dtype=x.dtype)
        y -= x
        return self.out(-y).mean((2, 3))


def test_influence_knows_every_sign() -> None:
    model = wrap(lively(Differences()).double(), input_size=8)
    found = influence(model, "a", "out")
    b, c, out = (weight(model, name)[:, :, 0, 0] for name in ("b", "c", "out"))
    identity = torch.eye(4, dtype=torch.float64)
    terms = [0.5 * out[:, :, None] * b, -0.5 * out[:, :, None] * c, out[:, :, None] * identity]
    for part, sign in ((found.positive, 1), (found.negative, -1)):
        assert same(part[:, :, 0, 0], sum((sign * term).clamp(min=0).sum(1) for term in terms))
    assert same(found.weights, expand(model, "a", "out"))


@pytest.mark.parametrize(("source", "target"), [("body.0", "body.5"), ("body.1", "body.3")])
def test_influences_are_bounds(source: str, target: str) -> None:
    found, signed = influence(everything(), source, target), expand(everything(), source, target)
    assert float(found.positive.min()) >= 0
    assert float(found.negative.min()) >= 0
    assert same(found.weights, signed)
    assert bool((found.positive + found.negative >= signed.abs() - 1e-12).all())


def test_kernels_are_as_large_as_the_connections_though_weights_are_zero() -> None:
    model = chain(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3, padding=1))
    model.module.get_submodule("body.2").weight.data[:, :, :, 1:] = 0
    assert expand(model, "body.1", "body.2").shape == (2, 4, 3, 3)


def test_support_is_the_receptive_field_between() -> None:
    model = chain(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 5, padding=2), nn.MaxPool2d(3, 2, 1), nn.Conv2d(4, 2, 3))
    far, near = model.layers["body.3"].field, model.layers["body.0"].field
    size = (far.size[0] - near.size[0]) // 1 + 1
    assert expand(model, "body.0", "body.3").shape == (2, 4, size, size)
    assert route(model, "body.0", "body.3").replaced == ("max_pool2d",)


def test_some_units_are_rows_of_all() -> None:
    model = everything()
    whole = expand(model, "body.1", "body.5")
    assert same(expand(model, "body.1", "body.5", [7, 0, 7]), whole[[7, 0, 7]])
    assert expand(model, "body.1", "body.5", []).shape == (0, *whole.shape[1:])


def test_more_units_than_one_pass_takes() -> None:
    model = chain(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 37, 3))
    assert same(expand(model, "body.1", "body.2"), weight(model, "body.2"))


def test_dense_layers_and_pooled_maps() -> None:
    model = first_version()
    kernels = expand(model, "body.2.1", "classes")
    size = model.layers["body.2.1"].size
    expected = weight(model, "classes").double()[:, :, None, None].expand(-1, -1, *size) / (size[0] * size[1])
    assert same(kernels, expected)
    assert route(model, "body.2.1", "classes").bounded


def test_tokens_through_dense_layers() -> None:
    module = Head(nn.Conv2d(3, 8, 4, 4), nn.Flatten(2), _Turned(), Tokens(8), count=8)
    model = wrap(lively(module), input_size=16)
    expected = weight(model, "body.3.down").double() @ weight(model, "body.3.up").double()
    found = expand(model, "body.3.norm", "body.3.down")
    assert found.shape == (8, 8, 1, 1)
    assert same(found[:, :, 0, 0], expected)


class _Turned(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2)


def test_what_is_not_linear_is_refused() -> None:
    gated = wrap(lively(Head(nn.Conv2d(3, 12, 3), Gated(12), count=12)), input_size=16)
    with pytest.raises(BadNetworkError, match=r"weights between 'body\.0' and 'body\.1': .*product of two signals"):
        expand(gated, "body.0", "body.1")
    assert expand(gated, "body.0", "body.1.depthwise").shape == (48, 12, 3, 3)
    normed = wrap(lively(Head(nn.Conv2d(3, 8, 4, 4), nn.Flatten(2), _Turned(), Tokens(8), count=8)), input_size=16)
    with pytest.raises(BadNetworkError, match="layer_norm"):
        expand(normed, "body.2", "body.3")


class _Squared(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.cumprod(1) - x.abs().cummax(1)[0]


def test_unknown_functions_are_told_by_name() -> None:
    model = chain(nn.Conv2d(3, 4, 3), _Squared(), nn.Conv2d(4, 4, 1))
    with pytest.raises(BadNetworkError, match="cumprod"):
        expand(model, "body.0", "body.2")


class _Mixed(nn.Module):
    """Linear, by a function whose signs nobody told of."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.diff(x, dim=1, prepend=torch.zeros_like(x[:, :1]))


def test_linear_functions_on_no_list_have_weights_but_no_signs() -> None:
    model = chain(nn.Conv2d(3, 4, 3), _Mixed(), nn.Conv2d(4, 4, 1))
    differences = torch.eye(4, dtype=torch.float64) - torch.eye(4, dtype=torch.float64).roll(1, 0).tril()
    found = expand(model, "body.0", "body.2")
    assert same(found[:, :, 0, 0], weight(model, "body.2")[:, :, 0, 0] @ differences)
    with pytest.raises(BadNetworkError, match="cannot tell the signs"):
        influence(model, "body.0", "body.2")


class _Beside(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return (self.a(x) + self.b(x)).mean((2, 3))


def test_layers_that_do_not_follow_are_refused() -> None:
    model = wrap(lively(_Beside()), input_size=12)
    with pytest.raises(BadNetworkError, match="'b' does not depend on 'a'"):
        expand(model, "a", "b")
    with pytest.raises(BadNetworkError, match="'a' does not come after 'b'"):
        expand(model, "b", "a")
    with pytest.raises(UnknownNameError, match="nowhere"):
        expand(model, "a", "nowhere")
    with pytest.raises(BadUnitError, match="out of range"):
        expand(model, "a", "logits", [4])


def test_the_network_is_left_as_it_was(tiny: Model) -> None:
    tiny.module.train()
    before = {name: value.clone() for name, value in tiny.module.state_dict().items()}
    assert expand(tiny, "depthwise", "conv3").shape == (12, 8, 5, 5)
    assert tiny.module.training
    assert all(torch.equal(value, before[name]) for name, value in tiny.module.state_dict().items())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in tiny.module.parameters())


def test_shared_and_functional_in_place_activations(tiny: Model) -> None:
    w2, w3 = weight(tiny, "conv2").double(), weight(tiny, "conv3").double()
    full = F.conv2d(w2.transpose(0, 1), w3.flip(2, 3), padding=2).transpose(0, 1)
    assert same(expand(tiny, "relu#2", "conv3"), full)
    assert route(tiny, "relu#1", "conv3").replaced == ("relu",)


def test_networks_of_one_size_alone() -> None:
    model = wrap(lively(Body(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 5))), input_size=8, fixed_size=True)
    expected = weight(model, "body.2").double().view(5, 4, 6, 6)
    assert same(expand(model, "body.0", "body.2"), expected)


def test_raw_kernels() -> None:
    model = chain(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 6, 3, groups=2), nn.Conv2d(6, 6, 3, groups=6))
    for layer, before in (("body.1", "body.0"), ("body.2", "body.1")):
        assert same(raw_kernels(model, layer), expand(model, before, layer))
    assert torch.equal(raw_kernels(model, "body.0"), weight(model, "body.0"))
    assert raw_kernels(first_version(), "classes").shape == (4, 16, 1, 1)
    with pytest.raises(BadNetworkError, match=r"'body\.1\.0\.bn1' is a BatchNorm2d"):
        raw_kernels(first_version(), "body.1.0.bn1")


def test_the_embedded_network_against_one_call_per_channel(lite0: Model) -> None:
    """blocks.3.0 from blocks.2.1: TensorFlow's uneven padding, stride 2, ReLU6 as modules."""
    units = [0, 21, 79]
    kernels = expand(lite0, "blocks.2.1", "blocks.3.0", units)
    way = route(lite0, "blocks.2.1", "blocks.3.0")
    assert (way.size, way.offset, way.stride, way.replaced) == ((3, 3), (0.0, 0.0), (2.0, 2.0), ("hardtanh",))
    maps = by_hand(straightened(lite0.module), "blocks.2.1", "blocks.3.0", 224, (7, 7))[units]
    assert same(kernels, maps[:, :, 14:17, 14:17], 1e-10)
    assert float(maps.abs().sum()) == pytest.approx(float(kernels.abs().sum()))
