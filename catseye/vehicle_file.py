"""``catseye.toml``: what a vehicle carries, for the verbs that run on it. Options of a verb override it.

An example:

vehicle = "van-7"

[cameras.front]
url = "rtsp://192.168.1.20/stream1"
proxy_url = "rtsp://192.168.1.20/stream2"
calibration = "front.json"

[record]
segment_s = 60
quota = "200GB"
min_free = "5GB"
telemetry = "gpsd://localhost"
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from catseye.errors import InputError, UsageError
from catseye.units import parse_bytes

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DEFAULT_PATH = Path("catseye.toml")
_NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"
_REMEDY = "docs/footage.md has an example"


def _amount(text: str) -> str:
    try:
        parse_bytes(text)
    except UsageError as error:
        raise ValueError(str(error)) from None
    return text


_Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Amount = Annotated[str, AfterValidator(_amount)]


class _Table(BaseModel):
    # A key that is spelled wrong would otherwise be an option that silently does nothing.
    model_config = ConfigDict(frozen=True, extra="forbid")


class Camera(_Table):
    """A camera of the vehicle.

    Args:
        url: where its stream is: RTSP, HTTP, a V4L2 device or a file.
        proxy_url: a small stream of the same picture, recorded beside.
        calibration: ``calibration.json``, relative to the vehicle's file.
    """

    url: str = Field(min_length=1)
    proxy_url: str | None = None
    calibration: Path | None = None


class RecordTable(_Table):
    """How footage is recorded, as the options of the same names say; None leaves it to the verb."""

    segment_s: _Seconds | None = None
    container: Literal["mp4", "ts"] | None = None
    transport: Literal["tcp", "udp"] | None = None
    fsync_s: _Seconds | None = None
    open_timeout_s: _Seconds | None = None
    read_timeout_s: _Seconds | None = None
    max_gap_s: _Seconds | None = None
    quota: _Amount | None = None
    min_free: _Amount | None = None
    telemetry: str | None = None


class VehicleFile(_Table):
    """The whole file; cameras by name."""

    vehicle: str = Field(default="vehicle", pattern=_NAME)
    cameras: dict[str, Camera] = Field(default_factory=dict)
    record: RecordTable = RecordTable()


def read_vehicle_file(path: Path) -> VehicleFile:
    """Read and validate; calibrations become paths that hold from anywhere.

    Raises:
        InputError: the file is absent, is no TOML, or a field does not fit.
    """
    try:
        document = tomllib.loads(path.read_text())
        vehicle = VehicleFile.model_validate(document)
    except FileNotFoundError:
        raise InputError(path, "no such file", "check the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(path, f"cannot be read ({error})", "check the file") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(path, f"is no TOML ({error})", _REMEDY) from None
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InputError(path, f"field {field!r}: {first['msg']}", _REMEDY) from None
    cameras = {name: _placed(camera, path.parent) for name, camera in vehicle.cameras.items()}
    return vehicle.model_copy(update={"cameras": cameras})


def vehicle_file(path: Path | None) -> VehicleFile:
    """The file given, else ``catseye.toml`` where there is one, else one that carries nothing.

    Raises:
        InputError: see ``read_vehicle_file``.
    """
    if path is not None or DEFAULT_PATH.exists():
        return read_vehicle_file(path or DEFAULT_PATH)
    return VehicleFile()


def _placed(camera: Camera, folder: Path) -> Camera:
    if camera.calibration is None:
        return camera
    return camera.model_copy(update={"calibration": folder / camera.calibration})
