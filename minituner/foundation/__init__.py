"""What every room uses, without torch: errors, seeds, files, progress, the environment."""
