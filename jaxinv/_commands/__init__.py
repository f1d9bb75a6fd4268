"""The subcommands of the command line, one file each."""

from jaxinv._commands import reconstruct, reproduce, sweep

MODULES = (sweep, reconstruct, reproduce)
