"""The one error that users of this library are meant to read."""


class TextureError(ValueError):
    """Something the caller gave is wrong; the message says, in one line, what and what to do."""
