"""The subcommands of the command line, one file each."""

NAMES = ("sweep", "train", "reconstruct", "reproduce", "store")
