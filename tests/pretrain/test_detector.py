from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from catseye.errors import InputError
from catseye.pretrain.checkpoint import CheckpointInfo, save_checkpoint
from catseye.pretrain.detection_head import Head, boxes_from_distances
from catseye.pretrain.detector import DenseOutputs, Detector, decode, load_detector
from catseye.pretrain.encoder import Encoder


@pytest.fixture(scope="module")
def detector() -> Detector:
    torch.manual_seed(0)
    return Detector(Encoder("resnet10t"), classes=("car", "truck", "bus"), embedding_dim=16).eval()


def random_dense(seed: int, *, h: int = 6, w: int = 10) -> DenseOutputs:
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(2, 2, 2, h, w, generator=generator) * 70 - 10
    return DenseOutputs(
        score_logits=torch.randn(2, 3, h, w, generator=generator) * 2,
        boxes=torch.cat([corners.amin(1), corners.amax(1)], dim=1),
        embeddings=torch.randn(2, 5, h, w, generator=generator),
        depth=torch.rand(2, h, w, generator=generator),
    )


def test_dense_outputs_have_the_shapes_and_types_of_the_contract(detector: Detector) -> None:
    with torch.no_grad():
        dense = detector(torch.rand(2, 3, 64, 96))
    assert dense.score_logits.shape == (2, 3, 16, 24)
    assert dense.boxes.shape == (2, 4, 16, 24)
    assert dense.embeddings.shape == (2, 16, 16, 24)
    assert dense.depth.shape == (2, 16, 24)
    assert all(part.dtype == torch.float32 for part in dense)
    assert (dense.boxes[:, 2:] > dense.boxes[:, :2]).all() and (dense.depth > 0).all()


def test_an_untrained_detector_finds_hardly_anything(detector: Detector) -> None:
    with torch.no_grad():
        scores = decode(detector(torch.rand(1, 3, 64, 96))).scores
    assert scores.max() < 0.2


def test_one_to_one_scores_are_what_better_neighbours_leave_of_the_one_to_many() -> None:
    torch.manual_seed(0)
    head = Head(8, 1).eval()
    torch.nn.init.normal_(head.many.weight, std=5.0)
    found = head(torch.rand(1, 8, 12, 20))
    answer = found.many_logits.detach()
    best_around = torch.nn.functional.max_pool2d(answer, 3, stride=1, padding=1)
    lost = answer - found.one_logits
    # Beside a better cell the loss is at least twice of how much better that is; nothing is lost at the best.
    assert (lost > 2 * (best_around - answer) - 0.2).all() and float(best_around.sub(answer).max()) > 0.5
    assert lost.flatten()[answer.argmax()].abs() < 0.2


