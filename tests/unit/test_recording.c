// SPDX-License-Identifier: Apache-2.0
#include "recording/recording.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <zlib.h>

#include <signal.h>

#define HEAD "{\"vramscope_recording\":1,\"version\":\"0.1.0\",\"url\":\"http://h:1\"}\n"

static char folder[] = "/tmp/vramscope-recording-XXXXXX";

static const char *path_of(const char *name)
{
    static char path[256];

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static const char *put_file(const char *name, const void *bytes, size_t len)
{
    const char *path = path_of(name);
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
    return path;
}

static size_t get_file(const char *name, char *bytes, size_t room)
{
    FILE *file = fopen(path_of(name), "r");
    size_t n;

    assert_non_null(file);
    n = fread(bytes, 1, room, file);
    assert_int_equal(fclose(file), 0);
    return n;
}

static struct recording *open_recording(const char *path)
{
    struct recording *recording = NULL;
    struct complaint why = {""};
    int r = recording_open(path, &recording, &why);

    if (r < 0)
        fail_msg("%s", why.text);
    return recording;
}

static int next(struct recording *recording, struct recording_entry *ret)
{
    struct complaint why = {""};

    return recording_next(recording, ret, &why);
}

/* What is written comes back byte for byte, plain and compressed. */

#define SPAN(text)             \
    {                          \
        text, sizeof(text) - 1 \
    }

// clang-format off
static const struct recording_entry entries[] = {
    {RECORDING_DETAIL, 1000, SPAN("eb6d-1"), SPAN("{}"), 0},
    {RECORDING_DETAIL, 1500, SPAN(""), SPAN("{\"a\":[{\"b\":\"}\\\"]\"}],\"detail\":{}}"), 0},
    {RECORDING_DETAIL, 1500, SPAN("a b\"c"), SPAN("{ \"x\" :1.50 , \"y\":\"\\u00e9\xc3\xa9\"}"), 0},
    {RECORDING_NO_DATA, 2000, {NULL, 0}, SPAN("no \"driver\""), 0},
    {RECORDING_DISCONNECTED, 1, {NULL, 0}, SPAN(""), 0},
    {RECORDING_SKIPPED, 2500, {NULL, 0}, {NULL, 0}, 3},
};
// clang-format on

static void assert_entry(const struct recording_entry *got,
                         const struct recording_entry *wanted)
{
    assert_int_equal(got->kind, wanted->kind);
    assert_int_equal(got->unix_ms, wanted->unix_ms);
    assert_int_equal(got->skipped, wanted->skipped);
    assert_int_equal(got->id.len, wanted->id.len);
    assert_int_equal(got->text.len, wanted->text.len);
    if (wanted->id.len)
        assert_memory_equal(got->id.at, wanted->id.at, wanted->id.len);
    if (wanted->text.len)
        assert_memory_equal(got->text.at, wanted->text.at, wanted->text.len);
}

static void write_entries(const char *path)
{
    struct recording_writer *writer = NULL;
    struct complaint why = {""};

    assert_int_equal(recording_create(path, false, "unix:/run/\"x\"", 999, &writer, &why),
                     0);
    for (size_t i = 0; i < ARRAY_LEN(entries); i++)
        assert_int_equal(recording_write(writer, &entries[i], &why), 0);
    assert_int_equal(recording_close(writer, &why), 0);
    assert_string_equal(why.text, "");
}

static void check_round_trip(const char *name)
{
    struct recording_entry entry;
    struct recording *recording;
    struct complaint why;

    write_entries(path_of(name));
    recording = open_recording(path_of(name));
    assert_string_equal(recording_url(recording), "unix:/run/\"x\"");
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < ARRAY_LEN(entries); i++) {
            assert_int_equal(next(recording, &entry), 1);
            assert_entry(&entry, &entries[i]);
        }
        assert_int_equal(next(recording, &entry), 0);
        assert_int_equal(next(recording, &entry), 0);
        assert_int_equal(recording_rewind(recording, &why), 0);
    }
    assert_int_equal(recording_skipped_lines(recording), 0);
    assert_string_equal(recording_fault(recording), "");
    recording_free(recording);
}

