"""Run the job that relates units: the network's stages, and what units of neighbouring layers share."""

from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version
from pathlib import Path

from retinoscope.jobs.job import Relate
from retinoscope.jobs.outcome import Outcome, Run
from retinoscope.network.model import Model
from retinoscope.network.streams import Stream, streams
from retinoscope.observe.answers import read_answers
from retinoscope.observe.relations import Relation, closest, neighbours, same_channels
from retinoscope.store.records import Provenance, StageRecord, StepRecord


def relate(job: Relate, model: Model, locate: Callable[[str], Path]) -> Run:
    """Stages are the network's; steps come layer pair by layer pair.

    There are no steps over k photos or fewer, of which all units would share all.
    """
    found, files = streams(model), [locate(shard.answers) for shard in job.shards]
    # It comes last of those that read the shards, and may have had them made again for itself alone.
    spent = tuple(file for shard in job.shards for file in (shard.file, shard.answers))
    outcome = Outcome(list(_stages(model, found)), spent=spent)
    pairs = neighbours(job.scanning.layers, found)
    kinds: list[tuple[str, tuple[str, str]]] = [("same", pair) for pair in pairs.same]
    kinds += [("match", pair) for pair in pairs.matched]
    for done, (kind, (before, after)) in enumerate(kinds, 1):
        (photos, a), (_, b) = (read_answers(files, layer) for layer in (before, after))
        if len(photos) > job.scanning.k:
            k = job.scanning.k
            related = same_channels(a, b, k) if kind == "same" else closest(a, b, k, job.best, job.draws, job.seed)
            outcome.records.extend(_steps(model, before, after, kind, related, _provenance(job, model, len(photos))))
        yield done / len(kinds)
    yield 1.0
    return outcome


def _steps(
    model: Model, before: str, after: str, kind: str, related: Iterable[Relation], origin: Provenance
) -> Iterator[StepRecord]:
    for one in related:
        yield StepRecord(
            model.name, before, one.channel, after, one.other, "same" if kind == "same" else "match",
            one.shared, one.rank, one.p_on, one.p_from, origin,
        )  # fmt: skip


def _stages(model: Model, found: Iterable[Stream]) -> Iterator[StageRecord]:
    """The layers of each stage in call order, each once."""
    for stream in found:
        roles: dict[str, tuple[str, str]] = {}
        for member in stream.members:
            roles |= {inner.layer: (member.name, inner.role) for inner in member.inner}
            roles |= {member.branch: (member.name, "branch")} if member.branch else {}
            roles |= {member.shortcut: (member.name, "shortcut")} if member.shortcut else {}
        roles |= {member.layer: (member.name, "trunk") for member in stream.members}
        layers = [name for name in model.layers if name in roles]
        for place, name in enumerate(layers):
            yield StageRecord(model.name, stream.name, place, name, *roles[name])


def _provenance(job: Relate, model: Model, photos: int) -> Provenance:
    settings: dict[str, object] = {"steps": "shared examples and rank correlations", "k": job.scanning.k}
    settings |= {"photos": photos, "best": job.best, "draws": job.draws, "size": list(model.input_size)}
    images = job.scanning.images
    return Provenance(
        version("retinoscope"), settings, job.seed, model.weights_hash, images, model.device.type, "float32"
    )
