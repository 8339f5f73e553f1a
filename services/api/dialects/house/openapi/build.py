#!/usr/bin/env python3
"""Completes the hand-written descriptions of house: OpenAPI 3.1 of its REST calls, AsyncAPI 3 of its socket.

    build.py VERSION OUT_FOLDER ASYNCAPI_YAML BASE_YAML RESOURCE_YAML...

Writes openapi.json, asyncapi.json and house_descriptions.c (both as text, for the binary).

base.yaml is plain OpenAPI: info, servers, security, parameters, headers. The other files describe one resource each, and
leave out what follows from the rest of the row:

    tag: bots
    about: one sentence
    schemas:
      Bot:
        extends: User               # its keys as well
        owner_id: uuid -- whose it is
        bio: string or null
        token?: string              # a key that may be absent
    paths:
      /bots/{bot}:
        patch:
          id: bots_patch            # the handler's name in routes.tbl.h
          scope: account            # the row's; `auth: none` when no token is asked for
          summary: Change a bot
          query: {explain?: word 0|1}
          pages: true               # limit, before, after
          body: {bio?: string ..1000 or null}
          form: {file: any -- it}   # instead of body: multipart/form-data
          answers: {200: Bot}       # `list of Bot`: a page; `bytes`: a file; nothing: no body
          errors: {409: the name is taken}

Types: uuid time url bool int number string any; `int 0..100`, `string 1..64` (code points; either end may be missing);
`word a|b`; `text REGEX` (a string that matches); `[T]` and `[T] ..20`; a capital letter begins the name of a schema; `... or null`;
` -- ` begins a description. A mapping is an object; {schema: ...} is a JSON schema as it stands.

Added to every operation: bearer security and x-scope, the parameters of its path, Idempotency-Key on POST, the headers of
limits and the trace id, and the problems that any such call may end in.
"""
import json
import re
import sys

import yaml

NAMED = {
    "uuid": {"$ref": "#/components/schemas/Id"},
    "time": {"$ref": "#/components/schemas/Time"},
    "url": {"type": "string", "format": "uri", "maxLength": 2048},
    "bool": {"type": "boolean"},
    "number": {"type": "number"},
    "any": {},
}
PROBLEMS = {
    400: "The body is not JSON, or broken",
    401: "No token, or one that is unknown, expired or revoked",
    403: "Known, but not allowed: `why` names the rule, the permission or the scope that is missing",
    404: "Not there, or not to be known",
    413: "The body is over 256 KiB",
    415: "The body is not application/json",
    422: "A field is missing or out of its bounds: `field` names it",
    429: "A limit is reached; wait as told",
    503: "A dependency is overloaded or away; retry is safe",
}
PATH_PARAMETERS = {
    "code": ("string", "the code of an invite"),
    "command": ("string 1..64", "the word, percent-encoded"),
    "secret": ("string", "the token of a webhook"),
    "emoji": ("string 1..32", "an emoji of Unicode or a word, percent-encoded"),
}


class Fault(Exception):
    pass


def bounds(text, least, most):
    out = {}
    if text:
        low, _, high = text.partition("..")
        if low:
            out[least] = int(low)
        if high:
            out[most] = int(high)
    return out


def base_type(text):
    word, _, rest = text.partition(" ")
    if text.startswith("["):
        inner, _, size = text[1:].rpartition("]")
        return {"type": "array", "items": schema(inner), **bounds(size.strip(), "minItems", "maxItems")}
    if word in NAMED and not rest:
        return dict(NAMED[word])
    if word == "string":
        return {"type": "string", **bounds(rest, "minLength", "maxLength")}
    if word == "int":
        return {"type": "integer", **bounds(rest, "minimum", "maximum")}
    if word == "word":
        return {"type": "string", "enum": rest.split("|")}
    if word == "text":
        return {"type": "string", "pattern": rest}
    if re.fullmatch(r"[A-Z]\w*", text):
        return {"$ref": f"#/components/schemas/{text}"}
    raise Fault(f"what type is {text!r}?")


