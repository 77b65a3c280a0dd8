// SPDX-License-Identifier: Apache-2.0
#include "wire/prom.h"

#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum {
    RECORD_MAX = 4 * 1024 * 1024,
    PAGE_MAX = 1024 * 1024,
};

static const char *const wanted[] = {
    "a",
    "vllm:num_requests_running",
    "vllm:num_requests_waiting",
    "vllm:prompt_tokens_total",
    "vllm:kv_cache_usage_perc",
    "vllm:gpu_cache_usage_perc",
    "vllm:cache_config_info",
    "vllm:prefix_cache_hits_total",
};

#define WAITING "vllm:num_requests_waiting"
#define TOKENS "vllm:prompt_tokens_total"

// clang-format off
/* `samples` is what the callback is given, one "name{labels} value;" after the other. */
static const struct {
    const char *row;
    const char *page;
    int r;
    const char *samples;
    uint64_t line;
} pages[] = {
    {"empty", "", 0, "", 0},
    {"empty lines", "\n\n\n", 0, "", 3},
    {"plain", "a 1\n", 0, "a{} 1;", 1},
    {"labels", "a{m=\"x\",n=\"y\"} 2.5\n", 0, "a{m=\"x\",n=\"y\"} 2.5;", 1},
    {"no labels in braces", "a{} 1\n", 0, "a{} 1;", 1},
    {"several", "a 1\nb 2\na{x=\"1\"} 3\n", 0, "a{} 1;a{x=\"1\"} 3;", 3},
    {"comments", "# HELP a what a is\n# TYPE a gauge\na 1\n#a 2\n", 0, "a{} 1;", 4},
    {"end of OpenMetrics", "a 1\n# EOF\n", 0, "a{} 1;", 2},
    {"brace in a value", "a{m=\"}\"} 1\n", 0, "a{m=\"}\"} 1;", 1},
    {"open brace in a value", "a{m=\"{{\"} 1\n", 0, "a{m=\"{{\"} 1;", 1},
    {"quotes in a value", "a{m=\"say \\\"} 7\\\"\"} 1\n", 0,
     "a{m=\"say \\\"} 7\\\"\"} 1;", 1},
    {"backslash before the quote", "a{m=\"C:\\\\\"} 1\n", 0, "a{m=\"C:\\\\\"} 1;", 1},
    {"a dictionary in a value", "a{method=\"{'method': 'prefill'}\"} 1\n", 0,
     "a{method=\"{'method': 'prefill'}\"} 1;", 1},
    {"comma, blank and hash in a value", "a{m=\"a, b # c\",n=\"\"} 1\n", 0,
     "a{m=\"a, b # c\",n=\"\"} 1;", 1},
    {"comma at the end of labels", "a{m=\"x\",} 1\n", 0, "a{m=\"x\",} 1;", 1},
    {"blanks everywhere", "a \t{ m = \"x\" , n = \"y\" }\t 1 \n", 0,
     "a{ m = \"x\" , n = \"y\" } 1;", 1},
    {"blanks at the start", " \ta 1\n  # a 2\n", 0, "a{} 1;", 2},
    {"tab before the value", "a\t1\n", 0, "a{} 1;", 1},
    {"tab before the value, then a brace", "a\t1 # {x=\"1\"} 2\n", 0, "a{} 1;", 1},
    {"no blank before the value", "a{m=\"x\"}1\n", 0, "a{m=\"x\"} 1;", 1},
    {"timestamp", "a 1 1700000000000\n", 0, "a{} 1;", 1},
    {"timestamp after labels", "a{m=\"x\"} 1 1700000000.5\n", 0, "a{m=\"x\"} 1;", 1},
    {"exemplar after labels", TOKENS "{m=\"x\"} 17 # {trace_id=\"abc\"} 0.67 1.5\n", 0,
     TOKENS "{m=\"x\"} 17;", 1},
    {"exemplar without labels", TOKENS " 17 1520879607.789 # {trace_id=\"abc\"} 0.67\n", 0,
     TOKENS "{} 17;", 1},
    {"exemplar of nothing", "a 1 # {} 0.67\n", 0, "a{} 1;", 1},
    {"exponents", "a 1e+06\na 1.0214653952e+10\na 3.5915956224e+010\na 5e-05\n", 0,
     "a{} 1000000;a{} 10214653952;a{} 35915956224;a{} 5.0000000000000002e-05;", 4},
    {"NaN", "a NaN\n", 0, "a{} nan;", 1},
    {"infinities", "a +Inf\na -Inf\na Inf\n", 0, "a{} nan;a{} nan;a{} nan;", 3},
    {"nan of MSVC", "a -nan(ind)\n", 0, "a{} nan;", 1},
    {"hexadecimal", "a 0x10\n", 0, "a{} nan;", 1},
    {"too large", "a 1e400\n", 0, "a{} nan;", 1},
    {"a word for a value", "a None\n", 0, "a{} nan;", 1},
    {"CRLF is no line end", "a 1\r\n", 0, "a{} nan;", 1},
    {"CRLF after a timestamp", "a 1 2\r\n", 0, "a{} 1;", 1},
    {"names that begin alike", WAITING "_by_reason{reason=\"capacity\"} 9\n" WAITING " 1\n"
     WAITING "s 9\nvllm:num_requests_waitin 9\nmy_" WAITING " 9\n", 0, WAITING "{} 1;", 5},
    {"_created beside it", TOKENS "_created 1.7e9\nvllm:prompt_tokens_created 1.7e9\n"
     TOKENS " 5\n", 0, TOKENS "{} 5;", 3},
    {"another case", "A 1\nVLLM:num_requests_waiting 1\n", 0, "", 2},
    {"wanted name in a label", "b{a=\"a 1\"} 2\n", 0, "", 1},
    {"malformed, not wanted", "b{{{ \"\n}\n{\n=\nb\n\"a 1\n", 0, "", 6},
    {"no line feed at the end", "a 1\na 2", 0, "a{} 1;", 1},
    {"torn in the labels", "a 1\na{m=\"x", 0, "a{} 1;", 1},
    {"no value", "a 1\na\n", -EBADMSG, "a{} 1;", 2},
    {"no value after a blank", "a \n", -EBADMSG, "", 1},
    {"no value after labels", "a{m=\"x\"}\n", -EBADMSG, "", 1},
    {"open labels", "a{m=\"x\" 1\n", -EBADMSG, "", 1},
    {"open value", "a{m=\"x} 1\n", -EBADMSG, "", 1},
    {"open value that ends in a backslash", "a{m=\"x\\\n", -EBADMSG, "", 1},
    {"open brace only", "a{\n", -EBADMSG, "", 1},
    {"nothing after an error", "a 1\na{\na 2\n", -EBADMSG, "a{} 1;", 2},
};

