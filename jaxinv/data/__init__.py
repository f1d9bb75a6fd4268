"""Real images and digits that come with PyPI packages, and files that the user has."""

from jaxinv.data._images import digits, image, image_names
from jaxinv.data._saving import save_image
from jaxinv.data.fastmri import FastMRI, fastmri

__all__ = ["FastMRI", "digits", "fastmri", "image", "image_names", "save_image"]
