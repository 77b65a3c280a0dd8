// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "client/decode.h"
#include "client/decode_shape.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>

enum { ROOM = 512 };

static const struct vramscope_detail *detail_of(const char *row, struct span json)
{
    struct complaint why = {""};
    const struct vramscope_detail *detail = NULL;

    if (decode_detail(json, &detail, &why) != 0)
        fail_msg("[%s] %s: %.*s", row, why.text, (int)MIN(json.len, 300U), json.at);
    return detail;
}

static void refused(const char *row, struct span json, int r, const char *reason)
{
    struct complaint why = {""};
    const struct vramscope_detail *detail = NULL;

    if (decode_detail(json, &detail, &why) != r || !strstr(why.text, reason) || detail)
        fail_msg("[%s] \"%s\", not \"%s\"", row, why.text, reason);
}

/* One member of the document, with what is around it. */
typedef void member_fn(const struct member *member, const char *before, const char *after,
                       const char *path);

PRINTF_LIKE(2, 3)
static void print(char text[ROOM], const char *format, ...)
{
    va_list args;

    va_start(args, format);
    assert_true(vsnprintf(text, ROOM, format, args) < ROOM);
    va_end(args);
}

/* Each member that a document can have, the members of its objects and arrays too. */
static void each_member(const struct shape *shape, const char *before, const char *after,
                        const char *path, member_fn *fn)
{
    for (size_t i = 0; i < shape->n; i++) {
        const struct member *m = &shape->members[i];
        bool list = m->kind == MEMBER_LIST;
        char b[ROOM], a[ROOM], p[ROOM], inner_b[ROOM], inner_a[ROOM];

        print(b, "%s%s%s%s", before, m->within ? "\"" : "", m->within ? m->within : "",
              m->within ? "\":{" : "");
        print(a, "%s%s", m->within ? "}" : "", after);
        print(p, "%s%s%s%s%s", path, *path ? "." : "", m->within ? m->within : "",
              m->within ? "." : "", m->key);
        fn(m, b, a, p);
        if (!m->shape)
            continue;
        print(inner_b, "%s\"%s\":%s", b, m->key, list ? "[{" : "{");
        print(inner_a, "%s%s", list ? "}]" : "}", a);
        if (list)
            memcpy(p + strlen(p), "[0]", 4);
        each_member(m->shape, inner_b, inner_a, p, fn);
    }
}

static void all_members(member_fn *fn)
{
    each_member(&shape_detail, "{", "}", "", fn);
}

#define KIND(kind) (1U << MEMBER_##kind)
#define WHOLES (KIND(COUNT) | KIND(SIGNED) | KIND(PORT))
#define DECIMALS (KIND(DECIMAL) | KIND(RATIO) | KIND(PERCENT))
#define NUMBERS (WHOLES | DECIMALS)
#define TEXTS (KIND(TEXT) | KIND(FROM) | KIND(SEVERITY))
#define ARRAYS (KIND(LIST) | KIND(INDICES))
#define OBJECTS (KIND(OBJECT) | KIND(POINTER) | KIND(OPTIONAL) | KIND(TOTALS))

// clang-format off
static const struct {
    unsigned kinds;
    const char *json, *why;
} bad[] = {
    {NUMBERS, "\"7\"", "a number is due"},
    {NUMBERS, "true", "a number is due"},
    {NUMBERS, "[7]", "a number is due"},
    {NUMBERS, "{}", "a number is due"},
    {WHOLES, "1.5", "a whole number is due"},
    {WHOLES, "1e19", "a whole number is due"},
    {WHOLES, "-1e19", "a whole number is due"},
    {WHOLES, "1e300", "a whole number is due"},
    {WHOLES, "9223372036854775808.0", "a whole number is due"},
    {KIND(COUNT), "-1", "0 or more is due"},
    {KIND(COUNT), "-9223372036854775808", "0 or more is due"},
    {KIND(SIGNED), "-9223372036854775808", "more than -2^63 is due"},
    {KIND(SIGNED), "-9223372036854775808.0", "more than -2^63 is due"},
    {KIND(PORT), "-1", "0 to 65535 is due"},
    {KIND(PORT), "65536", "0 to 65535 is due"},
    {KIND(DECIMAL), "-0.001", "0 or more is due"},
    {KIND(RATIO), "-0.001", "0 to 1 is due"},
    {KIND(RATIO), "1.000001", "0 to 1 is due"},
    {KIND(PERCENT), "-1", "0 to 100 is due"},
    {KIND(PERCENT), "100.01", "0 to 100 is due"},
    {KIND(BOOL), "0", "true or false is due"},
    {KIND(BOOL), "\"true\"", "true or false is due"},
    {TEXTS, "7", "a text is due"},
    {TEXTS, "[\"a\"]", "a text is due"},
    {TEXTS, "{}", "a text is due"},
    {ARRAYS, "{}", "an array is due"},
    {ARRAYS, "\"\"", "an array is due"},
    {KIND(LIST), "[7]", "[0]: an object is due"},
    {KIND(LIST), "[null]", "[0]: an object is due"},
    {KIND(LIST), "[{},{},[]]", "[2]: an object is due"},
    {KIND(INDICES), "[0,-1]", "[1]: 0 or more is due"},
    {KIND(INDICES), "[null]", "[0]: a number is due"},
    {KIND(INDICES), "[\"0\"]", "[0]: a number is due"},
    {KIND(INDICES), "[0.5]", "[0]: a whole number is due"},
    {OBJECTS, "7", "an object is due"},
    {OBJECTS, "[]", "an object is due"},
    {OBJECTS, "\"\"", "an object is due"},
    {KIND(TOTALS), "{\"secret\":-1}", "[0]: 0 or more is due"},
    {KIND(TOTALS), "{\"a\":1,\"secret\":\"1\"}", "[1]: a number is due"},
};

