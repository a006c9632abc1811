"""Footage off the vehicle: to any fsspec URL, resumable, verified before a local copy may go."""

from __future__ import annotations

from catseye.capture.uploading.uploader import UploadError, UploadSummary, upload

__all__ = ["UploadError", "UploadSummary", "upload"]
