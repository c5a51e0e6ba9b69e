"""The errors that a client is meant to see, and the one table that gives each its HTTP status.

Whoever refuses a request names the kind and says a sentence; nobody writes a status twice. Anything
else that is raised is a bug, and is answered as M_UNKNOWN with status 500.

Where: client-server API, "Standard error response", "Common error codes", "Other error codes".
"""

from enum import Enum


class ErrorCode(Enum):
    """A code of the specification and the HTTP status that goes with it.

    The specification ties few codes to a status; the others are what existing servers answer.
    Some codes come with two statuses, hence members whose names say the reason.
    """

    # 400
    BAD_JSON = "M_BAD_JSON", 400
    NOT_JSON = "M_NOT_JSON", 400
    MISSING_PARAM = "M_MISSING_PARAM", 400
    INVALID_PARAM = "M_INVALID_PARAM", 400
    UNKNOWN = "M_UNKNOWN", 400
    USER_IN_USE = "M_USER_IN_USE", 400
    INVALID_USERNAME = "M_INVALID_USERNAME", 400
    ROOM_IN_USE = "M_ROOM_IN_USE", 400
    INVALID_ROOM_STATE = "M_INVALID_ROOM_STATE", 400
    UNSUPPORTED_ROOM_VERSION = "M_UNSUPPORTED_ROOM_VERSION", 400
    BAD_ALIAS = "M_BAD_ALIAS", 400
    WEAK_PASSWORD = "M_WEAK_PASSWORD", 400
    EXCLUSIVE = "M_EXCLUSIVE", 400
    UNKNOWN_DEVICE = "M_UNKNOWN_DEVICE", 400
    SERVER_NOT_TRUSTED = "M_SERVER_NOT_TRUSTED", 400
    KEY_TOO_LARGE = "M_KEY_TOO_LARGE", 400
    PROFILE_TOO_LARGE = "M_PROFILE_TOO_LARGE", 400
    URL_NOT_SET = "M_URL_NOT_SET", 400
    # 401
    MISSING_TOKEN = "M_MISSING_TOKEN", 401
    UNKNOWN_TOKEN = "M_UNKNOWN_TOKEN", 401
    # 403
    FORBIDDEN = "M_FORBIDDEN", 403
    BAD_STATE = "M_BAD_STATE", 403
    GUEST_ACCESS_FORBIDDEN = "M_GUEST_ACCESS_FORBIDDEN", 403
    USER_DEACTIVATED = "M_USER_DEACTIVATED", 403
    # 404
    NOT_FOUND = "M_NOT_FOUND", 404
    NO_SUCH_PATH = "M_UNRECOGNIZED", 404
    # 405
    NO_SUCH_METHOD = "M_UNRECOGNIZED", 405
    # 408
    REQUEST_TIMED_OUT = "M_UNKNOWN", 408
    # 409
    ALIAS_TAKEN = "M_UNKNOWN", 409
    # 413
    TOO_LARGE = "M_TOO_LARGE", 413
    # 429
    LIMIT_EXCEEDED = "M_LIMIT_EXCEEDED", 429
    # 500
    BUG = "M_UNKNOWN", 500
    # 502
    BAD_STATUS = "M_BAD_STATUS", 502
    CONNECTION_FAILED = "M_CONNECTION_FAILED", 502
    # 503
    UNAVAILABLE = "M_UNKNOWN", 503
    # 504
    CONNECTION_TIMEOUT = "M_CONNECTION_TIMEOUT", 504

    def __init__(self, code: str, status: int) -> None:
        self.code = code
        self.status = status


class MatrixError(Exception):
    """An answer that the client is meant to see: `{"errcode": …, "error": …}`, plus `fields`."""

    def __init__(self, kind: ErrorCode, message: str, **fields: object) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.fields = fields
