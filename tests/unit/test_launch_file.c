// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/launch.h"
#include "model/launch_file.h"
#include "model/yaml_scalar.h"

#include <stdio.h>

#define LINE(text)             \
    {                          \
        text, sizeof(text) - 1 \
    }

// clang-format off
static const struct {
    const char *row, *yaml, *args; // a '|' stands for each NUL
} good[] = {
    {"number", "port: 12323\n", "--port|12323|"},
    {"several", "port: 1\ntensor-parallel-size: 4\n", "--port|1|--tensor-parallel-size|4|"},
    {"underscores", "tensor_parallel_size: 4", "--tensor-parallel-size|4|"},
    {"underscores behind a dot", "speculative_config.draft_model: d_m",
     "--speculative-config.draft_model|d_m|"},
    {"underscores in a value", "model: a_b", "--model|a_b|"},
    {"text", "model: Qwen/Qwen3-0.6B # that one\n", "--model|Qwen/Qwen3-0.6B|"},
    {"quotes", "model: '4'\ndtype: \"no\"", "--model|4|--dtype|no|"},
    {"empty text", "host: ''", "--host||"},
    {"fraction", "gpu-memory-utilization: 0.90", "--gpu-memory-utilization|0.9|"},
    {"true", "enforce-eager: true", "--enforce-eager|"},
    {"yes", "enforce-eager: Yes", "--enforce-eager|"},
    {"false", "enforce-eager: false\nport: 1", "--port|1|"},
    {"null", "quantization:\ndtype: ~\nport: 1", "--port|1|"},
    {"opposite", "no-enable-expert-parallel: true", "--no-enable-expert-parallel|"},
    {"list", "served-model-name:\n  - a\n  - b c\n", "--served-model-name|a|b c|"},
    {"list of odds", "x: [1, true, off, ~, 1.50]", "--x|1|True|False|None|1.5|"},
    {"empty list", "x: []\nport: 1", "--port|1|"},
    {"nested", "speculative-config:\n  method: ngram\n  num_speculative_tokens: 3\n",
     "--speculative-config|{\"method\":\"ngram\",\"num_speculative_tokens\":3}|"},
    {"nested, odds", "x: {a: [1, {b: ~}], 2: on, true: .5, c: {}, d: []}",
     "--x|{\"a\":[1,{\"b\":null}],\"2\":true,\"true\":0.5,\"c\":{},\"d\":[]}|"},
    {"nested, escapes", "x: {\"a\\\"\\\\\\n\": \"\\e\"}",
     "--x|{\"a\\\"\\\\\\u000a\":\"\\u001b\"}|"},
    {"JSON as text", "x: '{\"a\":1}'", "--x|{\"a\":1}|"},
    {"beyond ASCII", "model: m\xc3\xb6", "--model|m\xc3\xb6|"},
    {"byte order mark", "\xef\xbb\xbfport: 1", "--port|1|"},
    {"one document, marked", "--- # it\nport: 1\n...\n", "--port|1|"},
    {"no keys", "{}", ""},
    {"the same twice", "port: 1\ndtype: half\nport: 1\n", "--port|1|--dtype|half|"},
    {"the same, spelled otherwise", "block-size: 16\nblock_size: 0x10", "--block-size|16|"},
    {"the same flag", "a: on\na: true", "--a|"},
    {"negative", "max-model-len: -1", "--max-model-len|-1|"},
    {"a date is text", "revision: 2024-01-01", "--revision|2024-01-01|"},
};

