"""How a script ends badly."""


class ScriptFailed(Exception):
    """The message is for the user. ``is_worn``: a limit was hit, and the process should run nothing more."""

    def __init__(self, message: str, *, is_worn: bool = False) -> None:
        super().__init__(message)
        self.is_worn = is_worn
