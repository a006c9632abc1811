from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from standing_boxes import BOX, ERRORS, MOUNT, K, boxes, standing

from catseye.runtime.ranging.cue import Cue
from catseye.runtime.ranging.errors import CueErrors
from catseye.runtime.ranging.ground import Mount, Pitch, Stand
from catseye.runtime.ranging.horizon import Horizon
from catseye.runtime.ranging.known_sizes import Shape
from catseye.runtime.ranging.size import SizeTable, by_size
from catseye.runtime.ranging.visibility import cut_off

CARS = SizeTable([(Shape(height_m=1.5, spread=0.1, aspect=1.2, aspect_spread=0.3),)])
UNKNOWN = replace(MOUNT, pitch_rad=None)
PITCH = MOUNT.pitch_rad or 0.0
SEEN = boxes(
    *(standing(z, x=x) for z, x in ((9.0, -3.0), (18.0, 3.0), (30.0, 0.0), (45.0, -4.0), (60.0, 4.0)))
)


def see(
    horizon: Horizon,
    there: np.ndarray,
    *,
    mount: Mount = UNKNOWN,
    time_s: float = 0.0,
    errors: CueErrors = ERRORS,
    sized: bool = True,
) -> Pitch:
    cut, fy = cut_off(there, BOX), float(K[1, 1])
    size = by_size(there, np.zeros(len(there), int), cut, fy, CARS, errors=errors)
    stand = Stand.of(there, K, mount, errors=errors)
    known = size if sized else Cue.silent(len(there))
    return horizon.see(stand, cut, known, focal_px=fy, time_s=time_s)


def drawn(rng: np.random.Generator, *, pitch: float) -> np.ndarray:
    """``SEEN`` with edges and heights off by their errors, from a camera whose pitch is off."""
    there, tall = SEEN.copy(), SEEN[:, 3] - SEEN[:, 1]
    there[:, 1] = there[:, 3] - tall * np.exp(rng.normal(0, 0.1, len(there)))
    there[:, [1, 3]] += rng.normal(0, ERRORS.edges.px, (len(there), 2)) - pitch * K[1, 1]
    return there


def test_things_of_known_size_tell_an_unknown_pitch() -> None:
    pitch = see(Horizon(UNKNOWN, errors=ERRORS), SEEN)
    assert pitch.off == pytest.approx(np.full(len(SEEN), PITCH), abs=0.006)
    assert (np.asarray(pitch.variance) < ERRORS.unknown_mount_rad**2 / 4).all()


@pytest.mark.parametrize("mount", [MOUNT, UNKNOWN])
def test_its_error_is_what_it_says(mount: Mount) -> None:
    """Over draws of the camera's pitch, of the sizes and of the edges."""
    rng, shares = np.random.default_rng(0), []
    for _ in range(600):
        spread = np.sqrt(mount.unseen(ERRORS).variance)
        pitch = float(rng.normal(0, spread))
        at_rest = Mount(MOUNT.height_m, None if mount.pitch_rad is None else PITCH)
        # An unknown pitch is taken for level, which that of ``SEEN`` is not.
        moved = pitch - (PITCH if at_rest.pitch_rad is None else 0.0)
        told = see(Horizon(at_rest, errors=ERRORS), drawn(rng, pitch=moved), mount=at_rest)
        shares.append((told.off - pitch) / np.sqrt(told.variance))
    # Those that seem far count a little more than they should, so that there is some bias.
    assert 0.9 < np.std(shares) < 1.1 and abs(np.mean(shares)) < 0.25


def test_a_box_is_not_told_by_its_own_size() -> None:
    """Else its place would agree with its size for no reason."""
    odd = SEEN.copy()
    odd[4, 1] -= 8.0
    plain, misled = (see(Horizon(UNKNOWN, errors=ERRORS), there) for there in (SEEN, odd))
    assert misled.off[4] == pytest.approx(plain.off[4]) and misled.variance[4] == pytest.approx(
        plain.variance[4]
    )
    assert misled.off[0] != pytest.approx(plain.off[0], abs=1e-4)


def test_one_that_is_of_another_size_hardly_counts() -> None:
    odd = SEEN.copy()
    odd[3, 1] = odd[3, 3] - 3 * (odd[3, 3] - odd[3, 1])
    sure = Horizon(MOUNT, errors=ERRORS)
    assert np.abs(see(sure, odd, mount=MOUNT).off).max() < 0.002


def test_the_mounting_is_learned_and_the_nodding_is_not() -> None:
    rng, horizon = np.random.default_rng(0), Horizon(UNKNOWN, errors=ERRORS)
    for k in range(60):
        see(horizon, drawn(rng, pitch=float(rng.normal(0, ERRORS.nod_rad))), time_s=10.0 * k)
    nothing = see(horizon, SEEN[:0], time_s=601.0)
    assert nothing.off == pytest.approx(PITCH, abs=0.002)
    assert ERRORS.nod_rad**2 < nothing.variance < 1.2 * ERRORS.nod_rad**2


def test_frames_of_the_same_vehicles_tell_less_than_others() -> None:
    left = []
    for apart_s in (0.04, 30.0):
        horizon = Horizon(UNKNOWN, errors=ERRORS)
        for k in range(10):
            see(horizon, SEEN, time_s=apart_s * k)
        left.append(see(horizon, SEEN[:0]).variance)
    assert left[0] - ERRORS.nod_rad**2 > 3 * (left[1] - ERRORS.nod_rad**2)


def test_what_all_sizes_are_off_by_stays_in_the_variance() -> None:
    """However many frames there are, they do not tell it apart from the pitch."""
    errors = replace(ERRORS, sizes=0.1, nod_rad=0.0)
    horizon = Horizon(UNKNOWN, errors=errors)
    for k in range(200):
        pitch = see(horizon, SEEN, time_s=30.0 * k, errors=errors)
    far = MOUNT.height_m / 60.0 * errors.sizes
    assert (np.sqrt(pitch.variance) > 0.7 * far).all()


def test_without_sizes_the_calibration_is_all_there_is() -> None:
    for mount in (MOUNT, UNKNOWN):
        told = see(Horizon(mount, errors=ERRORS), SEEN, mount=mount, sized=False)
        assert (told.off, told.variance) == (0.0, pytest.approx(mount.unseen(ERRORS).variance))


def test_one_box_alone_is_left_with_the_calibration() -> None:
    told = see(Horizon(UNKNOWN, errors=ERRORS), SEEN[:1])
    assert told.off == pytest.approx([0.0], abs=1e-5)
    assert told.variance == pytest.approx([UNKNOWN.unseen(ERRORS).variance], rel=1e-3)
