"""A rendered road world with exact boxes, tracks, depth, pose and speed, for trials and measurements."""

from catseye.capture.synth.truth import Truth, load_truth
from catseye.capture.synth.vehicles import CLASSES
from catseye.capture.synth.world import synth

__all__ = ["CLASSES", "Truth", "load_truth", "synth"]
