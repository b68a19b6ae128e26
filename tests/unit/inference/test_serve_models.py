"""Real files, a real runtime: versions come, answer, are swapped under load, go back, and leave nothing behind."""

import asyncio
import json
from itertools import cycle
from pathlib import Path

import numpy as np
import pytest
import structlog
from builders.registry import DEFAULT, Registry, a_registry, a_version

from services.inference.domain.errors import ModelRefused, Refusal
from services.inference.domain.registry import LoadOptions
from services.inference.domain.registry_pool import Key
from services.inference.domain.registry_status import Residence
from trading.errors import FailedPrecondition, InvalidArgument, Unavailable, UnknownModel


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A shipped version 1 that says 1, and our own 2 and 3."""
    a_version(tmp_path / "shipped", "1", 1.0)
    for version in ("2", "3"):
        a_version(tmp_path / "own", version, float(version))
    return tmp_path


@pytest.fixture
def first(tmp_path: Path) -> Path:
    """Version 1 alone."""
    a_version(tmp_path / "shipped", "1", 1.0)
    return tmp_path


async def test_a_new_model_answers_in_its_newest_version(disk: Path) -> None:
    a_version(disk / "own", "10", 10.0)
    a_version(disk / "own", "beta", 11.0)
    async with a_registry(disk) as registry:
        assert await registry.says() == 10.0
        assert registry.models.versions(DEFAULT) == ("10", "3", "2", "1", "beta")


async def test_a_version_that_comes_later_does_not_answer_by_itself(first: Path) -> None:
    async with a_registry(first) as registry:
        a_version(first / "own", "2", 2.0)
        assert await registry.says() == 1.0
        assert registry.models.versions(DEFAULT) == ("2", "1")
    async with a_registry(first) as registry:
        assert await registry.says() == 1.0, "not after a restart either"


async def test_the_earlier_directory_wins_a_version_that_both_have(first: Path) -> None:
    a_version(first / "own", "1", 9.0)
    async with a_registry(first) as registry:
        assert await registry.says() == 1.0


async def test_a_promoted_version_answers_and_a_rollback_undoes_it(disk: Path) -> None:
    async with a_registry(disk) as registry:
        status = await registry.models.promote(DEFAULT, "2")
        assert (status.card.version, status.deployment.previous, await registry.says()) == ("2", "3", 2.0)
        assert (await registry.models.roll_back(DEFAULT)).card.version == "3"
        assert await registry.says() == 3.0
        with pytest.raises(FailedPrecondition):
            await registry.models.roll_back(DEFAULT)


async def test_any_version_can_be_asked_by_name(disk: Path) -> None:
    async with a_registry(disk) as registry:
        assert [await registry.says(version=version) for version in ("1", "2", "3")] == [1.0, 2.0, 3.0]
        with pytest.raises(UnknownModel, match="'4'"):
            await registry.says(version="4")
        with pytest.raises(UnknownModel, match=r"'\.\.'"):
            await registry.says(version="..")
        with pytest.raises(UnknownModel, match="'nobody'"):
            await registry.says("nobody")


async def test_a_path_means_the_model_of_that_name(disk: Path) -> None:
    async with a_registry(disk) as registry:
        assert await registry.says(f"./models/{DEFAULT}.safetensors") == 3.0


async def test_a_restart_finds_what_was_in_use(disk: Path) -> None:
    async with a_registry(disk) as registry:
        await registry.models.promote(DEFAULT, "1")
        await registry.models.set_canary(DEFAULT, "2", 0.25)
        await registry.models.set_shadow(DEFAULT, "3")
        before = (await registry.models.status(DEFAULT)).deployment
    async with a_registry(disk) as registry:
        assert (await registry.models.status(DEFAULT)).deployment == before
        assert await registry.says(version="1") == 1.0
        assert {key.version for key in registry.models._pool} == {"1", "2", "3"}


async def test_a_state_that_cannot_be_read_stops_the_start_instead_of_being_forgotten(disk: Path) -> None:
    (disk / "own" / "registry.json").write_text("{")
    with pytest.raises(FailedPrecondition, match=r"registry\.json cannot be read"):
        async with a_registry(disk):
            pass


async def test_a_state_is_whole_whenever_the_service_dies(disk: Path) -> None:
    """It is written aside and renamed, so that a reader never sees half of it."""
    async with a_registry(disk) as registry:
        inode = (disk / "own" / "registry.json").stat().st_ino
        await registry.models.promote(DEFAULT, "1")
        assert (disk / "own" / "registry.json").stat().st_ino != inode
    assert json.loads((disk / "own" / "registry.json").read_text())["models"][DEFAULT]["active"] == "1"
    assert [path.name for path in (disk / "own").iterdir() if path.name.startswith(".registry")] == []


async def test_a_canary_gets_its_share_of_requests_and_of_symbols(disk: Path) -> None:
    draws = cycle(np.arange(0, 1, 0.01).tolist())
    async with a_registry(disk, draw=lambda: next(draws)) as registry:
        await registry.models.set_canary(DEFAULT, "2", 0.2)
        said = [await registry.says() for _ in range(100)]
        assert (said.count(2.0), said.count(3.0)) == (20, 80)
        symbols = [f"SYMBOL{number}" for number in range(500)]
        followed = [registry.models.following(DEFAULT, symbol).model.card.version for symbol in symbols]
        assert followed == [registry.models.following(DEFAULT, symbol).model.card.version for symbol in symbols]
        assert 50 < followed.count("2") < 150
        await registry.models.set_canary(DEFAULT, "", 0.0)
        assert {await registry.says() for _ in range(10)} == {3.0}


async def test_a_canary_that_is_refused_is_not_begun(disk: Path) -> None:
    (disk / "own" / DEFAULT / "2" / "model.safetensors").write_bytes(b"garbage")
    async with a_registry(disk) as registry:
        with pytest.raises(ModelRefused):
            await registry.models.set_canary(DEFAULT, "2", 0.2)
        with pytest.raises(InvalidArgument):
            await registry.models.set_canary(DEFAULT, "1", 2.0)
        assert (await registry.models.status(DEFAULT)).deployment.canary == ""


async def test_a_refused_version_cannot_be_promoted_and_says_why(disk: Path) -> None:
    (disk / "own" / DEFAULT / "2" / "model.safetensors").write_bytes(b"garbage")
    async with a_registry(disk) as registry:
        with pytest.raises(ModelRefused) as refused:
            await registry.models.promote(DEFAULT, "2")
        assert refused.value.why is Refusal.UNREADABLE or refused.value.why is Refusal.TOO_BIG
        assert await registry.says() == 3.0
        status = await registry.models.status(DEFAULT, "2")
        assert (status.residence, status.refusal.split(":")[0]) == (Residence.REFUSED, refused.value.reason)


async def test_a_refused_model_is_left_out_and_logged_and_the_default_one_must_load(disk: Path) -> None:
    a_version(disk / "own", "1", 1.0, name="broken")
    (disk / "own" / "broken" / "1" / "model.safetensors").write_bytes(b"garbage")
    with structlog.testing.capture_logs() as logs:
        async with a_registry(disk) as registry:
            assert registry.models.names == ["broken", DEFAULT]
            assert await registry.says() == 3.0
    assert [entry["name"] for entry in logs if entry["event"] == "model.refused"] == ["broken"]
    (disk / "own" / DEFAULT / "3" / "model.safetensors").write_bytes(b"garbage")
    with pytest.raises(ModelRefused):
        async with a_registry(disk):
            pass


async def test_without_the_default_model_there_is_no_start(tmp_path: Path) -> None:
    a_version(tmp_path / "own", "1", 1.0, name="another")
    with pytest.raises(UnknownModel, match=DEFAULT):
        async with a_registry(tmp_path):
            pass


async def test_a_second_load_of_the_same_version_shares_the_session(disk: Path) -> None:
    async with a_registry(disk) as registry:
        await registry.models.load(DEFAULT, "2", LoadOptions())
        async with registry.models.hold(DEFAULT, "2") as one:
            await asyncio.gather(*(registry.models.load(DEFAULT, "2", LoadOptions()) for _ in range(5)))
            async with registry.models.hold(DEFAULT, "2") as another:
                assert one is another


async def test_loading_otherwise_replaces_the_session_and_is_remembered(disk: Path) -> None:
    async with a_registry(disk) as registry:
        await registry.models.load(DEFAULT, "", LoadOptions(batch_rows=7))
        async with registry.models.hold(DEFAULT) as before:
            await registry.models.load(DEFAULT, "", LoadOptions(use_gpu=True))
            async with registry.models.hold(DEFAULT) as after:
                assert before is not after
                assert (await before.logits(np.zeros((1, 18), np.float32)))[0] == 3.0, "still there for whoever has it"
        status = await registry.models.status(DEFAULT)
        assert status.running is not None
        assert (status.running.device, bool(status.running.device_note)) == ("cpu", True)
    async with a_registry(disk) as registry:
        assert (await registry.models.status(DEFAULT)).deployment.options_of("3") == LoadOptions(use_gpu=True)


async def test_an_unloaded_model_comes_back_with_the_next_request(disk: Path) -> None:
    a_version(disk / "own", "1", 5.0, name="another")
    async with a_registry(disk) as registry:
        assert (await registry.models.status("another")).residence is Residence.LOADED
        assert (await registry.models.unload("another")).residence is Residence.UNLOADED
        assert [status.residence for status in await registry.models.all()] == [Residence.UNLOADED, Residence.LOADED]
        with pytest.raises(FailedPrecondition, match="not in memory"):
            registry.models.get("another")
    async with a_registry(disk) as registry:
        assert (await registry.models.status("another")).residence is Residence.UNLOADED, "a restart remembers"
        assert await registry.says("another") == 5.0
        assert registry.models.get("another").card.version == "1"


async def test_the_model_that_follows_the_market_stays(disk: Path) -> None:
    async with a_registry(disk) as registry:
        for change in (registry.models.unload(DEFAULT), registry.models.delete(DEFAULT, "")):
            with pytest.raises(FailedPrecondition):
                await change


async def test_the_least_recently_used_model_goes_first_and_the_default_one_never(disk: Path) -> None:
    for name in ("a", "b", "c"):
        a_version(disk / "own", "1", 7.0, name=name)
    async with a_registry(disk, most_loaded=3) as registry:
        for name in ("a", "b", "a", "c"):
            assert await registry.says(name) == 7.0
        assert {key.name for key in registry.models._pool} == {DEFAULT, "a", "c"}


async def test_a_version_that_is_not_in_use_can_be_deleted(disk: Path) -> None:
    async with a_registry(disk) as registry:
        await registry.models.delete(DEFAULT, "2")
        assert registry.models.versions(DEFAULT) == ("3", "1")
        with pytest.raises(FailedPrecondition, match="in use"):
            await registry.models.delete(DEFAULT, "3")
        with pytest.raises(FailedPrecondition, match="came with the service"):
            await registry.models.delete(DEFAULT, "1")
        with pytest.raises(UnknownModel):
            await registry.models.delete(DEFAULT, "2")


async def test_a_deleted_model_is_gone_whole(disk: Path) -> None:
    for version in ("1", "2"):
        a_version(disk / "own", version, 5.0, name="another")
    async with a_registry(disk) as registry:
        await registry.models.delete("another", "")
        assert registry.models.names == [DEFAULT]
        assert not (disk / "own" / "another").exists()
        with pytest.raises(UnknownModel):
            await registry.says("another")
    async with a_registry(disk) as registry:
        assert registry.models.names == [DEFAULT]


@pytest.mark.parametrize("link", ["own/linked", f"own/{DEFAULT}/9", f"own/{DEFAULT}/3/model.safetensors"])
async def test_a_link_leads_nowhere(disk: Path, link: str) -> None:
    outside = a_version(disk / "outside", "9", 9.0)
    target = outside / "model.safetensors" if link.endswith("safetensors") else outside
    (disk / link).unlink(missing_ok=True)
    (disk / link).symlink_to(target.parent if link == "own/linked" else target)
    registry = Registry(disk)
    try:
        if link.endswith("safetensors"):
            with pytest.raises(ModelRefused) as refused:
                await registry.models.start()
            assert refused.value.why is Refusal.PATH
            return
        await registry.models.start()
        assert registry.models.names == [DEFAULT]
        assert "9" not in registry.models.versions(DEFAULT)
        with pytest.raises(UnknownModel):
            await registry.says(version="9")
    finally:
        registry.close()


async def test_no_prediction_is_dropped_or_mixed_while_versions_change(disk: Path) -> None:
    """100,000 rows in requests of 250, each all of one version, while versions are promoted and rolled back."""
    answered = {1.0: 0, 2.0: 0, 3.0: 0}

    asked = 0

    async def ask() -> None:
        nonlocal asked
        while sum(answered.values()) < 100_000 or not all(answered.values()):
            async with registry.models.hold(DEFAULT) as model:
                asked += 250
                logits = await model.logits(np.zeros((250, 18), np.float32))
                assert set(logits.tolist()) == {float(model.card.version)}
                answered[float(model.card.version)] += len(logits)

    async def change() -> None:
        for version in cycle(("1", "2", "3")):
            await registry.models.promote(DEFAULT, version)
            await registry.models.roll_back(DEFAULT)
            await registry.models.promote(DEFAULT, version)
            registry.models._pool.remove(Key(DEFAULT, next(iter(registry.models._pool)).version))

    async with a_registry(disk, most_loaded=2) as registry:
        changing = asyncio.create_task(change())
        async with asyncio.TaskGroup() as group:
            for _ in range(10):
                group.create_task(ask())
        assert not changing.done(), changing.exception()
        changing.cancel()
    assert asked == sum(answered.values()) >= 100_000


# Changes at the same time, and a disk that does not take them


async def test_a_version_is_promoted_or_deleted_and_never_both(disk: Path) -> None:
    async with a_registry(disk) as registry:
        for _ in range(5):
            tried = await asyncio.gather(
                registry.models.promote(DEFAULT, "2"),
                registry.models.delete(DEFAULT, "2"),
                return_exceptions=True,
            )
            assert sum(isinstance(each, FailedPrecondition | UnknownModel) for each in tried) == 1, tried
            active = (await registry.models.status(DEFAULT)).deployment.active
            assert active in registry.models.versions(DEFAULT)
            assert await registry.says() == float(active)
            await registry.models.promote(DEFAULT, "3")
            if "2" in registry.models.versions(DEFAULT):
                await registry.models.delete(DEFAULT, "2")
            a_version(disk / "own", "2", 2.0)


async def test_a_model_is_deleted_once_and_lists_go_on_meanwhile(disk: Path) -> None:
    for version in ("1", "2"):
        a_version(disk / "own", version, 5.0, name="another")
    async with a_registry(disk) as registry:
        first, second, *listed = await asyncio.gather(
            registry.models.delete("another", ""),
            registry.models.delete("another", ""),
            *(registry.models.all() for _ in range(20)),
            return_exceptions=True,
        )
        assert first is None
        assert isinstance(second, UnknownModel)
        assert [each for each in listed if isinstance(each, BaseException)] == []
        assert [each.card.name for each in await registry.models.all()] == [DEFAULT]
    assert list(json.loads((disk / "own" / "registry.json").read_text())["models"]) == [DEFAULT]


async def test_what_the_disk_does_not_take_does_not_answer(disk: Path) -> None:
    async with a_registry(disk) as registry:
        (disk / "own" / "registry.json").unlink()
        (disk / "own" / "registry.json").mkdir()
        with pytest.raises(Unavailable) as refused:
            await registry.models.promote(DEFAULT, "2")
        assert refused.value.reason == "STORAGE_FAILED"
        assert await registry.says() == 3.0
        assert [path.name for path in (disk / "own").iterdir() if path.name.startswith(".registry")] == []
        (disk / "own" / "registry.json").rmdir()
        await registry.models.promote(DEFAULT, "2")
        assert await registry.says() == 2.0
