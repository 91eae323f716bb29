"""Links as people write them, and their canonical form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.transport.virtual.link_spec import format_link, parse_link
from common.transport.virtual.network import Network


@pytest.mark.parametrize(
    ("text", "network", "canonical"),
    [
        ("1gbit,50us", Network(50e-6, 125e6), "1gbit,50us"),
        ("1Gbps, 0.05ms", Network(50e-6, 125e6), "1gbit,50us"),
        ("1000 Mbit,50µs", Network(50e-6, 125e6), "1gbit,50us"),
        ("10mbit,2ms", Network(2e-3, 1.25e6), "10mbit,2ms"),
        ("56kbit,1s", Network(1.0, 7e3), "56kbit,1s"),
        ("2.5gbit,0us", Network(0.0, 312.5e6), "2.5gbit,0us"),
        ("1gbit,50us,5us", Network(50e-6, 125e6, 5e-6), "1gbit,50us,5us"),
        ("8bit,1us", Network(1e-6, 1.0), "0.008kbit,1us"),
    ],
)
def test_a_link_is_bandwidth_latency_and_optional_overhead(text, network, canonical):
    parsed = parse_link(text)
    assert (parsed.bandwidth, parsed.latency, parsed.overhead) == pytest.approx(
        (network.bandwidth, network.latency, network.overhead)
    )
    assert format_link(parsed) == canonical


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is not BANDWIDTH,LATENCY"),
        ("1gbit", "is not BANDWIDTH,LATENCY"),
        ("50us,1gbit", "is not BANDWIDTH,LATENCY"),
        ("1,2", "is not BANDWIDTH,LATENCY"),
        ("1gb,50us", "is not BANDWIDTH,LATENCY"),
        ("-1gbit,50us", "is not BANDWIDTH,LATENCY"),
        ("nangbit,50us", "is not BANDWIDTH,LATENCY"),
        ("1gbit,50us,1us,1us", "is not BANDWIDTH,LATENCY"),
        ("0gbit,50us", "needs a bandwidth above 0"),
        ("1e400gbit,50us", "is too much"),
    ],
)
def test_anything_else_is_refused_in_one_line(text, why):
    with pytest.raises(ValueError, match=why) as caught:
        parse_link(text)
    assert "\n" not in str(caught.value)


@given(st.floats(1.0, 1e15), st.floats(1e-9, 1e3), st.floats(0, 1e-3))
def test_a_formatted_link_is_parsed_and_formatted_to_the_same_text(bandwidth, latency, overhead):
    text = format_link(Network(latency, bandwidth, overhead))
    assert format_link(parse_link(text)) == text
