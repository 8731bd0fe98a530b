"""One file a subcommand: its help, settings, options and `run`, which imports what is slow."""
