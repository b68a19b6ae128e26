"""The default ports are the same wherever they are written down."""

import importlib

import pytest

from fleet.supervisor import ports


@pytest.mark.parametrize("service", sorted(ports.GRPC))
def test_a_services_own_default_is_the_supervisors(service: str) -> None:
    """`python -m services.X` listens where its peers look for it."""
    fields = importlib.import_module(f"services.{service}.settings").Settings.model_fields
    assert fields["grpc_port"].default == ports.GRPC[service]
    assert fields["metrics_port"].default == ports.METRICS[service]
    assert fields[f"{service}_address"].default == f"127.0.0.1:{ports.GRPC[service]}"


def test_the_gateways_defaults_are_the_supervisors() -> None:
    """The gateway has no gRPC server of its own."""
    fields = importlib.import_module("services.gateway.settings").Settings.model_fields
    assert fields["gateway_port"].default == ports.GATEWAY
    assert fields["metrics_port"].default == ports.METRICS["gateway"]
