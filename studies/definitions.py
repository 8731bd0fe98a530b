"""What an intruder dimension is here, and what is done to it (arXiv:2410.21228, section 3)."""

LARGEST = 10  # left singular vectors of a tuned weight that are looked at
CLOSE = 0.5  # the cosine with one of the base's from which a vector is no intruder
SCALE = 0.5  # what an intruder's singular value is multiplied by
