"""Real images and digits that come with PyPI packages, and files that the user has."""

from ._fastmri import FastMRI as FastMRI
from ._fastmri import fastmri as fastmri
from ._images import digits as digits
from ._images import image as image
from ._images import image_names as image_names
from ._saving import save_image as save_image
