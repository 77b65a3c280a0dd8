// SPDX-License-Identifier: Apache-2.0
/*
 * test_gpu_nvml_layout.c - MIG instances, unified memory, and GPUs that come and go
 */
#include "gpu/gpu_backend.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "test_gpu_nvml.h"

/* "UUID<PARENT#INSTANCE USED/TOTAL [PROCESSES] ..." of all rows; "?" for UNKNOWN. */
static const char *rows(void)
{
    static char text[4096];
    size_t len = 0;

    text[0] = '\0';
    for (uint32_t i = 0; i < sample.n_devices; i++) {
        const struct gpu_device *d = &sample.devices[i];
        char instance[16] = "", used[32] = "?", total[32] = "?";

        if (d->instance != GPU_NO_INSTANCE)
            (void)snprintf(instance, sizeof(instance), "#%u", d->instance);
        if (d->mem_used_bytes != UNKNOWN)
            (void)snprintf(used, sizeof(used), "%" PRIu64, d->mem_used_bytes);
        if (d->mem_total_bytes != UNKNOWN)
            (void)snprintf(total, sizeof(total), "%" PRIu64, d->mem_total_bytes);
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s%s%s%s %s/%s [%s]",
                                len ? " " : "", d->uuid, d->parent_uuid[0] ? "<" : "",
                                d->parent_uuid, instance, used, total, processes_of(i));
    }
    return text;
}

#define PARTED "device GPU-a A100\nmemory 40000 100 9000\nmig on\n"
#define TWO_INSTANCES                                               \
    PARTED "instance 0 1 MIG-1 A100 MIG 3g\nmemory 20000 50 5000\n" \
           "process compute 7 4000\n"                               \
           "instance 2 5 MIG-5 A100 MIG 1g\nmemory 5000 10 3000\n"  \
           "process compute 8 2000\nprocess graphics 8 2001\n"

static const struct {
    const char *row;
    const char *script;
    const char *rows;
    const char *reason; // of one of them; "": none has one
    bool incomplete;
} layouts[] = {
    {"instances in place of their GPU", TWO_INSTANCES,
     "MIG-1<GPU-a#1 5000/20000 [7/4000] MIG-5<GPU-a#5 3000/5000 [8/2001]", "", false},
    {"beside a whole GPU", TWO_INSTANCES "device GPU-b B\nmemory 7 0 3\nmig off\n",
     "MIG-1<GPU-a#1 5000/20000 [7/4000] MIG-5<GPU-a#5 3000/5000 [8/2001] GPU-b 3/7 []",
     "", false},
    {"a GPU that does not know MIG", "device GPU-b B\nmemory 7 0 3\n", "GPU-b 3/7 []", "",
     false},
    {"no instance yet", PARTED, "GPU-a 9000/40000 []", "no instance of it", false},
    {"instances that cannot be counted",
     TWO_INSTANCES "error DeviceGetMaxMigDeviceCount 999\n",
     "GPU-a 9000/40000 [7/4000 8/2001]", "does not list", false},
    {"compute instances share a GPU instance",
     PARTED "instance 0 1 MIG-1 x\nmemory 20000 50 5000\nprocess compute 7 4000 1 0\n"
            "instance 1 1 MIG-2 x\nmemory 20000 50 5000\nprocess compute 8 500 1 1\n",
     "MIG-1<GPU-a#1 5000/20000 [7/4000 8/500]", "share its memory", false},
    {"lists refused, parent's allowed",
     TWO_INSTANCES "error DeviceGetComputeRunningProcesses_v3 4 0/0\n"
                   "error DeviceGetComputeRunningProcesses_v3 3 0/2\n",
     "MIG-1<GPU-a#1 5000/20000 [7/4000] MIG-5<GPU-a#5 3000/5000 [8/2001]", "", false},
    {"lists refused, parent's without instances",
     TWO_INSTANCES "error DeviceGetComputeRunningProcesses_v3 13\n"
                   "error DeviceGetComputeRunningProcesses_v2 13\n"
                   "error DeviceGetComputeRunningProcesses 4 0/0\n",
     "MIG-1<GPU-a#1 5000/20000 [] MIG-5<GPU-a#5 3000/5000 [8/2000 8/2001]", "", true},
    {"all lists refused",
     TWO_INSTANCES "error DeviceGetComputeRunningProcesses_v3 4 0\n"
                   "error DeviceGetComputeRunningProcesses_v3 4 0/0\n",
     "MIG-1<GPU-a#1 5000/20000 [] MIG-5<GPU-a#5 3000/5000 [8/2001]", "run as root", true},
    {"memory refused", TWO_INSTANCES "error DeviceGetMemoryInfo_v2 4 0/0\n",
     "MIG-1<GPU-a#1 ?/? [7/4000] MIG-5<GPU-a#5 3000/5000 [8/2001]", "/dev/nvidia-caps",
     false},
    {"memory of an instance is never the host's",
     TWO_INSTANCES
     "error DeviceGetMemoryInfo_v2 3 0/0\nerror DeviceGetMemoryInfo 3 0/0\n",
     "MIG-1<GPU-a#1 ?/? [7/4000] MIG-5<GPU-a#5 3000/5000 [8/2001]", "not supported",
     false},
    {"instance cannot be opened", TWO_INSTANCES "error DeviceGetGpuInstanceId 4 0/2\n",
     "MIG-1<GPU-a#1 5000/20000 [7/4000] <GPU-a ?/? []", "a MIG instance cannot be opened",
     true},
    {"an instance without UUID", TWO_INSTANCES "error DeviceGetUUID 3 0/2\n",
     "MIG-1<GPU-a#1 5000/20000 [7/4000] <GPU-a#5 3000/5000 [8/2001]", "", false},
    {"unified", "device GPU-a GB10\nunified\nprocess compute 7 4096\n",
     "GPU-a 614400/1024000 [7/4096]", "whole host", false},
    {"two unified",
     "device GPU-a X\nunified\nprocess compute 7 4096\n"
     "device GPU-b X\nunified\nprocess compute 8 4096\n",
     "GPU-a 614400/1024000 [7/4096] GPU-b ?/? [8/4096]", "counted at device 0", false},
    {"an error is not unified",
     "device GPU-a X\nunified\nerror DeviceGetMemoryInfo_v2 999\n", "GPU-a ?/? []",
     "unknown error", false},
};