static void test_round_trip(void **state)
{
    char bytes[64];

    (void)state;
    check_round_trip("plain.jsonl");
    check_round_trip("packed.jsonl.gz");
    assert_true(get_file("packed.jsonl.gz", bytes, sizeof(bytes)) > 10);
    assert_memory_equal(bytes, "\x1f\x8b", 2);
    recording_free(NULL);
    assert_int_equal(recording_close(NULL, NULL), 0);
}

/* The lines are those of docs/recording.md. */
static void test_lines(void **state)
{
    static const char wanted[] = "{\"unix_ms\":1000,\"id\":\"eb6d-1\",\"detail\":{}}\n"
                                 "{\"unix_ms\":1500,\"id\":\"\",\"detail\":{\"a\":[{"
                                 "\"b\":\"}\\\"]\"}],\"detail\":{}}}\n";
    char bytes[4096];
    const char *first;
    size_t n;

    (void)state;
    write_entries(path_of("lines"));
    n = get_file("lines", bytes, sizeof(bytes) - 1);
    bytes[n] = '\0';
    assert_memory_equal(bytes, "{\"vramscope_recording\":1,\"version\":\"", 36);
    first = strchr(bytes, '\n') + 1;
    assert_memory_equal(first, wanted, strlen(wanted));
    assert_non_null(
        strstr(first, "{\"unix_ms\":2000,\"no_data\":\"no \\\"driver\\\"\"}\n"));
    assert_non_null(strstr(first, "{\"unix_ms\":2500,\"skipped\":3}\n"));
}

static void test_refuses_to_write(void **state)
{
    static char large[RECORDING_LINE_MAX] = "{";
    static const struct recording_entry bad[] = {
        {RECORDING_DETAIL, 1, {"", 0}, {"", 0}, 0},
        {RECORDING_DETAIL, 1, {"", 0}, {"1", 1}, 0},
        {RECORDING_DETAIL, 1, {"", 0}, {"{", 1}, 0},
        {RECORDING_DETAIL, 1, {"", 0}, {"{}}", 3}, 0},
        {RECORDING_DETAIL, 1, {"", 0}, {"{}\n{}", 5}, 0},
        {RECORDING_DETAIL, 1, {"", 0}, {"{\"a\":1,\n\"b\":2}", 15}, 0},
        {RECORDING_DETAIL, 1, {"", 0}, {"{\"a\":1,\r\"b\":2}", 15}, 0},
        {RECORDING_DETAIL, -1, {"", 0}, {"{}", 2}, 0},
        {RECORDING_DETAIL, INT64_MAX, {"", 0}, {"{}", 2}, 0},
        {RECORDING_DETAIL, 1, {large, 1025}, {"{}", 2}, 0},
        {RECORDING_DETAIL, 1, {"", 0}, {large, sizeof(large)}, 0},
    };
    struct recording_writer *writer = NULL;
    struct complaint why = {""};
    struct recording_entry entry;
    struct recording *recording;

    (void)state;
    memset(large + 1, ' ', sizeof(large) - 2);
    large[sizeof(large) - 1] = '}';
    assert_int_equal(recording_create(path_of("refused"), false, "", 0, &writer, &why),
                     0);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        int r = recording_write(writer, &bad[i], &why);

        if (r != (bad[i].text.len == sizeof(large) ? -E2BIG : -EINVAL))
            fail_msg("entry %zu: %d", i, r);
        assert_non_null(strstr(why.text, "/refused: "));
    }
    assert_int_equal(recording_write(writer, &entries[0], &why), 0); // the next one may
    assert_int_equal(recording_close(writer, &why), 0);
    recording = open_recording(path_of("refused"));
    assert_int_equal(next(recording, &entry), 1);
    assert_entry(&entry, &entries[0]);
    assert_int_equal(next(recording, &entry), 0);
    recording_free(recording);
}

