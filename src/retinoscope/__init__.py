"""Look inside vision networks: what every unit looks for, finds, and is made of.

The public names load on first use, so that the command line's help and the explorer start without torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    from retinoscope.base.errors import RetinoscopeError as RetinoscopeError
    from retinoscope.base.units import Unit as Unit
    from retinoscope.circuits.evidence import choose_k as choose_k
    from retinoscope.circuits.expand import expand as expand
    from retinoscope.circuits.expand import influence as influence
    from retinoscope.circuits.factors import factorize as factorize
    from retinoscope.circuits.factors import neuron_groups as neuron_groups
    from retinoscope.circuits.ranking import made_of as made_of
    from retinoscope.circuits.ranking import used_by as used_by
    from retinoscope.data import cuts as cuts
    from retinoscope.data.imageset import ImageSet as ImageSet
    from retinoscope.image import corrections as corrections
    from retinoscope.image import stimuli as stimuli
    from retinoscope.image.canvas import Fourier as Fourier
    from retinoscope.image.canvas import Pixels as Pixels
    from retinoscope.image.cppn import CPPN as CPPN
    from retinoscope.image.magnitude import FixedMagnitude as FixedMagnitude
    from retinoscope.image.magnitude import mean_spectrum as mean_spectrum
    from retinoscope.image.plain import Raw as Raw
    from retinoscope.image.pyramid import Pyramid as Pyramid
    from retinoscope.image.shared import Shared as Shared
    from retinoscope.image.transforms import ARTICLE as ARTICLE
    from retinoscope.image.transforms import LUCID as LUCID
    from retinoscope.image.transforms import ROBUST as ROBUST
    from retinoscope.image.transparent import Transparent as Transparent
    from retinoscope.jobs.spectrum import spectrum as spectrum
    from retinoscope.network.backward import Rule as Rule
    from retinoscope.network.backward import rewrite as rewrite
    from retinoscope.network.bases import random_directions as random_directions
    from retinoscope.network.checkpoints import load_checkpoints as load_checkpoints
    from retinoscope.network.grow import grow as grow
    from retinoscope.network.kernels import first_kernels as first_kernels
    from retinoscope.network.kernels import gabors as gabors
    from retinoscope.network.kernels import kernel_sheet as kernel_sheet
    from retinoscope.network.model import Model as Model
    from retinoscope.network.pools import smooth_pools as smooth_pools
    from retinoscope.network.preactivation import pre_activation as pre_activation
    from retinoscope.network.record import Trace as Trace
    from retinoscope.network.record import record as record
    from retinoscope.network.streams import streams as streams
    from retinoscope.network.wrap import wrap as wrap
    from retinoscope.network.zoo import load as load
    from retinoscope.network.zoo import networks as networks
    from retinoscope.observe.backproject import backproject as backproject
    from retinoscope.observe.correspondence import correspond as correspond
    from retinoscope.observe.directions import compare_directions as compare_directions
    from retinoscope.observe.peaks import Peaks as Peaks
    from retinoscope.observe.peaks import peaks as peaks
    from retinoscope.observe.refinement import follow as follow
    from retinoscope.observe.refinement import follow_unit as follow_unit
    from retinoscope.observe.sanity import sanity_check as sanity_check
    from retinoscope.observe.scan import Scan as Scan
    from retinoscope.observe.scan import scan as scan
    from retinoscope.observe.tuning import Tuning as Tuning
    from retinoscope.observe.tuning import tune as tune
    from retinoscope.store.database import Store as Store
    from retinoscope.synthesize.caricature import accentuate as accentuate
    from retinoscope.synthesize.caricature import activation_difference as activation_difference
    from retinoscope.synthesize.caricature import caricature as caricature
    from retinoscope.synthesize.clusters import centroid_facets as centroid_facets
    from retinoscope.synthesize.clusters import mean_facets as mean_facets
    from retinoscope.synthesize.cures import cures as cures
    from retinoscope.synthesize.diagnose import diagnose as diagnose
    from retinoscope.synthesize.directions import direction_cossim as direction_cossim
    from retinoscope.synthesize.directions import direction_neuron as direction_neuron
    from retinoscope.synthesize.directions import tensor_direction as tensor_direction
    from retinoscope.synthesize.diversity import cosine_diversity as cosine_diversity
    from retinoscope.synthesize.diversity import diversity as diversity
    from retinoscope.synthesize.diversity import facets as facets
    from retinoscope.synthesize.interpolation import alignment as alignment
    from retinoscope.synthesize.interpolation import channel_interpolate as channel_interpolate
    from retinoscope.synthesize.interpolation import interpolate as interpolate
    from retinoscope.synthesize.objectives import Objective as Objective
    from retinoscope.synthesize.objectives import channel as channel
    from retinoscope.synthesize.objectives import deepdream as deepdream
    from retinoscope.synthesize.objectives import direction as direction
    from retinoscope.synthesize.objectives import logit as logit
    from retinoscope.synthesize.objectives import neuron as neuron
    from retinoscope.synthesize.objectives import probability as probability
    from retinoscope.synthesize.optimize import optimize as optimize
    from retinoscope.synthesize.penalties import L1 as L1
    from retinoscope.synthesize.penalties import L2 as L2
    from retinoscope.synthesize.penalties import alpha_norm as alpha_norm
    from retinoscope.synthesize.penalties import blur_alpha_each_step as blur_alpha_each_step
    from retinoscope.synthesize.penalties import blur_input_each_step as blur_input_each_step
    from retinoscope.synthesize.penalties import mean_alpha as mean_alpha
    from retinoscope.synthesize.penalties import penalize_boundary_complexity as penalize_boundary_complexity
    from retinoscope.synthesize.penalties import total_variation as total_variation
    from retinoscope.synthesize.penalties import total_variation_power as total_variation_power
    from retinoscope.synthesize.recipes import FAMILIES as FAMILIES
    from retinoscope.synthesize.recipes import RECIPES as RECIPES
    from retinoscope.synthesize.recipes import Recipe as Recipe
    from retinoscope.synthesize.render import render as render
    from retinoscope.synthesize.training import through_training as through_training
    from retinoscope.tensor.memory import keep_memory as keep_memory
    from retinoscope.web.export import export as export
    from retinoscope.web.serve import serve as serve

_HOMES = {
    "base.errors": ("RetinoscopeError",),
    "base.units": ("Unit",),
    "circuits.evidence": ("choose_k",),
    "circuits.expand": ("expand", "influence"),
    "circuits.factors": ("factorize", "neuron_groups"),
    "circuits.ranking": ("made_of", "used_by"),
    "data": ("cuts",),
    "data.imageset": ("ImageSet",),
    "image": ("corrections", "stimuli"),
    "image.canvas": ("Fourier", "Pixels"),
    "image.cppn": ("CPPN",),
    "image.magnitude": ("FixedMagnitude", "mean_spectrum"),
    "image.plain": ("Raw",),
    "image.pyramid": ("Pyramid",),
    "image.shared": ("Shared",),
    "image.transforms": ("ARTICLE", "LUCID", "ROBUST"),
    "image.transparent": ("Transparent",),
    "jobs.spectrum": ("spectrum",),
    "network.backward": ("Rule", "rewrite"),
    "network.bases": ("random_directions",),
    "network.checkpoints": ("load_checkpoints",),
    "network.grow": ("grow",),
    "network.kernels": ("first_kernels", "gabors", "kernel_sheet"),
    "network.model": ("Model",),
    "network.pools": ("smooth_pools",),
    "network.preactivation": ("pre_activation",),
    "network.record": ("Trace", "record"),
    "network.streams": ("streams",),
    "network.wrap": ("wrap",),
    "network.zoo": ("load", "networks"),
    "observe.backproject": ("backproject",),
    "observe.correspondence": ("correspond",),
    "observe.directions": ("compare_directions",),
    "observe.peaks": ("Peaks", "peaks"),
    "observe.refinement": ("follow", "follow_unit"),
    "observe.sanity": ("sanity_check",),
    "observe.scan": ("Scan", "scan"),
    "observe.tuning": ("Tuning", "tune"),
    "store.database": ("Store",),
    "synthesize.caricature": ("accentuate", "activation_difference", "caricature"),
    "synthesize.clusters": ("centroid_facets", "mean_facets"),
    "synthesize.cures": ("cures",),
    "synthesize.diagnose": ("diagnose",),
    "synthesize.directions": ("direction_cossim", "direction_neuron", "tensor_direction"),
    "synthesize.diversity": ("cosine_diversity", "diversity", "facets"),
    "synthesize.interpolation": ("alignment", "channel_interpolate", "interpolate"),
    "synthesize.objectives": ("Objective", "channel", "deepdream", "direction", "logit", "neuron", "probability"),
    "synthesize.optimize": ("optimize",),
    "synthesize.penalties": (
        "L1",
        "L2",
        "alpha_norm",
        "blur_alpha_each_step",
        "blur_input_each_step",
        "mean_alpha",
        "penalize_boundary_complexity",
        "total_variation",
        "total_variation_power",
    ),
    "synthesize.recipes": ("FAMILIES", "RECIPES", "Recipe"),
    "synthesize.render": ("render",),
    "synthesize.training": ("through_training",),
    "tensor.memory": ("keep_memory",),
    "web.export": ("export",),
    "web.serve": ("serve",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [*_HOME_OF, "__version__"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version  # slow to import

        return version("retinoscope")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'retinoscope' has no attribute '{name}'")
    home = import_module(f"retinoscope.{_HOME_OF[name]}")
    found = getattr(home, name, None) or import_module(f"{home.__name__}.{name}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
