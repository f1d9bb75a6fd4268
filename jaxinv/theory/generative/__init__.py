"""Theory of random ReLU generators: angles, landscapes and laws of the noise."""
