"""Operations that mix dimensions: reductions, matrix products, attention, normalisation."""

from dataclasses import replace

from retinoscope.network.operation import Operation, conservative
from retinoscope.network.roles import Dim, plain, spatial, squash, whole_axis
from retinoscope.network.seen import AXES, Seen, absorb, blind, broadcast_dims, everything, join


def reduced(op: Operation) -> Seen:
    (seen,) = op.tracked
    places = op.arguments.get("dim")
    places = [places] if isinstance(places, int) else places
    places = [p % len(seen.dims) for p in (places or range(len(seen.dims)))]
    seen = absorb(seen, places)
    if len(op.shape) == len(seen.dims):
        return replace(seen, shape=op.shape, dims=tuple(() if i in places else d for i, d in enumerate(seen.dims)))
    dims = tuple(dim for i, dim in enumerate(seen.dims) if i not in places)
    return replace(seen, shape=op.shape, dims=dims) if len(dims) == len(op.shape) else everything(op.shape)


def softmaxed(op: Operation) -> Seen:
    (seen,) = op.tracked
    return blind(seen, *spatial(seen.dims[op.arguments["dim"]]))


def layer_normed(op: Operation) -> Seen:
    """Statistics over channels; over image axes too, they are a global signal that scales the map."""
    seen = op.tracked[0]
    places = range(len(seen.dims) - len(op.arguments["normalized_shape"]), len(seen.dims))
    inside = [p for p in places if spatial(seen.dims[p])]
    partial = [p for p in inside if any(a.label in AXES for a in seen.dims[p]) and not whole_axis(seen.dims[p])]
    kept_elsewhere = any(set(seen.holders(label)) - set(places) for p in partial for label in spatial(seen.dims[p]))
    if kept_elsewhere:
        return absorb(seen, partial)
    return replace(seen, gated=seen.gated or bool(inside))


def batch_normed(op: Operation) -> Seen:
    """Fixed statistics in eval; statistics of the image itself are a global signal that scales the map."""
    return replace(op.tracked[0], gated=op.tracked[0].gated or bool(op.arguments.get("training")))


def group_normed(op: Operation) -> Seen:
    return replace(op.tracked[0], gated=True)


def multiplied(op: Operation) -> Seen:
    """Matrix products: the contracted dimensions are mixed, rows and columns keep their meaning."""
    keys = [k for k in op.seen if k not in ("self", "bias")] if op.name in ("addmm", "baddbmm") else list(op.seen)
    left, right = (op.seen[k] for k in keys[:2])
    parts: list[Seen] = []
    dims: list[Dim] = [(), ()]
    for side, seen in enumerate((left, right)):
        inner = -1 if side == 0 else -2
        if seen is None:
            dims[side] = plain("c", op.shape[-2 + side])
        else:
            place = len(seen.dims) + inner
            mixed = absorb(seen, [place])
            parts.append(mixed)
            dims[side] = mixed.dims[-2 if side == 0 else -1]
    batch = broadcast_dims([s.laid(s.shape[:-2], s.dims[:-2]) for s in parts], op.shape[:-2])
    return join(parts, op.shape, (*batch, *dims), gates=False) if parts else conservative(op)


def attended(op: Operation) -> Seen:
    """Attention: every query sees every key; queries keep their places."""
    query, value = op.seen["query"], op.seen["value"]
    dims = (*query.dims[:-1], squash(value.dims[-1])) if query and value else None
    return everything(op.shape, dims)


def linear(op: Operation) -> Seen:
    seen = absorb(op.tracked[0], [len(op.shape) - 1])
    return replace(seen, shape=op.shape, dims=(*seen.dims[:-1], plain("c", op.shape[-1])))