/* `read` is what prom_next_label() gives, one "name=value;" after the other. */
static const struct {
    const char *row;
    const char *labels;
    int r;
    const char *read;
} label_lists[] = {
    {"none", "", 0, ""},
    {"blanks", "  ", 0, ""},
    {"one", "m=\"x\"", 0, "m=x;"},
    {"two", "m=\"x\",n=\"y\"", 0, "m=x;n=y;"},
    {"empty value", "m=\"\"", 0, "m=;"},
    {"comma at the end", "m=\"x\",", 0, "m=x;"},
    {"blanks", " m = \"x\" , n=\"y\" ", 0, "m=x;n=y;"},
    {"escapes stay", "m=\"a\\\"b\\\\\"", 0, "m=a\\\"b\\\\;"},
    {"all that separates, in a value", "m=\"a,b=c{}\"", 0, "m=a,b=c{};"},
    {"names that end alike", "user_specified_block_size=\"1\",block_size=\"16\"", 0,
     "user_specified_block_size=1;block_size=16;"},
    {"no value", "m", -EBADMSG, ""},
    {"nothing after the equals sign", "m=", -EBADMSG, ""},
    {"blank after the equals sign", "m= ", -EBADMSG, ""},
    {"no name", "=\"x\"", -EBADMSG, ""},
    {"no quotes", "m=x", -EBADMSG, ""},
    {"single quotes", "m='x'", -EBADMSG, ""},
    {"open quote", "m=\"x", -EBADMSG, ""},
    {"quote escaped at the end", "m=\"x\\\"", -EBADMSG, ""},
    {"no comma", "m=\"x\"n=\"y\"", -EBADMSG, ""},
    {"two commas", "m=\"x\",,n=\"y\"", -EBADMSG, "m=x;"},
    {"comma only", ",", -EBADMSG, ""},
};

