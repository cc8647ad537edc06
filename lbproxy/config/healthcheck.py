"""The table C{[pool.NAME.health-check]}."""

from __future__ import annotations

from ..health.options import KINDS, HealthCheckOptions
from .kinds import KindsTable

HEALTH_CHECK = KindsTable(
    "[pool.NAME.health-check]",
    "How the members of a pool are checked; without this table they are not.",
    HealthCheckOptions,
    KINDS,
)
