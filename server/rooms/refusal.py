"""What the authorisation rules say of an event that they do not let pass."""

from server.errors import ErrorCode, MatrixError


class Refused(MatrixError):
    """The event is not allowed. `rule` is the number of the rule that says so."""

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(ErrorCode.FORBIDDEN, message)
        self.rule = rule
