"""Axis glossary: one letter, one meaning, in every shape string of this project.

b batch · c channel · h w image · y x map position · o i kh kw kernel · n dataset item · d code · k rank · r factor.
Always (y, x). Images are sRGB in [0, 1], float32, `b 3 h w`.
"""

from jaxtyping import Float
from torch import Tensor

Images = Float[Tensor, "b 3 h w"]
"""sRGB images in [0, 1]."""

Maps = Float[Tensor, "b c y x"]
"""A layer's activations, channels first; vectors are 1 x 1 maps, tokens their patch grid."""

Scores = Float[Tensor, " b"]
"""One value per image of a batch."""