static const struct {
    unsigned kinds;
    const char *json;
} good[] = {
    {~0U, "null"},
    {WHOLES, "0"},
    {WHOLES, "7"},
    {WHOLES, "7.0"},
    {WHOLES, "7e3"},
    {WHOLES, "-0"},
    {KIND(COUNT) | KIND(SIGNED), "9223372036854775807"},
    {KIND(SIGNED), "-9223372036854775807"},
    {KIND(PORT), "65535"},
    {DECIMALS, "0"},
    {DECIMALS, "1"},
    {DECIMALS, "0.5"},
    {KIND(PERCENT), "100"},
    {KIND(DECIMAL), "1e300"},
    {KIND(BOOL), "false"},
    {KIND(BOOL), "true"},
    {TEXTS, "\"\""},
    {TEXTS, "\"a\""},
    {ARRAYS, "[]"},
    {KIND(LIST), "[{},{}]"},
    {OBJECTS, "{}"},
    {KIND(TOTALS), "{\"a\":1,\"b\":null}"},
};
// clang-format on

static unsigned tried;

static void try_bad(const struct member *member, const char *before, const char *after,
                    const char *path)
{
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        bool inside = bad[i].why[0] == '[';
        char json[3 * ROOM], why[2 * ROOM];

        if (!(bad[i].kinds & 1U << member->kind))
            continue;
        (void)snprintf(json, sizeof(json), "%s\"%s\":%s%s", before, member->key,
                       bad[i].json, after);
        (void)snprintf(why, sizeof(why), "%s%s%s", path, inside ? "" : ": ", bad[i].why);
        refused(path, span_of(json), -EBADMSG, why);
        tried++;
    }
}

static void test_wrong_types(void **state)
{
    (void)state;
    tried = 0;
    all_members(try_bad);
    assert_true(tried > 700);
}

static void try_good(const struct member *member, const char *before, const char *after,
                     const char *path)
{
    // These say more than their type: there is a table of its own.
    bool special =
        strcmp(path, "schema") == 0 || strcmp(path, "processes[0].device") == 0;

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        char json[3 * ROOM];

        if (!(good[i].kinds & 1U << member->kind) || (special && i > 0))
            continue;
        (void)snprintf(json, sizeof(json), "%s\"%s\":%s%s", before, member->key,
                       good[i].json, after);
        vramscope_detail_unref(detail_of(path, span_of(json)));
        tried++;
    }
}

static void test_right_types(void **state)
{
    (void)state;
    tried = 0;
    all_members(try_good);
    assert_true(tried > 500);
}

/* The object around keys that have no struct of their own is one, too. */
static void try_within(const struct member *member, const char *before, const char *after,
                       const char *path)
{
    char json[2 * ROOM], why[ROOM];
    size_t cut;

    (void)path;
    if (!member->within)
        return;
    cut = strlen(before) - 1;
    (void)snprintf(json, sizeof(json), "%.*s[]%s", (int)cut, before, after + 1);
    (void)snprintf(why, sizeof(why), "%s: an object is due", member->within);
    refused(json, span_of(json), -EBADMSG, why);
    (void)snprintf(json, sizeof(json), "%.*snull%s", (int)cut, before, after + 1);
    vramscope_detail_unref(detail_of(json, span_of(json)));
}

static void test_objects_without_struct(void **state)
{
    (void)state;
    all_members(try_within);
}

static bool is_unknown(const struct member *member, const char *at);

