"""Diagnosis: every fault is planted and found, and a healthy network has none."""

from dataclasses import asdict

import pytest
import torch
from torch import nn

from retinoscope.base.errors import BadInputError
from retinoscope.image.samples import sample_images
from retinoscope.network.calibration import RANGES
from retinoscope.network.model import Model
from retinoscope.network.wrap import wrap
from retinoscope.synthesize.checks import Finding, grid
from retinoscope.synthesize.diagnose import diagnose, unmoved
from retinoscope.synthesize.evidence import at_bounds
from retinoscope.synthesize.objectives import Objective, probability
from retinoscope.synthesize.render import render


@pytest.fixture(scope="module")
def everyday() -> torch.Tensor:
    return sample_images((48, 48), 12)


def found(model: Model, unit: str | Objective, photos: torch.Tensor) -> dict[str, Finding]:
    return {finding.check: finding for finding in diagnose(model, unit, photos).findings}


def stack(*modules: nn.Module, **known: object) -> Model:
    """A plain stack of modules as a Model of 48 pixels, with random weights of its own."""
    return wrap(nn.Sequential(*modules).eval(), input_size=48, **known)  # type: ignore[arg-type]


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, seed: int = 0) -> nn.Conv2d:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2)


def constant(weight: float, bias: float) -> nn.Conv2d:
    module = nn.Conv2d(3, 2, 1)
    nn.init.constant_(module.weight, weight)
    nn.init.constant_(module.bias, bias)
    return module


def healthy(photos: torch.Tensor, mean: float | tuple[float, ...] = 0.0, std: float | tuple[float, ...] = 1.0) -> Model:
    """Strides, batch norms whose statistics are those of the photos in that range, ReLU6 and a classifier."""
    classify = nn.Linear(16, 5)
    nn.init.normal_(classify.weight, std=0.1, generator=torch.Generator().manual_seed(0))
    layers = [conv(3, 12, 3, 2), nn.BatchNorm2d(12, momentum=None), nn.ReLU6(), conv(12, 16, seed=1)]
    layers += [nn.BatchNorm2d(16, momentum=None), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), classify]
    model = stack(*layers, mean=mean, std=std)
    model.module.train()
    model.module(model.normalize(photos))
    model.module.eval()
    return model


@pytest.mark.parametrize("unit", ["0:3", "1:2", "2:5", "4:1", "5:7", "logits:2"])
def test_a_healthy_network_has_no_fault(everyday: torch.Tensor, unit: str) -> None:
    result = diagnose(healthy(everyday), unit, everyday)
    assert result.faults == ()
    assert len({finding.check for finding in result.findings}) == 11


def test_the_embedded_network_has_no_fault(lite0: Model) -> None:
    result = diagnose(lite0, "blocks.3.2:21", sample_images((224, 224), 4))
    assert result.faults == ()
    notes = {finding.check for finding in result.findings if finding.verdict == "note"}
    assert notes == set()


def test_a_diagnosis_is_the_same_again_and_changes_nothing(everyday: torch.Tensor) -> None:
    model = healthy(everyday)
    before = {name: value.clone() for name, value in model.module.state_dict().items()}
    first, second = (diagnose(model, "5:3", everyday) for _ in range(2))
    assert first == second
    assert all(torch.equal(before[name], value) for name, value in model.module.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in model.module.parameters())


def test_it_prints_as_a_table_with_advice_below(everyday: torch.Tensor) -> None:
    lines = repr(diagnose(stack(constant(1, -9), nn.ReLU()), "1:0", everyday)).splitlines()
    assert lines[0] == "1:0 of Sequential"
    assert lines[1].split() == ["check", "verdict", "figure"]
    assert [line.split("  ")[0] for line in lines[2:13]] == [
        "finite values", "eval mode", "input range (batch norm)", "input range (answers)", "channel order",
        "living unit", "gradient reach", "saturation", "probabilities", "stride artefacts", "receptive field",
    ]  # fmt: skip
    assert any(line.startswith("living unit: a dead unit here") for line in lines[13:])


NAMES = list(RANGES)


@pytest.mark.parametrize("told", NAMES)
@pytest.mark.parametrize("true", NAMES)
def test_a_wrong_range_is_named_by_the_batch_norm(everyday: torch.Tensor, true: str, told: str) -> None:
    trained = healthy(everyday, *RANGES[true])
    mean, std = RANGES[told]
    finding = found(wrap(trained.module, input_size=48, mean=mean, std=std), "5:3", everyday)[
        "input range (batch norm)"
    ]
    assert finding.verdict == ("fine" if true == told else "fault")
    assert true == told or f"trained on {true}:" in finding.advice


