// SPDX-License-Identifier: Apache-2.0
/*
 * The start-up log of vLLM, and the other texts of a process that we search. With
 * FIXTURES_DIR set, logs of real servers too.
 */
#include "host/host_text.h"
#include "host/log_kv.h"

#include "base/buf.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define W "(Worker_TP0 pid=12) INFO 01-02 03:04:05 [gpu_worker.py:560] "
#define E "(EngineCore pid=11) INFO 01-02 03:04:05 [kv_cache_utils.py:9] "
#define S "(APIServer pid=10) INFO 01-02 03:04:05 [api_utils.py:273] "
#define OLD "INFO 01-02 03:04:05 [gpu_worker.py:223] "
#define V0 "INFO 01-02 03:04:05 gpu_worker.py:223] "
#define AVAILABLE "Available KV cache memory: "
#define SIZE "GPU KV cache size: "
#define START S "non-default args: {'model': 'm'}\n"

/* 28.85 and 1.5 GiB, rounded to bytes */
#define BYTES_28_85 UINT64_C(30977451622)
#define BYTES_1_5 UINT64_C(1610612736)

static const struct {
    const char *row;
    const char *text;
    int r;
    uint32_t available_n;
    uint64_t available;
    uint32_t size_n;
    uint64_t size;
} logs[] = {
    {"plain", W AVAILABLE "28.85 GiB\n", 0, 1, BYTES_28_85, 0, 0},
    {"one decimal", W AVAILABLE "1.5 GiB\n", 0, 1, BYTES_1_5, 0, 0},
    {"carriage return", W AVAILABLE "1.5 GiB\r\n", 0, 1, BYTES_1_5, 0, 0},
    {"no process", OLD AVAILABLE "1.5 GiB\n", 0, 1, BYTES_1_5, 0, 0},
    {"no bracket", V0 AVAILABLE "1.5 GiB\n", 0, 1, BYTES_1_5, 0, 0},
    {"colors",
     "\x1b[1;36m(Worker_TP0 pid=12)\x1b[0;0m \x1b[32mINFO\x1b[0m 01-02 03:04:05 "
     "\x1b[90m[gpu_worker.py:560]\x1b[0m " AVAILABLE "1.5 GiB\x1b[m\n",
     0, 1, BYTES_1_5, 0, 0},
    {"size", E SIZE "574,336 tokens\n", 0, 0, 0, 1, 574336},
    {"size in millions", E SIZE "1,600,255 tokens\n", 0, 0, 0, 1, 1600255},
    {"size without groups", E SIZE "12 tokens\n", 0, 0, 0, 1, 12},
    {"size and concurrency", E SIZE "1,024 tokens, Maximum concurrency for 8\n", 0, 0, 0,
     1, 1024},
    {"second start", START W AVAILABLE "28.85 GiB\n" START W AVAILABLE "1.5 GiB\n", 0, 1,
     BYTES_1_5, 0, 0},
    {"second start not there yet", START W AVAILABLE "28.85 GiB\n" START, -ENOENT, 0, 0,
     0, 0},
    {"noise around", "banner\n\n" W "x\n" W AVAILABLE "1.5 GiB\n\x1b[\n\xff\n", 0, 1,
     BYTES_1_5, 0, 0},

    {"empty", "", -ENOENT, 0, 0, 0, 0},
    {"no end of line", W AVAILABLE "1.5 GiB", -ENOENT, 0, 0, 0, 0},
    {"cut number", W AVAILABLE "1.5", -ENOENT, 0, 0, 0, 0},
    {"negative", W AVAILABLE "-1.5 GiB\n", -ENOENT, 0, 0, 0, 0},
    {"no number", W AVAILABLE " GiB\n", -ENOENT, 0, 0, 0, 0},
    {"not a number", W AVAILABLE "nan GiB\n", -ENOENT, 0, 0, 0, 0},
    {"comma", W AVAILABLE "1,5 GiB\n", -ENOENT, 0, 0, 0, 0},
    {"two points", W AVAILABLE "1.5.5 GiB\n", -ENOENT, 0, 0, 0, 0},
    {"exponent", W AVAILABLE "1e3 GiB\n", -ENOENT, 0, 0, 0, 0},
    {"too large", W AVAILABLE "99999999.5 GiB\n", -ENOENT, 0, 0, 0, 0},
    {"other unit", W AVAILABLE "1.5 GB\n", -ENOENT, 0, 0, 0, 0},
    {"more behind", W AVAILABLE "1.5 GiB or so\n", -ENOENT, 0, 0, 0, 0},
    {"in a prompt", W "Received request: '" AVAILABLE "1.5 GiB\n", -ENOENT, 0, 0, 0, 0},
    {"in a prompt with a header", W "prompt: " W AVAILABLE "1.5 GiB\n", -ENOENT, 0, 0, 0,
     0},
    {"no header", AVAILABLE "1.5 GiB\n", -ENOENT, 0, 0, 0, 0},
    {"other level", "DEBUG 01-02 03:04:05 [g.py:1] " AVAILABLE "1.5 GiB\n", -ENOENT, 0, 0,
     0, 0},
    {"no date", "INFO [g.py:1] " AVAILABLE "1.5 GiB\n", -ENOENT, 0, 0, 0, 0},
    {"no place", "INFO 01-02 03:04:05 " AVAILABLE "1.5 GiB\n", -ENOENT, 0, 0, 0, 0},
    {"place without line", "INFO 01-02 03:04:05 [g.py] " AVAILABLE "1.5 GiB\n", -ENOENT,
     0, 0, 0, 0},
    {"open process", "(Worker pid=1 " OLD AVAILABLE "1.5 GiB\n", -ENOENT, 0, 0, 0, 0},
    {"process without pid", "(Worker) " OLD AVAILABLE "1.5 GiB\n", -ENOENT, 0, 0, 0, 0},
    {"process with odd pid", "(W pid=1x) " OLD AVAILABLE "1.5 GiB\n", -ENOENT, 0, 0, 0,
     0},
    {"empty process", "() " OLD AVAILABLE "1.5 GiB\n", -ENOENT, 0, 0, 0, 0},
    {"size with short group", E SIZE "574,33 tokens\n", -ENOENT, 0, 0, 0, 0},
    {"size with long group", E SIZE "5744,336 tokens\n", -ENOENT, 0, 0, 0, 0},
    {"size with empty group", E SIZE "574,,336 tokens\n", -ENOENT, 0, 0, 0, 0},
    {"size ending in a comma", E SIZE "574, tokens\n", -ENOENT, 0, 0, 0, 0},
    {"size starting with a comma", E SIZE ",574 tokens\n", -ENOENT, 0, 0, 0, 0},
    {"size with point", E SIZE "5.5 tokens\n", -ENOENT, 0, 0, 0, 0},
    {"size past counting", E SIZE "1,000,000,000,000,000 tokens\n", -ENOENT, 0, 0, 0, 0},
    {"size of something", E SIZE "5 tokens per second\n", -ENOENT, 0, 0, 0, 0},
};

