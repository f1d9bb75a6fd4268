"""The subcommands of the command line, one file each, imported when they are asked for."""
