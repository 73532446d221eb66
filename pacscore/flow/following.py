"""From what happened in the archive to what is to be done: quiet time, rules, notifications.

W1  The archive's events are followed from a position that is kept in the queue's folder. It moves on only when the jobs
    of all events before it are in the queue, so a crash repeats work and loses none.
W2  A study is complete when nothing has come for it during a rule's quiet time; associations say nothing about that.
W3  A series goes to a destination again only when it has got more objects since.
W4  That a study became quiet is noted in the archive's event log; webhooks are told what stands there, of ``quiet`` and
    of ``forwarded``, so that those who follow the log and those who are called learn the same.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pacscore.archive.noting import NOTED_KINDS
from pacscore.filesystem import FileSystem, LocalFileSystem
from pacscore.flow.queue import WorkQueue
from pacscore.flow.rules import Rule

if TYPE_CHECKING:
    from pacscore.archive.archive import Archive

_REMEMBERED_MAX = 100_000
_PLACE = "place"


@dataclass(slots=True)
class _Study:
    """A study that something came for, and when last (monotonic seconds)."""

    last: float
    series: dict[str, set[str]] = field(default_factory=dict)
    """Series Instance UIDs with the AE titles of who sent objects of them."""
    settled: set[int] = field(default_factory=set)
    """Numbers of rules that were applied since."""


class Follower:
    """Puts jobs into the queue as events come; ``step`` looks once."""

    def __init__(
        self,
        archive: Archive,
        queue: WorkQueue,
        rules: Iterable[Rule],
        *,
        webhooks: Iterable[str] = (),
        quiet_seconds: float = 30.0,
        quiet: Callable[[frozenset[str]], None] | None = None,
        filesystem: FileSystem | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``quiet`` is called with the Series Instance UIDs of a study that something came for, once it is quiet."""
        self._archive = archive
        self._queue = queue
        self._rules = tuple(rules)
        self._webhooks = tuple(webhooks)
        self._quiet_seconds = quiet_seconds
        self._on_quiet = quiet
        self._left: frozenset[str] = frozenset()
        self._left_since = 0.0
        self._filesystem = filesystem or LocalFileSystem()
        self._clock = clock
        self._studies: dict[str, _Study] = {}
        self._position, self._sent = self._kept_place()
        self._saved = self._position
        if not self._place_path.exists():
            self._keep_place()

    def take_over(self) -> None:
        """Go on where the one who followed before has come to; for who gets the queue's lock from another process."""
        self._studies.clear()
        self._position, self._sent = self._kept_place()
        self._saved = self._position
        if self._on_quiet is not None:  # Whoever was to lay these out may have died before he had.
            waiting = self._archive.events(after=self._archive.last_position(journal=False))
            self._left = frozenset(event["series_instance_uid"] for event in waiting if event["kind"] == "received")
            self._left_since = self._clock()

    @property
    def _place_path(self) -> Path:
        return self._queue.folder / _PLACE

    def _kept_place(self) -> tuple[str | None, dict[str, int]]:
        try:
            kept = json.loads(self._place_path.read_text("utf-8"))
            return kept["position"], dict(kept["sent"])
        except FileNotFoundError:
            return self._archive.last_position(), {}  # What was there before the rules is not their affair.

    @property
    def look_seconds(self) -> float:
        """How often to look: a tenth of the shortest quiet time, between half a second and five."""
        shortest = min([self._quiet_seconds, *(rule.quiet_seconds for rule in self._rules)])
        return min(5.0, max(0.5, shortest / 10))

    def step(self) -> int:
        """Take note of new events, and queue what has become quiet; how many jobs were added."""
        for event in self._archive.events(after=self._position):
            self._position = event["position"]
            if event.get("kind") in NOTED_KINDS:
                self._tell(event)
                continue
            if event.get("kind") == "received":
                self._note(event, sender=str(event.get("source", "")).split("@", maxsplit=1)[0])
            for part in event.get("series", ()):
                if "study_instance_uid" in part:
                    self._note(part, sender=None)
        added = self._apply()
        if not self._studies and self._position != self._saved:  # W1
            self._keep_place()
        return added

    def _note(self, about: Mapping[str, Any], *, sender: str | None) -> None:
        """Take note of a received object, or of a series that was laid out (``sender`` None): that alone is no news."""
        study = self._studies.setdefault(about["study_instance_uid"], _Study(self._clock()))
        series_uid = about["series_instance_uid"]
        if sender is not None or series_uid not in study.series:
            study.last = self._clock()
            study.settled.clear()
        study.series.setdefault(series_uid, set()).add(sender or "")

    def _apply(self) -> int:
        added = 0
        if self._left and self._clock() - self._left_since >= self._quiet_seconds and self._on_quiet is not None:
            self._on_quiet(self._left.difference(*(study.series for study in self._studies.values())))
            self._left = frozenset()
        for uid, study in list(self._studies.items()):
            quiet = self._clock() - study.last
            for number, rule in enumerate(self._rules):
                if number not in study.settled and quiet >= rule.quiet_seconds:
                    added += self._forward(uid, study, rule)
                    study.settled.add(number)
            if quiet >= self._quiet_seconds and len(study.settled) == len(self._rules):
                if self._note_quiet(uid) and self._on_quiet is not None:
                    self._on_quiet(frozenset(study.series))
                del self._studies[uid]
        return added

    def _forward(self, study_uid: str, study: _Study, rule: Rule) -> int:
        added = 0
        for series_uid, senders in study.series.items():
            if rule.sender and rule.sender not in senders:
                continue
            keys = {**rule.match, "StudyInstanceUID": study_uid, "SeriesInstanceUID": series_uid}
            for row in self._archive.find("series", **keys):
                count = int(row["NumberOfSeriesRelatedInstances"])
                mark = f"{rule.to} {study_uid} {series_uid}"
                if self._sent.get(mark) == count:
                    continue  # W3
                self._queue.put("forward", rule.to, {"study": study_uid, "series": series_uid})
                self._sent[mark] = count
                added += 1
        return added

    def _note_quiet(self, study_uid: str) -> bool:
        """Note that a study is quiet, and whether that is news: its being laid out, or told of before, is none."""
        for row in self._archive.find("study", StudyInstanceUID=study_uid):
            series_count, instance_count = (int(row[f"NumberOfStudyRelated{name}"]) for name in ("Series", "Instances"))
            mark = f"quiet {study_uid}"
            if self._sent.get(mark) == instance_count:
                continue
            self._archive.note(
                "quiet", study_instance_uid=study_uid, series_count=series_count, instance_count=instance_count
            )
            self._sent[mark] = instance_count
            return True
        return False

    def _tell(self, event: Mapping[str, Any]) -> None:
        told = {name: value for name, value in event.items() if name != "position"}
        for address in self._webhooks:
            self._queue.put("webhook", address, told)

    def _keep_place(self) -> None:
        while len(self._sent) > _REMEMBERED_MAX:
            del self._sent[next(iter(self._sent))]
        kept = {"position": self._position, "sent": self._sent}
        self._filesystem.publish(self._place_path, json.dumps(kept).encode())
        self._saved = self._position
