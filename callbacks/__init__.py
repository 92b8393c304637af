"""What is seen and kept: metrics, pictures, checkpoints and the run directory."""
