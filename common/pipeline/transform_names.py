"""The names of stage 1's transforms and the data they fit: without torch, so that options are checked at once."""

from common.data.info import DataInfo
from common.errors import ConfigError, suggest

TRANSFORMS = {
    "normalise": "mean 0 and deviation 1 over the training split (default, but for ids)",
    "random-crop": "images padded by zeros, an eighth of their side, and cut back to size anywhere",
    "flip": "every other image mirrored, left to right",
    "none": "values as they are",
}
OF_IMAGES = frozenset({"random-crop", "flip"})


def canonical_transforms(text: str | None, data: str, info: DataInfo) -> str:
    """Return the canonical spelling of `random-crop, normalise`; None: the default for these data. ConfigError."""
    if text is None:
        return "none" if info.rows else "normalise"
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in TRANSFORMS:
            raise ConfigError(f"unknown transform {name!r}: {suggest(name, TRANSFORMS)}")
        if names.count(name) > 1:
            raise ConfigError(f"--preprocess {text}: {name} is given twice")
        if name == "none" and len(names) > 1:
            raise ConfigError(f"--preprocess {text}: none cannot be combined with other transforms")
        if info.rows and name != "none":
            raise ConfigError(f"--preprocess {text}: {data} has ids, which cannot be transformed: leave it out")
        if name in OF_IMAGES and len(info.shape) != 3:
            shape = "×".join(map(str, info.shape))
            raise ConfigError(f"--preprocess {text}: {name} is for images, and samples of {data} are {shape}")
    return ",".join(names)
