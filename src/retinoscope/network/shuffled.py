"""Networks whose weights are shuffled: what their units seem to be tuned to is chance."""

import copy
from dataclasses import replace

import torch

from retinoscope.network.model import Model
from retinoscope.network.reinitialize import own
from retinoscope.tensor.random import generator


def shuffled(model: Model, seed: int = 0) -> Model:
    """A copy of the model, frozen and in eval mode, in which every kernel's weights have changed places among
    themselves.

    Each output channel keeps its own weights, and with them their sum and size; which input and place they belong to is
    drawn anew. Vectors (biases, norms) stay. What a module gets depends on the seed and its path alone.
    """
    module = copy.deepcopy(model.module).eval().requires_grad_(False)
    for path, child in module.named_modules():
        for name, parameter in own(child):
            if parameter.ndim > 1:
                flat, numbers = parameter.flatten(1), generator(seed, "shuffled", path, name)
                order = torch.rand(flat.shape, generator=numbers).argsort(1).to(flat.device)
                parameter.copy_(flat.gather(1, order).view_as(parameter))
    return replace(model, module=module, weights_hash="")