static const struct {
    const char *row, *yaml, *why;
} bad[] = {
    {"empty", "", "line 1, column 1: it is empty"},
    {"comment only", "# nothing\n", "line 2, column 1: it is empty"},
    {"null", "~", "line 1, column 1: expected `key"},
    {"text", "port 1", "line 1, column 1: expected `key"},
    {"list", "- port", "line 1, column 1: expected `key"},
    {"anchor", "a: &x 1", "line 1, column 4: anchors and aliases"},
    {"alias", "a: *x", "line 1, column 4: anchors and aliases"},
    {"anchor of a mapping", "a: &x {b: 1}", "line 1, column 4: anchors"},
    {"merge", "<<: {a: 1}", "line 1, column 1: a number or sign"},
    {"tag", "a: !!binary aGk=", "line 1, column 4: tags"},
    {"tag of a list", "a: !x [1]", "line 1, column 4: tags"},
    {"two documents", "a: 1\n---\nb: 1\n", "line 2, column 1: a second document"},
    {"twice", "port: 1\nport: 2", "line 2, column 1: a key that has another value"},
    {"twice, otherwise spelled", "block-size: 1\nblock_size: 2",
     "line 2, column 1: a key that has another value"},
    {"flag and not", "a: true\na: false", "line 2, column 1: a key that has another"},
    {"key is a number", "1: a", "line 1, column 1: a key must be a word"},
    {"key is a word of YAML", "on: a", "line 1, column 1: a key must be a word"},
    {"key is nothing", "~: a", "line 1, column 1: a key must be a word"},
    {"key is a list", "[a]: b", "line 1, column 1: a key must be a word"},
    {"nested key is a list", "a: {[b]: c}", "line 1, column 5: a key must be a single"},
    {"list in a list", "a: [[1]]", "line 1, column 5: an item of such a list"},
    {"mapping in a list", "a:\n- b: 1", "line 2, column 3: an item of such a list"},
    {"NUL", "a: \"x\\0y\"", "line 1, column 4: a NUL"},
    {"NUL in a key", "\"a\\0\": 1", "line 1, column 1: a NUL"},
    {"base 60", "a: 1:30", "line 1, column 4: a number or sign"},
    {"infinite", "a: {b: .inf}", "line 1, column 8: a number or sign"},
    {"too large", "a: 9223372036854775808", "line 1, column 4: a number or sign"},
    {"not closed", "a: [1", "line 2, column 1: did not find"},
    {"tab", "a:\n\tb: 1", "line 2, column 1: found character"},
    {"no UTF-8", "a: 1\nb: \xff", "line 2, column 4: not a character"},
    {"control", "a: \x01", "line 1, column 4: not a character"},
    {"UTF-16", "\xff\xfe" "a", "line 1, column 1: not a character"},
};

static const struct {
    const char *row, *text;
    enum yaml_scalar_kind kind;
    const char *number;
} scalars[] = {
    {"zero", "0", YAML_NUMBER, "0"},
    {"minus zero", "-0", YAML_NUMBER, "0"},
    {"plus", "+5", YAML_NUMBER, "5"},
    {"underscores", "1_000", YAML_NUMBER, "1000"},
    {"octal", "010", YAML_NUMBER, "8"},
    {"no octal", "08", YAML_TEXT, ""},
    {"octal as YAML 1.2 has it", "0o17", YAML_TEXT, ""},
    {"hexadecimal", "-0x1F", YAML_NUMBER, "-31"},
    {"binary", "0b11", YAML_NUMBER, "3"},
    {"no digit", "0b_", YAML_ODD, ""},
    {"zero and underscore", "0_", YAML_NUMBER, "0"},
    {"largest", "9223372036854775807", YAML_NUMBER, "9223372036854775807"},
    {"larger", "9223372036854775808", YAML_ODD, ""},
    {"much larger", "0xffffffffffffffffffff", YAML_ODD, ""},
    {"dot last", "5.", YAML_NUMBER, "5.0"},
    {"dot first", ".5", YAML_NUMBER, "0.5"},
    {"dot alone", ".", YAML_TEXT, ""},
    {"dot first, signed", "-.5", YAML_TEXT, ""},
    {"zeros", "-00.5_00", YAML_NUMBER, "-0.5"},
    {"exponent", "1.5e+3", YAML_NUMBER, "1.5e+3"},
    {"exponent without sign", "1.5e3", YAML_TEXT, ""},
    {"exponent without dot", "1e+3", YAML_TEXT, ""},
    {"exponent out of range", "1.0e+400", YAML_ODD, ""},
    {"very long", "0.1111111111111111111111111111111111111111111111111111111111111111",
     YAML_ODD, ""},
    {"version", "1.2.3", YAML_TEXT, ""},
    {"time", "1:30", YAML_ODD, ""},
    {"time with a fraction", "0:20:30.15", YAML_ODD, ""},
    {"time from zero", "0:30", YAML_TEXT, ""},
    {"no time", "1:99", YAML_TEXT, ""},
    {"address", "127.0.0.1", YAML_TEXT, ""},
    {"address and port", "127.0.0.1:80", YAML_TEXT, ""},
    {"IPv6", "::1", YAML_TEXT, ""},
    {"infinity", "-.INF", YAML_ODD, ""},
    {"no number", ".NaN", YAML_ODD, ""},
    {"sign", "-", YAML_TEXT, ""},
    {"with a unit", "8G", YAML_TEXT, ""},
    {"yes", "YES", YAML_TRUE, ""},
    {"yes, mixed", "yEs", YAML_TEXT, ""},
    {"y", "y", YAML_TEXT, ""},
    {"off", "Off", YAML_FALSE, ""},
    {"None", "None", YAML_TEXT, ""},
    {"null", "Null", YAML_NULL, ""},
};

