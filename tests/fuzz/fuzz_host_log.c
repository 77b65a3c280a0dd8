// SPDX-License-Identifier: Apache-2.0
/*
 * What is found in a text of another process lies inside of that text and in its bounds,
 * and is found again where it is written out plainly.
 */
#include "host/host_text.h"
#include "host/log_kv.h"
#include "host/model_files.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_inside(struct span text, struct span found)
{
    assert(found.at >= text.at && found.at + found.len <= text.at + text.len);
}

static void check_range(const struct log_range *range)
{
    assert(range->n == 0 || range->lowest <= range->highest);
    assert(range->n > 0 || (range->lowest == 0 && range->highest == 0));
    assert(range->highest <= UINT64_C(1) << 50);
}

static void try_log(struct span text)
{
    struct log_kv kv, again;
    char line[256];
    int n;

    if (log_find_kv(text, &kv) < 0)
        return;
    check_range(&kv.available_bytes);
    check_range(&kv.reserved_bytes);
    check_range(&kv.loaded_bytes);
    check_range(&kv.size_tokens);
    assert(kv.available_bytes.n || kv.reserved_bytes.n || kv.loaded_bytes.n ||
           kv.size_tokens.n);
    if (!kv.size_tokens.n)
        return;
    n = snprintf(line, sizeof(line), "INFO 01-02 03:04:05 [a.py:1] GPU KV cache size: ");
    if (kv.size_tokens.highest < 1000)
        n += snprintf(line + n, sizeof(line) - (size_t)n, "%" PRIu64 " tokens\n",
                      kv.size_tokens.highest);
    else if (kv.size_tokens.highest < 1000000)
        n += snprintf(line + n, sizeof(line) - (size_t)n,
                      "%" PRIu64 ",%03" PRIu64 " tokens\n", kv.size_tokens.highest / 1000,
                      kv.size_tokens.highest % 1000);
    else
        return;
    assert(log_find_kv((struct span){line, (size_t)n}, &again) == 0);
    assert(again.size_tokens.n == 1);
    assert(again.size_tokens.lowest == kv.size_tokens.highest);
}

static void try_environment(struct span text)
{
    static const char *const names[] = {"HOME", "HF_HOME", "A"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct span found;

        if (host_find_variable(text, names[i], &found) < 0)
            continue;
        check_inside(text, found);
        assert(!memchr(found.at, '\0', found.len));
        assert(found.at[found.len] == '\0' && found.at[-1] == '=');
    }
}

static void try_passwd(struct span text)
{
    struct span home;

    if (host_find_home(text, 0, &home) < 0)
        return;
    check_inside(text, home);
    assert(home.len > 0 && home.at[0] == '/');
    assert(!memchr(home.at, '\n', home.len) && !memchr(home.at, ':', home.len));
}

static void try_status(struct span text)
{
    uint32_t pid;

    if (host_find_ns_pid(text, &pid) == 0)
        assert(pid > 0 && pid <= INT32_MAX);
}

/* A name or revision becomes part of a path: none may lead upwards or hide. */
static void try_names(struct span text)
{
    if (!model_is_hub_name(text) && !model_is_revision(text))
        return;
    assert(text.len > 0 && text.at[0] != '/' && text.at[text.len - 1] != '/');
    for (size_t i = 0; i < text.len; i++) {
        assert(text.at[i] > ' ' && text.at[i] < '~' && text.at[i] != '\\');
        assert(text.at[i] != '.' || (i > 0 && text.at[i - 1] != '/'));
        assert(i == 0 || text.at[i] != text.at[i - 1] || !strchr("./-", text.at[i]));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = {(const char *)data, size};

    try_log(text);
    try_environment(text);
    try_passwd(text);
    try_status(text);
    try_names(text);
    return 0;
}
