"""Requests that schemathesis makes up from the service's own OpenAPI document: none may make it fail."""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

EXAMPLES = 25
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def service(start_service, bundle, index):
    return start_service(bundle, "--index", index)


COMPUTING = ["/embed", "/classify", "/reconstruct", "/decode", "/search"]
WATCHING = ["/metrics", "/healthz", "/readyz"]
OPERATIONS = [
    *(("POST", path, mode) for path in COMPUTING for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)),
    *(("GET", path, GenerationMode.POSITIVE) for path in WATCHING),  # they take nothing that could be invalid
]


@pytest.mark.parametrize(("method", "path", "mode"), OPERATIONS)
def test_no_request_makes_the_service_fail(service, method, path, mode):
    operation = schemathesis.openapi.from_url(f"{service.url}/openapi.json")[path][method]

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def every_request_is_answered(case):
        case.call_and_validate(checks=CHECKS)

    every_request_is_answered()
    assert service.process.poll() is None


def test_all_operations_are_tried(service):
    assert sorted(service.ask("GET", "/openapi.json").json["paths"]) == sorted([*COMPUTING, *WATCHING])


def test_the_document_has_examples_that_are_answered(service):
    paths = service.ask("GET", "/openapi.json").json["paths"]

    examples = {path: of["post"]["requestBody"]["content"] for path, of in paths.items() if "post" in of}
    assert examples.keys() == set(COMPUTING)
    for path, content in examples.items():
        assert service.post_json(path, content["application/json"]["example"]).status == 200
