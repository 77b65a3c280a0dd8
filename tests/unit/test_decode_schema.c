// SPDX-License-Identifier: Apache-2.0
/* The decoder knows the keys of docs/detail.schema.json, by their types, and no others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/decode_shape.h"

#include <jansson.h>
#include <stdio.h>

enum { ROOM = 256, MEMBERS_MAX = 256 };

/* Keys that the structs leave out: they say of what is beside them where it is from. */
static const char *const left_out[] = {
    "devices.from", "models.kv_cache.from", "models.requests.from",
    // Of interest where the fleet is looked after.
    "self.nats.connected", "self.nats.name_taken", "self.nats.published",
    "self.nats.skipped", "self.nats.too_large", "self.nats.events",
    "self.nats.reconnects"};

static json_t *schema;
static const struct member *seen[MEMBERS_MAX];
static size_t n_seen;

static const json_t *resolve(const json_t *node)
{
    const char *reference = json_string_value(json_object_get(node, "$ref"));

    if (!reference)
        return node;
    assert_int_equal(strncmp(reference, "#/$defs/", 8), 0);
    node = json_object_get(json_object_get(schema, "$defs"), reference + 8);
    assert_non_null(node);
    return node;
}

/* The first that is not "null". */
static const char *type_of(const json_t *node)
{
    const json_t *type = json_object_get(node, "type"), *any;

    any = json_object_get(node, "anyOf");
    if (!type && any)
        return type_of(json_array_get(any, json_array_size(any) - 1));
    if (json_is_array(type))
        type = json_array_get(type, 0);
    assert_non_null(json_string_value(type));
    return json_string_value(type);
}

static bool is_signed(const json_t *node)
{
    return !json_object_get(node, "minimum") && !json_object_get(node, "enum");
}

static bool has_max(const json_t *node, double max)
{
    const json_t *maximum = json_object_get(node, "maximum");

    return maximum && json_number_value(maximum) == max;
}

static bool fits(enum member_kind kind, const json_t *node)
{
    static const char *const types[MEMBER_KINDS] = {
        [MEMBER_COUNT] = "integer", [MEMBER_SIGNED] = "integer",
        [MEMBER_PORT] = "integer",  [MEMBER_DECIMAL] = "number",
        [MEMBER_RATIO] = "number",  [MEMBER_PERCENT] = "number",
        [MEMBER_TEXT] = "string",   [MEMBER_BOOL] = "boolean",
        [MEMBER_FROM] = "string",   [MEMBER_SEVERITY] = "string",
        [MEMBER_OBJECT] = "object", [MEMBER_POINTER] = "object",
        [MEMBER_LIST] = "array",    [MEMBER_INDICES] = "array",
        [MEMBER_TOTALS] = "object", [MEMBER_OPTIONAL] = "object",
    };

    if (strcmp(types[kind], type_of(node)) != 0)
        return false;
    if (strcmp(types[kind], "integer") == 0)
        return is_signed(node) == (kind == MEMBER_SIGNED) &&
               has_max(node, UINT16_MAX) == (kind == MEMBER_PORT);
    return has_max(node, 1) == (kind == MEMBER_RATIO) &&
           has_max(node, 100) == (kind == MEMBER_PERCENT);
}

static const struct member *find(const struct shape *shape, const char *within,
                                 const char *key)
{
    for (size_t i = 0; i < shape->n; i++) {
        const struct member *member = &shape->members[i];
        bool here = within ? member->within && strcmp(member->within, within) == 0
                           : !member->within;

        // That a key is given says nothing of its type.
        if (here && strcmp(member->key, key) == 0 && member->kind != MEMBER_GIVEN)
            return member;
    }
    return NULL;
}

static bool is_left_out(const char *path)
{
    for (size_t i = 0; i < ARRAY_LEN(left_out); i++)
        if (strcmp(path, left_out[i]) == 0)
            return true;
    return false;
}

static void check_keys(const json_t *node, const struct shape *shape, const char *within,
                       const char *outer);

static void check_member(const json_t *node, const struct member *member,
                         const char *path)
{
    if (!fits(member->kind, node))
        fail_msg("%s is of another type (%s)", path, type_of(node));
    assert_true(n_seen < MEMBERS_MAX);
    seen[n_seen++] = member;
    if (member->kind == MEMBER_OBJECT || member->kind == MEMBER_POINTER ||
        member->kind == MEMBER_OPTIONAL)
        check_keys(node, member->shape, NULL, path);
    if (member->kind == MEMBER_LIST)
        check_keys(resolve(json_object_get(node, "items")), member->shape, NULL, path);
}

static void check_keys(const json_t *node, const struct shape *shape, const char *within,
                       const char *outer)
{
    json_t *properties = json_object_get(node, "properties"), *property;
    const char *key;

    assert_non_null(properties);
    json_object_foreach(properties, key, property)
    {
        const json_t *value = resolve(property);
        const struct member *member = find(shape, within, key);
        char path[ROOM];

        (void)snprintf(path, ROOM, "%s%s%s", outer, *outer ? "." : "", key);
        if (member)
            check_member(value, member, path);
        else if (!within && json_object_get(value, "properties"))
            check_keys(value, shape, key, path);
        else if (!is_left_out(path))
            fail_msg("nobody reads %s", path);
    }
}

static void check_seen(const struct shape *shape)
{
    for (size_t i = 0; i < shape->n; i++) {
        const struct member *member = &shape->members[i];
        bool found = member->kind == MEMBER_GIVEN;

        for (size_t k = 0; k < n_seen; k++)
            found = found || seen[k] == member;
        if (!found)
            fail_msg("the schema has no %s.%s", member->within ? member->within : "",
                     member->key);
        if (member->shape)
            check_seen(member->shape);
    }
}

static void test_schema(void **state)
{
    json_error_t error;

    (void)state;
    schema = json_load_file(DETAIL_SCHEMA_PATH, 0, &error);
    assert_non_null(schema);
    check_keys(schema, &shape_detail, NULL, "");
    check_seen(&shape_detail);
    json_decref(schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schema),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
