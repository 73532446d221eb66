"""The timing core, under the name that the figures know it by: there is one, and it is ``pacscore.timing``."""

from __future__ import annotations

from pacscore.timing import Timed, alternate, best_of, percentile, seconds_of, spread

__all__ = ["Timed", "alternate", "best_of", "percentile", "seconds_of", "spread"]