static void test_existing_file(void **state)
{
    struct recording_writer *writer = NULL;
    struct complaint why = {""};
    struct stat status;

    (void)state;
    write_entries(path_of("there"));
    assert_int_equal(recording_create(path_of("there"), false, "", 0, &writer, &why),
                     -EEXIST);
    assert_non_null(strstr(why.text, "/there: "));
    assert_int_equal(recording_create(path_of("there"), true, "", 0, &writer, &why), 0);
    assert_int_equal(recording_written(writer),
                     stat(path_of("there"), &status) == 0 ? status.st_size : -1);
    assert_int_equal(recording_close(writer, &why), 0);
    assert_true(status.st_size < 200); // the head alone
    assert_int_equal(recording_create(path_of("no/such"), false, "", 0, &writer, &why),
                     -ENOENT);
    assert_non_null(strstr(why.text, "/no/such: cannot be made"));
}

/* A full disk: told with the file's name, again at the end, and what was saved is read. */
static void check_full(const char *name)
{
    const struct rlimit small = {3000, RLIM_INFINITY},
                        any = {RLIM_INFINITY, RLIM_INFINITY};
    struct recording_writer *writer = NULL;
    struct complaint why = {""};
    struct recording_entry entry = entries[1];
    struct recording *recording;
    int r = 0, saved = 0, read = 0;
    uint64_t seed = 1;

    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(recording_create(path_of(name), false, "", 0, &writer, &why), 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    while (r == 0 && saved < 100000) {
        char document[64];

        seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
        (void)snprintf(document, sizeof(document), "{\"a\":\"%016llx\"}",
                       (unsigned long long)seed);
        entry.text = span_of(document);
        entry.unix_ms += 500;
        r = recording_write(writer, &entry, &why);
        saved += r == 0;
    }
    assert_int_equal(r, -EFBIG);
    assert_non_null(strstr(why.text, name));
    assert_int_equal(recording_write(writer, &entry, &why), -EFBIG);
    why.text[0] = '\0';
    assert_int_equal(recording_close(writer, &why), -EFBIG);
    assert_non_null(strstr(why.text, name));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &any), 0);

    recording = open_recording(path_of(name));
    while (next(recording, &entry) == 1)
        read++;
    assert_true(read >= saved - 20 && read <= saved); // since the last flush
    assert_true(read > 30);
    recording_free(recording);
}

static void test_full_disk(void **state)
{
    (void)state;
    check_full("full.jsonl");
    check_full("full.jsonl.gz");
}

/* Torn anywhere, what is read is the beginning of what was written, and nothing else. */
static void write_minutes(const char *path, int documents, int64_t every_ms)
{
    struct recording_writer *writer = NULL;
    struct complaint why = {""};

    assert_int_equal(recording_create(path, false, "", 0, &writer, &why), 0);
    for (int i = 0; i < documents; i++) {
        char document[64];
        struct recording_entry entry = {.kind = RECORDING_DETAIL,
                                        .unix_ms = i * every_ms};

        (void)snprintf(document, sizeof(document), "{\"seq\":%d,\"x\":%d}", i,
                       i * 7919 % 1000);
        entry.text = span_of(document);
        assert_int_equal(recording_write(writer, &entry, &why), 0);
    }
    assert_int_equal(recording_close(writer, &why), 0);
}

static int count_entries(struct recording *recording, int *ret_result)
{
    struct recording_entry entry;
    struct complaint why = {""};
    int n = 0, r;

    while ((r = recording_next(recording, &entry, &why)) == 1) {
        char wanted[32];

        (void)snprintf(wanted, sizeof(wanted), "{\"seq\":%d,", n);
        assert_memory_equal(entry.text.at, wanted, strlen(wanted));
        assert_int_equal(entry.unix_ms % 500, 0);
        n++;
    }
    *ret_result = r;
    return n;
}