def test_a_range_nobody_uses_is_a_fault_too(everyday: torch.Tensor) -> None:
    trained = healthy(everyday, 0.0, 1 / 16)
    finding = found(wrap(trained.module, input_size=48), "5:3", everyday)["input range (batch norm)"]
    assert finding.verdict == "fault"
    assert "look them up" in finding.advice


class Blinded(nn.Module):
    """Random classes of the photo's coarse colours, through a tanh that bytes drive to its end."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(4)
        self.bound = nn.Tanh()
        self.classify = nn.Linear(48, 8)
        nn.init.normal_(self.classify.weight, generator=torch.Generator().manual_seed(0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(b, 3, h, w) to logits (b, 8)."""
        half = self.pool(x)
        both = (half + half.flip(3)) / 2  # the same of a mirror image
        return 8 * self.classify(self.bound(4 * both - 1.6).flatten(1))


def test_answers_betray_a_range_without_batch_norms(everyday: torch.Tensor) -> None:
    good = found(wrap(Blinded().eval(), input_size=48), "logits:0", everyday)
    bad = found(wrap(Blinded().eval(), input_size=48, std=1 / 255), "logits:0", everyday)
    assert good["input range (batch norm)"].verdict == "unknown"
    assert good["input range (answers)"].verdict == "fine"
    assert bad["input range (answers)"].verdict == "fault"
    assert "bits with inputs from" in bad["input range (answers)"].advice
    assert bad["saturation"].verdict == "fault"
    assert good["saturation"].verdict == "fine"


def test_classes_that_say_nothing_are_noted(everyday: torch.Tensor) -> None:
    model = stack(conv(3, 4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))
    nn.init.zeros_(model.module[3].weight)
    finding = found(model, "0:1", everyday)["input range (answers)"]
    assert (finding.verdict, "random weights" in finding.advice) == ("note", True)


def test_the_channel_order_stays_unknown(everyday: torch.Tensor) -> None:
    finding = found(wrap(Blinded().eval(), input_size=48, bgr=True), "logits:0", everyday)["channel order"]
    assert finding.verdict == "unknown"
    assert finding.figure.startswith("BGR")


def test_training_mode_is_noted_and_loose_norms_are_a_fault(everyday: torch.Tensor) -> None:
    model = healthy(everyday)
    model.module[1].train()
    training = found(model, "5:3", everyday)["eval mode"]
    assert (training.verdict, training.figure[:1]) == ("note", "1")
    loose = found(stack(conv(3, 4), nn.BatchNorm2d(4, track_running_stats=False)), "1:0", everyday)["eval mode"]
    assert loose.verdict == "fault"


def test_broken_weights_and_overflow_are_named(everyday: torch.Tensor) -> None:
    broken = stack(conv(3, 4), nn.ReLU(), conv(4, 4))
    broken.module[2].weight.data[1, 0, 0, 0] = float("nan")
    finding = found(broken, "2:0", everyday)["finite values"]
    assert (finding.verdict, finding.figure) == ("fault", "2.weight holds NaN or infinity")
    overflowing = stack(conv(3, 4), conv(4, 4), conv(4, 4))
    for layer in (0, 1):
        overflowing.module[layer].weight.data.fill_(1e25)
    assert found(overflowing, "2:0", everyday)["finite values"].figure == "1 gives NaN or infinity"
    assert found(overflowing, "0:0", everyday)["finite values"].verdict == "fine"


def test_dead_constant_and_sleeping_units(everyday: torch.Tensor) -> None:
    dead = found(stack(constant(1, -9), nn.ReLU()), "1:0", everyday)
    assert dead["living unit"].verdict == "fault"
    assert "try 0, the layer before" in dead["living unit"].advice
    assert dead["gradient reach"].verdict == "fault"
    same = found(stack(constant(0, 3)), "0:0", everyday)["living unit"]
    assert (same.verdict, same.figure) == ("fault", "3 everywhere")
    sleeping = found(stack(constant(1, -1.8), nn.ReLU()), "1:0", everyday)
    assert (sleeping["living unit"].verdict, sleeping["gradient reach"].verdict) == ("note", "note")
    assert "start from a photo" in sleeping["living unit"].advice


