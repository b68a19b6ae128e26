"""Every metric of the fleet has one prefix, a text and its unit in its name."""

from prometheus_client import generate_latest

from fleet.metrics import Metrics

FOREIGN = ("process_", "python_")


def test_every_metric_of_ours_is_named_and_explained() -> None:
    families = [family for family in Metrics().registry.collect() if not family.name.startswith(FOREIGN)]
    assert len(families) > 20
    for family in families:
        assert family.name.startswith("nt_")
        assert family.documentation.endswith(".")
        assert family.type != "histogram" or family.name.endswith("_seconds")


def test_two_processes_worth_of_metrics_do_not_meet() -> None:
    first, second = Metrics(), Metrics()
    first.fills_total.inc()
    assert second.registry.get_sample_value("nt_fills_total") == 0.0


def test_an_unused_metric_is_scraped_as_zero() -> None:
    assert b"nt_bus_dead_letters_total 0.0" in generate_latest(Metrics().registry)