static void check_torn(const char *name, int documents)
{
    static char bytes[1 << 16];
    size_t len;
    int last = 0, r;

    write_minutes(path_of(name), documents, 500);
    len = get_file(name, bytes, sizeof(bytes));
    for (size_t cut = 0; cut <= len; cut++) {
        const char *path = put_file("torn", bytes, cut);
        struct recording *recording = NULL;
        struct complaint why = {""};
        int n;

        if (recording_open(path, &recording, &why) < 0) {
            assert_int_equal(last, 0);
            assert_non_null(strstr(why.text, "/torn: "));
            continue;
        }
        n = count_entries(recording, &r);
        assert_int_equal(r, 0);
        assert_true(n >= last);
        assert_true(recording_skipped_lines(recording) <= 1);
        if (recording_skipped_lines(recording))
            assert_non_null(strstr(recording_fault(recording), "cut off by the end"));
        last = n;
        recording_free(recording);
    }
    assert_int_equal(last, documents);
}

static void test_torn_anywhere(void **state)
{
    (void)state;
    check_torn("short.jsonl", 40);
    check_torn("short.jsonl.gz", 300); // two minutes and a half: three members
}

/* A kill loses what came since the last flush, at most five seconds of it. */
static void test_flushed(void **state)
{
    struct recording_writer *writer = NULL;
    struct complaint why = {""};
    struct recording *recording;
    int n, r;

    (void)state;
    assert_int_equal(recording_create(path_of("killed.gz"), false, "", 0, &writer, &why),
                     0);
    for (int i = 0; i < 100; i++) {
        char document[64];
        struct recording_entry entry = {.kind = RECORDING_DETAIL, .unix_ms = i * 500};

        (void)snprintf(document, sizeof(document), "{\"seq\":%d,\"x\":1}", i);
        entry.text = span_of(document);
        assert_int_equal(recording_write(writer, &entry, &why), 0);
    }
    recording = open_recording(path_of("killed.gz")); // while it is being written
    n = count_entries(recording, &r);
    assert_true(n >= 90 && n <= 100);
    recording_free(recording);
    assert_int_equal(recording_close(writer, &why), 0);
}

static void test_members(void **state)
{
    static char bytes[1 << 16];
    size_t len, members = 0;

    (void)state;
    write_minutes(path_of("members.gz"), 300, 500);
    len = get_file("members.gz", bytes, sizeof(bytes));
    for (size_t i = 0; i + 4 <= len; i++)
        members += memcmp(bytes + i, "\x1f\x8b\x08\x00", 4) == 0;
    assert_int_equal(members, 3);
}

/* Every mark leads back to the line behind it. */
static void check_marks(const char *name)
{
    enum { DOCUMENTS = 4000 };
    static struct recording_mark marks[DOCUMENTS + 1];
    struct recording_entry entry;
    struct recording *recording;
    struct complaint why = {""};
    int n = 0;

    write_minutes(path_of(name), DOCUMENTS, 500);
    recording = open_recording(path_of(name));
    for (n = 0; n <= DOCUMENTS; n++) {
        marks[n] = recording_mark(recording);
        assert_int_equal(next(recording, &entry), n < DOCUMENTS);
    }
    for (n = DOCUMENTS; n >= 0; n -= 37) {
        assert_int_equal(recording_seek(recording, &marks[n], &why), 0);
        assert_memory_equal(&marks[n], &(struct recording_mark){0}, 0);
        assert_int_equal(recording_mark(recording).at, marks[n].at);
        assert_int_equal(recording_mark(recording).skip, marks[n].skip);
        assert_int_equal(next(recording, &entry), n < DOCUMENTS);
        if (n < DOCUMENTS)
            assert_int_equal(entry.unix_ms, n * 500);
    }
    recording_free(recording);
}

static void test_marks(void **state)
{
    (void)state;
    check_marks("marks.jsonl");
    check_marks("marks.jsonl.gz");
}

