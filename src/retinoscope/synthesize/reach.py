"""Why no gradient reaches an image: asked when a picture stays grey."""

import torch

from retinoscope.image.transforms import apply
from retinoscope.network.model import Model
from retinoscope.network.record import forward, record
from retinoscope.synthesize.objectives import Objective
from retinoscope.synthesize.score import resize
from retinoscope.tensor.axes import Images
from retinoscope.tensor.random import Draws


@torch.no_grad()
def why_unreached(model: Model, objective: Objective, images: Images) -> str:
    """Why no gradient reaches an image from an objective, in words, from the activations it causes."""
    layer = sorted(objective.layers)[0]
    with record(model, [layer]) as trace:
        forward(model.module, model.normalize(apply(resize(model), images, Draws(0, ["why"]))))
    channels = [unit.channel for unit in objective.units if unit.layer == layer]
    values = (trace[layer][:, channels] if channels else trace[layer]).float()
    low, high = float(values.min()), float(values.max())
    text = f"no gradient reaches the image from {objective}"
    if low == high == 0:
        return f"{text}: a dead ReLU, its activation is 0 everywhere. Take the layer before its activation function"
    if low == high:
        return (
            f"{text}: its activation is {low:.4g} everywhere, saturated or constant. Check mean and std of the network"
        )
    if not (abs(low) < float("inf") and abs(high) < float("inf")):
        return f"{text}: its activation is not finite. Check the weights, and mean and std of the network"
    return f"{text}, though it answers ({low:.4g} to {high:.4g}): the graph is cut before that layer"
