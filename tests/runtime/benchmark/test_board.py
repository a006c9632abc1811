"""An Orin NX as its files show it, by the kernel's documentation of its drivers and L4T's paths."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
from board import board

from catseye.runtime.benchmark.board import Board, Reading, watched
from catseye.runtime.benchmark.disturbances import Moment, disturbances
from catseye.runtime.benchmark.power import energy, mean_power_w
from catseye.runtime.cores import cpu_quota
from catseye.runtime.fingerprint import Fingerprint, power_mode
from catseye.runtime.system_files import SystemFiles

MONITOR = "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon1"
ORIN_NX = {
    f"{MONITOR}/name": "ina3221",
    f"{MONITOR}/in1_label": "VDD_IN",
    f"{MONITOR}/in1_input": "5000",
    f"{MONITOR}/curr1_input": "2000",
    f"{MONITOR}/in2_label": "VDD_CPU_GPU_CV",
    f"{MONITOR}/in2_input": "5000",
    f"{MONITOR}/curr2_input": "800",
    f"{MONITOR}/in3_label": "NC",
    f"{MONITOR}/in3_input": "5000",
    f"{MONITOR}/curr3_input": "9999",
    f"{MONITOR}/in7_label": "sum of shunt voltages",
    f"{MONITOR}/in7_input": "123",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal",
    "sys/class/thermal/thermal_zone0/temp": "51500",
    "sys/class/thermal/thermal_zone1/type": "cv0-thermal",  # its sensor is off: reading it is an error
    "sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq": "1984000",
    "sys/class/devfreq/17000000.gpu/cur_freq": "918000000",
    "sys/kernel/debug/bpmp/debug/clk/emc/rate": "3199000000",
    "sys/class/hwmon/hwmon3/oc3_event_cnt": "4",
    "proc/stat": "cpu  100 0 100 5000 10 0 5 20 0 0\ncpu0 1 1 1 1",
    "proc/self/cgroup": "0::/pod/job",
    "sys/fs/cgroup/pod/cpu.max": "150000 100000",
    "sys/fs/cgroup/pod/job/cpu.max": "max 100000",
    "sys/fs/cgroup/pod/job/cpu.stat": "usage_usec 1\nnr_periods 9\nnr_throttled 2\nthrottled_usec 5",
    "var/lib/nvpmodel/status": "pmode:0002 fmode:fanNull",
    "etc/nvpmodel.conf": "< POWER_MODEL ID=0 NAME=MAXN >\nCPU_ONLINE CORE_0 1\n< POWER_MODEL ID=2 NAME=15W >",
}


@pytest.fixture
def files(tmp_path: Path) -> SystemFiles:
    write(tmp_path, ORIN_NX)
    return SystemFiles(tmp_path)


def write(root: Path, contents: dict[str, str]) -> None:
    for name, content in contents.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n")


def test_what_an_orin_nx_tells(files: SystemFiles) -> None:
    reading = Board(files).read()
    assert reading.rails_w == {"VDD_IN": pytest.approx(10.0), "VDD_CPU_GPU_CV": pytest.approx(4.0)}
    assert reading.power_w == pytest.approx(10.0)  # the rails below VDD_IN are in it
    assert reading.temperatures_c == {"cpu-thermal": 51.5}
    assert reading.clocks_mhz == {"cpu 0": 1984.0, "gpu": 918.0, "memory": 3199.0}
    assert Board(files).throttled() == {"oc3": 4}
    assert power_mode(files) == "2 15W"
    assert cpu_quota(files) == 1.5


def test_an_agx_orin_has_no_rail_that_carries_all(tmp_path: Path) -> None:
    for address, rails in (
        ("1-0040/hwmon/hwmon3", ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0")),
        ("1-0041/hwmon/hwmon4", ("NC", "VDDQ_VDD2_1V8AO")),
    ):
        folder = f"sys/bus/i2c/drivers/ina3221/{address}"
        for channel, rail in enumerate(rails, start=1):
            values = {f"in{channel}_label": rail, f"in{channel}_input": "5000", f"curr{channel}_input": "400"}
            write(tmp_path, {f"{folder}/{name}": value for name, value in values.items()})
    reading = Board(SystemFiles(tmp_path)).read()
    assert len(reading.rails_w) == 4
    assert reading.power_w == pytest.approx(8.0)


def test_a_machine_without_sensors(tmp_path: Path) -> None:
    board = Board(SystemFiles(tmp_path))
    assert not board
    with watched(board, period_s=0.001) as log:
        time.sleep(0.01)
    assert log.readings == []
    assert board.read().power_w is None and board.throttled() == {}
    assert cpu_quota(SystemFiles(tmp_path)) is None and power_mode(SystemFiles(tmp_path)) == ""
    assert energy([], seconds=1.0, frames=5, idle_w=None) is None


def test_the_older_control_groups(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "proc/self/cgroup": "5:cpuacct:/\n4:cpu,cpuacct:/docker/x\n1:name=systemd:/",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            "sys/fs/cgroup/cpu/docker/x/cpu.cfs_quota_us": "-1",
            "sys/fs/cgroup/cpu/docker/x/cpu.cfs_period_us": "100000",
        },
    )
    assert cpu_quota(SystemFiles(tmp_path)) == 0.5


def test_a_board_is_watched_all_the_while(files: SystemFiles) -> None:
    with watched(Board(files), period_s=0.002) as log:
        while len(log.readings) < 4:
            time.sleep(0.001)
    times = [reading.at_s for reading in log.readings]
    assert times == sorted(times)
    assert log.between(times[1], times[2]) == log.readings[1:3]
    assert log.between(times[-1] + 1, times[-1] + 2) == []
    assert mean_power_w(log.readings) == pytest.approx(10.0)


def test_joules_a_frame() -> None:
    readings = [Reading(k, {"VDD_IN": 8.0 + 4 * (k % 2), "VDD_SOC": 1.0}, {}, {}) for k in range(10)]
    found = energy(readings, seconds=5.0, frames=100, idle_w=6.0)
    assert found is not None
    assert (found.mean_w, found.readings) == (10.0, 10)
    assert found.joules_per_frame == pytest.approx(0.5)
    assert found.above_idle_joules_per_frame == pytest.approx(0.2)
    assert found.rails_w == {"VDD_IN": 10.0, "VDD_SOC": 1.0}
    assert energy(readings, seconds=5.0, frames=100, idle_w=None).above_idle_joules_per_frame is None  # type: ignore[union-attr]


def test_what_disturbs_is_told(files: SystemFiles) -> None:
    before = Moment.now(Board(files), files)
    assert before.busy_s == pytest.approx(225 / 100, rel=1e-6)  # in ticks of 10 ms, none of them idle
    assert before.throttled == {"oc3": 4, "the container's limit": 2}
    at, work, own = before.at_s + 10, before.busy_s, before.own_s
    before = replace(before, cores=2)
    quiet = replace(before, at_s=at, busy_s=work + 10, own_s=own + 9.5)
    assert disturbances(before, quiet, governor="performance") == []
    busy = replace(before, at_s=at, busy_s=work + 18, own_s=own + 3, cores=1)
    busy = replace(busy, throttled={**before.throttled, "oc3": 7})
    clocks = [Reading(k, {}, {}, {"gpu": mhz}) for k, mhz in enumerate((918.0, 510.0))]
    told = disturbances(before, busy, readings=clocks, governor="schedutil")
    assert [line.split(":")[0] for line in told] == [
        "other processes took 1.50 cores on average",
        "the cores that may be used went from 2 to 1",
        "oc3",
        "the processor's clock is chosen by 'schedutil', not fixed",
        "clock of gpu went between 510 and 918 MHz",
    ]
    assert "slowed down 3 times" in told[2]


def test_the_gpu_is_part_of_the_fingerprint_where_the_engine_runs_there(tmp_path: Path) -> None:
    options = {
        "precision": "fp16",
        "threads": 0,
        "network": "448x256 x1 rgb8",
        "bundle_sha256": "",
        "input_name": "",
        "input_sha256": "",
        "files": SystemFiles(tmp_path),
    }
    with board():
        on_gpu = Fingerprint.take(engine="tensorrt 10.3.0 fp16", **options)
        beside_it = Fingerprint.take(engine="onnxruntime 1.20 cpu", **options)
    assert "8.7" in on_gpu.gpu and "CUDA" in on_gpu.driver
    assert (beside_it.gpu, beside_it.driver, beside_it.governor, beside_it.l4t) == ("", "", "", "")
    assert set(on_gpu.differences(beside_it)) == {"gpu", "driver", "engine"}