/* A recorder that has been to the network, and what strangers write. */
static const struct {
    const char *name, *line;
    const char *fault;    // NULL: it is an entry
    const char *document; // of an entry
} lines[] = {
    {"as we write", "{\"unix_ms\":1,\"id\":\"a-1\",\"detail\":{\"x\":1}}", NULL,
     "{\"x\":1}"},
    {"another order", "{\"detail\":{\"x\":[1,{}]},\"id\":\"a-1\",\"unix_ms\":1}", NULL,
     "{\"x\":[1,{}]}"},
    {"spaces", " { \"unix_ms\" : 1 , \"detail\" : { \"x\" : 1 } } ", NULL,
     "{ \"x\" : 1 }"},
    {"keys to come",
     "{\"unix_ms\":1,\"new\":[{\"detail\":{}}],\"detail\":{},\"z\":\"detail\"}", NULL,
     "{}"},
    {"a text named so", "{\"unix_ms\":1,\"a\":\"detail\",\"detail\":{\"x\":1}}", NULL,
     "{\"x\":1}"},
    {"brackets in texts", "{\"unix_ms\":1,\"detail\":{\"x\":\"}]\\\"}\"}}", NULL,
     "{\"x\":\"}]\\\"}\"}"},
    {"empty", "", "it is no JSON", NULL},
    {"not JSON", "hello", "it is no JSON", NULL},
    {"an array", "[1]", "it is not a JSON object", NULL},
    {"a number", "1", "it is no", NULL},
    {"nothing known", "{\"unix_ms\":1}", "it has neither", NULL},
    {"no time", "{\"detail\":{}}", "\"unix_ms\"", NULL},
    {"time is text", "{\"unix_ms\":\"1\",\"detail\":{}}", "\"unix_ms\"", NULL},
    {"time below zero", "{\"unix_ms\":-1,\"detail\":{}}", "\"unix_ms\"", NULL},
    {"time without end", "{\"unix_ms\":99999999999999999,\"detail\":{}}", "\"unix_ms\"",
     NULL},
    {"time a fraction", "{\"unix_ms\":1.5,\"detail\":{}}", "\"unix_ms\"", NULL},
    {"document is text", "{\"unix_ms\":1,\"detail\":\"x\"}", "\"detail\" is no object",
     NULL},
    {"document is null", "{\"unix_ms\":1,\"detail\":null}", "\"detail\" is no object",
     NULL},
    {"document escaped", "{\"unix_ms\":1,\"d\\u0065tail\":{}}", "\"detail\" is no object",
     NULL},
    {"two documents", "{\"unix_ms\":1,\"detail\":{},\"detail\":{}}",
     "a key is given twice", NULL},
    {"never closed", "{\"unix_ms\":1,\"detail\":{\"x\":1}", "it is no JSON", NULL},
    {"never closed within", "{\"unix_ms\":1,\"detail\":{\"x\":[1}", "it is no JSON",
     NULL},
    {"text never closed", "{\"unix_ms\":1,\"detail\":{\"x\":\"1}}", "it is no JSON",
     NULL},
    {"behind the end", "{\"unix_ms\":1,\"detail\":{}}}", "it is no JSON", NULL},
    {"an event forged", "{\"unix_ms\":1,\"detail\":{\"x\":1,\r\rdata:{}}}",
     "control character", NULL},
    {"id is no text", "{\"unix_ms\":1,\"id\":1,\"detail\":{}}", "\"id\"", NULL},
    {"reason is no text", "{\"unix_ms\":1,\"no_data\":1}", "\"no_data\"", NULL},
    {"other reason is no text", "{\"unix_ms\":1,\"disconnected\":{}}", "\"disconnected\"",
     NULL},
    {"skipped below zero", "{\"unix_ms\":1,\"skipped\":-1}", "\"skipped\"", NULL},
    {"too deep", "{\"unix_ms\":1,\"x\":[[[[[[[[[[]]]]]]]]]]}",
     "it is nested deeper than 4", NULL},
    {"backslash at the end", "{\"detail\\", "it is no JSON", NULL},
};

