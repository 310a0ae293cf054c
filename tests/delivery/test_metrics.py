"""Metrics in the text format of Prometheus."""

from prometheus_client.parser import text_string_to_metric_families

from polygent_issuer.delivery.metrics import Gauge, exposition

HOSTILE = 'a"b\\c\nd} 1\u202e'


def test_a_label_is_read_as_it_was_written() -> None:
    """Quotes, backslashes and line ends cannot end a value; what steers a terminal is escaped."""
    gauge = Gauge(name="x_seconds", help="Some.", samples=(({"who": HOSTILE}, 5), ({}, 7)))
    [family] = text_string_to_metric_families(exposition([gauge]))
    assert [(each.labels, each.value) for each in family.samples] == [
        ({"who": 'a"b\\c\\x0ad} 1\\u202e'}, 5),
        ({}, 7),
    ]


def test_a_gauge_without_values_is_described() -> None:
    """So that a dashboard knows a metric that has no value now."""
    [family] = text_string_to_metric_families(
        exposition([Gauge(name="x", help="None now.", samples=())])
    )
    assert (family.name, family.documentation, family.samples) == ("x", "None now.", [])
