"""How the project runs itself: settings, sources, provenance and the command line."""