static void test_logs(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(logs); i++) {
        struct log_kv kv = {0};
        int r = log_find_kv(span_of(logs[i].text), &kv);

        if (r != logs[i].r || kv.available_bytes.n != logs[i].available_n ||
            kv.available_bytes.highest != logs[i].available ||
            kv.size_tokens.n != logs[i].size_n || kv.size_tokens.lowest != logs[i].size)
            fail_msg("[%s] is %d, %u x %ju bytes, %u x %ju tokens", logs[i].row, r,
                     kv.available_bytes.n, (uintmax_t)kv.available_bytes.highest,
                     kv.size_tokens.n, (uintmax_t)kv.size_tokens.lowest);
    }
}

static void test_ranges(void **state)
{
    static const char text[] =
        START W AVAILABLE "1.5 GiB\n" W AVAILABLE "1.25 GiB\n" W AVAILABLE "1.75 GiB\n" W
                          "Model loading took 2.5 GiB memory and 9.9 seconds\n" W
                          "Model loading took 2.25 GiB and 9.9 seconds\n" W
                          "Initial free memory 111.01 GiB, reserved 1.50 GiB "
                          "memory for KV Cache as specified by "
                          "kv_cache_memory_bytes config and\n" E SIZE "7 tokens\n";
    const uint64_t quarter = 1 << 28;
    struct log_kv kv;

    (void)state;
    assert_int_equal(log_find_kv(span_of(text), &kv), 0);
    assert_int_equal(kv.server_pid, 10);
    assert_int_equal(kv.available_bytes.n, 3);
    assert_int_equal(kv.available_bytes.lowest, 5 * quarter);
    assert_int_equal(kv.available_bytes.highest, 7 * quarter);
    assert_int_equal(kv.loaded_bytes.n, 2);
    assert_int_equal(kv.loaded_bytes.lowest, 9 * quarter);
    assert_int_equal(kv.loaded_bytes.highest, 10 * quarter);
    assert_int_equal(kv.reserved_bytes.n, 1);
    assert_int_equal(kv.reserved_bytes.lowest, 6 * quarter);
    assert_int_equal(kv.size_tokens.highest, 7);
}

