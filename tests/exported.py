"""What a namespace of the package offers."""


def exports(module):
    """Return the public names of a namespace."""
    own = getattr(module, "__all__", None)
    if own is None and hasattr(module, "__path__"):
        own = [name for name in vars(module) if not name.startswith("_")]
    if own is not None:
        return sorted(own)
    return sorted(
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", "") == module.__name__
    )
