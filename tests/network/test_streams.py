"""Streams: which layers share channels, and that what they are said to add is what they add."""

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

from retinoscope.base.errors import BadNetworkError, UnknownNameError
from retinoscope.network.model import Model
from retinoscope.network.record import record
from retinoscope.network.streams import Stream, letter, stream_of, streams
from retinoscope.network.wrap import wrap
from tests.residual import Dense, Gated, Head, Patches, Tokens, first_version, lively, padded, plain, second_version
from tests.samples import photos, tiny_module


def test_first_version() -> None:
    low, high = streams(first_version())
    assert (low.name, low.channels, low.additive, low.layers) == (
        "body.1", 12, False, ("body.1.0", "body.1.1", "body.1.2")
    )  # fmt: skip
    a, b, _ = low.members
    assert [member.name for member in low.members] == ["a", "b", "c"]
    assert (a.kind, a.branch, a.shortcut) == ("projection", "body.1.0.bn3", "body.1.0.projection")
    assert (b.kind, b.branch, b.shortcut) == ("identity", "body.1.1.bn3", None)
    assert [(inner.layer, inner.role, inner.channels) for inner in b.inner] == [
        ("body.1.1.relu#1", "reduce", 4), ("body.1.1.relu#2", "spatial", 4), ("body.1.1.bn3", "expand", 12)
    ]  # fmt: skip
    assert (high.name, high.layers, high.before, high.carried) == ("body.2", ("body.2.0", "body.2.1"), None, ())


def test_second_version_starts_at_the_stem_and_is_additive() -> None:
    (stream,) = streams(second_version())
    assert stream.layers == ("body.0", "body.1", "body.2")
    assert [m.kind for m in stream.members] == ["start", "identity", "identity"]
    assert stream.additive
    assert [(i.layer, i.role) for i in stream.members[1].inner] == [
        ("body.1.norm2", "spatial"), ("body.1.conv2", "spatial")
    ]  # fmt: skip


def test_padded_shortcuts_hand_channels_on_displaced() -> None:
    first, second = streams(padded())
    assert first.layers == ("body.1", "body.2")
    assert (first.members[0].kind, first.carried) == ("padded", ())  # the stem is in no stage
    assert second.layers == ("body.3", "body.4")
    assert (second.before, second.carried) == (first.name, tuple((i, i + 2) for i in range(8)))
    roles = [inner.role for inner in second.members[1].inner]
    assert roles == ["expand", "spatial", "gate", "gate", "reduce"]


def test_tokens_with_a_class_token() -> None:
    (stream,) = streams(wrap(lively(Head(Patches(8), Tokens(8), Tokens(8), count=8)), input_size=16))
    assert stream.layers == ("body.0", "body.1", "body.2")
    assert [(i.layer, i.role) for i in stream.members[1].inner] == [("body.1.up", "expand"), ("body.1.down", "reduce")]


@pytest.mark.parametrize("module", [Dense(), tiny_module()], ids=["concatenations", "a sum that is no layer's"])
def test_no_streams(module: nn.Module) -> None:
    assert streams(wrap(module, input_size=16)) == ()


def test_plain_networks_have_none() -> None:
    assert streams(plain()) == ()
    with pytest.raises(BadNetworkError, match="no identity shortcuts"):
        stream_of((), "body.0")