#define SERVE "vllm\0serve\0"
#define API "python\0-m\0vllm.entrypoints.openai.api_server\0"
#define U UNKNOWN

/* What the file says and what the command line says. */
static const struct {
    const char *row, *yaml;
    struct span line;
    const char *model, *config_file;
    uint64_t tp, port;
    bool unclear;
} both[] = {
    {"file", "tensor-parallel-size: 4\nport: 9", LINE(SERVE "M\0--config\0f\0"), "M", "", 4, 9,
     false},
    {"model in the file", "model: N", LINE(SERVE "--config\0f\0"), "N", "", U, U, false},
    {"model in both", "model: N", LINE(SERVE "M\0--config\0f\0"), "M", "", U, U, false},
    {"model by option", "model: N", LINE(SERVE "--model\0M\0--config\0f\0"), "M", "", U, U,
     false},
    {"model behind", "model: N", LINE(SERVE "--config\0f\0M\0"), "M", "", U, U, true},
    {"API server", "model: N\nport: 9", LINE(API "--config\0f\0--port\0" "8\0"), "N", "", U, 8,
     false},
    {"line wins", "tensor-parallel-size: 4", LINE(SERVE "M\0-tp\0" "2\0--config\0f\0"), "M", "",
     2, U, false},
    {"line wins behind it", "tensor_parallel_size: 4", LINE(SERVE "M\0--config\0f\0-tp=2\0"),
     "M", "", 2, U, false},
    {"joined", "port: 9", LINE(SERVE "M\0--config=f\0"), "M", "f", U, U, false},
    {"joined and apart", "port: 9", LINE(SERVE "M\0--config=f\0--config\0g\0"), "M", "g", U, U,
     false},
    {"twice", "port: 9", LINE(SERVE "M\0--config\0f\0--config\0g\0"), "M", "g", U, U, false},
    {"no name", "port: 9", LINE(SERVE "M\0--config\0"), "M", "", U, 9, true},
    {"a file in the file", "config: g\nport: 9", LINE(SERVE "M\0--config\0f\0"), "M", "", U, 9,
     false},
    {"no keys", "{}", LINE(SERVE "M\0--config\0f\0"), "M", "", U, U, false},
    {"unclear in the file", "port: abc", LINE(SERVE "M\0--config\0f\0--port\0" "8\0"), "M", "",
     U, 8, true},
    {"list for one value", "port: [9, 8]", LINE(SERVE "M\0--config\0f\0"), "M", "", U, 9, true},
    {"flag with a value", "enable-expert-parallel: 'true'", LINE(SERVE "M\0--config\0f\0"), "M",
     "", U, U, true},
    {"no value in the file", "port: true", LINE(SERVE "M\0--config\0f\0"), "M", "", U, U, true},
    {"short name", "tp: 4", LINE(SERVE "M\0--config\0f\0"), "M", "", U, U, false},
    {"Rust", "port: 9", LINE("vllm-rs\0frontend\0--args-json\0{\"model\":\"M\"}\0"), "M", "", U,
     U, false},
};
// clang-format on

