"""The composed fleet is the local fleet: the same processes, ports, addresses and settings."""

import importlib
import re
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import AliasChoices
from pydantic_settings import BaseSettings

from fleet.supervisor import keys, ports
from fleet.supervisor.plan import LAYERS, Market, Plan

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
SERVICES = tuple(name for layer in LAYERS for name in layer)
PROCESSES = (*SERVICES, "paper_venue")
CONTAINERS = (*PROCESSES, "keys", "nats", "postgres", "redis")
USER = "10001:10001"
VENUE = {
    "alpaca": {
        "key": "",
        "secret": "",
        "rest": "http://paper_venue:8090",
        "data_rest": "http://paper_venue:8090",
        "stream": "ws://paper_venue:8090/v2/iex",
        "crypto_stream": "ws://paper_venue:8090/v1beta3/crypto/us",
        "trading_stream": "ws://paper_venue:8090/stream",
    },
    "binance": {
        "key": "",
        "secret": "",
        "rest": "http://paper_venue:8090/binance",
        "ws_api": "ws://paper_venue:8090/binance/ws-api/v3",
    },
}
"""What `python -m services.paper_venue --json` says of itself where its host is called paper_venue."""


def container(name: str) -> dict[str, Any]:
    """What the compose file says of one container."""
    said: dict[str, Any] = COMPOSE["services"][name]
    return said


def environment(name: str) -> dict[str, str]:
    """What one container is told."""
    said: dict[str, str] = container(name)["environment"]
    return said


def settings_of(name: str) -> type[BaseSettings]:
    """The settings class of a process."""
    module = importlib.import_module(f"services.{name}.settings")
    found: type[BaseSettings] = module.Settings
    return found


def variables_of(name: str) -> set[str]:
    """Every environment variable that a process reads, each also as the name of a file."""
    settings = settings_of(name)
    prefix = settings.model_config["env_prefix"]
    names: set[str] = set()
    for field_name, field in settings.model_fields.items():
        alias = field.validation_alias
        aliases = alias.choices if isinstance(alias, AliasChoices) else [alias or f"{prefix}{field_name.upper()}"]
        names |= {str(choice) for choice in aliases}
    return names | {f"{variable}_FILE" for variable in names}


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """The local fleet on its default ports."""
    default = ports.Ports(ports.GATEWAY, ports.NATS, ports.PAPER_VENUE, dict(ports.GRPC), dict(ports.METRICS))
    return Plan(tmp_path, default, Market())


def test_every_process_of_the_local_fleet_is_composed() -> None:
    """And nothing else, except what the local fleet has in its processes: the stores and the keys."""
    assert set(COMPOSE["services"]) == set(CONTAINERS)


@pytest.mark.parametrize("name", PROCESSES)
def test_a_container_is_told_only_what_its_process_reads(name: str) -> None:
    """A misspelt setting would silently be a default."""
    assert set(environment(name)) - variables_of(name) == set()


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_is_told_all_that_the_local_process_is(name: str, plan: Plan) -> None:
    """What both are told differs in the host alone; a key comes from a file."""
    image = set(re.findall(r"\b(NT_\w+)=", DOCKERFILE))
    local = plan.service(name, VENUE, ()).env
    read = {variable for variable in local if variable in variables_of(name)}
    told = {variable.removesuffix("_FILE") for variable in environment(name)} | image
    assert {variable.removesuffix("_FILE") for variable in read} - told - {"NT_GATEWAY_PORT"} == set()


@pytest.mark.parametrize("name", ["market_data", "execution"])
def test_a_container_finds_the_local_exchange_where_it_listens(name: str, plan: Plan) -> None:
    """The paths of its streams are those that the supervisor passes on."""
    wanted = plan.service(name, VENUE, ()).env
    said = environment(name)
    urls = {variable for variable in said if re.fullmatch("(ALPACA|BINANCE)_.*_URL", variable)}
    assert {variable: said[variable] for variable in urls} == {variable: wanted[variable] for variable in urls}
    assert len(urls) == {"execution": 7, "market_data": 5}[name]
    assert said["NT_VENUE"] == wanted["NT_VENUE"]
    assert environment("paper_venue")["NT_PAPER_PORT"] == str(ports.PAPER_VENUE)


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_listens_on_the_default_ports(name: str) -> None:
    """gRPC where there is one, metrics everywhere."""
    said = environment(name)
    assert said["NT_METRICS_PORT"] == str(ports.METRICS[name])
    assert said.get("NT_GRPC_PORT") == (str(ports.GRPC[name]) if name in ports.GRPC else None)


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_finds_its_peers(name: str) -> None:
    """By their names, on their default ports."""
    said = environment(name)
    for peer, port in ports.GRPC.items():
        assert said[f"NT_{peer.upper()}_ADDRESS"] == f"{peer}:{port}"
    assert said["NATS_URL"] == f"nats://nats:{ports.NATS}"


