"""Receptive fields against published closed forms and against measured gradient support."""

import warnings

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.resnet import Bottleneck, ResNet

from retinoscope.network.model import ReceptiveField
from retinoscope.network.trace import trace

ALEXNET = {0: (11, 4, 2), 2: (19, 8, 2), 3: (51, 8, 18), 5: (67, 16, 18), 6: (99, 16, 34), 8: (131, 16, 50)}
ALEXNET |= {10: (163, 16, 66), 12: (195, 32, 66)}
VGG16 = {4: (6, 2, 2), 9: (16, 4, 6), 16: (44, 8, 18), 23: (100, 16, 42), 28: (196, 16, 90), 30: (212, 32, 90)}
VGG19 = {1: (3, 1, 1), 6: (10, 2, 4), 8: (14, 2, 6), 11: (24, 4, 10), 20: (68, 8, 30), 29: (156, 16, 70)}
VGG19 |= {35: (252, 16, 118), 36: (268, 32, 118)}
RESNET50 = {"conv1": (7, 2, 3), "maxpool": (11, 4, 5)}
RESNET50 |= {f"layer1.{i}": (19 + 8 * i, 4, 9 + 4 * i) for i in range(3)}
RESNET50 |= {f"layer2.{i}": (43 + 16 * i, 8, 21 + 8 * i) for i in range(4)}
RESNET50 |= {f"layer3.{i}": (107 + 32 * i, 16, 53 + 16 * i) for i in range(6)}
RESNET50 |= {f"layer4.{i}": (299 + 64 * i, 32, (299 + 64 * i - 1) // 2) for i in range(3)}
# torchvision's GoogLeNet has 3 x 3 kernels where the article's has 5 x 5 ones: 2 strides more per block, not 4.
GOOGLENET = {"conv3": (19, 4), "maxpool2": (27, 8), "inception3a": (43, 8), "inception3b": (59, 8)}
GOOGLENET |= {"maxpool3": (75, 16), "inception4a": (107, 16), "inception4e": (235, 16), "maxpool4": (251, 32)}
GOOGLENET |= {"inception5a": (315, 32), "inception5b": (379, 32)}
INCEPTION3 = {"Mixed_5b": (63, 8, 18), "Mixed_6a": (159, 16, 58), "Mixed_6e": (927, 16, 442)}
INCEPTION3 |= {"Mixed_7a": (1055, 32, 490), "Mixed_7c": (1311, 32, 618)}


# The article's first Inception, with 5 x 5 kernels: four strides more in each block.
INCEPTION1 = {"inception3a": (59, 8), "inception3b": (91, 8), "maxpool3": (107, 16), "inception4a": (171, 16)}
INCEPTION1 |= {"inception4b": (235, 16), "inception4c": (299, 16), "inception4d": (363, 16), "inception4e": (427, 16)}
INCEPTION1 |= {"maxpool4": (459, 32), "inception5a": (587, 32), "inception5b": (715, 32)}
INCEPTION4 = {5: (55, 8, 14), 9: (183, 8, 78), 10: (215, 16, 86), 17: (1559, 16, 758), 18: (1687, 32, 806)}
INCEPTION4 |= {21: (2071, 32, 998)}
MOBILENET = {"blocks.2.1": (43, 8, 21), "blocks.3.5": (219, 16, 109), "blocks.4.0": (251, 32, 125)}
MOBILENET |= {"blocks.4.1": (315, 32, 157)}
# TF-slim's residual networks have their strides in the last unit of a block. The last block's fields, by its depths.
SLIM = {(3, 4, 6, 3): 483, (3, 4, 23, 3): 1027, (3, 8, 36, 3): 1507, (3, 24, 36, 3): 1763}
CAFFE = {"layer1": (19, 8, 7, 4, 3), "layer2": (51, 16, 23, 8, 4), "layer3": (131, 32, 63, 16, 6)}
CAFFE |= {"layer4": (355, 64, 175, 32, 3)}
"""Field, its growth by unit, padding, stride, units."""


def hollow(name: str, **options: bool) -> nn.Module:
    """A torchvision network whose weights are whatever lies in memory: its receptive fields need none."""
    with torch.device("meta"):
        module: nn.Module = torchvision.models.get_model(name, **options)
    return module.to_empty(device="cpu")


def triple(field: ReceptiveField) -> tuple[float, float, float]:
    assert field.size[0] == field.size[1]
    assert field.stride[0] == field.stride[1]
    assert field.padding[0] == field.padding[1]
    assert not field.whole
    return field.size[0], field.stride[0], field.padding[0]


@pytest.mark.parametrize(("name", "rows"), [("alexnet", ALEXNET), ("vgg16", VGG16), ("vgg19", VGG19)])
def test_plain_networks_have_their_published_fields(name: str, rows: dict[int, tuple[int, int, int]]) -> None:
    layers = trace(hollow(name).features, (64, 64))
    assert {i: triple(layers[str(i)].field) for i in rows} == rows


def test_resnet50_has_its_published_fields() -> None:
    layers = trace(hollow("resnet50"), (96, 96))
    assert {name: triple(layers[name].field) for name in RESNET50} == RESNET50
    assert all(layers[name].field.aligned for name in RESNET50)
    assert layers["layer4.2"].field.center(0, 0) == (0, 0)
    assert layers["avgpool"].field.whole
    assert layers["fc"].field.whole


def test_googlenet_has_its_closed_forms() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        layers = trace(hollow("googlenet", init_weights=False, aux_logits=False), (96, 96))
    fields = {name: layers[name].field for name in GOOGLENET}
    assert {name: (f.size[0], f.stride[0]) for name, f in fields.items()} == GOOGLENET


def test_the_first_inception_has_its_closed_forms() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        module = hollow("googlenet", init_weights=False, aux_logits=False)
    module.maxpool4 = nn.MaxPool2d(3, 2, ceil_mode=True)  # torchvision's has 2 x 2
    for name in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"):
        conv = module.get_submodule(f"inception{name}.branch3.1.conv")
        conv.kernel_size, conv.padding = (5, 5), (2, 2)
        conv.weight = nn.Parameter(torch.zeros(*conv.weight.shape[:2], 5, 5))
    fields = {name: layer.field for name, layer in trace(module, (96, 96)).items() if name in INCEPTION1}
    assert {name: (field.size[0], field.stride[0]) for name, field in fields.items()} == INCEPTION1


def test_published_fields_of_timms_networks() -> None:
    with torch.device("meta"):
        built = {name: timm.create_model(name) for name in ("inception_v4", "inception_resnet_v2", "mobilenetv1_100")}
    found = {name: trace(module.to_empty(device="cpu").eval(), (107, 107)) for name, module in built.items()}
    assert {i: triple(found["inception_v4"][f"features.{i}"].field) for i in INCEPTION4} == INCEPTION4
    assert triple(found["inception_resnet_v2"]["conv2d_7b"].field) == (3039, 32, 1482)
    # Published at 321 pixels; at 224 the reference pads unevenly.
    assert {name: triple(found["mobilenetv1_100"][name].field) for name in MOBILENET} == MOBILENET


def bottlenecks(depths: tuple[int, ...]) -> ResNet:
    with torch.device("meta"):
        return ResNet(Bottleneck, list(depths)).to_empty(device="cpu")


@pytest.mark.parametrize(("depths", "size"), SLIM.items())
def test_slims_residual_networks_have_their_published_fields(depths: tuple[int, ...], size: int) -> None:
    module = bottlenecks(depths)
    for place in range(1, 5):
        stage = module.get_submodule(f"layer{place}")
        for unit in stage:
            unit.conv2.stride = (1, 1)
        if place > 1:
            stage[0].downsample[0].stride = (1, 1)
        if place < 4:
            stage[-1].conv2.stride, stage[-1].downsample = (2, 2), nn.MaxPool2d(1, 2)
    layers = trace(module, (32, 32))
    assert triple(layers["layer1"].field) == (35, 8, 17)
    assert triple(layers["layer4"].field) == (size, 32, (size - 1) // 2)  # 241 for 483, as published at 321 pixels


def test_caffes_resnet50_has_its_closed_forms() -> None:
    """Strides in the first 1 x 1 convolution of a stage, and a first pool without padding."""
    module = bottlenecks((3, 4, 6, 3))
    module.maxpool.padding, module.maxpool.ceil_mode = 0, True
    for name in ("layer2", "layer3", "layer4"):
        unit = module.get_submodule(f"{name}.0")
        unit.conv1.stride, unit.conv2.stride = (2, 2), (1, 1)
    layers = trace(module, (48, 48))
    for name, (size, more, padding, stride, units) in CAFFE.items():
        for unit in range(units):
            wanted = (size + unit * more, stride, padding + unit * more // 2)
            assert triple(layers[f"{name}.{unit}"].field) == wanted, (name, unit)


def test_inception_v3_has_its_published_fields() -> None:
    layers = trace(hollow("inception_v3", init_weights=False, aux_logits=False), (299, 299))
    assert {name: triple(layers[name].field) for name in INCEPTION3} == INCEPTION3


@pytest.mark.parametrize(("name", "layer"), [("resnet18", "layer4"), ("mobilenet_v2", "features")])
def test_residual_networks_are_centred_where_the_image_is(name: str, layer: str) -> None:
    field = trace(hollow(name), (96, 96))[layer].field
    assert field.aligned
    assert field.center(3, 3) == (96, 96)


def linearised(module: nn.Module) -> nn.Module:
    """The module with positive weights and nothing that hides gradients: its gradient support is its whole field."""
    for name, child in module.named_children():
        if isinstance(child, nn.ReLU | nn.ReLU6 | nn.BatchNorm2d | nn.Dropout):
            setattr(module, name, nn.Identity())
        elif isinstance(child, nn.MaxPool2d):
            setattr(module, name, nn.AvgPool2d(child.kernel_size, child.stride, child.padding, child.ceil_mode))
        else:
            linearised(child)
    with torch.no_grad():
        for parameter in module.parameters(recurse=False):
            parameter.fill_(0.5)
    return module.double()


def support(output: Tensor, image: Tensor, y: int, x: int) -> tuple[int, int, int, int]:
    """Top, left, bottom, right (half open) of the pixels that a position of the output depends on."""
    (gradient,) = torch.autograd.grad(output[0, :, y, x].sum(), image)
    rows, columns = (gradient.abs().sum((0, 1)).sum(axis).nonzero() for axis in (1, 0))
    if not len(rows):
        return 0, 0, 0, 0
    return int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1


def assert_support_is_box(module: nn.Module, size: int) -> None:
    """The last layer's box equals its gradient support inside the image, and covers it where padding comes in."""
    module = linearised(module)
    layer = list(trace(module, (size, size)).values())[-1]
    image = torch.ones(1, 3, size, size, dtype=torch.float64, requires_grad=True)
    inside = 0
    for y, x in {(0, 0), (layer.size[0] // 2, layer.size[1] // 2), (layer.size[0] - 1, 0)}:
        top, left, bottom, right = support(module(image), image, y, x)
        box = layer.field.box(y, x)
        if box == box.clip(size, size):
            assert (top, left, bottom, right) == (box.top, box.left, box.bottom, box.right)
            inside += 1
        elif bottom:
            assert top >= box.top
            assert left >= box.left
            assert bottom <= box.bottom
            assert right <= box.right
    assert inside


class Wrapped(nn.Module):
    """One named child, so that the stack's own output is a layer."""

    def __init__(self, *children: nn.Module) -> None:
        super().__init__()
        self.stack = nn.Sequential(*children)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.stack(x)
        return out


def random_stack(seed: int) -> nn.Module:
    draw = torch.Generator().manual_seed(seed)

    def pick(*options: int) -> int:
        return options[int(torch.randint(len(options), (1,), generator=draw))]

    layers: list[nn.Module] = []
    for _ in range(3):
        kernel, stride, dilation = (pick(1, 3, 4, 5), pick(1, 3)), pick(1, 1, 2), pick(1, 1, 2)
        stride = min(stride, kernel[0], kernel[1])  # a stride beyond the kernel leaves holes, which a box cannot show
        dilation = dilation if stride == 1 else 1
        pads = [pick(0, 1, 2) for _ in range(4)]
        layers += [nn.ZeroPad2d(tuple(pads)), nn.Conv2d(3, 3, kernel, stride, dilation=dilation), nn.ReLU(inplace=True)]
        if pick(0, 1):
            layers.append(nn.MaxPool2d(3, pick(1, 2), pick(0, 1), ceil_mode=bool(pick(0, 1))))
    return Wrapped(*layers)


@pytest.mark.parametrize("seed", range(20))
def test_random_stacks_have_the_field_their_gradient_shows(seed: int) -> None:
    assert_support_is_box(random_stack(seed), 160)


def test_the_articles_example_of_asymmetric_padding() -> None:
    """k 3, p 1, s 3, then k 2: position 0 sees pixels -1 to 4 (Araujo, Norris, Sim 2019)."""
    layers = trace(Wrapped(nn.Conv2d(3, 1, 3, 3, 1), nn.Conv2d(1, 1, 2)), (30, 30))
    field = layers["stack.1"].field
    assert triple(field) == (6, 3, 1)
    assert (field.box(0, 0).top, field.box(0, 0).bottom - 1) == (-1, 4)


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, 2, 0), (4, 2, 1), (3, 2, 1), (3, 1, 1)])
def test_transposed_convolution_covers_what_its_gradient_shows(kernel: int, stride: int, padding: int) -> None:
    module = linearised(Wrapped(nn.Conv2d(3, 3, 3, 2, 1), nn.ConvTranspose2d(3, 3, kernel, stride, padding)))
    assert_covered(module, 20)


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("scale", [2.0, 0.5, 1.5])
def test_interpolation_covers_what_its_gradient_shows(mode: str, scale: float) -> None:
    module = linearised(Wrapped(nn.Conv2d(3, 3, 3, 2, 1), nn.Upsample(scale_factor=scale, mode=mode)))
    assert_covered(module, 20)


@pytest.mark.parametrize(
    "last",
    [nn.AdaptiveAvgPool2d(5), nn.PixelShuffle(2), nn.PixelUnshuffle(2), nn.ReflectionPad2d(2), nn.ReplicationPad2d(1)],
)
def test_other_resizing_covers_what_its_gradient_shows(last: nn.Module) -> None:
    assert_covered(linearised(Wrapped(nn.Conv2d(3, 4, 3, 2, 1), last)), 20)


def assert_covered(module: nn.Module, size: int) -> None:
    """At every position the box holds the gradient support, and at some position each edge is reached."""
    layer = list(trace(module, (size, size)).values())[-1]
    assert not layer.field.whole
    image = torch.ones(1, 3, size, size, dtype=torch.float64, requires_grad=True)
    slack = []
    for y in range(layer.size[0]):
        x = y % layer.size[1]
        measured = support(module(image), image, y, x)
        box = layer.field.box(y, x).clip(size, size)
        edges = (box.top, box.left, box.bottom, box.right)
        assert edges[0] <= measured[0]
        assert edges[1] <= measured[1]
        assert edges[2] >= measured[2]
        assert edges[3] >= measured[3]
        slack.append(measured[0] - edges[0] + edges[2] - measured[2])
    assert min(slack) <= 4


class TwoPaths(nn.Module):
    def __init__(self, left: nn.Module, right: nn.Module, join: str = "add") -> None:
        super().__init__()
        self.left, self.right, self.end, self.join = left, right, nn.ReLU(), join

    def forward(self, x: Tensor) -> Tensor:
        left, right = self.left(x), self.right(x)
        joined = left + right if self.join == "add" else torch.cat([left, right], 1)
        out: Tensor = self.end(joined)
        return out


@pytest.mark.parametrize("join", ["add", "cat"])
def test_aligned_paths_meet_in_the_larger_field(join: str) -> None:
    layers = trace(TwoPaths(nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(3, 4, 7, 2, 3), join), (32, 32))
    assert layers["end"].field == ReceptiveField((7, 7), (2, 2), (3, 3))


def test_paths_of_other_centres_are_reported_and_united() -> None:
    layers = trace(TwoPaths(nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(3, 4, 2, 2, 0)), (32, 32))
    assert layers["end"].field == ReceptiveField((3, 3), (2, 2), (1, 1), aligned=False)


def test_paths_of_other_strides_are_reported_and_cover_both() -> None:
    coarse = nn.Sequential(nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d(8))
    field = trace(TwoPaths(nn.Conv2d(3, 4, 3, 4), coarse), (34, 34))["end"].field
    assert not field.aligned
    assert field.box(0, 0).top <= 0
    assert field.box(7, 7).bottom >= 34


def test_upsampled_paths_keep_their_own_reach() -> None:
    fast = nn.Sequential(nn.Conv2d(3, 4, 4, 4), nn.Upsample(scale_factor=2))
    field = trace(TwoPaths(nn.Conv2d(3, 4, 2, 2), fast), (32, 32))["end"].field
    assert field == ReceptiveField((6, 6), (2, 2), (2, 2))


class Gate(nn.Module):
    """Squeeze and excitation."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.squeeze, self.end = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        x = x * self.squeeze(x.mean((2, 3), keepdim=True)).sigmoid()
        out: Tensor = self.end(x)
        return out


def test_a_global_gate_keeps_the_local_field() -> None:
    layers = trace(Gate(), (16, 16))
    assert layers["squeeze"].field.whole
    assert layers["end"].field == ReceptiveField((5, 5), (1, 1), (1, 1), gated=True)


class Same(nn.Module):
    """Convolution after asymmetric padding, as TensorFlow's 'same'."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.end = nn.Conv2d(3, 4, 3, 2), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.end(self.conv(F.pad(x, (0, 1, 0, 1))))
        return out


def test_functional_padding_moves_the_field() -> None:
    assert trace(Same(), (16, 16))["end"].field == ReceptiveField((3, 3), (2, 2), (0, 0))


@pytest.mark.parametrize("fill", ["gather", "unfold", "fft"])
def test_what_cannot_be_followed_sees_the_whole_image(fill: str) -> None:
    class Strange(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.end = nn.Conv2d(3, 4, 3), nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            x = self.conv(x)
            if fill == "gather":
                x = x[:, :, torch.randperm(x.shape[2])]
            elif fill == "unfold":
                x = F.fold(F.unfold(x, 3), x.shape[2:], 3)
            else:
                x = torch.fft.ifft2(torch.fft.fft2(x)).real
            out: Tensor = self.end(x)
            return out

    layers = trace(Strange(), (16, 16))
    assert not layers["conv"].field.whole
    assert layers["end"].field.whole
