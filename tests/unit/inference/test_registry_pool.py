"""Models stay while they are used, and the least recently used goes first."""

from services.inference.domain.registry_pool import Key, Pool


class Closing:
    """A pool of names that notes which were closed."""

    def __init__(self, most: int = 2) -> None:
        self.closed: list[str] = []
        self.pool: Pool[str] = Pool(most, self.closed.append)

    def add(self, *names: str, pinned: str = "") -> list[str]:
        gone = [key for name in names for key in self.pool.add(Key(name, "1"), name, lambda key: key.name == pinned)]
        return [key.name for key in gone]


def test_the_least_recently_used_goes_first() -> None:
    models = Closing()
    models.add("a", "b")
    assert models.pool.find(Key("a", "1")) is not None
    assert models.add("c") == ["b"]
    assert models.closed == ["b"]
    assert [key.name for key in models.pool] == ["a", "c"]


def test_looking_is_no_use() -> None:
    models = Closing()
    models.add("a", "b")
    models.pool.peek(Key("a", "1"))
    assert models.add("c") == ["a"]


def test_pinned_and_used_ones_stay_even_above_the_bound() -> None:
    models = Closing(most=1)
    models.add("a", pinned="a")
    used = models.pool.find(Key("a", "1"))
    assert used is not None
    with used:
        assert models.add("b", pinned="a") == []
    held = models.pool.find(Key("b", "1"))
    assert held is not None
    with held:
        assert models.add("c") == ["a"]
    assert len(models.pool) == 2


def test_a_retired_model_is_closed_when_its_last_user_leaves() -> None:
    models = Closing()
    models.add("a")
    held = models.pool.find(Key("a", "1"))
    assert held is not None
    with held, held as model:
        models.pool.remove(Key("a", "1"))
        assert (models.closed, model) == ([], "a")
    assert models.closed == ["a"]
    held.retire()
    assert models.closed == ["a"], "it is closed once"


def test_a_model_replaces_the_one_of_its_key() -> None:
    models = Closing()
    models.add("a")
    models.pool.add(Key("a", "1"), "a again", lambda key: False)
    assert models.closed == ["a"]
    assert models.pool.remove(Key("a", "1"))
    assert not models.pool.remove(Key("a", "1"))
    assert models.closed == ["a", "a again"]


def test_clearing_closes_all() -> None:
    models = Closing(most=5)
    models.add("a", "b", "c")
    models.pool.clear()
    assert (models.closed, len(models.pool)) == (["a", "b", "c"], 0)
