"""The subcommands of the command line, one file each."""

from jaxinv._commands import reconstruct, reproduce, store, sweep, train

MODULES = (sweep, train, reconstruct, reproduce, store)
