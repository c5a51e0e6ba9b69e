"""All projections, one line each. Adding one here is all it takes to have it folded and served."""

from projections import (
    accounts,
    appservices,
    dedup,
    directory,
    erasures,
    filters,
    memberships,
    profiles,
    server_name,
    sessions,
    state,
    timeline,
)

PROJECTIONS = (
    timeline.PROJECTION,  # first: the folds of one fact run in this order
    state.PROJECTION,
    memberships.PROJECTION,
    dedup.PROJECTION,
    accounts.PROJECTION,
    sessions.PROJECTION,
    directory.PROJECTION,
    server_name.PROJECTION,
    filters.PROJECTION,
    profiles.PROJECTION,
    erasures.PROJECTION,
    appservices.PROJECTION,
)
