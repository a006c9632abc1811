"""What is in a dataset, on one page."""

from catseye.capture.inspection.inspecting import inspect
from catseye.capture.inspection.summary import InspectionSummary

__all__ = ["InspectionSummary", "inspect"]
