"""From the config to a model: the only file of the models that knows the config."""

from collections.abc import Sequence

from triptych.config.schema import RunConfig
from triptych.models.image_transformer import ImageTransformer
from triptych.models.multitask import MultiTaskImageTransformer


def build_model(
    config: RunConfig,
    *,
    num_classes: int,
    pixel_mean: float | Sequence[float],
    pixel_std: float | Sequence[float],
) -> MultiTaskImageTransformer | ImageTransformer:
    """Build the model of a run: `training.use_multitask_loss` chooses between the two.

    Args:
        config: the run; its data set says the size of the images.
        num_classes: K, classes of the data set.
        pixel_mean: of the training images in [0, 1], one number or one per channel.
        pixel_std: likewise, the standard deviation.

    Raises:
        ValueError: sizes that do not fit each other.
    """
    in_channels, height, width = config.dataset.image_shape
    model = config.model
    if config.training.use_multitask_loss:
        return MultiTaskImageTransformer(
            image_size=(height, width),
            in_channels=in_channels,
            num_classes=num_classes,
            patch_size=model.patch_size,
            patch_embedding=model.patch_embedding,
            embed_dim=model.embed_dim,
            num_heads=model.num_heads,
            num_layers=model.num_layers,
            mlp_ratio=model.mlp_ratio,
            depthwise_convolution=model.depthwise_convolution,
            dropout=model.dropout,
            latent_dim=model.latent_dim,
            embedding_dim=model.embedding_dim,
            decoder_dim=model.decoder_dim,
            principal_components=model.principal_components,
            pixel_mean=pixel_mean,
            pixel_std=pixel_std,
        )
    return ImageTransformer(
        image_size=(height, width),
        in_channels=in_channels,
        num_classes=num_classes,
        patch_size=model.patch_size,
        patch_embedding=model.patch_embedding,
        embed_dim=model.embed_dim,
        num_heads=model.num_heads,
        num_layers=model.num_layers,
        mlp_ratio=model.mlp_ratio,
        depthwise_convolution=model.depthwise_convolution,
        dropout=model.dropout,
        embedding_dim=model.embedding_dim,
        pixel_mean=pixel_mean,
        pixel_std=pixel_std,
    )
