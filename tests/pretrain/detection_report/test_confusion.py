from __future__ import annotations

from detection_cases import found, image

from catseye.pretrain.detection_report.confusion import confusion_matrix


def test_counts_of_a_case_by_hand() -> None:
    stills = [
        image((10, 10, 30, 30, 0), (50, 10, 70, 30, 1), (90, 10, 110, 30, 1)),
        image((10, 10, 30, 30, 0), (50, 10, 70, 30, 0), crowd=(1,)),
    ]
    each = [
        found((10, 10, 30, 30, 0.9, 0), (50, 10, 70, 30, 0.8, 0), (120, 50, 140, 70, 0.7, 1)),
        found((10, 10, 30, 30, 0.1, 0), (52, 10, 70, 30, 0.9, 1)),
    ]
    counts = confusion_matrix(each, stills, num_classes=2, threshold=0.5)
    # Down: car, bus, background. One car is below the threshold; what lies over the crowd is nowhere.
    assert counts.tolist() == [[1, 0, 1], [1, 0, 1], [0, 1, 0]]
    assert confusion_matrix(each, stills, num_classes=2, threshold=0.05)[0].tolist() == [2, 0, 0]


def test_two_errors_of_one_kind_in_a_still_count_twice() -> None:
    still = image((10, 10, 30, 30, 0), (50, 10, 70, 30, 0))
    wrong = found((90, 50, 99, 60, 0.9, 0), (110, 50, 120, 60, 0.9, 0))
    assert confusion_matrix([wrong], [still], num_classes=1, threshold=0).tolist() == [[0, 2], [2, 0]]