def test_a_cell_is_held_back_by_the_best_of_3_5_and_9_cells_across() -> None:
    torch.manual_seed(4)
    head = Head(8, 2).eval()
    x = torch.randn(2, 8, 12, 16)
    with torch.no_grad():
        torch.nn.init.normal_(head.many.weight)
        maps = head.tower(x)
        answer, context = head.many(maps), head.choice(maps)
        expected = answer + head.one(context)
        rivalry = F.softplus(head.rivalry(context))
        for index, across in enumerate((3, 5, 9)):
            best = F.max_pool2d(answer, across, stride=1, padding=across // 2)
            expected = expected + rivalry[:, index : index + 1] * (answer - best)
        found = head(x).one_logits
    assert torch.equal(found, expected)


def test_one_to_one_scores_do_not_teach_the_one_to_many() -> None:
    head = Head(8, 1)
    head(torch.rand(2, 8, 6, 10)).one_logits.sum().backward()
    assert head.many.weight.grad is None and head.one.weight.grad is not None


def test_distances_are_measured_from_the_cells_centre() -> None:
    boxes = boxes_from_distances(
        torch.log(torch.tensor([1.0, 2.0, 3.0, 4.0])).view(1, 4, 1, 1).expand(1, 4, 3, 5)
    )
    torch.testing.assert_close(boxes[0, :, 2, 4], torch.tensor([18 - 4.0, 10 - 8.0, 18 + 12.0, 10 + 16.0]))


@pytest.mark.parametrize("top_k", [7, 60, 1000])
def test_decode_agrees_with_a_plain_reference(top_k: int) -> None:
    dense = random_dense(top_k)
    decoded = decode(dense, top_k)
    scores = 1 / (1 + np.exp(-dense.score_logits.numpy().astype(np.float64)))
    for image in range(2):
        cells = [
            (scores[image, :, y, x].max(), scores[image, :, y, x].argmax(), y, x)
            for y in range(6)
            for x in range(10)
        ]
        cells.sort(key=lambda cell: -cell[0])
        cells = cells[:top_k]
        assert decoded.scores.shape == (2, len(cells))
        np.testing.assert_allclose(decoded.scores[image], [cell[0] for cell in cells], rtol=1e-5)
        assert decoded.classes[image].tolist() == [cell[1] for cell in cells]
        picked = np.array([dense.boxes[image, :, y, x].numpy() for _, _, y, x in cells])
        np.testing.assert_allclose(decoded.boxes[image], np.clip(picked, 0, [40, 24, 40, 24]))
        told = np.array([dense.embeddings[image, :, y, x].numpy() for _, _, y, x in cells])
        told /= np.linalg.norm(told, axis=1, keepdims=True)
        np.testing.assert_allclose(decoded.embeddings[image], told, atol=1e-6)
    assert decoded.classes.dtype == torch.int32
    assert decoded.depth is dense.depth


def test_embeddings_of_unlike_places_point_apart(detector: Detector) -> None:
    features = torch.randn(4, 128, 8, 12).relu() * torch.rand(1, 128, 1, 1) + 1
    maps = [features, features]
    embedding = detector.embedding.train()
    for _ in range(60):
        embedding.observe(maps)
    told = torch.nn.functional.normalize(embedding.eval()(maps).flatten(2)[0].T, dim=1)
    likeness = (told @ told.T).fill_diagonal_(0)
    assert likeness.mean().abs() < 0.1
    plain = torch.nn.functional.normalize(features.flatten(2)[0].T, dim=1)
    assert (plain @ plain.T).mean() > 0.5


def test_a_saved_detector_loads_and_predicts_the_same(detector: Detector, tmp_path: Path) -> None:
    info = CheckpointInfo(
        kind="finetune",
        encoder="resnet10t",
        width=96,
        height=64,
        classes=detector.classes,
        config={"embedding_dim": 16, "neck_channels": 64},
    )
    save_checkpoint(tmp_path, info, detector)
    loaded, read = load_detector(tmp_path)
    assert read.classes == detector.classes and not loaded.training
    rgb = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        for ours, theirs in zip(detector(rgb), loaded(rgb), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    save_checkpoint(tmp_path, info.model_copy(update={"classes": ("car",)}), detector)
    with pytest.raises(InputError, match="do not fit this network"):
        load_detector(tmp_path)
    save_checkpoint(tmp_path, info.model_copy(update={"kind": "pretrain"}), detector)
    with pytest.raises(InputError, match="is a pretrain run without a detector"):
        load_detector(tmp_path)


def test_the_detector_exports_as_one_static_graph(detector: Detector) -> None:
    class Graph(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.detector = detector

        def forward(self, rgb: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return tuple(decode(self.detector(rgb), 20))

    rgb = torch.rand(1, 3, 64, 96)
    graph = Graph().eval()
    program = torch.export.export(graph, (rgb,))
    with torch.no_grad():
        for ours, theirs in zip(graph(rgb), program.module()(rgb), strict=True):
            torch.testing.assert_close(ours, theirs)
    names = {str(node.target) for node in program.graph.nodes}
    assert not [name for name in names if "nms" in name or "grid_sampl" in name or "nonzero" in name]
