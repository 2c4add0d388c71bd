"""How architectures are named."""

TWIN = "-twin"  # behind the name of one that takes part twice


def is_twin(arch):
    """Does it take part a second time, so that what differs from the first is chance?"""
    return arch.endswith(TWIN)


def server_of(arch):
    """The server of a variant: event-poll is `event` with an option."""
    return arch.partition("-")[0]
