"""Theory of untrained networks: dynamics, fitting, denoising and recovery."""
