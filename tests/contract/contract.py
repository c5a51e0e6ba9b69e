"""Judges an answer by the schema that today's specification has for it.

Every operation of today is known here, served or not, so that a new one is judged from its first test on.
A path of an older version of the API is judged as today's: what was added since is welcome in 2015's
answers, and what they alone had is unknown to the schemas, which let it pass.

Refusals have the schema of their status where the specification has one. Besides, all of them have one
form, and no answer says that the server failed unless the operation names that status. What nobody
specified, such as an address that no operation has, may only be refused.
"""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from jsonschema_rs import Draft202012Validator, ValidationErrorKind

Json: TypeAlias = Any

_RESPONSES = Path(__file__).with_name("responses.json")
_VALUE_CHARACTERS_MAX = 120

_OLDER = re.compile(r"^/_matrix/(client|media)/(?:api/v1|api/v2_alpha|v2_alpha|v1|r0)(?=/)")
"""`v1` is old in one section and young in the other; what is there under it is found before this is tried."""

_SPELLED_OTHERWISE = {
    "GET /_matrix/client/v3/rooms/{}/state/{}": "GET /_matrix/client/v3/rooms/{}/state/{}/{}",
    "PUT /_matrix/client/v3/rooms/{}/state/{}": "PUT /_matrix/client/v3/rooms/{}/state/{}/{}",
    "POST /_matrix/client/v3/rooms/{}/send/{}": "PUT /_matrix/client/v3/rooms/{}/send/{}/{}",
    "POST /_matrix/client/v3/rooms/{}/redact/{}": "PUT /_matrix/client/v3/rooms/{}/redact/{}/{}",
    "PUT /_matrix/client/v3/createRoom/{}": "POST /_matrix/client/v3/createRoom",
    "PUT /_matrix/client/v3/join/{}/{}": "POST /_matrix/client/v3/join/{}",
    "PUT /_matrix/client/v3/rooms/{}/join/{}": "POST /_matrix/client/v3/rooms/{}/join",
    "PUT /_matrix/client/v3/rooms/{}/invite/{}": "POST /_matrix/client/v3/rooms/{}/invite",
    "PUT /_matrix/client/v3/rooms/{}/leave/{}": "POST /_matrix/client/v3/rooms/{}/leave",
    "PUT /_matrix/client/v3/rooms/{}/ban/{}": "POST /_matrix/client/v3/rooms/{}/ban",
    "POST /_matrix/client/v3/tokenrefresh": "POST /_matrix/client/v3/refresh",
}
"""Calls of 2015, and today's that answer the same; a state key that is empty may be left out to this day."""

_ANY_REFUSAL = {
    "type": "object",
    "properties": {
        "errcode": {"type": "string", "pattern": "^[A-Z][A-Z0-9_.]*$"},
        "error": {"type": "string", "minLength": 1},
    },
    "required": ["errcode", "error"],
}
_OF_ANY_CALL = {"M_MISSING_TOKEN", "M_UNKNOWN_TOKEN"}
"""Refusals before a call is looked at: what a call itself says with the same status does not bind them."""

_Template: TypeAlias = tuple[str | None, ...]
"""The segments of a path, with nothing in the place of a parameter."""


class Fault(NamedTuple):
    """One thing in an answer that the schema does not allow."""

    operation: str
    status: int
    pointer: str
    """JSON Pointer to what is wrong, or to where something is missing."""
    keyword: str
    """Of the schema; `status` and `json` are our own, for answers that no schema speaks of."""
    message: str

    def __str__(self) -> str:
        return f"{self.operation} {self.status}: {self.pointer or 'the answer'}: {self.message}"


