"""All parts, in the order in which they are run. Adding one is one line."""

from bench.torture import clients, full_disk, kill, power_cut, power_cut_views, rot, system_calls, time_jumps
from bench.torture.part import Part

PARTS: tuple[Part, ...] = (
    kill.PART,
    power_cut.PART,
    power_cut_views.PART,
    system_calls.PART,
    full_disk.PART,
    rot.PART,
    time_jumps.PART,
    clients.PART,
)
