"""The manifests say to the programs what these understand. No cluster is at hand: what one would refuse shows there."""

import argparse
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from collector.processes import CONFIG_DIRECTORY
from otel_llmcost.cli import stage
from otel_llmcost.settings import load_settings

MANIFESTS = ("gateway", "sidecar")
CONFIG_OF = {"otelcol-gateway": "gateway", "otelcol-agent": "agent"}
"""ConfigMap → the folder it is made from."""


def pods(name: str) -> Iterator[dict[str, Any]]:
    for document in yaml.safe_load_all((CONFIG_DIRECTORY / "kubernetes" / f"{name}.yaml").read_text()):
        if document["kind"] in {"Deployment", "StatefulSet"}:
            labels = document["spec"]["template"]["metadata"]["labels"]
            assert document["spec"]["selector"]["matchLabels"].items() <= labels.items()
            yield document["spec"]["template"]["spec"]


def container(pod: dict[str, Any], name: str) -> dict[str, Any]:
    everyone = [*pod.get("initContainers", []), *pod["containers"]]
    (found,) = [each for each in everyone if each["name"] == name]
    return found


@pytest.mark.parametrize("name", MANIFESTS)
def test_every_variable_is_one_that_the_configuration_reads(name: str) -> None:
    """A misspelt one would leave the default in place without a word."""
    for pod in pods(name):
        (config_map,) = {v["configMap"]["name"] for v in pod["volumes"] if v["name"] == "config"}
        config = (CONFIG_DIRECTORY / CONFIG_OF[config_map] / "config.yaml").read_text()
        collector = container(pod, "otelcol")
        assert {each["name"] for each in collector["env"]} <= set(re.findall(r"\$\{env:(\w+)", config))
        assert "13133" in config
        assert 13133 == collector["livenessProbe"]["httpGet"]["port"]


@pytest.mark.parametrize("name", MANIFESTS)
def test_every_mount_is_of_a_volume(name: str) -> None:
    """And no volume is for nothing."""
    for pod in pods(name):
        everyone = [*pod.get("initContainers", []), *pod["containers"]]
        mounted = {mount["name"] for each in everyone for mount in each.get("volumeMounts", [])}
        claims = {"queue"} - {volume["name"] for volume in pod["volumes"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]} | claims


def test_the_stage_understands_its_arguments() -> None:
    """They are parsed by the command itself, its variables by the settings."""
    (pod,) = pods("gateway")
    started = container(pod, "stage")
    parser = argparse.ArgumentParser()
    stage.configure(parser)
    options = parser.parse_args(started["args"][1:])
    collector = {each["name"]: each.get("value") for each in container(pod, "otelcol")["env"]}

    assert stage.NAME == started["args"][0]
    assert collector["STAGE_ENDPOINT"] == f"127.0.0.1:{options.grpc_port}"
    assert f"otlp://{collector['PRICED_ENDPOINT']}" == options.next_hop
    variables = {each["name"]: each["value"] for each in started["env"]}
    assert "0.0.0.0" == load_settings(variables).stage.admin_host
    assert load_settings({}).stage.admin_port == started["ports"][0]["containerPort"]


def test_the_service_leads_to_the_ports_of_the_gateway() -> None:
    """By name, at the number that agents are told."""
    documents = list(yaml.safe_load_all((CONFIG_DIRECTORY / "kubernetes" / "gateway.yaml").read_text()))
    (service,) = [each for each in documents if each["kind"] == "Service"]
    (pod,) = pods("gateway")
    ports = {port["name"]: port["containerPort"] for port in container(pod, "otelcol")["ports"]}
    (agent,) = pods("sidecar")
    told = {each["name"]: each.get("value") for each in container(agent, "otelcol")["env"]}

    assert {(port["port"], port["targetPort"]) for port in service["spec"]["ports"]} <= {
        (number, name) for name, number in ports.items()
    }
    assert f"{service['metadata']['name']}:{ports['otlp-grpc']}" == told["GATEWAY_ENDPOINT"]