def schema(of):
    """A type expression, or a mapping of keys, as a JSON schema."""
    if isinstance(of, dict):
        return of["schema"] if "schema" in of else object_schema(of)
    text, _, description = of.partition(" -- ")
    text = text.strip()
    nullable = text.endswith(" or null")
    out = base_type(text.removesuffix(" or null"))
    if nullable:
        if "enum" in out:
            out = {"type": ["string", "null"], "enum": [*out["enum"], None]}
        elif "type" in out:
            out["type"] = [out["type"], "null"]
        else:
            out = {"oneOf": [out, {"type": "null"}]}
    if description:
        out["description"] = description.strip()
    return out


def object_schema(keys):
    properties = {name.removesuffix("?"): schema(of) for name, of in keys.items()}
    required = [name for name in keys if not name.endswith("?")]
    out = {"type": "object", "properties": properties}
    if required:
        out["required"] = required
    return out


def body_schema(of):
    out = schema(of)
    if out.get("type") == "object":
        out["additionalProperties"] = False
    return out


def content(of, media="application/json"):
    return {media: {"schema": of}}


def headers(*names):
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


LIMITS = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "X-Request-Id")
SUCCESS = {200: "Done", 201: "Created", 202: "Accepted", 204: "Done", 206: "The part that was asked for", 304: "Not changed", 416: "The file ends before the range"}


def answer(code, of):
    out = {"description": SUCCESS[code], "headers": headers(*LIMITS, *(["Location"] if code == 201 else []))}
    if of is None:
        return out
    if isinstance(of, str) and of.startswith("list of "):
        of = {"items": f"[{of.removeprefix('list of ')}]", "next": "string or null -- the next page, if there is one"}
    if of == "bytes":
        out["content"] = {"*/*": {}}
        return out
    out["content"] = content(schema(of))
    return out


def problem(code, description):
    extra = {401: ["WWW-Authenticate"], 429: ["Retry-After"], 503: ["Retry-After"]}.get(code, [])
    return {
        "description": description,
        "headers": headers(*LIMITS, *extra),
        "content": content({"$ref": "#/components/schemas/Problem"}, "application/problem+json"),
    }


def parameter(where, name, of):
    required = not name.endswith("?")
    out = {"name": name.removesuffix("?"), "in": where, "required": required, "schema": schema(of)}
    description = out["schema"].pop("description", None)
    if description:
        out["description"] = description
    return out


def operation(path, method, row, tag):
    auth = row.get("auth", "session")
    in_path = re.findall(r"\{(\w+)\}", path)
    parameters = [parameter("path", n, " -- ".join(PATH_PARAMETERS[n]) if n in PATH_PARAMETERS else "uuid") for n in in_path]
    parameters += [parameter("query", n, of) for n, of in row.get("query", {}).items()]
    if row.get("pages"):
        parameters += [{"$ref": f"#/components/parameters/{n}"} for n in ("limit", "before", "after")]
    if method == "post" and auth == "session":
        parameters.append({"$ref": "#/components/parameters/Idempotency-Key"})
    out = {"operationId": row["id"], "tags": [tag], "summary": row["summary"]}
    if "about" in row:
        out["description"] = row["about"]
    out["x-scope"] = row.get("scope", "none")
    out["security"] = [] if auth == "none" else [{"bearer": []}]
    if parameters:
        out["parameters"] = parameters
    if "body" in row:
        of = body_schema(row["body"] or {})
        out["requestBody"] = {"required": "required" in of, "content": content(of)}
    if "form" in row:
        out["requestBody"] = {"required": True, "content": content(schema(row["form"]), "multipart/form-data")}
    expected = {429, 503} | set(row.get("errors", {}))
    if auth == "session":
        expected |= {401, 403}
    if in_path:
        expected.add(404)
    if method != "get":
        expected |= {400, 413, 415, 422}
    if row.get("query") or row.get("pages"):
        expected.add(422)
    out["responses"] = {str(code): answer(code, of) for code, of in row["answers"].items()}
    for code in sorted(expected):
        own = row.get("errors", {}).get(code)
        out["responses"][str(code)] = problem(code, own) if own else {"$ref": f"#/components/responses/{code}"}
    known = {"id", "auth", "scope", "summary", "about", "query", "pages", "body", "form", "answers", "errors"}
    if set(row) - known:
        raise Fault(f"{method} {path} has {', '.join(sorted(set(row) - known))}")
    return out


