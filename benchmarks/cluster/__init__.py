"""What a job costs on top of its work, here and on a Slurm of two nodes that is started for it."""