class Applied(nn.Module):
    """A function as a module."""

    def __init__(self, function: object) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The function of x."""
        result: torch.Tensor = self.function(x)  # type: ignore[operator]
        return result


@pytest.mark.parametrize(
    ("function", "figure"),
    [(torch.Tensor.detach, "no path"), (torch.round, "at most 0 "), (lambda x: x * 1e-12, "at most 1e-1")],
)
def test_gradients_that_are_cut_zero_or_vanishing(everyday: torch.Tensor, function: object, figure: str) -> None:
    scaled = constant(9, 0)  # so that rounding still tells photos apart
    finding = found(stack(scaled, Applied(function), nn.Conv2d(2, 2, 1)), "2:0", everyday)["gradient reach"]
    assert finding.verdict == "fault"
    assert finding.figure.startswith(figure[:8])


@pytest.mark.parametrize(
    ("bound", "named"),
    [(nn.ReLU6(), "1"), (nn.Sigmoid(), "1"), (nn.Hardsigmoid(), "1"), (Applied(lambda x: x.clamp(0, 6)), "1:0")],
)
def test_saturated_activations_are_named(everyday: torch.Tensor, bound: nn.Module, named: str) -> None:
    crowded = found(stack(constant(40, 0), bound, conv(2, 2)), "1:0", everyday)["saturation"]
    assert crowded.verdict == "fault"
    assert f"of {named} at its bounds" in crowded.figure
    easy = found(stack(constant(0.5, 0), bound, conv(2, 2)), "1:0", everyday)["saturation"]
    assert easy.verdict == "fine"


def test_shares_at_bounds_are_counted() -> None:
    values = torch.tensor([0.0, 0.005, 0.5, 0.98, 0.995, 1.0])
    assert at_bounds(values, 0.0, 1.0) == pytest.approx(4 / 6)
    assert at_bounds(values * 6, None, 6.0) == pytest.approx(2 / 6)


def test_probabilities_are_told_from_logits(everyday: torch.Tensor) -> None:
    head = (conv(3, 4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 6))
    ending = found(stack(*head, nn.Softmax(1)), "logits:2", everyday)["probabilities"]
    assert ending.verdict == "fault"
    assert found(stack(*head), "logits:2", everyday)["probabilities"].verdict == "fine"
    asked = found(stack(*head), probability(2), everyday)["probabilities"]
    assert (asked.verdict, asked.advice) == ("note", "maximise the logit: rs.logit")


def test_a_gradient_has_the_period_of_the_stride_and_a_plain_one_has_not(everyday: torch.Tensor) -> None:
    strided = found(stack(conv(3, 8, 3, 2), nn.ReLU(), conv(8, 8)), "2:0", everyday)["stride artefacts"]
    plain = found(stack(conv(3, 8), nn.ReLU(), conv(8, 8)), "2:0", everyday)["stride artefacts"]
    patches = found(stack(nn.Conv2d(3, 8, 4, 4), nn.ReLU(), conv(8, 8)), "2:0", everyday)["stride artefacts"]
    assert (strided.verdict, strided.figure.split(":")[0]) == ("note", "period 2")
    assert (patches.verdict, patches.figure.split(":")[0]) == ("note", "period 4")
    assert plain.verdict == "fine"


@pytest.mark.parametrize("seed", range(4))
def test_autocorrelation_of_the_gradient_peaks_at_the_stride(seed: int) -> None:
    noise = torch.randn(4, 3, 48, 48, generator=torch.Generator().manual_seed(seed))
    found = []
    for stride in (1, 2):
        images = noise.clone().requires_grad_()
        conv(3, 8, 3, stride, seed)(images).relu().square().sum().backward()
        assert images.grad is not None
        found.append(grid(images.grad)[2])
    assert found[1] > 0.1
    assert found[0] < 0.03


def test_tiny_fields_are_noted(everyday: torch.Tensor) -> None:
    model = stack(conv(3, 4), conv(4, 4, 7))
    assert found(model, "0:0", everyday)["receptive field"].verdict == "note"
    assert found(model, "1:0", everyday)["receptive field"].verdict == "fine"


def test_photos_of_any_size_and_a_network_of_one_size(everyday: torch.Tensor) -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 8, stride=8), nn.Flatten(), nn.Linear(4 * 16, 3)).eval()
    result = diagnose(wrap(module, input_size=32, fixed_size=True), "logits:1", everyday)
    assert result.network == "Sequential"
    assert asdict(result.findings[0])["verdict"] == "fine"


def test_an_objective_on_the_picture_alone_is_refused(everyday: torch.Tensor) -> None:
    blank = Objective("brightness", frozenset(), lambda trace: trace.like().mean((1, 2, 3)))
    with pytest.raises(BadInputError, match="reads no layer"):
        diagnose(stack(conv(3, 4)), blank, everyday)


def test_scores_that_did_not_move_are_found(everyday: torch.Tensor) -> None:
    module = stack(conv(3, 4))
    module.module[0].weight.data[1] = 0  # unit 1 gives its bias, whatever it sees
    out = render(module, ["0:0", "0:1", "0:2"], size=24, steps=24)
    assert unmoved(module, out) == [1]
