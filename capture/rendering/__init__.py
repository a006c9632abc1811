"""A rendered road world with exact boxes, tracks, depth, pose and speed, for trials and measurements."""

from catseye.capture.rendering.truth import Truth, load_truth
from catseye.capture.rendering.vehicles import CLASSES
from catseye.capture.rendering.world import synth

__all__ = ["CLASSES", "Truth", "load_truth", "synth"]
