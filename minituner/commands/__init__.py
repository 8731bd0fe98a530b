"""One file a subcommand of `minituner`."""