static const struct {
    const char *row;
    const char *value;
    int r;
    const char *text;
} escapes[] = {
    {"none", "Qwen/Qwen3-0.6B", 15, "Qwen/Qwen3-0.6B"},
    {"empty", "", 0, ""},
    {"quote", "a\\\"b", 3, "a\"b"},
    {"backslash", "a\\\\b", 3, "a\\b"},
    {"line feed", "a\\nb", 3, "a\nb"},
    {"backslash, then n", "a\\\\nb", 4, "a\\nb"},
    {"others stay as written", "C:\\models\\x", 11, "C:\\models\\x"},
    {"backslash at the end", "a\\", 2, "a\\"},
    {"just fits", "0123456789abcde", 15, "0123456789abcde"},
    {"one too long", "0123456789abcdef", -E2BIG, NULL},
    {"fits once resolved", "0123456789abcd\\n", 15, "0123456789abcd\n"},
};
// clang-format on

/* What was read; the sample at `refuse_at` (1 is the first) is refused. */
struct record {
    struct buf text;
    unsigned refuse_at;
    unsigned n;
};

static int take_sample(void *ctx, unsigned family, struct span labels, double value)
{
    struct record *record = ctx;

    if (++record->n == record->refuse_at)
        return -EDOM;
    buf_add_str(&record->text, wanted[family]);
    buf_add_char(&record->text, '{');
    buf_add(&record->text, labels.at, labels.len);
    buf_add_str(&record->text, "} ");
    if (isnan(value))
        buf_add_str(&record->text, "nan"); // whose sign is nobody's business
    else
        buf_printf(&record->text, "%.17g", value);
    buf_add_char(&record->text, ';');
    return 0;
}

static void set_up(struct prom_reader *reader, struct record *record)
{
    *record = (struct record){0};
    buf_init(&record->text, RECORD_MAX);
    prom_init(reader, wanted, ARRAY_LEN(wanted), take_sample, record);
}

static void tear_down(struct prom_reader *reader, struct record *record)
{
    assert_int_equal(record->text.error, 0);
    prom_done(reader);
    buf_done(&record->text);
}

/* Feed the page in pieces of `first` bytes and then of `then`, each on a heap of its own. */
static int feed(struct prom_reader *reader, struct span page, size_t first, size_t then)
{
    int r = 0;

    for (size_t at = 0, n = first; at < page.len; at += n, n = then) {
        char *piece;

        n = MIN(n, page.len - at);
        piece = malloc(MAX(n, (size_t)1));
        assert_non_null(piece);
        memcpy(piece, page.at + at, n);
        r = prom_feed(reader, (struct span){piece, n});
        free(piece);
    }
    return r;
}

static void check_page(size_t i, size_t first, size_t then)
{
    struct prom_reader reader;
    struct record record;
    int r;

    set_up(&reader, &record);
    r = feed(&reader, span_of(pages[i].page), first, then);
    if (r != pages[i].r || !span_is(buf_span(&record.text), pages[i].samples) ||
        reader.line != pages[i].line)
        fail_msg("[%s] in %zu + %zu is %d in line %ju: %.*s", pages[i].row, first, then,
                 r, (uintmax_t)reader.line, (int)record.text.len, record.text.data);
    tear_down(&reader, &record);
}

