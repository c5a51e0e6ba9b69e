"""Write `responses.json`: the response schemas of the specification's OpenAPI files and nothing else of them.

    python -m tests.contract.generate PATH_TO_SPEC

`PATH_TO_SPEC` is a checkout of the Matrix specification, or any folder that has its `data/`. The tests of
a fresh clone have none, so the schemas live here as one file, one operation a line. What is kept are the
facts that a machine can check; sentences and examples are not. Schemas of files are collected in `$defs`
under the file's name, everything else is written out where it is used.

State `SPECIFICATION` anew when the file is made from another commit.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

SPECIFICATION = "matrix-org/matrix-spec d0ba2aaef8, between v1.19 and v1.20; Apache License 2.0"
RESPONSES = Path(__file__).with_name("responses.json")

_METHODS = ("get", "put", "post", "delete")
_FOR_READERS = {"$id", "$schema", "default", "deprecated", "description", "example", "examples", "title"}
_BY_NAME = {"patternProperties", "properties"}
"""Keywords whose value has a schema for each name, so that its keys are names and no keywords."""


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m tests.contract.generate PATH_TO_SPEC\n")
        return 2
    contract = contract_of(Path(arguments[0]) / "data")
    RESPONSES.write_text(lines_of(contract), encoding="utf-8")
    return 0


def contract_of(data: Path) -> dict[str, Any]:
    """All operations with the schema of each status (true where any answer will do), and all room events."""
    schemas = Schemas()
    operations: dict[str, dict[str, Any]] = {}
    for file in sorted((data / "api" / "client-server").glob("*.yaml")):
        for name, responses in _operations_in(schemas, file):
            known = operations.setdefault(name, {})
            for status, schema in responses.items():
                known[status] = _either(known[status], schema) if status in known else schema
    events = {
        file.stem: schemas.reference(file)
        for file in sorted((data / "event-schemas" / "schema").glob("m.*.yaml"))
        if "$" not in file.stem  # forms of one type, told apart by their content
    }
    return {
        "specification": SPECIFICATION,
        "operations": operations,
        "events": events,
        "$defs": schemas.definitions,
    }


class Schemas:
    """Reads files once, and collects those that others refer to."""

    def __init__(self) -> None:
        self.definitions: dict[str, Any] = {}
        self._files: dict[Path, Any] = {}
        self._names: dict[str, Path] = {}

    def document(self, file: Path) -> Any:
        if file not in self._files:
            self._files[file] = msgspec.yaml.decode(file.read_bytes())
        return self._files[file]

    def reference(self, file: Path) -> dict[str, str]:
        """A reference to the schema that is this file. Raises `ValueError` if two files have one name."""
        file = file.resolve()
        name = file.stem
        if self._names.setdefault(name, file) != file:
            raise ValueError(f"{file} and {self._names[name]} have the same name")
        if name not in self.definitions:
            self.definitions[name] = {}  # of a schema that refers to itself
            self.definitions[name] = self.facts(self.document(file), file)
        return {"$ref": f"#/$defs/{name}"}

    def facts(self, schema: Any, file: Path) -> Any:
        """A schema as it stands in a file, without what is there for readers only."""
        if not isinstance(schema, dict):
            return schema
        return {
            keyword: self._value_of(keyword, value, file)
            for keyword, value in schema.items()
            if keyword not in _FOR_READERS and not keyword.startswith("x-") and keyword != "$ref"
        } | self._referred(schema.get("$ref"), file)

    def resolved(self, value: Any, file: Path) -> Any:
        """What stands behind a reference within the file, if it is one."""
        while isinstance(value, dict) and str(value.get("$ref", "")).startswith("#/"):
            target = self.document(file)
            for step in value["$ref"].removeprefix("#/").split("/"):
                target = target[step]
            value = target
        return value

    def _referred(self, reference: str | None, file: Path) -> dict[str, Any]:
        if reference is None:
            return {}
        if not reference.startswith("#/"):
            return self.reference(file.parent / reference)
        written_out: dict[str, Any] = self.facts(self.resolved({"$ref": reference}, file), file)
        return written_out

    def _value_of(self, keyword: str, value: Any, file: Path) -> Any:
        if keyword in _BY_NAME:
            return {name: self.facts(schema, file) for name, schema in value.items()}
        if isinstance(value, list) and keyword not in {"enum", "required"}:
            return [self.facts(schema, file) for schema in value]
        return self.facts(value, file) if isinstance(value, dict) else value


def _operations_in(schemas: Schemas, file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name, such as `GET /_matrix/client/v3/sync`, and the schema of each status."""
    document = schemas.document(file)
    base = document["servers"][0]["variables"]["basePath"]["default"]
    for path, methods in document["paths"].items():
        for method in methods.keys() & set(_METHODS):
            responses = {
                status: _answer_schema(schemas, schemas.resolved(response, file), file)
                for status, response in methods[method]["responses"].items()
            }
            # The files tell two operations with one path apart by a space at its end.
            yield f"{method.upper()} {base}{path.rstrip()}", responses


def _answer_schema(schemas: Schemas, response: Any, file: Path) -> Any:
    answer = response.get("content", {}).get("application/json", {})
    return schemas.facts(schemas.resolved(answer["schema"], file), file) if "schema" in answer else True


def _either(one: Any, other: Any) -> Any:
    return one if one == other else {"anyOf": [one, other]}


def lines_of(contract: Mapping[str, Any]) -> str:
    """JSON, sorted, one operation or definition a line: a change of the specification is a readable one."""
    parts = (f"{_json(name)}:{_section(contract[name])}" for name in sorted(contract))
    return "{" + ",\n".join(parts) + "}\n"


def _section(value: Any) -> str:
    if not isinstance(value, dict):
        return _json(value)
    return "{\n" + ",\n".join(_entries(value.items())) + "\n}"


def _entries(items: Iterable[tuple[str, Any]]) -> Iterator[str]:
    return (f"{_json(name)}:{_json(value)}" for name, value in sorted(items))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