def test_nats_listens_where_it_is_looked_for() -> None:
    """And keeps its streams on the volume."""
    conf = (ROOT / "deploy" / "config" / "nats" / "nats.conf").read_text()
    assert f"port: {ports.NATS}\n" in conf
    assert "store_dir: /data\n" in conf
    assert "nats:/data" in container("nats")["volumes"]


def test_inference_keeps_its_models_and_jobs_on_a_volume() -> None:
    """The file system of its container is read-only, and what was uploaded or trained must outlive it."""
    assert "inference:/data" in container("inference")["volumes"]


def test_market_data_keeps_its_history_on_a_volume() -> None:
    """Its own root is read-only."""
    assert "NT_DATA_DIR=/data" in (ROOT / "deploy" / "Dockerfile").read_text()
    assert container("market_data")["read_only"]
    assert "market_data:/data" in container("market_data")["volumes"]


def test_only_the_gateway_has_a_port_of_the_host() -> None:
    """And only on the loopback address; the environment may choose another one."""
    published = {name: said["ports"] for name, said in COMPOSE["services"].items() if "ports" in said}
    assert published == {"gateway": [f"127.0.0.1:${{NT_GATEWAY_PORT:-{ports.GATEWAY}}}:{ports.GATEWAY}"]}
    assert environment("gateway")["NT_GATEWAY_PORT"] == str(ports.GATEWAY)


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_container_has_few_rights(name: str) -> None:
    """A read-only root, no capability but what an image needs to give up being root, no way to gain one."""
    said = container(name)
    assert said["read_only"] is True
    assert said["cap_drop"] == ["ALL"]
    assert said["security_opt"] == ["no-new-privileges:true"]
    assert "cap_add" not in said or name == "postgres"
    assert not said.get("privileged", False)


@pytest.mark.parametrize("name", [name for name in CONTAINERS if name != "keys"])
def test_a_container_comes_back_and_says_how_it_is(name: str) -> None:
    """Ours by the image's own probe, where the compose file names no other."""
    said = container(name)
    assert said["restart"] == "unless-stopped"
    assert "test" in said.get("healthcheck", {}) or (name in SERVICES and "HEALTHCHECK" in DOCKERFILE)


@pytest.mark.parametrize("name", PROCESSES)
def test_an_image_is_built_for_its_service(name: str) -> None:
    """From its own lock."""
    assert container(name)["build"]["args"]["SERVICE"] == name
    assert (ROOT / "requirements" / f"{name}.txt").exists()


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_may_drain_before_it_is_killed(name: str) -> None:
    """The grace is longer than the drain."""
    grace = float(container(name)["stop_grace_period"].removesuffix("s"))
    assert grace > float(environment(name)["NT_DRAIN_SECONDS"]) + 5


@pytest.mark.parametrize("name", PROCESSES)
def test_no_secret_stands_in_the_environment(name: str) -> None:
    """Keys come as files of a volume that is mounted read-only."""
    secrets = {variable for variable in variables_of(name) if re.search(r"(TOKEN|KEY|SECRET_KEY)$", variable)}
    assert set(environment(name)) & secrets == set()
    assert "keys:/run/keys:ro" in container(name)["volumes"]
    assert container(name)["depends_on"]["keys"] == {"condition": "service_completed_successfully"}


def test_the_keys_are_read_where_they_are_made() -> None:
    """The names of the files are the supervisor's, and the script's own for the venue."""
    script = (ROOT / "deploy" / "keys.py").read_text()
    made = {keys.ADMIN_KEY, keys.INTERNAL_TOKEN, *re.findall(r'^VENUE_\w+ = "([\w.]+)"', script, re.MULTILINE)}
    read = {value for name in PROCESSES for key, value in environment(name).items() if key.endswith("_FILE")}
    assert read == {f"/run/keys/{name}" for name in made}


def test_a_container_waits_for_the_layers_below() -> None:
    """Compose starts the fleet in the supervisor's order."""
    for below, above in pairwise(LAYERS):
        for name in above:
            waited = container(name)["depends_on"]
            healthy = {peer for peer, how in waited.items() if how["condition"] == "service_healthy"}
            assert healthy & set(below), f"{name} waits for none of {below}"


def test_the_image_runs_as_the_user_of_the_volumes() -> None:
    """A number, which an orchestrator can tell from root."""
    assert f"USER {USER}\n" in DOCKERFILE
    assert container("nats")["user"] == container("redis")["user"] == USER


def test_the_recipe_builds_where_no_registry_is_reachable() -> None:
    """No frontend line, no link copies, no heredocs, no stage of a remote image."""
    stages = set(re.findall(r"^FROM \S+ AS (\S+)$", DOCKERFILE, re.MULTILINE))
    assert set(re.findall(r"--from=(\S+)", DOCKERFILE)) <= stages
    assert not re.search(r"^# *syntax=|--link|<<", DOCKERFILE, re.MULTILINE)


def test_the_image_names_the_version_of_the_package() -> None:
    """Its label says what `pip` would."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert set(re.findall(r"^ARG VERSION=(\S+)$", DOCKERFILE, re.MULTILINE)) == {version}