static void test_read_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        char text[512];
        struct recording_entry entry;
        struct recording *recording;
        int n = snprintf(text, sizeof(text), HEAD "%s\n{\"unix_ms\":7,\"skipped\":1}\n",
                         lines[i].line);

        recording = open_recording(put_file("line", text, (size_t)n));
        assert_int_equal(next(recording, &entry), 1);
        if (lines[i].document) {
            if (!span_is(entry.text, lines[i].document))
                fail_msg("%s: %.*s", lines[i].name, (int)entry.text.len, entry.text.at);
            assert_int_equal(recording_skipped_lines(recording), 0);
            assert_int_equal(next(recording, &entry), 1);
        } else {
            if (recording_skipped_lines(recording) != 1 ||
                !strstr(recording_fault(recording), "/line: line 2: ") ||
                !strstr(recording_fault(recording), lines[i].fault))
                fail_msg("%s: %llu: %s", lines[i].name,
                         (unsigned long long)recording_skipped_lines(recording),
                         recording_fault(recording));
        }
        assert_int_equal(entry.kind, RECORDING_SKIPPED);
        assert_int_equal(entry.unix_ms, 7);
        assert_int_equal(next(recording, &entry), 0);
        recording_free(recording);
    }
}

static void test_first_fault_is_told(void **state)
{
    static const char text[] = HEAD "{\"unix_ms\":1,\"skipped\":1}\nbad\n\nworse\n" HEAD
                                    "{\"unix_ms\":2,\"skipped\":2}\n{\"unix_ms\":3,\"ski";
    struct recording_entry entry;
    struct recording *recording = open_recording(put_file("bad", text, strlen(text)));
    struct complaint why;

    (void)state;
    assert_int_equal(next(recording, &entry), 1);
    recording_refuse(recording, "its document is none");
    assert_int_equal(next(recording, &entry), 1);
    assert_int_equal(entry.skipped, 2); // behind another head: files put together
    assert_int_equal(next(recording, &entry), 0);
    assert_int_equal(recording_skipped_lines(recording), 5);
    assert_non_null(
        strstr(recording_fault(recording), "/bad: line 2: its document is none"));
    assert_int_equal(recording_rewind(recording, &why), 0);
    assert_int_equal(recording_skipped_lines(recording), 0);
    assert_string_equal(recording_fault(recording), "");
    recording_free(recording);
}

/* The last line is whole, and somebody's editor has left its end out. */
static void test_last_line_without_end(void **state)
{
    static const char text[] = HEAD "{\"unix_ms\":1,\"skipped\":1}";
    struct recording_entry entry;
    struct recording *recording = open_recording(put_file("end", text, strlen(text)));

    (void)state;
    assert_int_equal(next(recording, &entry), 1);
    assert_int_equal(next(recording, &entry), 0);
    assert_int_equal(recording_skipped_lines(recording), 0);
    recording_free(recording);
}

/* Lines around the ceiling, which are in several pieces. */
static void test_long_lines(void **state)
{
    static const char tail[] = "\n{\"unix_ms\":7,\"skipped\":1}\n";
    static const char begin[] = "{\"unix_ms\":1,\"detail\":{";
    size_t room = strlen(HEAD) + RECORDING_LINE_MAX + 1 + sizeof(tail);
    char *text = malloc(room);

    (void)state;
    assert_non_null(text);
    for (size_t more = 0; more <= 1; more++) {
        size_t len = RECORDING_LINE_MAX + more, head = strlen(HEAD);
        struct recording_entry entry;
        struct recording *recording;

        memset(text, ' ', room);
        memcpy(text, HEAD, head);
        memcpy(text + head, begin, strlen(begin));
        memcpy(text + head + len - 2, "}}", 2);
        memcpy(text + head + len, tail, strlen(tail));
        recording = open_recording(put_file("long", text, head + len + strlen(tail)));
        if (!more) {
            assert_int_equal(next(recording, &entry), 1);
            assert_int_equal(entry.text.len, len - strlen(begin));
        }
        assert_int_equal(next(recording, &entry), 1);
        assert_int_equal(entry.unix_ms, 7);
        assert_int_equal(recording_skipped_lines(recording), more);
        if (more)
            assert_non_null(
                strstr(recording_fault(recording), "line 2: it is longer than"));
        recording_free(recording);
    }
    free(text);
}

