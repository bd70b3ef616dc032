"""A walk over every route of the sandbox: each request with its expected status and the body that it resembles."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from description import SERVED, violations
from sandbox import HASH, TOKEN
from shapes import ANYTHING, differences

VALUES, ATTRIBUTES, CUSTOMERS = SERVED
JSON = {"content-type": "application/json"}
NO_BODY, HTML = "", "text/html"

BAD_FILTER = "observed/customers.get.422.bad-filter.json"
BAD_SHAPE = "observed/customers.put.422.bad-json-shape.json"
WRONG_TYPE = "observed/wishlists.422.wrong-json-type.http"
UNKNOWN_ID = "observed/customers.put.422.unknown-id.json"
TOO_MANY = "official/validate-credentials.429.json"
SCOPE = "observed/scope.403.json"


@dataclass
class Step:
    """One request. `like` names the recorded body; `orders` hold for this request only."""

    method: str
    path: str
    status: int
    query: str = ""
    body: object = None
    like: str = None
    orders: dict = field(default_factory=dict)
    headers: dict = field(default_factory=dict)
    token: str = TOKEN
    store: str = HASH
    media_type: str = "application/json"
    rows: int = None

    def target(self):
        return f"/stores/{self.store}/v3{self.path}" + (f"?{self.query}" if self.query else "")

    def text(self):
        return self.body if isinstance(self.body, (str, type(None))) else json.dumps(self.body)

    def says(self):
        """The request in one line, for a message."""
        body = self.text() or ""
        shown = body if len(body) <= 200 else f"{body[:200]}… ({len(body)} characters)"
        orders = f" (sandbox set to {json.dumps(self.orders)})" if self.orders else ""
        return f"{self.method} {self.target()} {shown}".rstrip() + orders


def item(customer, attribute=1, value="gold", **more):
    return {"customer_id": customer, "attribute_id": attribute, "value": value, **more}


def put(status, body, **more):
    return Step("PUT", VALUES, status, body=body, **{"headers": JSON, **more})


def writes():
    ten = [item(customer) for customer in range(1, 11)]
    nameless = {"customer_id": 1, "attribute_id": 1}
    return [
        put(200, ten, like="values written", rows=10),
        put(200, [item(1, value="silver"), item(1, 2, "10"), item(1, 3, "2026-01-31")], like="values written", rows=3),
        put(200, [item(2, value="")], like="values written"),
        put(200, [item(2, value="é\U0001f600")], like="values written"),
        put(200, [item(2, value="x" * 255)], like="values written"),
        put(200, [item(2, id=2)], like="values written"),
        put(200, []),
        put(413, [*ten, item(11)]),
        put(422, [*ten, item(11)], orders={"size_refusal": 422}, like="observed/batch-too-big.422.2018.json"),
        put(413, " " * (2 << 20), media_type=HTML),
        put(422, [item(1), item(4000)], like=UNKNOWN_ID),
        put(422, [item(2**40)], like=UNKNOWN_ID),
        put(422, [item(1, 99)], like=UNKNOWN_ID),
        put(422, [item(1, value="x" * 256)], like=UNKNOWN_ID),
        put(422, [item("one")], like=WRONG_TYPE),
        put(422, [item(1, 1.5)], like=WRONG_TYPE),
        put(422, [item(1, value=10)], like=WRONG_TYPE),
        put(422, [item(1, value=None)], like=WRONG_TYPE),
        put(422, [nameless], like=BAD_SHAPE),
        put(422, [{**nameless, "attribute_value": "gold"}], like=BAD_SHAPE),
        put(422, [1], like=BAD_SHAPE),
        put(422, item(1), like=BAD_SHAPE),
        put(400, '[{"customer_id": 1,', like="official/metafields-batch.400.json"),
        put(400, "", like="official/metafields-batch.400.json"),
        put(415, json.dumps(ten), headers={"content-type": "text/plain"}),
        put(415, json.dumps(ten), headers={}),
        put(504, ten, orders={"status": 504}, like="observed/channels.504.http"),
        put(429, ten, orders={"script": ["429"]}, like=TOO_MANY),
        Step("DELETE", VALUES, 204, query="id:in=1,2", media_type=NO_BODY),
        Step("DELETE", VALUES, 204, query="id:in=99999", media_type=NO_BODY),
        Step("DELETE", VALUES, 422),
        Step("DELETE", VALUES, 422, query="id:in="),
        Step("DELETE", VALUES, 422, query="id:in=one"),
        Step("DELETE", VALUES, 422, query="customer_id:in=1", like=BAD_FILTER),
    ]


def pages(path, like):
    """What every list can be asked for."""
    past = "observed/customers.get.200.past-last-page.json"
    return [
        Step("GET", path, 200, like=like),
        Step("GET", path, 200, query="page=1&limit=1", like=like, rows=1),
        Step("GET", path, 200, query="page=2&limit=1", like=like, rows=1),
        Step("GET", path, 200, query="limit=250", like=like),
        Step("GET", path, 200, query="page=30", like=past, rows=0),
        Step("GET", path, 413, query="limit=251"),
        *(Step("GET", path, 422, query=f"limit={bad}") for bad in ("0", "-1", "many", "1.5", "")),
        *(Step("GET", path, 422, query=f"page={bad}") for bad in ("0", "-1", "two", 2**31, 2**64)),
        Step("GET", path, 422, query="foo=1", like=BAD_FILTER),
        Step("GET", path, 422, query="&page=2", like=BAD_FILTER),
    ]


def dates(path, like):
    """The filters by date, which two of the lists have."""
    filters = [f"date_{what}{bound}" for what in ("created", "modified") for bound in ("", ":min", ":max")]
    return [
        *(Step("GET", path, 200, query=f"{name}=2026-01-01T00:00:00Z", like=like) for name in filters),
        Step("GET", path, 200, query="date_modified:min=2020-01-01", like=like),
        Step("GET", path, 200, query="date_modified:min=2999-01-01", rows=0),
        Step("GET", path, 422, query="date_created=yesterday"),
    ]


def reads():
    attributes, customers = "observed/attributes.get.200.2018.json", "observed/customers.get.200.one.json"
    return [
        *pages(VALUES, "values listed"),
        *dates(VALUES, "values listed"),
        Step("GET", VALUES, 200, query="customer_id:in=1,3&attribute_id:in=1,2&limit=250", like="values listed"),
        Step("GET", VALUES, 200, query="name=loyalty_tier", like="values listed"),
        Step("GET", VALUES, 200, query="customer_id:in=4000", rows=0),
        Step("GET", VALUES, 422, query="customer_id:in=one"),
        Step("GET", VALUES, 422, query="customer_id=1", like=BAD_FILTER),
        *pages(ATTRIBUTES, attributes),
        *dates(ATTRIBUTES, attributes),
        Step("GET", ATTRIBUTES, 200, query="name=loyalty_tier", like=attributes, rows=1),
        Step("GET", ATTRIBUTES, 200, query="name:like=last&type=date", like=attributes, rows=1),
        Step("GET", ATTRIBUTES, 422, query="name:in=loyalty_tier", like="observed/attributes.get.422.name-in.json"),
        Step("GET", ATTRIBUTES, 422, query="id:in=1", like="observed/attributes.get.422.name-in.json"),
        *pages(CUSTOMERS, customers),
        Step("GET", CUSTOMERS, 200, query="id:in=3,4000", like=customers, rows=1),
        Step("GET", CUSTOMERS, 422, query="id:in=one"),
    ]


def refusals():
    """The refusals that every operation has."""
    for path, methods in SERVED.items():
        for method in (method.upper() for method in methods):
            good = {
                "query": "id:in=1" if method == "DELETE" else "",
                "body": [item(1)] if method == "PUT" else None,
                "headers": JSON if method == "PUT" else {},
            }
            yield Step(method, path, 401, token=None, **good)
            yield Step(method, path, 401, token="wrong", **good)
            yield Step(method, path, 401, orders={"revoked": True}, **good)
            yield Step(method, path, 403, orders={"scope_missing": True}, like=SCOPE, **good)
            yield Step(method, path, 429, orders={"quota": 0}, like=TOO_MANY, **good)
            # For an unknown store the gateway responds with a page, before the API could respond with an error.
            yield Step(method, path, 404, store="elsewhere", media_type=HTML, **good)


# Requests to operations that the description does not have. Only the form of their responses is checked.
def strays():
    return [
        Step("GET", f"{VALUES}/", 403, like="observed/trailing-slash.403.2017.json"),
        Step("POST", VALUES, 405, body="[]", headers=JSON),
        Step("DELETE", CUSTOMERS + "/nothing", 404),
    ]


def walk(sandbox, description, recorded):
    """Takes every step. Yields a message for each finding, and None for each step."""
    for step in [*writes(), *reads(), *refusals(), *strays()]:
        if step.orders:
            sandbox.order(**step.orders)
        response = ask(sandbox, step)
        if step.orders:
            sandbox.heal()
        yield from findings(step, response, description, recorded)
        yield None
    yield from crowd(sandbox, description, recorded)


def ask(sandbox, step):
    token = {"x-auth-token": step.token} if step.token else {}
    return sandbox.send(step.method, step.target(), step.text(), {**step.headers, **token})


def crowd(sandbox, description, recorded):
    """Four writes at once, of which the fourth must be refused."""
    step = put(200, [item(1)], like="values written")
    sandbox.order(latency_ms=500)
    with ThreadPoolExecutor(4) as pool:
        responses = list(pool.map(lambda _: ask(sandbox, step), range(4)))
    sandbox.heal()
    statuses = sorted(response.status for response in responses)
    if statuses != [200, 200, 200, 429]:
        yield f"four at once of {step.says()}: got {statuses}, expected three times 200 and once 429"
    refusal = put(429, step.body, like=TOO_MANY)
    for response in responses:
        yield from findings(refusal if response.status == 429 else step, response, description, recorded)
    yield None


def findings(step, response, description, recorded):
    """Yields a message if something is wrong with a response."""
    if wrong := dict.fromkeys(faults(step, response, description, recorded)):
        summary = f"got {response.status} {response.media_type} {response.text[:400]}"
        yield "\n    ".join([step.says(), summary, *wrong])


def faults(step, response, description, recorded):
    if response.status != step.status:
        yield f"expected {step.status}"
        return
    if response.media_type != step.media_type:
        yield f"expected the content type {step.media_type or 'of no body'}"
        return
    if step.media_type == HTML:
        return
    described = step.path in SERVED and step.method.lower() in SERVED[step.path]
    if described and description.response(step.path, step.method, step.status) is None:
        yield "the description knows no such status here"
    for name in recorded.headers():
        if name not in response.headers:
            yield f"against the recorded head: {name} is missing"
    if step.media_type == NO_BODY:
        if response.text:
            yield "expected no body"
        return
    body = response.json()
    # A request to no described operation gets an error too, and errors have one schema.
    schema = description.schema(step.path, step.method, step.status) or description.schema(VALUES, "put", 422)
    yield from violations(schema, body)
    like = recorded.body(step.like) if step.like else ANYTHING
    yield from differences(body, like, schema)
    if step.status >= 400 and body.get("status") != step.status:
        yield f"the body says {body.get('status')}"
    if step.rows is not None and len(body["data"]) != step.rows:
        yield f"expected {step.rows} rows"
