"""Tests for `embed.ahead`."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embed.ahead import map_ahead


@given(
    items=st.lists(st.integers(), max_size=30),
    num_ahead=st.integers(0, 40),
    num_threads=st.integers(1, 4),
)
def test_results_come_in_order(items, num_ahead, num_threads):
    """Whatever the threads finish first, results are in order of the items."""
    with ThreadPoolExecutor(num_threads) as pool:
        results = list(map_ahead(pool, lambda n: -n, items, num_ahead))

    assert results == [-item for item in items]


@pytest.mark.parametrize("num_ahead", [0, 1, 5])
def test_few_items_are_taken_ahead(num_ahead):
    """A million pictures are not read before the first is asked for."""
    taken = []

    def read():
        for number in range(100):
            taken.append(number)
            yield number

    with ThreadPoolExecutor(2) as pool:
        results = map_ahead(pool, str, read(), num_ahead)
        for count in range(1, 10):
            next(results)

            assert len(taken) == count + num_ahead
        results.close()


def test_work_goes_on_while_nobody_asks():
    """The next results are made while the first is used."""
    done = threading.Event()

    def work(item):
        if item == 1:
            done.set()
        return item

    with ThreadPoolExecutor(1) as pool:
        results = map_ahead(pool, work, [0, 1, 2], 2)
        first = next(results)

        assert first == 0
        assert done.wait(timeout=10)
        assert list(results) == [1, 2]


def test_an_error_comes_where_its_result_would():
    """What was good before it is not lost."""

    def invert(item):
        time.sleep(0.001 * item)
        return 1 / item

    seen = []
    with (
        ThreadPoolExecutor(2) as pool,
        pytest.raises(ZeroDivisionError),
    ):
        seen.extend(map_ahead(pool, invert, [4, 2, 0, 1], 4))
    with ThreadPoolExecutor(2) as pool:
        results = map_ahead(pool, invert, [4, 2, 0, 1], 4)
        firsts = [next(results), next(results)]
        results.close()

    assert firsts == [0.25, 0.5]
