import pytest
import torch
import torch.nn.functional as F


@pytest.mark.parametrize("patch_embedding", ["convolutional", "linear"])
@pytest.mark.parametrize(("image_size", "channels", "patch_size"), [((8, 8), 1, 2), ((28, 28), 1, 7), ((12, 20), 5, 4)])
def test_every_output_has_its_documented_shape(make_simple, patch_embedding, image_size, channels, patch_size):
    model = make_simple(
        patch_embedding=patch_embedding, image_size=image_size, in_channels=channels, patch_size=patch_size
    )
    images = torch.rand(3, channels, *image_size)
    output = model(images)
    assert output.embedding.shape == (3, 6)
    assert output.logits.shape == (3, 5)
    assert model.encode(images).shape == (3, model.encoder.output_dim)
    torch.testing.assert_close(output.embedding.norm(dim=1), torch.ones(3))


def test_the_methods_equal_forward(make_simple):
    model = make_simple()
    images = torch.rand(3, 1, 8, 8)
    output = model(images)
    assert torch.equal(model.embed(images), output.embedding)
    assert torch.equal(model.classify(images), output.logits)
    assert torch.equal(model.embedding_head(model.encode(images)), output.embedding)


def test_evaluation_is_deterministic_and_training_draws_nothing_but_dropout(make_simple):
    images = torch.rand(3, 1, 8, 8)
    for model in (make_simple(dropout=0.5).eval(), make_simple().train()):
        assert torch.equal(model(images).logits, model(images).logits)
    model = make_simple(dropout=0.5).train()
    assert not torch.equal(model(images).logits, model(images).logits)


def test_gradients_reach_every_parameter(make_simple):
    model = make_simple()
    F.cross_entropy(model(torch.rand(16, 1, 8, 8)).logits, torch.arange(16) % 5).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert (parameter.grad != 0).any(), name


def test_both_models_share_their_encoder(make_simple, make_multitask):
    simple, multitask = make_simple().eval(), make_multitask().eval()
    simple.encoder.load_state_dict(multitask.encoder.state_dict())
    images = torch.rand(3, 1, 8, 8)
    mean, log_variance = multitask.latent_head(simple.encode(images))
    torch.testing.assert_close((mean, log_variance), (multitask.encode(images)[0][:, :4], multitask.encode(images)[1]))


def test_bytes_are_rejected(make_simple):
    with pytest.raises(ValueError, match="divide by 255"):
        make_simple()(torch.zeros(2, 1, 8, 8, dtype=torch.uint8))


def test_known_features_stand_in_for_the_encoder(make_simple):
    model = make_simple()
    images = torch.rand(3, 1, 8, 8)
    expected, features = model(images), model.encode(images)
    model.encoder.forward = None  # it is not called
    for one, other in zip(model(images, features), expected, strict=True):
        assert torch.equal(one, other)