static void test_pages(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
        size_t len = strlen(pages[i].page);

        check_page(i, 1, 1);
        for (size_t first = 0; first <= len; first++)
            check_page(i, first, MAX(len, (size_t)1));
    }
}

static void test_labels(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(label_lists); i++) {
        struct span rest = span_of(label_lists[i].labels);
        struct prom_label label;
        struct buf read;
        int r;

        buf_init(&read, 256);
        for (r = prom_next_label(&rest, &label); r == 1;
             r = prom_next_label(&rest, &label))
            buf_printf(&read, "%.*s=%.*s;", (int)label.name.len, label.name.at,
                       (int)label.value.len, label.value.at);
        if (r != label_lists[i].r || !span_is(buf_span(&read), label_lists[i].read))
            fail_msg("[%s] is %d: %.*s", label_lists[i].row, r, (int)read.len, read.data);
        buf_done(&read);
    }
}

static void test_escapes(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(escapes); i++) {
        char text[16] = "";
        int r = prom_unescape(span_of(escapes[i].value), text, sizeof(text));

        if (r != escapes[i].r || (r >= 0 && strcmp(text, escapes[i].text) != 0))
            fail_msg("[%s] is %d: %s", escapes[i].row, r, text);
    }
}

/* A line of just the largest size, and of one byte more, whole and in pieces. */
static void test_longest_line(void **state)
{
    static const char head[] = "a{m=\"", tail[] = "\"} 1\n";
    static const size_t pieces[] = {1, 1000, PROM_LINE_MAX, PROM_LINE_MAX + 2, PAGE_MAX};
    char *page = malloc(PROM_LINE_MAX + 2);

    (void)state;
    assert_non_null(page);
    for (size_t extra = 0; extra <= 1; extra++) {
        size_t len = PROM_LINE_MAX + 1 + extra;

        memset(page, 'x', len);
        memcpy(page, head, sizeof(head) - 1);
        memcpy(page + len - (sizeof(tail) - 1), tail, sizeof(tail) - 1);
        for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
            struct prom_reader reader;
            struct record record;

            set_up(&reader, &record);
            assert_int_equal(
                feed(&reader, (struct span){page, len}, pieces[i], pieces[i]),
                extra ? -EMSGSIZE : 0);
            assert_int_equal(record.n, extra ? 0 : 1);
            tear_down(&reader, &record);
        }
    }
    free(page);
}

static void test_error_sticks_until_restart(void **state)
{
    struct prom_reader reader;
    struct record record;

    (void)state;
    set_up(&reader, &record);
    assert_int_equal(prom_feed(&reader, span_of("a{\n")), -EBADMSG);
    assert_int_equal(prom_feed(&reader, span_of("a 1\n")), -EBADMSG);
    assert_int_equal(record.n, 0);

    prom_restart(&reader);
    assert_int_equal(prom_feed(&reader, span_of("a 1\na{m=\"torn")), 0);
    prom_restart(&reader);
    assert_int_equal(reader.line, 0);
    assert_int_equal(prom_feed(&reader, span_of("a 2\n")), 0);
    assert_true(span_is(buf_span(&record.text), "a{} 1;a{} 2;"));
    tear_down(&reader, &record);
}

static void test_callback_stops(void **state)
{
    struct prom_reader reader;
    struct record record;

    (void)state;
    set_up(&reader, &record);
    record.refuse_at = 2;
    assert_int_equal(prom_feed(&reader, span_of("a 1\na 2\na 3\n")), -EDOM);
    assert_int_equal(prom_feed(&reader, span_of("a 4\n")), -EDOM);
    assert_int_equal(record.n, 2);
    assert_int_equal(reader.line, 2);
    tear_down(&reader, &record);
}