static int read_file(struct span yaml, struct buf *args, struct complaint *why)
{
    buf_init(args, LAUNCH_FILE_ARGS_MAX);
    return launch_file_read(yaml, args, why);
}

static void test_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct complaint why = {""};
        struct buf args;
        int r = read_file(span_of(good[i].yaml), &args, &why);

        print_message("%s\n", good[i].row);
        if (r < 0)
            fail_msg("%s", why.text);
        assert_non_null(args.data);
        for (size_t j = 0; j < args.len; j++)
            if (args.data[j] == '\0')
                args.data[j] = '|';
        buf_add_char(&args, '\0');
        assert_string_equal(args.data, good[i].args);
        buf_done(&args);
    }
}

static void test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct complaint why = {""};
        struct buf args;

        print_message("%s\n", bad[i].row);
        assert_int_equal(read_file(span_of(bad[i].yaml), &args, &why), -EBADMSG);
        if (strncmp(why.text, bad[i].why, strlen(bad[i].why)) != 0)
            fail_msg("%s", why.text);
        buf_done(&args);
    }
}

static void expect_large(const char *row, const struct buf *yaml, int expected,
                         const char *part)
{
    struct complaint why = {""};
    struct buf args;

    print_message("%s\n", row);
    assert_int_equal(yaml->error, 0);
    assert_int_equal(read_file(buf_span(yaml), &args, &why), expected);
    if (!strstr(why.text, part))
        fail_msg("%s", why.text);
    buf_done(&args);
}

static void write_nested(struct buf *yaml, unsigned depth)
{
    buf_clear(yaml);
    buf_add_str(yaml, "a: ");
    for (unsigned i = 0; i < depth; i++)
        buf_add_str(yaml, i % 2 ? "[" : "{b: ");
    for (unsigned i = depth; i-- > 0;)
        buf_add_str(yaml, i % 2 ? "]" : "}");
}

static void write_keys(struct buf *yaml, unsigned n)
{
    buf_clear(yaml);
    for (unsigned i = 0; i < n; i++)
        buf_printf(yaml, "key%u: 1\n", i);
}

static void test_limits(void **state)
{
    static char text[LAUNCH_FILE_MAX];
    struct complaint why = {""};
    struct buf yaml, few;

    (void)state;
    buf_init(&yaml, 2 * LAUNCH_FILE_MAX);
    write_nested(&yaml, LAUNCH_FILE_DEPTH_MAX);
    expect_large("deepest", &yaml, 0, "");
    write_nested(&yaml, LAUNCH_FILE_DEPTH_MAX + 1);
    expect_large("deeper", &yaml, -EFBIG, "nested too deeply");
    write_keys(&yaml, LAUNCH_FILE_KEYS_MAX);
    expect_large("most keys", &yaml, 0, "");
    write_keys(&yaml, LAUNCH_FILE_KEYS_MAX + 1);
    expect_large("more keys", &yaml, -EFBIG, "line 513, column 1: too many keys");

    memset(text, ' ', sizeof(text));
    buf_clear(&yaml);
    buf_add_str(&yaml, "a: 1");
    buf_add(&yaml, text, LAUNCH_FILE_MAX - yaml.len);
    expect_large("longest", &yaml, 0, "");
    buf_add_char(&yaml, '\n');
    expect_large("longer", &yaml, -EFBIG, "longer than 65536 bytes");

    buf_init(&few, 8);
    assert_int_equal(launch_file_read(span_of("port: 12\nport2: 1"), &few, &why), -EFBIG);
    assert_string_equal(why.text, "line 1, column 1: more than can be kept");
    buf_done(&few);
    buf_done(&yaml);
}

static void test_scalars(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(scalars); i++) {
        struct yaml_scalar scalar;

        print_message("%s\n", scalars[i].row);
        yaml_scalar_read(span_of(scalars[i].text), &scalar);
        assert_int_equal(scalar.kind, scalars[i].kind);
        if (scalar.kind == YAML_NUMBER)
            assert_string_equal(scalar.number, scalars[i].number);
    }
}

