"""What tests of the store share: staging into a temporary folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from reference.store_series import Maker

from pacscore.filesystem import LocalFileSystem
from pacscore.settings import Settings
from pacscore.store.generation import Generation
from pacscore.store.strategy import Strategy
from pacscore.store.writer import stage_generation

Stage = Callable[..., Generation]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """Stage what a maker has made, and open it."""

    def staged(maker: Maker, strategy: str | Strategy = "balanced", settings: Settings | None = None) -> Generation:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.zip"
        chosen = settings or Settings()
        stage_generation([(maker.plan(strategy), maker)], path, LocalFileSystem(), chosen)
        return Generation.open(path, settings=chosen)

    return staged
