"""The proxy's image, as a pod may name it."""

from typing import Final

from weft_core.model.mistake import describe

_ISTIOS: Final = "proxyv2"
IMAGE_FIX: Final = "name an image of Weft's, or remove it"


def check_image(text: str) -> str:
    """The same image. Raises ValueError for no name of one, and for Istio's: there is no `weft` in it to redirect with.

    The pod would be stored, and never start.
    """
    if not text or any(char.isspace() for char in text):
        raise ValueError(f"`{describe(text)}` is not the name of an image")
    if text.partition("@")[0].rpartition("/")[2].partition(":")[0] == _ISTIOS:
        raise ValueError(f"`{describe(text)}` is Istio's image; the proxy needs Weft's own")
    return text