static void test_whose(void **state)
{
    struct log_kv kv;

    (void)state;
    assert_int_equal(log_find_kv(span_of(START W AVAILABLE "1 GiB\n"), &kv), 0);
    assert_true(log_kv_is_of(&kv, 10, true));
    assert_true(log_kv_is_of(&kv, 10, false));
    assert_false(log_kv_is_of(&kv, 11, true));

    assert_int_equal(
        log_find_kv(
            span_of(OLD "vLLM API server version 0.8.5\n" OLD AVAILABLE "1 GiB\n"), &kv),
        0);
    assert_int_equal(kv.server_pid, 0);
    assert_true(log_kv_is_of(&kv, 10, true));
    assert_false(log_kv_is_of(&kv, 10, false));
}

/* A line that is longer than the parser's window ends nowhere in it. */
static void test_long_lines(void **state)
{
    struct buf text;
    struct log_kv kv;

    (void)state;
    for (size_t len = 400; len < 600; len++) {
        buf_init(&text, 4096);
        buf_add_str(&text, "(");
        while (text.len < len)
            buf_add_char(&text, 'x');
        buf_add_str(&text, " pid=1) " OLD AVAILABLE "1.5 GiB  \n");
        assert_int_equal(log_find_kv(buf_span(&text), &kv), -ENOENT);
        buf_add_str(&text, OLD AVAILABLE "1.5 GiB\n");
        assert_int_equal(log_find_kv(buf_span(&text), &kv), 0);
        assert_int_equal(kv.available_bytes.n, 1);
        buf_done(&text);
    }
}

/* What real servers wrote; the figures were read off by hand. */
static const struct {
    const char *file;
    int r;
    uint32_t server_pid;
    double available_gib;
    double reserved_gib;
    double loaded_gib;
    uint64_t size_tokens;
} captured[] = {
    {"log_vllm_2026-07_glm52_baseline.server.out", 0, 148236, 28.85, 0, 54.82, 574336},
    {"log_vllm_2026-07_glm52_dcp4.server.out", 0, 372561, 18.54, 0, 64.38, 1600255},
    {"log_vllm_2026-07_glm52_mtp3.server.out", 0, 2146842, 20.42, 0, 61.62, 400064},
    {"log_vllm_2026-08_gb10_kv_cache_memory_bytes.txt", 0, 1, 0, 18.63, 0, 652465},
    {"log_vllm_0.25.1_no_kv_cache_memory.log", -ENOENT, 0, 0, 0, 0, 0},
    {"log_vllm_0.25.1_max_model_len_rejected.log", -ENOENT, 0, 0, 0, 0, 0},
};

static void read_captured(const char *name, struct buf *buf)
{
    const char *folder = getenv("FIXTURES_DIR");
    char path[1024];
    ssize_t n = 1;
    int fd;

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    while (n > 0) {
        char *to = buf_reserve(buf, 4096);

        assert_non_null(to);
        n = read(fd, to, 4096);
        assert_true(n >= 0);
        buf->len += (size_t)n;
    }
    (void)close(fd);
}

static bool is_gib(const struct log_range *range, double gib)
{
    uint64_t bytes = (uint64_t)(gib * (1 << 30) + 0.5);

    return gib > 0 ? range->n > 0 && range->highest == bytes : range->n == 0;
}

static void test_captured(void **state)
{
    const char *folder = getenv("FIXTURES_DIR");

    (void)state;
    if (!folder || !folder[0] || access(folder, R_OK) < 0) {
        print_message("no folder of captured logs (FIXTURES_DIR): skipped\n");
        skip();
    }
    for (size_t i = 0; i < ARRAY_LEN(captured); i++) {
        struct log_kv kv = {0};
        struct buf text;
        int r;

        buf_init(&text, 1 << 20);
        read_captured(captured[i].file, &text);
        r = log_find_kv(buf_span(&text), &kv);
        buf_done(&text);
        if (r != captured[i].r || kv.server_pid != captured[i].server_pid ||
            !is_gib(&kv.available_bytes, captured[i].available_gib) ||
            !is_gib(&kv.reserved_bytes, captured[i].reserved_gib) ||
            !is_gib(&kv.loaded_bytes, captured[i].loaded_gib) ||
            kv.size_tokens.highest != captured[i].size_tokens)
            fail_msg("[%s] is %d, of %u", captured[i].file, r, kv.server_pid);
    }
}

#define TEXT(literal)                \
    {                                \
        literal, sizeof(literal) - 1 \
    }

