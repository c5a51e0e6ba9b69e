"""The generator over a specification of one page: facts are kept, whatever is there for readers is not."""

import json
from pathlib import Path

import pytest

from tests.contract.contract import Contract
from tests.contract.generate import contract_of, lines_of, main

API = """
paths:
  "/things/{id} ":
    get:
      description: What things are.
      responses:
        "200":
          description: A thing.
          content:
            application/json:
              schema:
                $ref: definitions/thing.yaml
        "404":
          $ref: '#/components/responses/gone'
        "302":
          description: It is elsewhere.
    parameters: []
components:
  responses:
    gone:
      description: There is none.
      content:
        application/json:
          schema:
            $ref: '#/components/schemas/refusal'
  schemas:
    refusal:
      type: object
      example: {}
servers:
  - variables:
      basePath:
        default: /_matrix/client/v3
"""
THING = """
title: Thing
type: object
required: [title]
properties:
  title:
    description: Called what a keyword is called, and no keyword.
    type: string
    enum: [title, example]
    x-addedInMatrixVersion: "1.2"
  parts:
    type: array
    items:
      $ref: thing.yaml
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    definitions = tmp_path / "data/api/client-server/definitions"
    events = tmp_path / "data/event-schemas/schema"
    definitions.mkdir(parents=True)
    events.mkdir(parents=True)
    (definitions / "thing.yaml").write_text(THING)
    (definitions.parent / "things.yaml").write_text(API)
    (events / "m.thing.yaml").write_text("type: object\ntitle: A thing\n")
    (events / "m.thing$m.text.yaml").write_text("type: string\n")
    return tmp_path


def test_facts_are_kept_and_sentences_are_not(spec: Path) -> None:
    contract = contract_of(spec / "data")
    refusal = {"type": "object"}
    assert contract["operations"] == {
        "GET /_matrix/client/v3/things/{id}": {"200": {"$ref": "#/$defs/thing"}, "302": True, "404": refusal}
    }
    assert contract["events"] == {"m.thing": {"$ref": "#/$defs/m.thing"}}
    assert contract["$defs"]["thing"] == {
        "type": "object",
        "required": ["title"],
        "properties": {
            "title": {"type": "string", "enum": ["title", "example"]},
            "parts": {"type": "array", "items": {"$ref": "#/$defs/thing"}},
        },
    }


def test_the_file_is_what_answers_are_judged_by(spec: Path) -> None:
    contract = Contract(lines_of(contract_of(spec / "data")))
    operation = contract.operation("GET", "/_matrix/client/r0/things/1")
    assert operation == "GET /_matrix/client/v3/things/{id}"
    (fault,) = contract.faults(operation, 200, {"title": "title", "parts": [{"title": "other"}]})
    assert (fault.pointer, fault.keyword) == ("/parts/0/title", "enum")


def test_twins_may_answer_either_way(spec: Path) -> None:
    """Two operations with one path, told apart by a space at its end."""
    api = spec / "data/api/client-server"
    other = API.replace('{id} "', '{id}"').replace("$ref: definitions/thing.yaml", "type: string")
    (api / "twins.yaml").write_text(other)
    schemas = contract_of(spec / "data")["operations"]["GET /_matrix/client/v3/things/{id}"]
    assert schemas["200"] == {"anyOf": [{"$ref": "#/$defs/thing"}, {"type": "string"}]}
    assert schemas["404"] == {"type": "object"}


def test_one_name_stands_for_one_file(spec: Path) -> None:
    api = spec / "data/api/client-server"
    (spec / "data/api/thing.yaml").write_text("type: object")
    (api / "more.yaml").write_text(API.replace("definitions/thing.yaml", "../thing.yaml"))
    with pytest.raises(ValueError, match="have the same name"):
        contract_of(spec / "data")


def test_one_operation_stands_on_one_line(spec: Path) -> None:
    text = lines_of(contract_of(spec / "data"))
    assert any(line.startswith('"GET /_matrix/client/v3/things/{id}":') for line in text.splitlines())
    assert lines_of(json.loads(text)) == text


def test_it_asks_for_a_path(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "PATH_TO_SPEC" in capsys.readouterr().err
