"""What lies on disk: models, adapters, the names of runs, and what a killed run goes on from."""
