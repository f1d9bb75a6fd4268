"""Theory of unfolded networks: linear rates and generalization."""