static int count_sample(void *ctx, unsigned family, struct span labels, double value)
{
    unsigned *families = ctx;

    (void)labels;
    (void)value;
    *families = *families * 1000 + family;
    return 1; // positive: it goes on
}

/* As many names as there may be, many of one length, the longest one too. */
static void test_many_names(void **state)
{
    static char names[PROM_WANTED_MAX][PROM_NAME_MAX + 1];
    static const char *list[PROM_WANTED_MAX];
    char page[3 * (PROM_NAME_MAX + 8)];
    struct prom_reader reader;
    unsigned families = 0;

    (void)state;
    for (unsigned i = 0; i < PROM_WANTED_MAX; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "name_%03u", i);
        list[i] = names[i];
    }
    memset(names[100], 'x', PROM_NAME_MAX);
    prom_init(&reader, list, PROM_WANTED_MAX, count_sample, &families);

    (void)snprintf(page, sizeof(page), "name_249 1\n%sx 2\n%s{} 3\n", list[100],
                   list[100]);
    assert_int_equal(prom_feed(&reader, span_of(page)), 0);
    assert_int_equal(families, 249100);
    prom_done(&reader);
}

static void test_bytes_of_any_value(void **state)
{
    static const char page[] = "a\0 1\na{m=\"\0\xff\"} 1\n\0\na 2\n";
    struct prom_reader reader;
    struct record record;

    (void)state;
    set_up(&reader, &record);
    assert_int_equal(prom_feed(&reader, (struct span){page, sizeof(page) - 1}), 0);
    assert_int_equal(record.n, 2);
    tear_down(&reader, &record);
}

static size_t read_page(const char *directory, const char *name, char *page)
{
    OWNED(close_fd) int fd = -1;
    char path[512];
    ssize_t n;

    (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    n = read(fd, page, PAGE_MAX);
    assert_true(n >= 0 && n < PAGE_MAX);
    return (size_t)n;
}

static void check_fixture(const char *name, struct span page)
{
    static const size_t pieces[] = {1, 7, 1460};
    struct prom_reader whole, cut;
    struct record expected, got;
    int r;

    set_up(&whole, &expected);
    r = prom_feed(&whole, page);
    if (strncmp(name, "vllm_", 5) == 0 && r != 0)
        fail_msg("[%s] is %d in line %ju", name, r, (uintmax_t)whole.line);
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        set_up(&cut, &got);
        if (feed(&cut, page, pieces[i], pieces[i]) != r || got.n != expected.n ||
            memcmp(got.text.data ? got.text.data : "",
                   expected.text.data ? expected.text.data : "", expected.text.len) != 0)
            fail_msg("[%s] differs in pieces of %zu", name, pieces[i]);
        tear_down(&cut, &got);
    }
    tear_down(&whole, &expected);
}

/* Pages of real servers, where the machine has them. */
static void test_fixtures(void **state)
{
    const char *path = getenv("FIXTURES_DIR");
    DIR *directory = path ? opendir(path) : NULL;
    char *page = malloc(PAGE_MAX);
    unsigned n = 0;

    (void)state;
    assert_non_null(page);
    for (struct dirent *entry = directory ? readdir(directory) : NULL; entry;
         entry = readdir(directory)) {
        const char *dot = strrchr(entry->d_name, '.');

        if (!dot || strcmp(dot, ".txt") != 0)
            continue;
        check_fixture(entry->d_name,
                      (struct span){page, read_page(path, entry->d_name, page)});
        n++;
    }
    free(page);
    if (directory)
        (void)closedir(directory);
    if (n == 0) {
        print_message("skipped: FIXTURES_DIR names no folder of pages (*.txt)\n");
        skip();
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_labels),
        cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_longest_line),
        cmocka_unit_test(test_error_sticks_until_restart),
        cmocka_unit_test(test_callback_stops),
        cmocka_unit_test(test_many_names),
        cmocka_unit_test(test_bytes_of_any_value),
        cmocka_unit_test(test_fixtures),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
