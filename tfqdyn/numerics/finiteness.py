"""What is said of values that are NaN or infinite; `kernels` find them on their way."""


class NonFiniteError(ValueError):
    """Values are NaN or infinite.

    Attributes:
        image: position of the first image, among those that were given.
    """

    def __init__(self, image: int) -> None:
        super().__init__(f"image {image} of those given holds values that are NaN or infinite")
        self.image = image


class OverflowedError(ValueError):
    """A layer's values are NaN or infinite for an image; the message names both."""

    def __init__(self, layer: str, network: str, images: str, index: int) -> None:
        super().__init__(
            f"layer {layer!r} of the {network} network gives NaN or infinity for {images} image "
            f"{index}: numbers grew beyond float32 there; check its weights, those of the layers "
            "before it, the image and the preprocessing"
        )


def refuse_non_finite(image: int) -> None:
    """Raises NonFiniteError if a loop returned an image, and not `loops.ALL_FINITE`."""
    if image >= 0:
        raise NonFiniteError(int(image))