static void expect_unknown(const struct shape *shape, const char *base)
{
    for (size_t i = 0; i < shape->n; i++)
        if (!is_unknown(&shape->members[i], base + shape->members[i].offset))
            fail_msg("%s is known", shape->members[i].key);
}

static bool is_unknown(const struct member *member, const char *at)
{
    size_t n;

    switch (member->kind) {
    case MEMBER_COUNT:
    case MEMBER_SIGNED:
    case MEMBER_PORT:
        return *(const int64_t *)(const void *)at == VRAMSCOPE_UNKNOWN;
    case MEMBER_DECIMAL:
    case MEMBER_RATIO:
    case MEMBER_PERCENT:
        return isnan(*(const double *)(const void *)at);
    case MEMBER_TEXT:
        return !*(const char *const *)(const void *)at;
    case MEMBER_BOOL:
    case MEMBER_GIVEN:
        return !*(const bool *)(const void *)at;
    case MEMBER_FROM:
        return *(const enum vramscope_from *)(const void *)at == VRAMSCOPE_FROM_UNKNOWN;
    case MEMBER_SEVERITY:
        return *(const enum vramscope_severity *)(const void *)at ==
               VRAMSCOPE_SEVERITY_UNKNOWN;
    case MEMBER_OBJECT:
        expect_unknown(member->shape, at);
        return true;
    case MEMBER_POINTER:
        assert_non_null(*(const char *const *)(const void *)at);
        expect_unknown(member->shape, *(const char *const *)(const void *)at);
        return true;
    case MEMBER_OPTIONAL:
        return !*(const char *const *)(const void *)at;
    default:
        memcpy(&n, at - member->offset + member->n_offset, sizeof(n));
        return n == 0;
    }
}

static void test_nothing_known(void **state)
{
    static const char json[] =
        "{\"gpu\":{\"sources\":[{}]},\"devices\":[{}],"
        "\"models\":[{\"vram\":{},\"prefix_cache\":{\"minute\":{}},"
        "\"kv_cache\":{\"used_bytes\":{}}}],\"processes\":[{}],\"events\":[{}],"
        "\"nodes\":[{}]}";
    const struct vramscope_detail *detail = detail_of("empty", span_of("{}"));

    (void)state;
    expect_unknown(&shape_detail, (const char *)detail);
    vramscope_detail_unref(detail);

    detail = detail_of("empty rows", span_of(json));
    for (size_t i = 0; i < shape_detail.n; i++) {
        const struct member *member = &shape_detail.members[i];
        const char *const *rows;

        if (member->kind != MEMBER_LIST)
            continue;
        assert_false(is_unknown(member, (const char *)detail + member->offset));
        memcpy(&rows, (const char *)detail + member->offset, sizeof(rows));
        expect_unknown(member->shape, rows[0]);
    }
    vramscope_detail_unref(detail);
}

// clang-format off
static const struct {
    const char *row, *json, *why; // `why` NULL: it is taken
} documents[] = {
    {"keys of a later daemon", "{\"new\":[1,{\"a\":null}],\"vram\":{\"new\":-1.5}}", NULL},
    {"this schema", "{\"schema\":1}", NULL},
    {"another schema", "{\"schema\":2}", "schema: 2 is not known here, 1 is"},
    {"no schema", "{\"schema\":0}", "schema: 0 is not known"},
    {"device of a model", "{\"devices\":[{},{}],\"models\":[{\"devices\":[1,0]}]}", NULL},
    {"no such device of a model", "{\"devices\":[{}],\"models\":[{},{\"devices\":[0,1]}]}",
     "models[1].devices[1]: no such device"},
    {"no devices at all", "{\"models\":[{\"devices\":[0]}]}",
     "models[0].devices[0]: no such device"},
    {"device of a process", "{\"devices\":[{}],\"processes\":[{\"device\":0}]}", NULL},
    {"device of a process not known", "{\"processes\":[{\"device\":null}]}", NULL},
    {"no such device of a process", "{\"devices\":[{}],\"processes\":[{\"device\":1}]}",
     "processes[0].device: no such device"},
    {"NUL in a text", "{\"boot\":\"a\\u0000b\"}", "a text has a NUL in it"},
    {"NUL in a name", "{\"self\":{\"limited\":{\"a\\u0000b\":1}}}", "a text has a NUL in it"},
    {"NaN", "{\"seq\":NaN}", "it is no JSON (line 1, column"},
    {"infinite", "{\"seq\":1e999}", "a number is too large"},
    {"past int64", "{\"seq\":9223372036854775808}", "a number is too large"},
    {"given twice", "{\"seq\":1,\"seq\":2}", "a key is given twice"},
    {"an array", "[{}]", "not a JSON object"},
    {"cut", "{\"seq\":1", "it is no JSON"},
    {"empty", "", "it is no JSON"},
};
// clang-format on