static const struct {
    const char *row;
    struct span text;
    int r;
    const char *value;
} environments[] = {
    {"first", TEXT("HF_HOME=/a\0PATH=/b\0"), 0, "/a"},
    {"last", TEXT("PATH=/b\0HF_HOME=/a\0"), 0, "/a"},
    {"twice", TEXT("HF_HOME=/a\0HF_HOME=/b\0"), 0, "/a"},
    {"empty value", TEXT("HF_HOME=\0"), 0, ""},
    {"value with '='", TEXT("HF_HOME=/a=b c\0"), 0, "/a=b c"},
    {"after an odd one", TEXT("A=1\0no equals\0=x\0BASH_FUNC_f%%=() {\0HF_HOME=/a\0"), 0,
     "/a"},
    {"none", TEXT(""), -ENOENT, ""},
    {"not set", TEXT("PATH=/b\0"), -ENOENT, ""},
    {"longer name", TEXT("HF_HOMES=/a\0"), -ENOENT, ""},
    {"shorter name", TEXT("HF_HOM=/a\0"), -ENOENT, ""},
    {"name as value", TEXT("A=HF_HOME=/a\0"), -ENOENT, ""},
    {"cut value", TEXT("A=1\0HF_HOME=/a"), -ENOENT, ""},
    {"cut name", TEXT("A=1\0HF_HO"), -ENOENT, ""},
    {"only cut", TEXT("HF_HOME=/a"), -ENOENT, ""},
    {"a title over it", TEXT("VLLM::EngineCore\0\0\0HF_HOME=/a\0"), -EBADMSG, ""},
    {"a title with '='", TEXT("ve --port=1\0HF_HOME=/a\0"), -EBADMSG, ""},
    {"a title's option", TEXT("--port=1\0HF_HOME=/a\0"), -EBADMSG, ""},
    {"zeroes over it", TEXT("\0\0\0\0HF_HOME=/a\0"), -EBADMSG, ""},
    {"only zeroes", TEXT("\0\0\0\0"), -EBADMSG, ""},
    {"'=' over it", TEXT("=a\0HF_HOME=/a\0"), -EBADMSG, ""},
};

static void check_found(const char *row, int r, struct span found, int expected_r,
                        const char *expected)
{
    if (r != expected_r || (r == 0 && !span_is(found, expected)))
        fail_msg("[%s] is %d \"%.*s\"", row, r, (int)found.len, found.at);
}

static void test_environments(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(environments); i++) {
        struct span found = {"", 0};
        int r = host_find_variable(environments[i].text, "HF_HOME", &found);

        check_found(environments[i].row, r, found, environments[i].r,
                    environments[i].value);
    }
}

static const struct {
    const char *row;
    const char *text;
    int r;
    const char *home;
} passwds[] = {
    {"plain", "root:x:0:0:root:/root:/bin/sh\nu:x:7:7::/home/u:/bin/sh\n", 0, "/home/u"},
    {"no end", "u:x:7:7::/home/u:/bin/sh", 0, "/home/u"},
    {"no shell", "u:x:7:7::/home/u", 0, "/home/u"},
    {"first of two", "u:x:7:7::/a:\nu:x:7:7::/b:\n", 0, "/a"},
    {"after noise", "\n:\n::::::\n#u:x:7\n+::::::\nu:x:7:7::/a:\n", 0, "/a"},
    {"empty", "", -ENOENT, ""},
    {"other", "u:x:77:7::/a:\n", -ENOENT, ""},
    {"group only", "u:x:8:7::/a:\n", -ENOENT, ""},
    {"cut", "u:x:7:7:", -ENOENT, ""},
    {"no home", "u:x:7:7:::\n", -ENOENT, ""},
    {"home not absolute", "u:x:7:7::a:\n", -ENOENT, ""},
    {"hexadecimal", "u:x:0x7:7::/a:\n", -ENOENT, ""},
    {"wrapped round", "u:x:4294967303:7::/a:\n", -ENOENT, ""},
};

static void test_homes(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(passwds); i++) {
        struct span found = {"", 0};
        int r = host_find_home(span_of(passwds[i].text), 7, &found);

        check_found(passwds[i].row, r, found, passwds[i].r, passwds[i].home);
    }
}

static const struct {
    const char *row;
    const char *text;
    int r;
    uint32_t pid;
} statuses[] = {
    {"one namespace", "Name:\tx\nNSpid:\t4711\nNSpgid:\t1\n", 0, 4711},
    {"three namespaces", "NSpid:\t4711\t12\t1\n", 0, 1},
    {"empty", "", -EBADMSG, 0},
    {"none", "Name:\tNSpid:\t1\nPid:\t1\n", -EBADMSG, 0},
    {"no number", "NSpid:\t\n", -EBADMSG, 0},
    {"zero", "NSpid:\t0\n", -EBADMSG, 0},
    {"not a number", "NSpid:\t12 \n", -EBADMSG, 0},
    {"too large", "NSpid:\t4294967296\n", -EBADMSG, 0},
};

static void test_ns_pids(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
        uint32_t pid = 0;
        int r = host_find_ns_pid(span_of(statuses[i].text), &pid);

        if (r != statuses[i].r || pid != statuses[i].pid)
            fail_msg("[%s] is %d %u", statuses[i].row, r, pid);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logs),     cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_whose),    cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_captured), cmocka_unit_test(test_environments),
        cmocka_unit_test(test_homes),    cmocka_unit_test(test_ns_pids),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
