"""The runs that a scheduler works on: what happened to each since the last turn, who waits for slots, what is due."""

from collections.abc import Callable
from datetime import datetime, timedelta

from airdock.model.keys import RunKey
from airdock.scheduler.alarms import Alarms
from airdock.scheduler.course import Course
from airdock.scheduler.events import RunBegan
from airdock.scheduler.past import wake_past
from airdock.scheduler.room import Room
from airdock.scheduler.turn import Turn

__all__ = ["AtHand"]


class AtHand:
    """`courses` are all of them, `turns` those to which something happened. Those of a DAG that `is_paused` get no
    slots of `room`."""

    def __init__(self, *, room: Room, is_paused: Callable[[str], bool]) -> None:
        self._room, self._is_paused = room, is_paused
        self.courses: dict[RunKey, Course] = {}
        self.turns: dict[RunKey, Turn] = {}
        self._alarms = Alarms()
        self._waiting: dict[RunKey, Course] = {}

    def take_up(self, course: Course) -> None:
        self.courses[course.run.key] = course
        self.turn(course).events.append(RunBegan())

    def turn(self, course: Course) -> Turn:
        """What happens to the run in the turn that is to come."""
        key = course.run.key
        if key not in self.turns:
            self.turns[key] = Turn(course=course)
        return self.turns[key]

    def take_turns(self) -> list[Turn]:
        turns, self.turns = list(self.turns.values()), {}
        return turns

    def forget(self, course: Course) -> None:
        course.ready.leave()
        for part in (self.courses, self.turns, self._waiting):
            part.pop(course.run.key, None)

    @property
    def is_blocked(self) -> bool:
        """Whether somebody waits for slots that the room has, and the store refused."""
        return any(course.ready.is_blocked for course in self._going_on())

    def admit(self, now: datetime) -> None:
        """Queue what has room: higher priority first, then what is for the earlier date, whatever run it is of."""
        for key, turn in self.turns.items():
            self._waiting[key] = turn.course
        lines = [(lane, course) for course in self._going_on() for lane in course.ready.lanes()]
        for lane, course in sorted(lines, key=lambda line: (-line[0].priority, line[1].rank)):
            if self._room.is_full:
                break
            if claims := course.admit(lane, now):
                self.turn(course).claims += claims

    def _going_on(self) -> list[Course]:
        """The runs in which somebody waits to be queued, and whose DAG isn't paused."""
        return [course for course in self._waiting.values() if not self._is_paused(course.run.key.dag_id)]

    def followed(self, course: Course) -> None:
        """A turn of the run is over."""
        if not course.ready.lanes():
            self._waiting.pop(course.run.key, None)
        self._alarms.set(course.next_due(), course.run.key)

    def look_again(self) -> None:
        """Slots may be free that weren't."""
        for course in self._waiting.values():
            self.turn(course)

    def look_back(self, *, dag_id: str = "") -> None:
        """Let tasks that wait for the run before look at it again: those of a DAG, or all."""
        courses = [course for key, course in self.courses.items() if dag_id in ("", key.dag_id)]
        for key, events in wake_past(courses).items():
            self.turn(self.courses[key]).events += events

    def due_s(self, now: datetime) -> float | None:
        """In how many seconds something is due; None is never."""
        return None if self._alarms.next is None else (self._alarms.next - now) / timedelta(seconds=1)

    def ring(self, now: datetime) -> None:
        """Let happen what is due."""
        for run in self._alarms.ring(now):
            course = self.courses.get(run)
            if course is not None and (due := course.pop_due(now)):
                self.turn(course).events += due
