"""Decision: keep a filter for a user.

Its id follows from what it says, so that a client which stores its filter at every start makes no second
one. Filters are never taken away; there is no call for that.

Where: POST /user/{userId}/filter.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import msgspec

from projections import filters
from projections.facts import FilterStored
from server.errors import ErrorCode, MatrixError
from server.rooms import canonical_json
from server.writer import Decided, Turn

FILTERS_MAX = 1_000
"""Of one user."""
FILTER_BYTES_MAX = 16_384
_ID_BYTES = 12


class StoreFilter(msgspec.Struct, frozen=True):
    user_id: str
    definition: Mapping[str, Any]
    """A valid filter."""


def store_filter(turn: Turn, request: StoreFilter) -> Decided[str]:
    """Answers the id of the filter, whether it is new or was there."""
    definition = canonical_json.encode(request.definition)
    if len(definition) > FILTER_BYTES_MAX:
        raise MatrixError(ErrorCode.TOO_LARGE, f"A stored filter has at most {FILTER_BYTES_MAX} bytes.")
    filter_id = blake2b(definition, digest_size=_ID_BYTES).hexdigest()
    if filters.filter_of(turn.view, request.user_id, filter_id) is not None:
        return Decided(filter_id)
    if sum(1 for _ in filters.filters_of(turn.view, request.user_id)) >= FILTERS_MAX:
        raise MatrixError(ErrorCode.FORBIDDEN, f"A user has at most {FILTERS_MAX} stored filters.")
    return Decided(filter_id, [FilterStored(request.user_id, filter_id, msgspec.Raw(definition))])