static void test_documents(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(documents); i++) {
        if (documents[i].why)
            refused(documents[i].row, span_of(documents[i].json), -EBADMSG,
                    documents[i].why);
        else
            vramscope_detail_unref(
                detail_of(documents[i].row, span_of(documents[i].json)));
    }
}

static void test_from(void **state)
{
    static const struct {
        const char *word;
        enum vramscope_from from;
    } rows[] = {
        {"unknown", VRAMSCOPE_FROM_UNKNOWN},
        {"measured", VRAMSCOPE_FROM_MEASURED},
        {"engine", VRAMSCOPE_FROM_ENGINE},
        {"derived", VRAMSCOPE_FROM_DERIVED},
        {"estimated", VRAMSCOPE_FROM_ESTIMATED},
        {"guessed", VRAMSCOPE_FROM_UNKNOWN},
        {"", VRAMSCOPE_FROM_UNKNOWN},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct vramscope_detail *detail;
        char json[ROOM];

        (void)snprintf(json, ROOM,
                       "{\"vram\":{\"total_bytes\":{\"value\":5,\"from\":\"%s\"}}}",
                       rows[i].word);
        detail = detail_of(rows[i].word, span_of(json));
        assert_int_equal(detail->total.from, rows[i].from);
        assert_int_equal(detail->total.value, 5); // kept, whatever the word
        vramscope_detail_unref(detail);
    }
}

/* What happened, and whether the daemon tells such things at all. */
static void test_events(void **state)
{
    static const struct {
        const char *json;
        bool tells;
        size_t n;
    } rows[] = {
        {"{}", false, 0},
        {"{\"events\":null}", false, 0},
        {"{\"events\":[]}", true, 0},
        {"{\"events\":[{\"id\":7,\"unix_ms\":5,\"kind\":\"gpu_lost\",\"severity\":"
         "\"critical\",\"model\":\"a/b\",\"model_id\":\"a-b\",\"port\":8000,\"device\":"
         "\"GPU-1\",\"text\":\"gone\"},{\"id\":8,\"severity\":\"info\",\"model\":null}]}",
         true, 2},
    };
    const struct vramscope_detail *detail = NULL;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        vramscope_detail_unref(detail);
        detail = detail_of(rows[i].json, span_of(rows[i].json));
        if (detail->tells_events != rows[i].tells || detail->n_events != rows[i].n)
            fail_msg("%s", rows[i].json);
    }
    assert_int_equal(detail->events[0]->id, 7);
    assert_int_equal(detail->events[0]->unix_ms, 5);
    assert_string_equal(detail->events[0]->kind, "gpu_lost");
    assert_int_equal(detail->events[0]->severity, VRAMSCOPE_SEVERITY_CRITICAL);
    assert_string_equal(detail->events[0]->model, "a/b");
    assert_string_equal(detail->events[0]->model_id, "a-b");
    assert_int_equal(detail->events[0]->port, 8000);
    assert_string_equal(detail->events[0]->device, "GPU-1");
    assert_string_equal(detail->events[0]->text, "gone");
    assert_int_equal(detail->events[1]->severity, VRAMSCOPE_SEVERITY_INFO);
    assert_null(detail->events[1]->model);
    assert_int_equal(detail->events[1]->port, VRAMSCOPE_UNKNOWN);
    vramscope_detail_unref(detail);
}

static void test_severity(void **state)
{
    static const struct {
        const char *word;
        enum vramscope_severity severity;
    } rows[] = {
        {"info", VRAMSCOPE_SEVERITY_INFO},
        {"warning", VRAMSCOPE_SEVERITY_WARNING},
        {"critical", VRAMSCOPE_SEVERITY_CRITICAL},
        {"fatal", VRAMSCOPE_SEVERITY_UNKNOWN},
        {"", VRAMSCOPE_SEVERITY_UNKNOWN},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct vramscope_detail *detail;
        char json[ROOM];

        (void)snprintf(json, ROOM, "{\"events\":[{\"severity\":\"%s\"}]}", rows[i].word);
        detail = detail_of(rows[i].word, span_of(json));
        assert_int_equal(detail->events[0]->severity, rows[i].severity);
        vramscope_detail_unref(detail);
    }
}