static const char MEMINFO[] = "MemTotal:           1000 kB\nMemFree:             100 kB\n"
                              "MemAvailable:        400 kB\n";

static void test_layouts(void **state)
{
    (void)state;
    files_write("meminfo", MEMINFO);
    for (size_t i = 0; i < ARRAY_LEN(layouts); i++) {
        struct gpu_source *source = nvml_open_good(FAKE_NVML_PATH, layouts[i].script);
        bool said_so = layouts[i].reason[0] == '\0';

        assert_int_equal(take(source, SECOND, true), 0);
        for (uint32_t k = 0; k < sample.n_devices; k++)
            said_so = layouts[i].reason[0]
                          ? said_so || strstr(sample.devices[k].reason, layouts[i].reason)
                          : said_so && !sample.devices[k].reason[0];
        if (strcmp(rows(), layouts[i].rows) != 0 || !said_so ||
            (sample.processes_incomplete == 1) != layouts[i].incomplete)
            fail_msg("[%s] %s, %u, \"%s\"", layouts[i].row, rows(),
                     sample.processes_incomplete, sample.devices[0].reason);
        gpu_nvml.close(source);
    }
}

static void test_instance_tells_what_it_is(void **state)
{
    struct gpu_source *source = nvml_open_good(FAKE_NVML_PATH, TWO_INSTANCES);
    const struct gpu_device *d = sample.devices;

    (void)state;
    assert_int_equal(take(source, SECOND, true), 0);
    assert_string_equal(d[1].name, "A100 MIG 1g");
    assert_int_equal(d[1].index, 0);
    assert_int_equal(d[1].mem_reserved_bytes, 10);
    assert_int_equal(d[1].unified, 0);
    assert_int_equal(d[0].mem_total_bytes + d[1].mem_total_bytes, 25000);
    gpu_nvml.close(source);
}

