"""What keeps one peer from going on, and nobody else."""


class PeerError(Exception):
    """Its text stands in the peer's row."""
