"""How long an answer is kept, what of it is left, what goes first, and that threads cannot spoil the counts."""

import random
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spfmilter.dns.answer import Answer, RecordData, Status, Type
from spfmilter.dns.cache import AnswerCache, Key

KEY: Key = (Type.A, "e.example")
FOUND = Answer(Status.DATA, (b"\xc0\0\2\1",), 300)
NOTHING = Answer(Status.NO_NAME, (), 60)
DEAD = Answer(Status.FAILED, failure="timeout")


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Now."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def name(number: int) -> Key:
    return Type.A, f"h{number}.example"


# -- lifetimes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "life"),
    [
        (FOUND, 300),
        (Answer(Status.DATA, (b"v=spf1",), 1), 1),
        (Answer(Status.DATA, (b"v=spf1",), 2**31 - 1), 3600),
        (Answer(Status.NO_DATA, (), 40), 40),
        (NOTHING, 60),
        (DEAD, 5),
        (Answer(Status.FAILED, failure="SERVFAIL"), 5),
        (Answer(Status.FAILED, failure="timeout", local_failure=True), 1),
    ],
)
def test_an_answer_is_kept_until_its_end_and_not_longer(clock: Clock, answer: Answer, life: int) -> None:
    """To its TTL or the cap; a negative one by its SOA, which is its TTL here; a failure for seconds."""
    cache = AnswerCache(clock=clock)
    cache.put(KEY, answer)
    clock.now += life - 0.001
    assert cache.get(KEY) is not None
    clock.now += 0.001
    assert cache.get(KEY) is None


def test_the_ttl_is_what_is_left(clock: Clock) -> None:
    cache = AnswerCache(clock=clock, max_ttl=100)
    cache.put(KEY, FOUND)
    clock.now += 30.5
    assert cache.get(KEY) == Answer(Status.DATA, FOUND.records, 69)


@pytest.mark.parametrize("answer", [Answer(Status.DATA, (b"x",), 0), Answer(Status.NO_NAME), Answer(Status.NOT_ASKED)])
def test_what_is_for_one_message_only_is_not_kept(clock: Clock, answer: Answer) -> None:
    cache = AnswerCache(clock=clock)
    cache.put(KEY, answer)
    assert (len(cache), cache.get(KEY)) == (0, None)


def test_no_entries_mean_no_cache() -> None:
    cache = AnswerCache(entries=0)
    cache.put(KEY, FOUND)
    assert len(cache) == 0


def test_names_and_types_are_told_apart(clock: Clock) -> None:
    cache = AnswerCache(clock=clock)
    cache.put(KEY, FOUND)
    assert cache.get((Type.AAAA, "e.example")) is None
    assert cache.get((Type.A, "f.example")) is None


def test_a_fresh_answer_takes_the_place_of_the_old(clock: Clock) -> None:
    cache = AnswerCache(clock=clock)
    for answer in (DEAD, FOUND, NOTHING):
        cache.put(KEY, answer)
        assert cache.get(KEY) == answer or answer is DEAD
    assert len(cache) == 1


def test_a_failure_does_not_take_the_place_of_an_answer_that_holds(clock: Clock) -> None:
    """Another connection has got an answer meanwhile."""
    cache = AnswerCache(clock=clock)
    cache.put(KEY, FOUND)
    cache.put(KEY, DEAD)
    assert cache.get(KEY) == FOUND
    clock.now += 301
    cache.put(KEY, DEAD)
    assert cache.get(KEY) is not None
    assert cache.get(KEY).status is Status.FAILED  # type: ignore[union-attr]


# -- stale answers (RFC 8767) -----------------------------------------------------------------------------------------


def test_by_default_nothing_ended_is_used(clock: Clock) -> None:
    cache = AnswerCache(clock=clock)
    cache.put(KEY, FOUND)
    clock.now += 300
    assert cache.stale(KEY) is None


def test_an_ended_answer_stands_in_for_a_while(clock: Clock) -> None:
    cache = AnswerCache(clock=clock, serve_stale=100)
    cache.put(KEY, FOUND)
    clock.now += 350
    assert cache.get(KEY) is None
    assert cache.stale(KEY) == Answer(Status.DATA, FOUND.records, 30)
    clock.now += 20
    assert cache.get(KEY) == Answer(Status.DATA, FOUND.records, 10), "the DNS is left in peace meanwhile"
    assert cache.counters.stale == 1


def test_it_does_not_stand_in_for_ever(clock: Clock) -> None:
    """Each use would prolong its life, were its end not remembered."""
    cache = AnswerCache(clock=clock, serve_stale=100)
    cache.put(KEY, FOUND)
    used = []
    for _ in range(60):
        clock.now += 10
        if cache.get(KEY) is None and cache.stale(KEY) is not None:
            used.append(clock.now - 1000)
    assert used[0] == 300
    assert used[-1] < 400
    assert cache.get(KEY) is None


