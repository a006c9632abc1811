"""Pictures as files, in RGB."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from catseye.files import write_bytes


def read_rgb(path: Path) -> NDArray[np.uint8] | None:
    """A picture (H, W, 3) uint8; None where the file is none."""
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    return None if bgr is None else np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def write_rgb(path: Path, rgb: NDArray[np.uint8]) -> None:
    """Write (H, W, 3) uint8 by the file's suffix, aside and renamed: PNG loses nothing, JPEG little."""
    _, content = cv2.imencode(path.suffix, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    write_bytes(path, content.tobytes())
