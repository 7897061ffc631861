import pytest
import torch

from triptych.models.heads import ClassificationHead, EmbeddingHead


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_embeddings_have_unit_norm(scale):
    embedding = EmbeddingHead(8, embedding_dim=5)(scale * torch.randn(16, 8))
    assert embedding.shape == (16, 5)
    torch.testing.assert_close(embedding.norm(dim=1), torch.ones(16))


def test_a_point_at_the_origin_has_a_finite_gradient():
    head = EmbeddingHead(4, embedding_dim=3)
    with torch.no_grad():
        for parameter in head.output.parameters():
            parameter.zero_()
    head(torch.randn(2, 4)).sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in head.parameters())


def test_unit_norm_holds_to_float32_under_autocast():
    head = EmbeddingHead(8, embedding_dim=5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        embedding = head(torch.randn(16, 8))
    assert embedding.dtype == torch.float32
    torch.testing.assert_close(embedding.norm(dim=1), torch.ones(16))


def test_logits_are_a_scaled_linear_map_of_the_embedding():
    head = ClassificationHead(5, num_classes=3)
    torch.nn.init.normal_(head.linear.bias)
    embedding = torch.randn(4, 5)
    expected = 10.0 * (embedding @ head.linear.weight.T + head.linear.bias)
    torch.testing.assert_close(head(embedding), expected)


@pytest.mark.parametrize("embedding_dim", [16, 64, 256])
def test_the_classifier_starts_about_as_well_as_guessing(embedding_dim):
    embedding = torch.nn.functional.normalize(torch.randn(512, embedding_dim), dim=1)
    logits = ClassificationHead(embedding_dim, num_classes=10)(embedding)
    loss = torch.nn.functional.cross_entropy(logits, torch.arange(512) % 10)
    assert 2.0 < loss < 3.2  # guessing is ln 10 = 2.3


def test_training_can_make_the_classifier_as_confident_as_it_likes():
    head = ClassificationHead(4, num_classes=4)
    embedding, labels = torch.eye(4), torch.arange(4)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(head(embedding), labels)
        loss.backward()
        optimizer.step()
    assert loss < 1e-3
