"""Which recipe is taken when none is named."""

import pytest
import torchvision

from retinoscope.network.model import Model
from retinoscope.network.zoo import wrap
from retinoscope.synthesize.objectives import Objective, channel, deepdream, logit, probability
from retinoscope.synthesize.recipes import RECIPES, suited


def test_classes_of_a_network_with_shortcuts_are_natural(lite0: Model) -> None:
    assert suited(lite0, [logit(3), 2 * logit(5) - logit(7), channel("logits", 1)]) == "natural"


def test_classes_of_a_network_without_shortcuts_are_plain() -> None:
    plain = wrap(torchvision.models.squeezenet1_1(weights=None).eval(), name="plain", input_size=64)
    assert suited(plain, [logit(3)]) == "plain"


@pytest.mark.parametrize(
    "objective", [channel("blocks.3.2", 1), probability(3), logit(3) + channel("blocks.3.2", 1), deepdream("logits")]
)
def test_all_else_is_robust(lite0: Model, objective: Objective) -> None:
    assert suited(lite0, [objective]) == "robust"
    assert suited(lite0, [logit(3), objective]) == "robust"


def test_every_row_goes_by_its_name_and_says_where_it_is_from() -> None:
    assert all(recipe.name == name and recipe.origin for name, recipe in RECIPES.items())
