"""An event that tells a number is put down to the host of a name."""

from streamer.transport.endpoint_names import EndpointNames, resolved

NUMBERS = {"a": {"10.0.0.1"}, "b": {"10.0.0.2", "fe80::2"}}


def names(*addresses: str) -> EndpointNames:
    return EndpointNames(addresses, lambda host: NUMBERS.get(host, {host}))


def test_what_was_given_is_what_is_meant() -> None:
    both = names("tcp://a:1", "ipc:///tmp/x")
    assert both["tcp://a:1"] == ["tcp://a:1"]
    assert both["ipc:///tmp/x"] == ["ipc:///tmp/x"]
    assert both["ipc:///tmp/y"] == []


def test_a_number_is_known_by_its_port_and_asked_for_only_where_several_have_it() -> None:
    assert names("tcp://nobody:1", "tcp://a:2")["tcp://10.9.9.9:1"] == ["tcp://nobody:1"]
    several = names("tcp://a:1", "tcp://b:1", "tcp://10.0.0.3:1")
    assert several["tcp://10.0.0.2:1"] == ["tcp://b:1"]
    assert several["tcp://[fe80::2]:1"] == ["tcp://b:1"]
    assert several["tcp://10.0.0.1:1"] == ["tcp://a:1"]
    assert several["tcp://10.0.0.9:1"] == ["tcp://a:1", "tcp://b:1", "tcp://10.0.0.3:1"]


def test_names_of_this_machine_are_found_and_others_do_no_harm() -> None:
    assert "127.0.0.1" in resolved("localhost")
    assert resolved("nosuch.invalid") == resolved("x" * 80) == set()
