"""The course's labs: what is made of their sources, and the checks of what learners write."""