class Wired(nn.Module):
    """Two sums, wired as asked for."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.conv1, self.conv2, self.act = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 6, 3, padding=1), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        y = self.conv2(x)
        if self.kind == "reversed":
            x = x.flip(1)
        if self.kind == "shuffled":
            x = nn.functional.channel_shuffle(x, 2)
        if self.kind == "scaled":
            x = 0.5 * nn.functional.dropout(x, 0.1, self.training)
        if self.kind == "self":
            y = x
        return self.act(y + x).mean((2, 3))


@pytest.mark.parametrize(
    ("kind", "count"), [("plain", 1), ("scaled", 1), ("reversed", 0), ("shuffled", 0), ("self", 0)]
)
def test_only_channels_that_stay_in_place_count(kind: str, count: int) -> None:
    assert len(streams(wrap(lively(Wired(kind)), input_size=12))) == count


def members_add_up(model: Model, found: Stream) -> None:
    """Every block's output is its shortcut plus its branch, through a ReLU unless the stream is additive [chu2017]."""
    names = {n for m in found.members for n in (m.layer, m.branch, m.shortcut) if n}
    with torch.no_grad(), record(model, list(names)) as trace:
        model(photos(2, model.input_size[0]))
    for before, member in zip(found.members, found.members[1:], strict=False):
        assert member.branch
        total = trace[before.layer] + trace[member.branch]
        expected = total if found.additive else total.relu()
        assert torch.equal(trace[member.layer], expected), member
    first = found.members[0]
    if first.kind == "projection":
        assert first.branch
        assert first.shortcut
        total = trace[first.shortcut] + trace[first.branch]
        assert torch.equal(trace[first.layer], total if found.additive else total.relu())


def test_small_networks_add_up() -> None:
    for model in (first_version(), second_version()):
        for found in streams(model):
            members_add_up(model, found)


def test_decomposition_of_an_activation() -> None:
    """Where no sum before a ReLU is negative, c is a plus the branches of b and c."""
    model = first_version()
    low = streams(model)[0]
    names = [n for m in low.members for n in (m.layer, m.branch) if n]
    with torch.no_grad(), record(model, names) as trace:
        model(photos(4, 16))
    a, b, c = low.members
    whole = trace[a.layer] + trace[b.branch or ""] + trace[c.branch or ""]
    open_ = (trace[a.layer] + trace[b.branch or ""] >= 0) & (whole >= 0)
    assert 0.1 < float(open_.float().mean()) < 1
    assert torch.allclose(trace[c.layer][open_], whole[open_], atol=1e-6)


def test_torchvision_resnet18() -> None:
    model = wrap(lively(torchvision.models.resnet18()), input_size=64)
    found = streams(model)
    assert [stream.name for stream in found] == ["layer1", "layer2", "layer3", "layer4"]
    assert found[0].layers == ("maxpool", "layer1.0", "layer1.1")
    assert [m.kind for m in found[1].members] == ["projection", "identity"]
    for stream in found:
        members_add_up(model, stream)


def test_timm_preactivation_resnet() -> None:
    model = wrap(lively(timm.create_model("resnetv2_18")), input_size=64)
    found = streams(model)
    assert [len(stream.members) for stream in found] == [2, 2, 2, 2] or found[0].members[0].kind == "start"
    assert all(stream.additive for stream in found)
    for stream in found:
        members_add_up(model, stream)


def test_efficientnet(lite0: Model) -> None:
    found = streams(lite0)
    assert [stream.name for stream in found] == [f"blocks.{i}" for i in range(1, 6)]
    assert found[4].layers == tuple(f"blocks.5.{i}" for i in range(4))
    assert all(stream.additive and stream.members[0].kind == "start" for stream in found)
    assert [inner.role for inner in found[0].members[1].inner] == ["expand", "spatial", "reduce"]
    members_add_up(lite0, found[0])


def test_a_stream_by_any_of_its_layers() -> None:
    found = streams(first_version())
    assert stream_of(found, "body.1") is stream_of(found, "body.1.2") is stream_of(found, "body.1.1.relu#1") is found[0]
    assert stream_of(found, "body.2.0.projection") is found[1]
    with pytest.raises(UnknownNameError, match=r"nearest: body\.1"):
        stream_of(found, "body.1.7")


def test_the_users_module_stays_as_it_is() -> None:
    model = wrap(Head(nn.Conv2d(3, 4, 3), Gated(4), count=4).train(), input_size=12)
    before = {name: value.clone() for name, value in model.module.state_dict().items()}
    streams(model)
    assert model.module.training
    assert all(torch.equal(value, before[name]) for name, value in model.module.state_dict().items())


def test_letters() -> None:
    assert [letter(i) for i in (0, 25, 26, 51, 52)] == ["a", "z", "aa", "az", "ba"]
