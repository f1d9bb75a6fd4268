"""Real images and digits that come with PyPI packages, and files that the user has."""

from ._fastmri import FastMRI as FastMRI
from ._fastmri import fastmri as fastmri
from ._idx import idx as idx
from ._images import digits as digits
from ._images import image as image
from ._images import image_names as image_names
from ._saving import save_image as save_image
from ._sets import faces as faces
from ._sets import folder as folder
from ._sets import mnist as mnist
from ._sets import patches as patches
from ._sets import shifted as shifted
from ._sets import signals as signals
