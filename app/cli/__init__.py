"""The command line, by what its commands are about."""
