"""The queue before the disk: bounded, in order, and honest about what it drops."""

from __future__ import annotations

from recording_footage import live_packets

from catseye.capture.live import LivePacket
from catseye.capture.recording.packet_queue import Dropped, Lost, PacketQueue


def drained(queue: PacketQueue) -> list[object]:
    items = []
    while (item := queue.get(0.0)) is not None:
        items.append(item)
    return items


def test_items_come_out_as_they_went_in() -> None:
    queue = PacketQueue(1 << 30)
    items = [*live_packets(5), Lost("broke off"), *live_packets(5)]
    for item in items:
        queue.put(item)
    assert drained(queue) == items
    assert queue.get(0.0) is None


def test_what_does_not_fit_is_dropped_to_a_key_frame_and_counted() -> None:
    packets = live_packets(60, gop=10)
    limit = sum(packet.packet.size for packet in packets[:25])
    queue = PacketQueue(limit)
    for packet in packets[:35]:
        queue.put(packet)
    taken = [queue.get(0.0) for _ in range(20)]
    for packet in packets[35:]:
        queue.put(packet)
    assert taken == packets[:20]
    rest = drained(queue)
    assert rest[:5] == packets[20:25]
    assert rest[5] == Dropped(15)
    assert rest[6:] == packets[40:]


def test_memory_stays_below_the_limit() -> None:
    packets = live_packets(60, gop=10)
    limit = sum(packet.packet.size for packet in packets) // 5
    queue = PacketQueue(limit)
    for packet in packets * 20:
        queue.put(packet)
    held = drained(queue)
    kept = [item for item in held if isinstance(item, LivePacket)]
    assert sum(packet.packet.size for packet in kept) <= limit
    assert len(kept) + sum(item.packets for item in held if isinstance(item, Dropped)) == 1200


def test_loss_of_the_source_is_never_dropped() -> None:
    packets = live_packets(20)
    queue = PacketQueue(packets[0].packet.size)
    for packet in packets:
        queue.put(packet)
    queue.put(Lost("broke off"))
    assert drained(queue) == [packets[0], Dropped(19), Lost("broke off")]


def test_drops_at_the_end_are_told() -> None:
    packets = live_packets(20)
    queue = PacketQueue(packets[0].packet.size)
    for packet in packets:
        queue.put(packet)
    assert drained(queue) == [packets[0], Dropped(19)]
