"""A small convolutional network."""

from torch import nn


def build(shape: tuple[int, ...], classes: int, hidden: tuple[int, ...]) -> nn.Module:
    """Build: images (channels, height, width), two 3×3 convolutions, pooling by 2, a hidden layer, logits."""
    channels, height, width = shape
    features = 32 * (height // 2) * (width // 2)
    return nn.Sequential(
        nn.Conv2d(channels, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(features, hidden[0]),
        nn.ReLU(),
        nn.Linear(hidden[0], classes),
    )
