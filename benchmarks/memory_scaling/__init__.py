"""The peak memory of one real training step at growing shapes, from MiniGPT to 7B."""