def test_a_failure_is_never_served_stale_nor_hides_what_can_be(clock: Clock) -> None:
    cache = AnswerCache(clock=clock, serve_stale=100)
    cache.put(KEY, DEAD)
    clock.now += 6
    assert cache.stale(KEY) is None
    cache.put(KEY, FOUND)
    clock.now += 310
    cache.put(KEY, DEAD)
    assert cache.stale(KEY) is not None


# -- bounds -----------------------------------------------------------------------------------------------------------


def test_the_least_recently_used_goes_first(clock: Clock) -> None:
    cache = AnswerCache(entries=3, clock=clock)
    for n in range(3):
        cache.put(name(n), FOUND)
    assert cache.get(name(0)) is not None
    cache.put(name(3), FOUND)
    assert [n for n in range(4) if cache.get(name(n)) is not None] == [0, 2, 3]
    assert cache.counters.evictions == 1


def test_the_bytes_are_bounded_too(clock: Clock) -> None:
    cache = AnswerCache(size=20_000, clock=clock)
    for n in range(50):
        cache.put(name(n), Answer(Status.DATA, (b"x" * 1000,), 300))
        assert cache._bytes <= 20_000
    assert 5 < len(cache) < 20
    assert cache.counters.evictions == 50 - len(cache)


def test_an_answer_that_is_too_large_by_itself_evicts_no_other(clock: Clock) -> None:
    cache = AnswerCache(size=5000, clock=clock)
    cache.put(name(1), FOUND)
    cache.put(name(2), Answer(Status.DATA, (b"x" * 6000,), 300))
    assert [len(cache), cache.counters.evictions] == [1, 0]


@pytest.mark.parametrize(
    "records",
    [
        (),
        tuple(bytes((n % 256, n // 256, 0, 0)) for n in range(500)),
        tuple((n + 300, f"host{n}.example") for n in range(500)),
        tuple(f"host{n}.example" for n in range(500)),
        (b"x" * 60_000,),
    ],
    ids=["nothing", "many addresses", "many MX", "many names", "one long text"],
)
def test_what_is_counted_is_what_it_takes(clock: Clock, records: tuple[RecordData, ...]) -> None:
    """Counting only the data of 500 addresses would let an attacker fill ten times the bound."""
    cache = AnswerCache(clock=clock)
    cache.put(KEY, Answer(Status.DATA, records, 300))
    taken = sys.getsizeof(records)
    for record in records:
        parts = record if isinstance(record, tuple) else ()
        taken += sys.getsizeof(record) + sum(map(sys.getsizeof, parts))
    assert taken <= cache._bytes <= 2 * taken + 1000


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["get", "put", "stale", "wait"]),
        st.integers(0, 5),
        st.sampled_from([FOUND, NOTHING, DEAD, Answer(Status.DATA, (b"x" * 700, b"y"), 7)]),
    ),
    max_size=60,
)


@given(STEPS)
def test_the_counts_are_right_after_any_steps(steps: list[tuple[str, int, Answer]]) -> None:
    clock = Clock()
    cache = AnswerCache(entries=4, size=3000, clock=clock, serve_stale=20)
    for what, number, answer in steps:
        match what:
            case "get":
                cache.get(name(number))
            case "put":
                cache.put(name(number), answer)
            case "stale":
                cache.stale(name(number))
            case "wait":
                clock.now += number * 3
        consistent(cache)
    assert cache.counters.hits + cache.counters.misses == sum(what == "get" for what, _, _ in steps)


def consistent(cache: AnswerCache) -> None:
    assert cache._bytes == sum(entry.size for entry in cache._kept.values())
    assert len(cache) <= cache.entries
    assert cache._bytes <= cache.size
    assert all(entry.expires <= entry.ends for entry in cache._kept.values())


@pytest.mark.alone  # it switches threads so often that coverage cannot set its trace function
def test_threads_do_not_spoil_the_counts() -> None:
    cache, rounds = AnswerCache(entries=50, size=60_000), 3000
    answers = [FOUND, NOTHING, DEAD, Answer(Status.DATA, (b"x" * 3000,), 300)]
    failures: list[BaseException] = []

    def hammer(seed: int) -> None:
        chance = random.Random(seed)  # noqa: S311 - no secret
        try:
            for _ in range(rounds):
                key = name(chance.randrange(100))
                cache.put(key, chance.choice(answers))
                cache.get(name(chance.randrange(100)))
                cache.stale(key)
        except BaseException as error:  # noqa: BLE001 - shown below
            failures.append(error)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=hammer, args=(seed,)) for seed in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert failures == []
    consistent(cache)
    assert cache.counters.hits + cache.counters.misses == 8 * rounds
    assert cache.counters.evictions > 0


def test_the_counters_count(clock: Clock) -> None:
    cache = AnswerCache(clock=clock)
    cache.get(KEY)
    cache.put(KEY, FOUND)
    cache.get(KEY)
    cache.get(KEY, counted=False)
    cache.get(name(1), counted=False)
    assert cache.counters.numbers() == {"hit": 1, "miss": 1, "eviction": 0, "stale": 0, "outdated": 0}
