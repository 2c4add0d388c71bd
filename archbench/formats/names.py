"""How architectures are named."""


def server_of(arch):
    """The server of a variant: event-poll is `event` with an option."""
    return arch.partition("-")[0]