class Contract:
    """The schemas of a file such as `generate.py` writes."""

    def __init__(self, text: str) -> None:
        contract = json.loads(text)
        self._definitions: Json = contract["$defs"]
        self.operations: Mapping[str, Mapping[str, Json]] = contract["operations"]
        """Schema of each status; true where any answer will do."""
        self.events: Mapping[str, Json] = contract["events"]
        self._validators: dict[object, Draft202012Validator] = {}

    def operation(self, method: str, path: str) -> str | None:
        """What the specification calls the operation at a path, which is encoded and under any prefix."""
        today = _OLDER.sub(r"/_matrix/\1/v3", path)
        return self._find(method, path.split("/")) or self._find(method, today.split("/"))

    def is_free(self, operation: str, status: int) -> bool:
        """May the answer be anything, and need not be JSON, such as a file or a redirect?"""
        return status < 400 and self._schema(operation, status) is True

    def faults(self, operation: str, status: int, body: Json) -> Iterator[Fault]:
        """What is wrong with an answer to this operation, or to what should be none."""
        schema = self._schema(operation, status)
        if schema is None and not 400 <= status < 500:
            message = f"an answer of this status is not foreseen: {_shortened(body)}"
            yield Fault(operation, status, "", "status", message)
        if status >= 400 and not (schema and _asks_for_more(body)):
            yield from self._violations(operation, status, _ANY_REFUSAL, "refusal", body)
        if isinstance(schema, dict) and not _is_of_any_call(body):
            yield from self._violations(operation, status, schema, (operation, status), body)

    def event_faults(self, event: Json) -> Iterator[Fault]:
        """What is wrong with an event of a room; of a type without a schema, nothing."""
        event_type = event["type"]
        if event_type in self.events:
            yield from self._violations(event_type, 200, self.events[event_type], event_type, event)

    def _schema(self, operation: str, status: int) -> Json:
        """True where any answer will do, `None` where nothing is said of this status."""
        return self.operations.get(operation, {}).get(str(status))

    def _find(self, method: str, segments: list[str]) -> str | None:
        for template, name in self._templates.get((method, len(segments)), ()):
            if all(part is None or part == segment for part, segment in zip(template, segments, strict=True)):
                return name
        return None

    @cached_property
    def _templates(self) -> Mapping[tuple[str, int], list[tuple[_Template, str]]]:
        """By method and number of segments; what is spelled out comes before what has parameters."""
        names = {re.sub(r"{\w+}", "{}", name): name for name in self.operations}
        older = {spelled: names[today] for spelled, today in _SPELLED_OTHERWISE.items() if today in names}
        found: dict[tuple[str, int], list[tuple[_Template, str]]] = {}
        for spelled, name in (older | names).items():
            method, path = spelled.split(" ")
            template = tuple(None if segment == "{}" else segment for segment in path.split("/"))
            found.setdefault((method, len(template)), []).append((template, name))
        for templates in found.values():
            templates.sort(key=lambda one: [segment is None for segment in one[0]])
        return found

    def _violations(
        self, operation: str, status: int, schema: Json, key: object, body: Json
    ) -> Iterator[Fault]:
        if key not in self._validators:
            whole = {**schema, "$defs": self._definitions}
            self._validators[key] = Draft202012Validator(whole, validate_formats=True, mask="it")
        validator = self._validators[key]
        if validator.is_valid(body):
            return
        for error in validator.iter_errors(body):
            path = [str(step) for step in error.instance_path]
            if isinstance(error.kind, ValidationErrorKind.Required):
                path.append(error.kind.property)
            message = f"{error.message}: {_shortened(error.instance)}"
            yield Fault(operation, status, _pointer(path), str(error.schema_path[-1]), message)


@cache
def contract() -> Contract:
    """Today's specification; read once."""
    return Contract(_RESPONSES.read_text(encoding="utf-8"))


def _asks_for_more(body: Json) -> bool:
    """Is it an answer of interactive authentication, which need not be an error?"""
    return isinstance(body, dict) and "flows" in body and "errcode" not in body


def _is_of_any_call(body: Json) -> bool:
    return isinstance(body, dict) and body.get("errcode") in _OF_ANY_CALL


def _pointer(path: list[str]) -> str:
    return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in path)


def _shortened(value: Json) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _VALUE_CHARACTERS_MAX else text[:_VALUE_CHARACTERS_MAX] + " …"