static void test_not_a_recording(void **state)
{
    static const struct {
        const char *text, *fault;
    } files[] = {
        {"", "/none: it is empty"},
        {"\n", "/none: line 1: not a recording"},
        {"hello\n", "/none: line 1: not a recording"},
        {"{}\n", "it has no \"vramscope_recording\""},
        {"{\"vramscope_recording\":\"1\"}\n", "it has no \"vramscope_recording\""},
        {"{\"vramscope_recording\":2}\n", "it is of format 2, this program reads 1"},
        {"\x1f\x8bhello world, this is no gzip", "/none: line 1: not a recording"},
        {"\x1f", "/none: line 1: not a recording"},
    };
    struct recording *recording = NULL;
    struct complaint why = {""};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        const char *path = put_file("none", files[i].text, strlen(files[i].text));

        why.text[0] = '\0';
        assert_int_equal(recording_open(path, &recording, &why), -EBADMSG);
        if (!strstr(why.text, files[i].fault))
            fail_msg("%s", why.text);
    }
    assert_int_equal(recording_open(path_of("missing"), &recording, &why), -ENOENT);
    assert_non_null(strstr(why.text, "/missing: cannot be read: No such file"));
    assert_int_equal(recording_open(folder, &recording, &why), -EISDIR);
    assert_int_equal(recording_open("/dev/zero", &recording, &why), -EBADMSG);
}

/* Damaged in the middle: what is before it is given, then the fault with file and place. */
static void test_damaged_gzip(void **state)
{
    static char bytes[1 << 16];
    struct recording_entry entry;
    struct recording *recording;
    struct complaint why = {""};
    size_t len;
    int n = 0, r;

    (void)state;
    write_minutes(path_of("damaged.gz"), 300, 500);
    len = get_file("damaged.gz", bytes, sizeof(bytes));
    memset(bytes + len / 2, 0xff, 64);
    recording = open_recording(put_file("damaged.gz", bytes, len));
    while ((r = recording_next(recording, &entry, &why)) == 1)
        n++;
    assert_int_equal(r, -EIO);
    assert_true(n >= 118);
    assert_non_null(strstr(why.text, "/damaged.gz: line "));
    assert_non_null(strstr(why.text, "damaged gzip at byte "));
    recording_free(recording);
}

/* A few bytes that become many cost time, not memory. */
static void test_gzip_bomb(void **state)
{
    static const char zeros[1 << 16];
    gzFile file = gzopen(path_of("bomb.gz"), "w9");
    struct recording_entry entry;
    struct recording *recording;

    (void)state;
    assert_non_null(file);
    assert_int_equal(gzwrite(file, HEAD, strlen(HEAD)), strlen(HEAD));
    for (int i = 0; i < 1024; i++)
        assert_int_equal(gzwrite(file, zeros, sizeof(zeros)), sizeof(zeros));
    assert_int_equal(gzclose(file), Z_OK);
    recording = open_recording(path_of("bomb.gz"));
    assert_int_equal(next(recording, &entry), 0);
    assert_int_equal(recording_skipped_lines(recording), 1);
    recording_free(recording);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    char command[128];

    (void)state;
    (void)snprintf(command, sizeof(command), "rm -r %s", folder);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_refuses_to_write),
        cmocka_unit_test(test_existing_file),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_torn_anywhere),
        cmocka_unit_test(test_flushed),
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_marks),
        cmocka_unit_test(test_read_lines),
        cmocka_unit_test(test_first_fault_is_told),
        cmocka_unit_test(test_last_line_without_end),
        cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_not_a_recording),
        cmocka_unit_test(test_damaged_gzip),
        cmocka_unit_test(test_gzip_bomb),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
