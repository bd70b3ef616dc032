"""Shapes of bodies: keys and types, compared with recorded ones."""

import json
import re

DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
ANYTHING = object()


class Recorded:
    """The recorded bodies in the form that the walk needs."""

    def __init__(self, folder):
        self.folder = folder / "examples"
        # No body of attribute-values was recorded. Its item is taken from a customer, its frame from similar bodies.
        row = self.body("official/customers.include-attributes.item.json")
        listed, written = "observed/attributes.get.200.2018.json", "observed/customers.put.200.json"
        self.made = {
            "values listed": {"data": [row], "meta": self.body(listed)["meta"]},
            "values written": {"data": [row], "meta": self.body(written)["meta"]},
        }

    def body(self, name):
        """A recorded body by the name of its file, or a composed body by its name."""
        if name in getattr(self, "made", {}):
            return self.made[name]
        text = (self.folder / name).read_text(encoding="utf-8")
        if name.endswith(".http"):
            text = text.split("\n\n", 1)[1]
        return json.loads(text)

    def headers(self):
        """Names of the service's own headers, common to the recorded heads of API responses, in lower case."""
        heads = []
        for file in ("observed/wishlists.422.wrong-json-type.http", "observed/channels.504.http"):
            lines = (self.folder / file).read_text(encoding="utf-8").split("\n\n", 1)[0].splitlines()
            names = {line.split(":", 1)[0].strip().lower() for line in lines[1:]}
            heads.append({name for name in names if name.startswith("x-")})
        return sorted(set.intersection(*heads))


def kind(value):
    """The type of a value; a date is not text."""
    match value:
        case None:
            return "null"
        case bool():
            return "truth value"
        case int() | float():
            return "number"
        case str():
            return "date" if DATE.fullmatch(value) else "text"
        case list():
            return "list"
    return "object"


def error_keys(errors):
    """Errors by the form of their keys, with indices and fields replaced by one word each."""
    return {re.sub(r"[a-z_:]+", "field", re.sub(r"\d+", "index", key)): text for key, text in errors.items()}


def differences(body, recorded, schema, at="the body"):
    """Where a body differs from a recorded one in keys or types. A key that was not recorded has to be declared."""
    if recorded is not ANYTHING and kind(body) != kind(recorded):
        yield f"against the recorded body: {at} is a {kind(body)}, recorded is a {kind(recorded)}"
        return
    # The schema `true` allows everything.
    schema = {"additionalProperties": True} if schema is True else schema or {}
    if isinstance(body, list):
        like = recorded[0] if recorded is not ANYTHING and recorded else ANYTHING
        for item in body:
            yield from differences(item, like, schema.get("items"), f"{at}[]")
    elif isinstance(body, dict):
        yield from differences_of_objects(body, recorded, schema, at)


def differences_of_objects(body, recorded, schema, at):
    known = {} if recorded is ANYTHING else recorded
    if at.endswith(".errors"):
        body, known = error_keys(body), error_keys(known)
    for key in known:
        if key not in body:
            yield f"against the recorded body: {at} lacks {key}"
    for key, value in body.items():
        declared = schema.get("properties", {}).get(key, schema.get("additionalProperties"))
        if key in known:
            yield from differences(value, known[key], declared, f"{at}.{key}")
        elif declared is not None:
            yield from differences(value, ANYTHING, declared, f"{at}.{key}")
        else:
            yield f"{at} has {key}, which is neither declared nor in the recorded body"
