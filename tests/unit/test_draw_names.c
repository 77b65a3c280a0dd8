// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tui/draw_parts.h"

#include <stdio.h>

enum { HOSTS_MAX = 3 };

/* What is left of a name among the others. */
static const struct {
    const char *names[HOSTS_MAX];
    const char *labels[HOSTS_MAX];
} hosts[] = {
    {{"a100-1:6767", "a100-2:6767"}, {"a100-1", "a100-2"}},
    {{"a100-1:6767", "a100-2:7000"}, {"a100-1:6767", "a100-2:7000"}},
    {{"n1.rack.example:6767", "n2.rack.example:6767"}, {"n1", "n2"}},
    {{"gpu.a.example:6767", "gpu.b.example:6767", "n2.a.example:6767"},
     {"gpu.a.example", "gpu.b.example", "n2"}},
    {{"gpu.a.example:1", "gpu.a.example:2"}, {"gpu:1", "gpu:2"}},
    {{"10.0.0.1:6767", "10.0.0.2:6767"}, {"10.0.0.1", "10.0.0.2"}},
    {{"[fe80::1]:6767", "[fe80::2]:6767"}, {"[fe80::1]", "[fe80::2]"}},
    {{"[fe80::1]", "[fe80::2]"}, {"[fe80::1]", "[fe80::2]"}},
    {{"/run/a.sock", "gpu.example:6767"}, {"/run/a.sock", "gpu:6767"}},
    {{".hidden:1", "", "gpu:1"}, {".hidden:1", "", "gpu:1"}},
};

static const struct {
    const char *name, *kind;
    int64_t instance;
    bool unified;
} kinds[] = {
    {"NVIDIA H100 80GB HBM3", "H100", VRAMSCOPE_UNKNOWN, false},
    {"NVIDIA A100-SXM4-80GB", "A100-SXM4", VRAMSCOPE_UNKNOWN, false},
    {"NVIDIA GeForce RTX 4090", "RTX 4090", VRAMSCOPE_UNKNOWN, false},
    {"NVIDIA RTX 6000 Ada Generation", "RTX 6000 Ada Generation", VRAMSCOPE_UNKNOWN,
     false},
    {"Simulated 80 GiB GPU", "Simulated", VRAMSCOPE_UNKNOWN, false},
    {"Tesla T4", "T4", VRAMSCOPE_UNKNOWN, false},
    {"AMD Instinct MI300X", "MI300X", VRAMSCOPE_UNKNOWN, false},
    {"Intel GPU 0x56a0", "GPU 0x56a0", VRAMSCOPE_UNKNOWN, false},
    {"NVIDIA H100 80GB HBM3 MIG 3g.40gb", "MIG 3g.40gb", 1, false},
    {"NVIDIA GB10", "host memory", VRAMSCOPE_UNKNOWN, true},
    {"80GB", "80GB", VRAMSCOPE_UNKNOWN, false},
    {"A 800GBX", "A 800GBX", VRAMSCOPE_UNKNOWN, false},
    {"NVIDIA ", "", VRAMSCOPE_UNKNOWN, false},
    {"", "", VRAMSCOPE_UNKNOWN, false},
    {NULL, "", VRAMSCOPE_UNKNOWN, false},
};

static void expect(size_t row, const char *found, const char *expected)
{
    if (strcmp(found, expected) != 0)
        fail_msg("row %zu is \"%s\", expected \"%s\"", row, found, expected);
}

static void test_hosts(void **state)
{
    static struct view view;
    static struct host all[HOSTS_MAX];
    struct host *lent[HOSTS_MAX];
    char label[HOST_NAME_SIZE];

    (void)state;
    view.hosts = lent;
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        for (view.n_hosts = 0; view.n_hosts < HOSTS_MAX; view.n_hosts++) {
            if (!hosts[i].names[view.n_hosts])
                break;
            lent[view.n_hosts] = &all[view.n_hosts];
            snprintf(all[view.n_hosts].name, HOST_NAME_SIZE, "%s",
                     hosts[i].names[view.n_hosts]);
        }
        for (size_t k = 0; k < view.n_hosts; k++) {
            host_label(label, &view, lent[k]);
            expect(i, label, hosts[i].labels[k]);
        }
    }
}

static void test_kinds(void **state)
{
    char kind[DEVICE_KIND_SIZE];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct vramscope_device device = {
            .name = kinds[i].name,
            .instance = kinds[i].instance,
            .unified = kinds[i].unified,
        };

        device_kind(kind, &device);
        expect(i, kind, kinds[i].kind);
    }
}

/* A number that two makers use says whose it is. */
static void test_devices(void **state)
{
    struct vramscope_device first = {
        .backend = "nvml", .index = 0, .instance = VRAMSCOPE_UNKNOWN};
    struct vramscope_device second = {.backend = "nvml", .index = 1, .instance = 2};
    const struct vramscope_device *devices[] = {&first, &second};
    struct vramscope_detail detail = {.n_devices = 2, .devices = devices};
    static const struct {
        const char *backend, *first, *second, *number;
    } rows[] = {
        {"nvml", "GPU 0", "GPU 1/2", "1/2"},
        {"amdgpu", "NV 0", "AMD 1/2", "AMD 1/2"},
        {"xe", "NV 0", "Intel 1/2", "Intel 1/2"},
        {"other", "NV 0", "other 1/2", "other 1/2"},
        {NULL, "NV 0", "GPU 1/2", "1/2"},
    };
    char label[DEVICE_LABEL_SIZE];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        second.backend = rows[i].backend;
        device_label(label, &detail, &first);
        expect(i, label, rows[i].first);
        device_label(label, &detail, &second);
        expect(i, label, rows[i].second);
        device_number(label, &detail, &second);
        expect(i, label, rows[i].number);
    }
    assert_ptr_equal(device_of(&detail, 1), &second);
    assert_null(device_of(&detail, 2));
    assert_null(device_of(&detail, -1));
    assert_null(device_of(NULL, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_devices),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
