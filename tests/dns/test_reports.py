"""What the workers of a host tell each other of silent nameservers."""

import os
from collections.abc import Iterator
from contextlib import closing

import pytest

from spfmilter.dns.reports import ReportFile
from spfmilter.dns.silence import Report
from spfmilter.settings.values import Nameserver

HERE, THERE = Nameserver("192.0.2.53"), Nameserver("192.0.2.54")
NOW = 1000.0
SILENT, ANSWERED = Report(NOW - 30, NOW - 29, is_announced=True), Report(None, NOW - 29)


@pytest.fixture
def file() -> Iterator[ReportFile]:
    with closing(ReportFile()) as made:
        yield made


@pytest.mark.parametrize("report", [SILENT, ANSWERED, Report(0.0, float("-inf"))])
def test_a_report_is_heard_by_the_others(file: ReportFile, report: Report) -> None:
    first, second, third = (file.of(slot) for slot in (0, 1, 7))
    second.tell(report, [HERE, THERE], NOW)
    assert first.others([THERE, HERE], NOW) == third.others([HERE, THERE], NOW) == [report]
    assert second.others([HERE, THERE], NOW) == []


def test_each_worker_has_one_report_and_the_last_one_counts(file: ReportFile) -> None:
    for slot in (0, 3, 900):
        file.of(slot).tell(SILENT, [HERE], NOW)
    file.of(3).tell(ANSWERED, [HERE], NOW)
    assert file.of(1).others([HERE], NOW) == [SILENT, ANSWERED, SILENT]


def test_a_worker_that_asks_other_nameservers_is_not_heard(file: ReportFile) -> None:
    """After a reload, workers with the old settings finish their sessions beside the new ones."""
    file.of(0).tell(SILENT, [HERE], NOW)
    assert file.of(1).others([THERE], NOW) == file.of(1).others([HERE, THERE], NOW) == []


@pytest.mark.parametrize(("age", "is_heard"), [(0.0, True), (4.9, True), (5.0, False), (3600.0, False)])
def test_an_old_report_tells_of_no_silence_but_of_the_last_announcement(
    file: ReportFile, age: float, *, is_heard: bool
) -> None:
    """Its worker has died, or hangs."""
    file.of(0).tell(SILENT, [HERE], NOW)
    (report,) = file.of(1).others([HERE], NOW + age)
    assert report == (SILENT if is_heard else ANSWERED)


def test_a_new_worker_hears_the_one_that_had_its_slot_until_it_tells_something_itself(file: ReportFile) -> None:
    file.of(0).tell(SILENT, [HERE], NOW)
    new = file.of(0)
    assert new.others([HERE], NOW + 1) == [SILENT]
    new.tell(ANSWERED, [HERE], NOW + 1)
    assert new.others([HERE], NOW + 1) == []


def test_without_a_file_each_worker_is_on_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError

    with monkeypatch.context() as full:
        full.setattr(os, "memfd_create", refuse)
        file = ReportFile()
    file.of(0).tell(SILENT, [HERE], NOW)
    assert file.of(1).others([HERE], NOW) == []
    file.close()


def test_a_file_that_cannot_be_used_any_more_is_no_error(file: ReportFile, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError

    for name in ("pwrite", "pread"):
        with monkeypatch.context() as full:
            full.setattr(os, name, refuse)
            file.of(0).tell(SILENT, [HERE], NOW)
            assert file.of(1).others([HERE], NOW) == []