static const struct {
    const char *row;
    const char *text;
    uint64_t total, used;
    const char *reason;
} meminfos[] = {
    {"all free", "MemTotal: 8 kB\nMemAvailable: 8 kB\n", 8192, 0, "whole host"},
    {"nothing free", "MemTotal: 8 kB\nMemAvailable: 0 kB\n", 8192, 8192, "whole host"},
    {"more free than there is", "MemTotal: 8 kB\nMemAvailable: 9 kB\n", UNKNOWN, UNKNOWN,
     "meminfo"},
    {"no MemAvailable", "MemTotal: 8 kB\nMemFree: 8 kB\n", UNKNOWN, UNKNOWN, "meminfo"},
    {"name inside a line", "XMemTotal: 8 kB\nMemAvailable: 0 kB\n", UNKNOWN, UNKNOWN,
     "meminfo"},
    {"other unit", "MemTotal: 8 MB\nMemAvailable: 0 kB\n", UNKNOWN, UNKNOWN, "meminfo"},
    {"no number", "MemTotal: -8 kB\nMemAvailable: 0 kB\n", UNKNOWN, UNKNOWN, "meminfo"},
    {"too large", "MemTotal: 18014398509481985 kB\nMemAvailable: 0 kB\n", UNKNOWN,
     UNKNOWN, "meminfo"},
    {"cut off", "MemTotal: 8 kB\nMemAvailable: 0", UNKNOWN, UNKNOWN, "meminfo"},
    {"empty", "", UNKNOWN, UNKNOWN, "meminfo"},
};

static void test_meminfos(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(meminfos); i++) {
        struct gpu_source *source =
            nvml_open_good(FAKE_NVML_PATH, "device GPU-a X\nunified\n");
        const struct gpu_device *d = &sample.devices[0];

        files_write("meminfo", meminfos[i].text);
        assert_int_equal(take(source, SECOND, true), 0);
        if (d->mem_total_bytes != meminfos[i].total ||
            d->mem_used_bytes != meminfos[i].used || d->unified != 1 ||
            d->mem_reserved_bytes != UNKNOWN || !strstr(d->reason, meminfos[i].reason))
            fail_msg("[%s] %" PRIu64 " of %" PRIu64 ", \"%s\"", meminfos[i].row,
                     d->mem_used_bytes, d->mem_total_bytes, d->reason);
        gpu_nvml.close(source);
    }
}

#define A "device GPU-a A\nmemory 1000 0 1\n"
#define B "device GPU-b B\nmemory 1000 0 2\n"
#define LATCH "latch\n"

/* A GPU that is back needs the library to be started again: after 5, 10, 20, 40, 60 s. */
static void test_lost_until_started_again(void **state)
{
    static const unsigned starts[] = {7, 17, 37, 77, 137, 197}; // seconds
    struct gpu_source *source = nvml_open_good(FAKE_NVML_PATH, LATCH A B);
    unsigned n = 0;

    (void)state;
    assert_int_equal(take(source, SECOND, true), 0);
    files_write("script", LATCH A B "lost\n");
    for (unsigned s = 1; s < 200; s++) {
        assert_int_equal(take(source, s * SECOND, true), 0);
        assert_string_equal(rows(), "GPU-a 1/1000 [] GPU-b ?/? []");
        n += n < ARRAY_LEN(starts) && starts[n] == s;
        if (files_count("calls", "Init_v2") != 1 + n)
            fail_msg("after %u s: started %u times", s, files_count("calls", "Init_v2"));
    }
    files_write("script", LATCH A B);
    assert_int_equal(take(source, 256 * SECOND, true), 0);
    assert_string_equal(rows(), "GPU-a 1/1000 [] GPU-b ?/? []");
    assert_int_equal(take(source, 257 * SECOND, true), 0);
    assert_string_equal(rows(), "GPU-a 1/1000 [] GPU-b 2/1000 []");
    assert_string_equal(sample.devices[1].reason, "");
    gpu_nvml.close(source);
}

