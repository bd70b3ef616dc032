"""The official description, reduced to what the sandbox serves and corrected where it is known to be wrong."""

import copy

import yaml
from openapi_schema_validator import OAS30Validator, oas30_format_checker

from sandbox import CUSTOMERS

SERVED = {
    "/customers/attribute-values": ("get", "put", "delete"),
    "/customers/attributes": ("get",),
    "/customers": ("get",),
}

# ---- Exceptions -----------------------------------------------------------------------------------------------------
# Each exception is allowed although the published description says otherwise, or says nothing.

# The description gives most operations their good response only. Recorded bodies show that every one of them is also
# refused: for its filters (422), its scope (403), the rate (429); the pages on status codes add the others. They are
# held to the one error schema that the description has; it lets in the `detail` that a recorded 400 has.
REFUSALS = {
    "get": (401, 403, 413, 422, 429),
    "put": (400, 401, 403, 413, 415, 422, 429, 504),
    "delete": (401, 403, 422, 429),
}

# Declared as a list that cannot be null; null in every recorded body.
NULL_AS_RECORDED = (("/customers", "get", 200, ("data", "channel_ids")),)

# The only filters of `GET /customers` that the sandbox serves, as attrsync asks for customers by id alone. It refuses the
# others aloud instead of ignoring them, so nothing is drawn for them.
SERVED_FILTERS = {"/customers": {"page", "limit", "id:in"}}

# OpenAPI itself says that header parameters of these names mean nothing.
MEANINGLESS_HEADERS = {"Accept", "Content-Type"}

# Declared without bounds, `limit` as any number; pages are counted in 32 bits, and more than 250 rows a page are refused.
WHOLE_NUMBERS = {
    "page": {"type": "integer", "minimum": 1, "maximum": 2**31 - 1},
    "limit": {"type": "integer", "minimum": 1, "maximum": 250},
}

# Some of these are declared as plain text. The pages on query parameters know days and seconds since 1970 besides;
# the bounds are those of the sandbox's calendar.
DATE = {
    "anyOf": [
        {"type": "string", "format": "date-time"},
        {"type": "string", "format": "date"},
        {"type": "integer", "minimum": -8_334_601_228_800, "maximum": 8_210_266_876_799},
    ]
}

# Declared as a list of any whole numbers; of none, and of ones beyond 64 bits, nothing is said.
ID = {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1}

# Not wrong, but narrowed, so that what is drawn as valid is what the sandbox has.
EXISTING = {
    "customer_id": {"minimum": 1, "maximum": CUSTOMERS},
    "attribute_id": {"minimum": 1, "maximum": 3},
}
ITEMS_MAX = 10


class Description:
    """The served operations, with references replaced and exceptions applied."""

    def __init__(self, file):
        whole = yaml.safe_load(file.read_text(encoding="utf-8"))
        error = resolved({"$ref": "#/components/schemas/ErrorResponse"}, whole)
        self.document = {
            "openapi": whole["openapi"],
            "info": {"title": "what the sandbox serves", "version": "1"},
            "paths": {},
        }
        for path, methods in SERVED.items():
            kept = {method: resolved(whole["paths"][path][method], whole) for method in methods}
            for method, operation in kept.items():
                amend(path, method, operation, error)
            self.document["paths"][path] = kept
        for path, method, status, (collection, field) in NULL_AS_RECORDED:
            rows = self.schema(path, method, status)["properties"][collection]
            rows["items"]["properties"][field]["nullable"] = True

    def response(self, path, method, status):
        """The description of a response with this status, if there is one."""
        operation = self.document["paths"].get(path, {}).get(method.lower())
        return operation and operation["responses"].get(str(status))

    def schema(self, path, method, status):
        """The schema of a response's body, if it has a body."""
        content = (self.response(path, method, status) or {}).get("content", {})
        return content.get("application/json", {}).get("schema")


def resolved(node, whole, inside=()):
    """A copy in which every reference is replaced by its target."""
    if isinstance(node, list):
        return [resolved(item, whole, inside) for item in node]
    if not isinstance(node, dict):
        return copy.deepcopy(node)
    if "$ref" not in node:
        return {key: resolved(value, whole, inside) for key, value in node.items()}
    reference = node["$ref"]
    if reference in inside:
        raise ValueError(f"{reference} refers to itself")
    target = whole
    for name in reference.removeprefix("#/").split("/"):
        target = target[name.replace("~1", "/").replace("~0", "~")]
    return resolved(target, whole, (*inside, reference))


def amend(path, method, operation, error):
    """Applies the exceptions to one operation."""
    for status in REFUSALS[method]:
        refusal = {"description": "a refusal", "content": {"application/json": {"schema": error}}}
        operation["responses"].setdefault(str(status), refusal)
    served = SERVED_FILTERS.get(path)
    operation["parameters"] = [
        parameter
        for parameter in operation.get("parameters", [])
        if parameter["name"] not in MEANINGLESS_HEADERS and (not served or parameter["name"] in served)
    ]
    for parameter in operation["parameters"]:
        name = parameter["name"]
        if name in WHOLE_NUMBERS:
            parameter["schema"] = WHOLE_NUMBERS[name]
        elif name.startswith("date_"):
            parameter["schema"] = DATE
        elif parameter["schema"]["type"] == "array":
            parameter["schema"].update(minItems=1, items=ID)
    for media in operation.get("requestBody", {}).get("content", {}).values():
        media["schema"].update(maxItems=ITEMS_MAX)
        for field, bounds in EXISTING.items():
            media["schema"]["items"]["properties"][field].update(bounds)


def violations(schema, body):
    """Yields where a body differs from its schema."""
    validator = OAS30Validator(schema, format_checker=oas30_format_checker)
    for error in validator.iter_errors(body):
        where = ".".join("[]" if isinstance(part, int) else part for part in error.absolute_path) or "the body"
        yield f"against the description: {where}: {error.message}"