/* Of arrays: `most` elements are taken, one more is not. */
static const struct {
    const char *before, *element, *after;
    size_t most;
    const char *why;
} longest[] = {
    {"{\"models\":[{}", ",{}", "]}", 1024, "models: there are more than 1024"},
    {"{\"devices\":[{}", ",{}", "]}", 1024, "devices: there are more than 1024"},
    {"{\"processes\":[{}", ",{}", "]}", 4096, "processes: there are more than 4096"},
    {"{\"gpu\":{\"sources\":[{}", ",{}", "]}}", 64,
     "gpu.sources: there are more than 64"},
    {"{\"events\":[{}", ",{}", "]}", 256, "events: there are more than 256"},
    {"{\"devices\":[{}],\"models\":[{\"devices\":[0", ",0", "]}]}", 1024,
     "models[0].devices: there are more than 1024"},
    {"{\"nodes\":[{}", ",{}", "]}", 4096, "nodes: there are more than 4096"},
    {"{\"a\":[0", ",0", "]}", 262143, "more than 262144 values"},
    {"{\"a\":\"", "x", "\"}", (4 << 20) - 8, "longer than 4194304 bytes"},
    {"{\"a\":", "[", "", 15, "deeper than 16"},
};

static void test_limits(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(longest); i++) {
        bool text = *longest[i].element == 'x', deep = *longest[i].element == '[';
        OWNED(buf_done) struct buf out;

        buf_init(&out, 5 << 20);
        buf_add_str(&out, longest[i].before);
        for (size_t n = text || deep ? 1 : 2; n <= longest[i].most; n++)
            buf_add_str(&out, longest[i].element);
        if (deep)
            buf_add_str(&out, "]]]]]]]]]]]]]]]}");
        else
            buf_add_str(&out, longest[i].after);
        vramscope_detail_unref(detail_of(longest[i].why, buf_span(&out)));

        buf_clear(&out);
        buf_add_str(&out, longest[i].before);
        for (size_t n = text || deep ? 0 : 1; n <= longest[i].most; n++)
            buf_add_str(&out, longest[i].element);
        buf_add_str(&out, longest[i].after);
        refused(longest[i].why, buf_span(&out), -EFBIG, longest[i].why);
    }
}

static void test_totals(void **state)
{
    OWNED(buf_done) struct buf out;
    const struct vramscope_detail *detail;

    (void)state;
    buf_init(&out, 1 << 16);
    for (unsigned n = 256; n <= 257; n++) {
        buf_clear(&out);
        buf_add_str(&out, "{\"self\":{\"limited\":{");
        for (unsigned i = 0; i < n; i++)
            buf_printf(&out, "%s\"z%u\":%u", i ? "," : "", n - i, i);
        buf_add_str(&out, "}}}");
        if (n > 256) {
            refused("257", buf_span(&out), -EFBIG,
                    "self.limited: there are more than 256");
            break;
        }
        detail = detail_of("256", buf_span(&out));
        assert_int_equal(detail->self->n_limited, 256);
        for (unsigned i = 0; i < n; i++)
            assert_int_equal(detail->self->limited[i]->total, i);
        assert_string_equal(detail->self->limited[0]->name, "z256");
        vramscope_detail_unref(detail);
    }
}

static void *take_and_give(void *detail)
{
    for (unsigned i = 0; i < 100000; i++)
        vramscope_detail_unref(vramscope_detail_ref(detail));
    vramscope_detail_unref(detail);
    return NULL;
}

/* The last to give it back frees it, whoever that is: a sanitizer sees if nobody does. */
static void test_references(void **state)
{
    const struct vramscope_detail *detail = NULL;
    pthread_t threads[2];
    char why[8] = "xxxxxxx";

    (void)state;
    assert_int_equal(vramscope_detail_parse("{}", 2, &detail, why, sizeof(why)), 0);
    assert_string_equal(why, "");
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        (void)vramscope_detail_ref(detail);
        assert_int_equal(
            pthread_create(&threads[i], NULL, take_and_give, (void *)(uintptr_t)detail),
            0);
    }
    vramscope_detail_unref(detail);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);

    vramscope_detail_unref(NULL);
    decode_snapshot_free(NULL);
    assert_int_equal(vramscope_detail_parse("[]", 2, &detail, why, sizeof(why)),
                     -EBADMSG);
    assert_string_equal(why, "it is n"); // cut, never overrun
    assert_int_equal(vramscope_detail_parse("[]", 2, &detail, NULL, 0), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wrong_types),
        cmocka_unit_test(test_right_types),
        cmocka_unit_test(test_objects_without_struct),
        cmocka_unit_test(test_nothing_known),
        cmocka_unit_test(test_documents),
        cmocka_unit_test(test_from),
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_severity),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_totals),
        cmocka_unit_test(test_references),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
