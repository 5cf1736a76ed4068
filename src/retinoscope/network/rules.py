"""How each tensor operation of a network carries receptive fields from its inputs to its outputs.

One function per kind of operation, in the literal table RULES, by the name PyTorch dispatches it under. What is not in
the table and not pointwise is taken to see the whole image: never too small, at worst too large.
"""

from dataclasses import replace

from retinoscope.network import mixing, shaping, windows
from retinoscope.network.operation import Operation, Rule, conservative
from retinoscope.network.seen import Seen, broadcast_dims, join


def pointwise(op: Operation) -> Seen:
    """Elementwise with broadcasting."""
    dims = broadcast_dims(op.tracked, op.shape)
    return join(op.tracked, op.shape, dims, gates=op.name in ("mul", "div"))


def same(op: Operation) -> Seen:
    """One tensor's values, unchanged positions."""
    return replace(op.tracked[0], shape=op.shape) if len(op.shape) == len(op.tracked[0].dims) else conservative(op)


def copied(op: Operation) -> Seen:
    """`copy_`: the source's values in the destination's shape."""
    source: Seen | None = op.seen["src"]
    if source is None:
        return conservative(op)
    return source.laid(op.shape, broadcast_dims([source], op.shape))


CONSTANTS = {"new_zeros", "new_ones", "new_full", "new_empty", "zeros_like", "ones_like", "full_like", "empty_like"}
CONSTANTS |= {"rand_like", "randn_like", "new_empty_strided"}
"""Operations that make a new tensor of their input's shape alone."""

RULES: dict[str, Rule] = {
    **dict.fromkeys(("prelu", "_prelu_kernel", "hardswish", "native_dropout", "_to_copy", "zero", "fill"), same),
    **dict.fromkeys(("contiguous", "detach", "alias", "lift_fresh", "channel_shuffle", "native_channel_shuffle"), same),
    **dict.fromkeys(("view", "_unsafe_view", "reshape", "_reshape_alias"), shaping.viewed),
    **dict.fromkeys(("permute", "transpose", "t"), shaping.permuted),
    **dict.fromkeys(("split", "split_with_sizes", "unsafe_split", "slice"), shaping.sliced),
    **dict.fromkeys(("select", "unbind"), shaping.selected),
    **dict.fromkeys(("roll", "flip"), shaping.moved),
    **dict.fromkeys(("reflection_pad2d", "replication_pad2d"), windows.mirrored),
    **dict.fromkeys(("max_pool2d_with_indices", "avg_pool2d", "mkldnn_max_pool2d"), windows.pooled),
    **dict.fromkeys(("_adaptive_avg_pool2d", "adaptive_max_pool2d"), windows.adaptively_pooled),
    **dict.fromkeys(("upsample_nearest2d", "upsample_bilinear2d", "upsample_bicubic2d"), windows.interpolated),
    **dict.fromkeys(("_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa"), windows.interpolated),
    **dict.fromkeys(("pixel_shuffle", "pixel_unshuffle"), windows.pixels_shuffled),
    **dict.fromkeys(("mean", "sum", "amax", "amin", "var", "std", "linalg_vector_norm", "max", "min"), mixing.reduced),
    **dict.fromkeys(("prod", "logsumexp", "argmax", "argmin", "var_mean", "std_mean"), mixing.reduced),
    **dict.fromkeys(("_softmax", "_log_softmax", "softmax", "log_softmax", "cumsum"), mixing.softmaxed),
    **dict.fromkeys(("native_batch_norm", "cudnn_batch_norm", "_native_batch_norm_legit"), mixing.batch_normed),
    **dict.fromkeys(("_native_batch_norm_legit_no_training", "miopen_batch_norm"), mixing.batch_normed),
    **dict.fromkeys(("mm", "bmm", "addmm", "baddbmm"), mixing.multiplied),
    **dict.fromkeys(
        ("_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_flash_attention"), mixing.attended
    ),
    **dict.fromkeys(
        ("_scaled_dot_product_efficient_attention", "_scaled_dot_product_cudnn_attention"), mixing.attended
    ),
    "masked_fill": pointwise,
    "copy": copied,
    "expand": shaping.expanded,
    "unsqueeze": shaping.unsqueezed,
    "squeeze": shaping.squeezed,
    "constant_pad_nd": windows.padded,
    "cat": shaping.concatenated,
    "stack": shaping.stacked,
    "convolution": windows.convolved,
    "native_layer_norm": mixing.layer_normed,
    "native_group_norm": mixing.group_normed,
    "linear": mixing.linear,
}

SEVERAL = {pointwise, same, copied, conservative, shaping.concatenated, shaping.stacked, windows.convolved}
SEVERAL |= {mixing.multiplied, mixing.attended, mixing.layer_normed, mixing.batch_normed, mixing.group_normed}
"""Rules for operations of which more than one input may depend on the image."""


def rule_for(op: Operation, elementwise: bool) -> Rule:
    """The rule for an operation; `elementwise` says that PyTorch declares it so."""
    rule = RULES.get(op.name, pointwise if elementwise else conservative)
    return rule if len(op.tracked) == 1 or rule in SEVERAL else conservative