def resource(api, file):
    api["tags"].append({"name": file["tag"], "description": file["about"]})
    for name, keys in file.get("schemas", {}).items():
        keys = dict(keys)
        description = keys.pop("about", None)
        parent = api["sources"].get(keys.pop("extends", None), {})
        api["sources"][name] = {**parent, **keys}
        out = schema(api["sources"][name])
        if description:
            out["description"] = description
        api["components"]["schemas"][name] = out
    for path, methods in file.get("paths", {}).items():
        for method, row in methods.items():
            if method in api["paths"].setdefault(path, {}):
                raise Fault(f"{method} {path} is described twice")
            api["paths"][path][method] = operation(path, method, row, file["tag"])


def openapi(version, base, files):
    api = {**base, "tags": [], "paths": {}, "sources": {}}
    api["info"]["version"] = version
    api["components"]["responses"] = {str(code): problem(code, text) for code, text in PROBLEMS.items()}
    for file in files:
        resource(api, file)
    del api["sources"]
    api["paths"] = dict(sorted(api["paths"].items()))
    return api


def references(of):
    if isinstance(of, dict):
        if isinstance(of.get("$ref"), str):
            yield of["$ref"]
        for value in of.values():
            yield from references(value)
    elif isinstance(of, list):
        for value in of:
            yield from references(value)


def asyncapi(version, source, api):
    """Schemas that only point to REST (x-rest: Name) become the object of REST, with all that it refers to."""
    source["info"]["version"] = version
    schemas, rest = source["components"]["schemas"], api["components"]["schemas"]
    wanted = []
    for name, of in list(schemas.items()):
        if "x-rest" in of:
            wanted.append((name, of["x-rest"]))
    while wanted:
        name, of = wanted.pop()
        if of not in rest:
            raise Fault(f"asyncapi: REST has no schema {of}")
        schemas[name] = rest[of]
        for ref in references(rest[of]):
            needed = ref.rpartition("/")[2]
            if needed not in schemas:
                schemas[needed] = {}
                wanted.append((needed, needed))
    return source


def check_references(what, whole):
    for ref in references(whole):
        at = whole
        for step in ref.removeprefix("#/").split("/"):
            at = at.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(at, dict) else None
            if at is None:
                raise Fault(f"{what} refers to {ref}, which is not there")


def c_string(name, text):
    quoted = text.replace("\\", "\\\\").replace('"', '\\"').replace("?", "\\?")
    lines = [quoted[i : i + 100] for i in range(0, len(quoted), 100)]
    # An escape must not be torn apart.
    for i in range(len(lines) - 1):
        while (len(lines[i]) - len(lines[i].rstrip("\\"))) % 2:
            lines[i], lines[i + 1] = lines[i][:-1], lines[i][-1] + lines[i + 1]
    body = "\n".join(f'\t"{line}"' for line in lines)
    return f"const char {name}[] =\n{body};\nconst size_t {name}_length = sizeof {name} - 1;\n"


def main():
    version, folder, socket, base, *resources = sys.argv[1:]

    def load(path):
        with open(path, encoding="utf-8") as file:
            return yaml.safe_load(file)

    try:
        api = openapi(version, load(base), [load(path) for path in resources])
        events = asyncapi(version, load(socket), api)
        check_references("openapi", api)
        check_references("asyncapi", events)
    except Fault as fault:
        sys.exit(f"build.py: {fault}")
    texts = {"openapi": json.dumps(api, ensure_ascii=True), "asyncapi": json.dumps(events, ensure_ascii=True)}
    for name, text in texts.items():
        with open(f"{folder}/{name}.json", "w", encoding="utf-8") as file:
            file.write(text)
    with open(f"{folder}/house_descriptions.c", "w", encoding="utf-8") as file:
        file.write('#include "services/api/dialects/house/descriptions.h"\n\n')
        file.write("\n".join(c_string(f"house_{name}", text) for name, text in texts.items()))


main()