static void test_library_does_not_start_again(void **state)
{
    struct gpu_source *source = nvml_open_good(FAKE_NVML_PATH, A B "lost\n");

    (void)state;
    assert_int_equal(take(source, SECOND, true), 0);
    assert_int_equal(take(source, 2 * SECOND, true), 0);
    files_write("script", A B "lost\nerror Init_v2 18\n");
    assert_int_equal(take(source, 7 * SECOND, true), -EPROTO);
    assert_int_equal(said.verdict, GPU_VERSION_MISMATCH);
    gpu_nvml.close(source);
    assert_int_equal(files_count("calls", "Shutdown"), 1); // it was not running any more
}

static void test_count_changes(void **state)
{
    struct gpu_source *source = nvml_open_good(FAKE_NVML_PATH, A);

    (void)state;
    assert_int_equal(take(source, SECOND, true), 0);
    files_write("script", A B);
    assert_int_equal(take(source, 10 * SECOND, true), 0);
    assert_string_equal(rows(), "GPU-a 1/1000 []");
    assert_int_equal(take(source, 11 * SECOND, true), 0);
    assert_string_equal(rows(), "GPU-a 1/1000 [] GPU-b 2/1000 []");
    assert_int_equal(files_count("calls", "Init_v2"), 2);
    for (unsigned s = 12; s < 100; s++)
        assert_int_equal(take(source, s * SECOND, true), 0);
    assert_int_equal(files_count("calls", "Init_v2"), 2);
    gpu_nvml.close(source);
}

/* An instance that is destroyed is missed at once; a new one is found within 10 s. */
static void test_partition_changes(void **state)
{
    struct gpu_source *source = nvml_open_good(FAKE_NVML_PATH, TWO_INSTANCES);

    (void)state;
    assert_int_equal(take(source, SECOND, false), 0);
    files_write("script", PARTED "instance 0 1 MIG-1 x\nmemory 20000 50 5000\n");
    assert_int_equal(take(source, 2 * SECOND, false), 0);
    assert_string_equal(rows(), "MIG-1<GPU-a#1 5000/20000 [] MIG-5<GPU-a#5 ?/? []");
    assert_int_equal(take(source, 3 * SECOND, false), 0);
    assert_string_equal(rows(), "MIG-1<GPU-a#1 5000/20000 []");
    files_write("script", TWO_INSTANCES);
    assert_int_equal(take(source, 13 * SECOND, false), 0);
    assert_string_equal(rows(), "MIG-1<GPU-a#1 5000/20000 [] MIG-5<GPU-a#5 3000/5000 []");
    files_write("script", "device GPU-a A100\nlost\n");
    assert_int_equal(take(source, 23 * SECOND, false), 0);
    assert_string_equal(rows(), "MIG-1<GPU-a#1 ?/? [] MIG-5<GPU-a#5 ?/? []");
    gpu_nvml.close(source);
}

/* The dear list: after each look, and as long as there was something in it. */
static void test_graphics_list_is_read_rarely(void **state)
{
    struct gpu_source *source = nvml_open_good(FAKE_NVML_PATH, A);

    (void)state;
    for (unsigned s = 1; s <= 20; s++)
        assert_int_equal(take(source, s * SECOND, true), 0);
    assert_int_equal(files_count("calls", "DeviceGetGraphicsRunningProcesses_v3"), 2);
    assert_int_equal(files_count("calls", "DeviceGetComputeRunningProcesses_v3"), 20);
    files_write("script", A "process graphics 9 1\n");
    for (unsigned s = 21; s <= 30; s++) {
        assert_int_equal(take(source, s * SECOND, true), 0);
        assert_string_equal(processes_of(0), "9/1");
    }
    assert_int_equal(files_count("calls", "DeviceGetGraphicsRunningProcesses_v3"), 12);
    gpu_nvml.close(source);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layouts),
        cmocka_unit_test(test_instance_tells_what_it_is),
        cmocka_unit_test(test_meminfos),
        cmocka_unit_test(test_lost_until_started_again),
        cmocka_unit_test(test_library_does_not_start_again),
        cmocka_unit_test(test_count_changes),
        cmocka_unit_test(test_partition_changes),
        cmocka_unit_test(test_graphics_list_is_read_rarely),
    };

    return cmocka_run_group_tests(tests, nvml_setup, files_teardown);
}
