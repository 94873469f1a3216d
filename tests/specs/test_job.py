"""Flags of a job: all explicit ones or none, and none of them part of what a run is."""

import dataclasses

import pytest

from metaser_jax import InputError
from metaser_jax.specs import ClusterSpec, how_fields

EXPLICIT = {"coordinator_address": "host:1234", "num_processes": 2, "process_id": 0}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"cluster": "slrum"}, "--cluster: got 'slrum'.*Did you mean 'slurm'"),
        ({"heartbeat_timeout": 9}, "--heartbeat_timeout: got 9, expected 10 seconds or more"),
        ({"start_timeout": 0}, "--start_timeout: got 0"),
        (
            {"coordinator_address": "host:1"},
            "--coordinator_address: .*expected --num_processes and --process_id",
        ),
        ({"num_processes": 2}, "--num_processes: got 2, expected --coordinator_address and --process_id beside it"),
        ({"process_id": 0}, "--process_id: got 0, expected --coordinator_address and --num_processes beside it"),
        (EXPLICIT | {"cluster": "auto"}, "--cluster: got 'auto', expected none with --coordinator_address"),
        (EXPLICIT | {"coordinator_address": "host"}, "--coordinator_address: got 'host', expected host:port"),
        (EXPLICIT | {"coordinator_address": ":1"}, "expected host:port"),
        (EXPLICIT | {"coordinator_address": "host:70000"}, "expected host:port"),
        (EXPLICIT | {"num_processes": -2}, "--num_processes: got -2, expected 1 or more"),
        (EXPLICIT | {"process_id": 2}, "--process_id: got 2, expected a number from 0 to 1"),
        (EXPLICIT | {"process_id": -2}, "--process_id: got -2"),
    ],
)
def test_bad_values(values, message):
    with pytest.raises(InputError, match=message):
        ClusterSpec(**values)


def test_good_values():
    assert ClusterSpec().cluster == "none"
    ClusterSpec(**EXPLICIT)
    ClusterSpec(**EXPLICIT | {"coordinator_address": "[::1]:1234", "process_id": 1})


def test_no_field_is_part_of_a_run():
    assert {field.name for field in dataclasses.fields(ClusterSpec)} == set(how_fields(ClusterSpec))
