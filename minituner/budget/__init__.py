"""Parameters and bytes of a training step, by formula and measured."""
