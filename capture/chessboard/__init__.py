"""A chessboard seen by a camera, and from it the camera's calibration."""

from catseye.capture.chessboard.solving import CalibrationReport, calibrate

__all__ = ["CalibrationReport", "calibrate"]
