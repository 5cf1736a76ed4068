"""Which recipe is taken when none is named."""

import pytest
import torch
import torchvision
from timm.models.vision_transformer import VisionTransformer

from retinoscope.network.model import Model
from retinoscope.network.zoo import wrap
from retinoscope.synthesize.natural import answering
from retinoscope.synthesize.objectives import Objective, channel, deepdream, logit, probability
from retinoscope.synthesize.recipes import RECIPES, suited
from retinoscope.synthesize.render import render


def test_classes_of_a_network_with_shortcuts_are_natural(lite0: Model) -> None:
    assert suited(lite0, [logit(3), 2 * logit(5) - logit(7), channel("logits", 1)]) == "natural"


def test_classes_of_a_network_without_shortcuts_are_plain() -> None:
    plain = wrap(torchvision.models.squeezenet1_1(weights=None).eval(), name="plain", input_size=64)
    assert suited(plain, [logit(3)]) == "plain"


@pytest.fixture(scope="module")
def vit() -> Model:
    """A small vision transformer, untrained: patches of 8 pixels and a class token."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = VisionTransformer(img_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=2, num_classes=10)
    return wrap(module.eval(), name="vit", input_size=32, fixed_size=True)


def test_a_vision_transformer_adds_to_a_stream_as_residual_networks_do(vit: Model) -> None:
    assert suited(vit, [logit(3)]) == "natural"
    assert suited(vit, [channel("blocks.1", 3)]) == "robust"
    assert answering(vit) == ("blocks.0.norm1", "blocks.1.norm1")


@pytest.mark.parametrize("recipe", ["robust", "natural", "plain", "maco"])
@pytest.mark.parametrize("unit", ["logits:3", "blocks.0:5", "blocks.1.mlp.act:5"])
def test_recipes_make_pictures_of_a_network_of_tokens(vit: Model, recipe: str, unit: str) -> None:
    made = render(vit, unit, recipe=recipe, steps=2, size=48)
    assert made.images.shape == (1, 3, 48, 48)
    assert made.images.isfinite().all()
    assert not made.unreached


@pytest.mark.parametrize(
    "objective", [channel("blocks.3.2", 1), probability(3), logit(3) + channel("blocks.3.2", 1), deepdream("logits")]
)
def test_all_else_is_robust(lite0: Model, objective: Objective) -> None:
    assert suited(lite0, [objective]) == "robust"
    assert suited(lite0, [logit(3), objective]) == "robust"


def test_every_row_goes_by_its_name_and_says_where_it_is_from() -> None:
    assert all(recipe.name == name and recipe.origin for name, recipe in RECIPES.items())
