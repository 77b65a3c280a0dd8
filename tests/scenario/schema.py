# SPDX-License-Identifier: Apache-2.0
"""A strict validator for the part of JSON Schema (draft 2020-12) that docs/ uses.

A keyword that is not known here is an error of the schema, and so is a property that is
described twice or required without being described: what is written is what is checked.
Stricter than the standard: a number with a decimal point is no integer.
"""
import json
import re

TYPES = {
    "null": lambda v: v is None,
    "boolean": lambda v: isinstance(v, bool),
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "number": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool),
    "string": lambda v: isinstance(v, str),
    "array": lambda v: isinstance(v, list),
    "object": lambda v: isinstance(v, dict),
}


class Invalid(AssertionError):
    """The document is not what the schema says."""


class BadSchema(Exception):
    """The schema is not one that can be checked here."""


def _pairs(pairs):
    keys = [key for key, _ in pairs]
    if len(set(keys)) != len(keys):
        raise ValueError(f"a key twice: {keys}")
    return dict(pairs)


def _no_constant(name):
    raise ValueError(f"{name} is no JSON")


def loads(text):
    """json.loads() that takes neither NaN, nor Infinity, nor a key twice, nor bad UTF-8."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "strict")
    return json.loads(text, object_pairs_hook=_pairs, parse_constant=_no_constant)


def same(a, b):
    """Equal, and of the same type: True is not 1."""
    return type(a) is type(b) and a == b


def matches(pattern, text):
    # In JSON Schema `$` is the end alone; here it would let a line feed follow.
    return re.search(pattern, text) and not (pattern.endswith("$") and text.endswith("\n"))


class Schema:
    def __init__(self, root):
        self.root = root
        self.check_schema(root, "#")

    # The schema itself.

    def check_schema(self, schema, where):
        if not isinstance(schema, dict):
            raise BadSchema(f"{where}: not an object")
        for keyword, value in schema.items():
            if keyword not in KEYWORDS:
                raise BadSchema(f"{where}: unknown keyword {keyword}")
            check = KEYWORDS[keyword][0]
            if check:
                check(self, value, f"{where}/{keyword}")
        missing = set(schema.get("required", [])) - set(schema.get("properties", {}))
        if missing:
            raise BadSchema(f"{where}: required and not described: {sorted(missing)}")

    def check_type(self, value, where):
        for name in value if isinstance(value, list) else [value]:
            if name not in TYPES:
                raise BadSchema(f"{where}: no type {name}")

    def check_each(self, value, where):
        for name, schema in value.items():
            self.check_schema(schema, f"{where}/{name}")

    def check_list(self, value, where):
        if not isinstance(value, list) or not value:
            raise BadSchema(f"{where}: not a list")

    def check_schemas(self, value, where):
        self.check_list(value, where)
        for i, schema in enumerate(value):
            self.check_schema(schema, f"{where}/{i}")

    def check_schema_or_bool(self, value, where):
        if not isinstance(value, bool):
            self.check_schema(value, where)

    def check_number(self, value, where):
        if not TYPES["number"](value):
            raise BadSchema(f"{where}: not a number")

    def check_pattern(self, value, where):
        try:
            re.compile(value)
        except (re.error, TypeError) as error:
            raise BadSchema(f"{where}: {error}") from None

    def check_text(self, value, where):
        if not isinstance(value, str) or not value:
            raise BadSchema(f"{where}: no text")

    def check_ref(self, value, where):
        self.referred(value)

    def referred(self, ref):
        if not ref.startswith("#/"):
            raise BadSchema(f"not within this schema: {ref}")
        schema = self.root
        for name in ref[2:].split("/"):
            if name not in schema:
                raise BadSchema(f"nothing there: {ref}")
            schema = schema[name]
        return schema

    # A value against it. Each raises Invalid.

    def validate(self, value):
        self.apply(self.root, value, "$")

    def apply(self, schema, value, where):
        for keyword, argument in schema.items():
            apply = KEYWORDS[keyword][1]
            if apply:
                apply(self, argument, value, where, schema)

    def apply_type(self, types, value, where, _):
        types = types if isinstance(types, list) else [types]
        if not any(TYPES[name](value) for name in types):
            raise Invalid(f"{where}: {value!r} is not {' or '.join(types)}")

    def apply_enum(self, choices, value, where, _):
        if not any(same(value, choice) for choice in choices):
            raise Invalid(f"{where}: {value!r} is none of {choices}")

    def apply_required(self, keys, value, where, _):
        missing = [key for key in keys if isinstance(value, dict) and key not in value]
        if missing:
            raise Invalid(f"{where}: without {missing}")

    def apply_properties(self, properties, value, where, _):
        if isinstance(value, dict):
            for key in properties.keys() & value.keys():
                self.apply(properties[key], value[key], f"{where}.{key}")

    def apply_additional(self, more, value, where, schema):
        if not isinstance(value, dict):
            return
        for key in value.keys() - schema.get("properties", {}).keys():
            if more is False:
                raise Invalid(f"{where}: {key} is not described")
            if more is not True:
                self.apply(more, value[key], f"{where}.{key}")

    def apply_items(self, items, value, where, _):
        for i, item in enumerate(value if isinstance(value, list) else []):
            self.apply(items, item, f"{where}[{i}]")

    def apply_any(self, schemas, value, where, _):
        reasons = []
        for schema in schemas:
            try:
                self.apply(schema, value, where)
                return
            except Invalid as reason:
                reasons.append(str(reason))
        raise Invalid(f"{where}: none of: " + "; ".join(reasons))

    def apply_minimum(self, least, value, where, _):
        if TYPES["number"](value) and value < least:
            raise Invalid(f"{where}: {value} is less than {least}")

    def apply_maximum(self, most, value, where, _):
        if TYPES["number"](value) and value > most:
            raise Invalid(f"{where}: {value} is more than {most}")

    def apply_pattern(self, pattern, value, where, _):
        if isinstance(value, str) and not matches(pattern, value):
            raise Invalid(f"{where}: {value!r} does not match {pattern}")

    def apply_ref(self, ref, value, where, _):
        self.apply(self.referred(ref), value, where)

    def undescribed(self, value):
        """Paths of keys in `value` that the schema does not name: additions, or a slip."""
        strict = Schema(_closed(self.root))
        try:
            strict.validate(value)
        except Invalid as reason:
            return str(reason)
        return None


def _closed(schema):
    """The same schema, in which every object with properties allows no others."""
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) for key, value in schema.items()}
    if "required" in schema and isinstance(schema.get("properties"), dict):
        closed.setdefault("additionalProperties", False)
    return closed


# How a keyword is checked in the schema, and applied to a value; None: nothing to do.
KEYWORDS = {
    "$schema": (Schema.check_text, None),
    "$defs": (Schema.check_each, None),
    "$ref": (Schema.check_ref, Schema.apply_ref),
    "title": (Schema.check_text, None),
    "description": (Schema.check_text, None),
    "type": (Schema.check_type, Schema.apply_type),
    "enum": (Schema.check_list, Schema.apply_enum),
    "required": (Schema.check_list, Schema.apply_required),
    "properties": (Schema.check_each, Schema.apply_properties),
    "additionalProperties": (Schema.check_schema_or_bool, Schema.apply_additional),
    "items": (Schema.check_schema, Schema.apply_items),
    "anyOf": (Schema.check_schemas, Schema.apply_any),
    "minimum": (Schema.check_number, Schema.apply_minimum),
    "maximum": (Schema.check_number, Schema.apply_maximum),
    "pattern": (Schema.check_pattern, Schema.apply_pattern),
}