static void read_both(const char *yaml, struct span line, struct launch *ret)
{
    struct complaint why = {""};
    struct buf args;

    assert_int_equal(read_file(span_of(yaml), &args, &why), 0);
    assert_int_equal(launch_read_with_file(line, buf_span(&args), ret), 1);
    buf_done(&args);
}

static void test_both(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(both); i++) {
        struct launch launch;

        print_message("%s\n", both[i].row);
        read_both(both[i].yaml, both[i].line, &launch);
        assert_string_equal(launch.model, both[i].model);
        assert_string_equal(launch.config_file, both[i].config_file);
        assert_int_equal(launch.tp, both[i].tp);
        assert_int_equal(launch.port, both[i].port);
        assert_int_equal(launch.unclear, both[i].unclear);
    }
}

#define START SERVE "M\0--config\0f\0"

static void test_flags(void **state)
{
    static const struct span none = LINE(START),
                             no_ep = LINE(START "--no-enable-expert-parallel\0"),
                             ep = LINE(START "-ep\0"),
                             manager =
                                 LINE(START "--no-disable-hybrid-kv-cache-manager\0");
    struct launch launch;

    (void)state;
    read_both("enable-expert-parallel: true", none, &launch);
    assert_true(launch.expert_parallel);
    read_both("enable-expert-parallel: true", no_ep, &launch);
    assert_false(launch.expert_parallel);
    read_both("no-enable-expert-parallel: true", ep, &launch);
    assert_true(launch.expert_parallel);
    read_both("disable-hybrid-kv-cache-manager: true", manager, &launch);
    assert_int_equal(launch_hybrid(&launch), KV_HYBRID_DEFAULT);
    read_both("disable-hybrid-kv-cache-manager: true", none, &launch);
    assert_int_equal(launch_hybrid(&launch), KV_HYBRID_OFF);
    read_both("kv-transfer-config: {kv_connector: X}", none, &launch);
    assert_true(launch.kv_transfer);
    read_both("kv-transfer-config: null\nspeculative-config: ~", none, &launch);
    assert_false(launch.kv_transfer || launch.speculative);
}

/* Each of these says all that there is of it. */
static void test_drafts(void **state)
{
    static const struct span none = LINE(START),
                             whole = LINE(START
                                          "-sc={\"method\":\"eagle\",\"model\":\"D\"}\0"),
                             part = LINE(START "-sc.method\0mtp\0"),
                             length = LINE(START "--max-model-len\0-1\0");
    static const char yaml[] = "speculative-config: {method: ngram, "
                               "num_speculative_tokens: 3}\n";
    struct launch launch;

    (void)state;
    read_both(yaml, none, &launch);
    assert_string_equal(launch.draft_method, "ngram");
    assert_int_equal(launch.speculative_tokens, 3);
    assert_true(launch.speculative);
    read_both(yaml, whole, &launch);
    assert_string_equal(launch.draft_method, "eagle");
    assert_string_equal(launch.draft_model, "D");
    assert_int_equal(launch.speculative_tokens, U);
    read_both(yaml, part, &launch);
    assert_string_equal(launch.draft_method, "mtp");
    assert_int_equal(launch.speculative_tokens, U);
    read_both("speculative-config.num_speculative_tokens: 2", part, &launch);
    assert_string_equal(launch.draft_method, "mtp");
    assert_int_equal(launch.speculative_tokens, 2);
    read_both("speculative-config.method: suffix", whole, &launch);
    assert_string_equal(launch.draft_method, "suffix");
    assert_string_equal(launch.draft_model, "");

    read_both("max-model-len: 4096", none, &launch);
    assert_int_equal(launch.max_model_len, 4096);
    read_both("max-model-len: 4096", length, &launch);
    assert_int_equal(launch.max_model_len, U);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),   cmocka_unit_test(test_bad),
        cmocka_unit_test(test_limits), cmocka_unit_test(test_scalars),
        cmocka_unit_test(test_both),   cmocka_unit_test(test_flags),
        cmocka_unit_test(test_drafts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
