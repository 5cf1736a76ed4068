"""wrap: any PyTorch image network as a Model."""

from collections.abc import Sequence

from torch import nn

from retinoscope.base.errors import BadInputError, BadNetworkError, unknown
from retinoscope.network.model import Model
from retinoscope.network.trace import trace
from retinoscope.network.weights import weights_hash


def wrap(
    module: nn.Module,
    *,
    name: str | None = None,
    input_size: int | tuple[int, int] = 224,
    mean: float | Sequence[float] = 0.0,
    std: float | Sequence[float] = 1.0,
    labels: Sequence[str] = (),
    bgr: bool = False,
    grey: bool = False,
    fixed_size: bool = False,
    crop: float = 0.875,
) -> Model:
    """A Model of one's own network; without `mean` and `std` it is taken to expect images in [0, 1].

    `input_size` is h and w in pixels; `mean` and `std` are in units of [0, 1], one for all channels or one each, in
    the network's own channel order; `bgr` and `grey` say which channels it takes; `fixed_size` that it takes
    `input_size` only; `labels` are its classes in the order of the logits. The module itself is kept, not copied, and
    not changed. Raises BadNetworkError when it is no module, its forward pass fails, or it has no layers.
    """
    if not isinstance(module, nn.Module):
        raise BadNetworkError(f"a network must be a torch.nn.Module; came {type(module).__name__}")
    size = (input_size, input_size) if isinstance(input_size, int) else tuple(input_size)
    if len(size) != 2 or min(size) < 1:
        raise BadInputError(f"input_size must be one or two positive numbers (h, w); came {input_size}")
    channels = 1 if grey else 3
    return Model(
        name or type(module).__name__,
        module,
        trace(module, size, channels),
        size,
        _per_channel("mean", mean, channels),
        _per_channel("std", std, channels),
        tuple(labels),
        weights_hash(module),
        bgr,
        grey,
        fixed_size,
        crop,
    )


def _per_channel(what: str, values: float | Sequence[float], channels: int) -> tuple[float, ...]:
    values = (values,) * channels if isinstance(values, int | float) else tuple(values)
    values = values[:1] if len(set(values)) == 1 and channels == 1 else values
    if len(values) != channels or (what == "std" and min(values) <= 0):
        raise BadInputError(f"{what} must be {channels} {'positive ' if what == 'std' else ''}numbers; came {values}")
    return tuple(float(value) for value in values)


def class_index(model: Model, name: int | str) -> int:
    """The place of a class among the logits, by number or name; raises UnknownNameError with the nearest names."""
    count = model.layers["logits"].channels if "logits" in model.layers else len(model.labels)
    if isinstance(name, int) or name.isdecimal():
        if not 0 <= int(name) < count:
            raise unknown("class", str(name), [], f"{model.name} has classes 0 to {count - 1}")
        return int(name)
    found = [i for i, label in enumerate(model.labels) if label.casefold() == name.casefold()]
    if not found:
        hint = "" if model.labels else f"{model.name} has no class names: give a number, 0 to {count - 1}"
        raise unknown("class", name, model.labels, hint)
    return found[0]
