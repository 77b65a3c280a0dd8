// SPDX-License-Identifier: Apache-2.0
/*
 * test_gpu_nvml.c - the NVML back end against a scripted library (tests/fake_nvml)
 *
 * The back end runs in this process; the time that it sees is the sample's.
 */
#include "gpu/gpu_backend.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "test_gpu_allocs.h"
#include "test_gpu_nvml.h"

/* Why there is no driver to talk to. */
static const struct {
    const char *row;
    const char *library; // NULL: the fake one
    const char *script;
    int r;
    enum gpu_verdict verdict;
    const char *reason;
} openings[] = {
    {"no such path", "/nonexistent/libnvidia-ml.so.1", "", -ENODEV, GPU_NO_LIBRARY,
     "/nonexistent/libnvidia-ml.so.1"},
    {"no such name", "libvramscope-nonexistent.so.1", "", -ENODEV, GPU_NO_LIBRARY,
     "libvramscope-nonexistent.so.1"},
    {"no ELF file", "script", "error\n", -ELIBBAD, GPU_BAD_LIBRARY, "script"},
    {"a folder", "/tmp", "", -ELIBBAD, GPU_BAD_LIBRARY, "/tmp"},
    {"another library", "libm.so.6", "", -ELIBBAD, GPU_BAD_LIBRARY,
     "libm.so.6 has no nvmlInit_v2"},
    {"driver not loaded", NULL, "error Init_v2 9\n", -ENODEV, GPU_NO_DRIVER,
     "not loaded (error 9)"},
    {"upgraded", NULL, "error Init_v2 18\n", -EPROTO, GPU_VERSION_MISMATCH, "version"},
    {"no permission", NULL, "error Init_v2 4\n", -EACCES, GPU_NO_PERMISSION,
     "permission"},
    {"cgroup", NULL, "error Init_v2 17\n", -EPERM, GPU_NO_PERMISSION, "cgroup"},
    {"part missing", NULL, "error Init_v2 12\n", -ELIBACC, GPU_BAD_LIBRARY, "library"},
    {"unknown", NULL, "error Init_v2 999\n", -EIO, GPU_FAILED, "error 999"},
    {"from the future", NULL, "error Init_v2 1234\n", -EIO, GPU_FAILED, "error 1234"},
};

static void test_openings(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(openings); i++) {
        struct gpu_source *source = NULL;
        const char *library = openings[i].library ? openings[i].library : FAKE_NVML_PATH;
        int r;

        files_write("script", openings[i].script);
        if (strcmp(library, "script") == 0)
            library = files_path("script");
        r = nvml_open(library, &source);
        if (r != openings[i].r || said.verdict != openings[i].verdict || source ||
            !strstr(said.reason, openings[i].reason))
            fail_msg("[%s] is %d, %s, \"%s\"", openings[i].row, r,
                     gpu_verdict_name(said.verdict), said.reason);
    }
}

static void test_two_devices(void **state)
{
    struct gpu_source *source =
        nvml_open_good(FAKE_NVML_PATH, "driver 535.183.01\n"
                                       "device GPU-aaaa NVIDIA H100 80GB HBM3\n"
                                       "memory 85899345920 600000000 78571110400\n"
                                       "process compute 4000000000 70000000000\n"
                                       "process compute 12 8000000000\n"
                                       "device GPU-bbbb NVIDIA H100 80GB HBM3\n"
                                       "memory 85899345920 600000000 0\n");
    const struct gpu_device *d = sample.devices;

    (void)state;
    assert_string_equal(said.driver_version, "535.183.01");
    assert_int_equal(take(source, SECOND, true), 0);
    assert_int_equal(sample.n_devices, 2);
    assert_string_equal(d[0].uuid, "GPU-aaaa");
    assert_string_equal(d[0].name, "NVIDIA H100 80GB HBM3");
    assert_int_equal(d[0].index, 0);
    assert_int_equal(d[0].mem_total_bytes, 85899345920);
    assert_int_equal(d[0].mem_used_bytes, 78571110400);
    assert_int_equal(d[0].mem_reserved_bytes, 600000000);
    assert_string_equal(d[0].reason, "");
    assert_string_equal(d[1].uuid, "GPU-bbbb");
    assert_int_equal(d[1].index, 1);
    assert_int_equal(d[1].mem_used_bytes, 0);
    assert_string_equal(processes_of(0), "4000000000/70000000000 12/8000000000");
    assert_string_equal(processes_of(1), "");
    assert_int_equal(sample.processes_incomplete, 0);

    assert_int_equal(take(source, SECOND, false), 0);
    assert_int_equal(sample.n_processes, 0);
    gpu_nvml.close(source);
    assert_int_equal(files_count("calls", "Init_v2"), 1);
    assert_int_equal(files_count("calls", "Shutdown"), 1);
}

/* What one device gives; the row below its first line. */
static const struct {
    const char *row;
    const char *library;
    const char *script; // after the device's first line
    uint64_t total, used, reserved;
    const char *reason; // "": none
    const char *processes;
    bool incomplete;
} devices[] = {
    {"plain", FAKE_NVML_PATH, "memory 1000 50 600\nprocess compute 7 500\n", 1000, 600,
     50, "", "7/500", false},
    {"in both lists", FAKE_NVML_PATH,
     "memory 1000 0 600\nprocess compute 7 500\nprocess mps 7 400\nprocess mps 8 9\n",
     1000, 600, 0, "", "7/500 8/9", false},
    {"in both lists, larger second", FAKE_NVML_PATH,
     "memory 1000 0 600\nprocess compute 7 400\nprocess mps 7 500\n", 1000, 600, 0, "",
     "7/500", false},
    {"in both lists, one hidden", FAKE_NVML_PATH,
     "memory 1000 0 600\nprocess compute 7 none\nprocess mps 7 500\n", 1000, 600, 0, "",
     "7/500", false},
    {"instances are not one", FAKE_NVML_PATH,
     "memory 1000 0 600\nprocess compute 7 100 1 0\nprocess compute 7 200 2 0\n"
     "process mps 7 200 2 0\n",
     1000, 600, 0, "", "7/100 7/200", false},
    {"hidden bytes", FAKE_NVML_PATH, "memory 1000 0 600\nprocess compute 7 none\n", 1000,
     600, 0, "", "7/?", false},
    {"process larger than the device", FAKE_NVML_PATH,
     "memory 1000 0 600\nprocess compute 7 1001\n", 1000, 600, 0, "process 7", "7/?",
     false},
    {"used more than there is", FAKE_NVML_PATH, "memory 1000 0 1001\n", 1000, UNKNOWN, 0,
     "1001 of 1000", "", false},
    {"no figures", FAKE_NVML_PATH, "memory none none none\n", UNKNOWN, UNKNOWN, UNKNOWN,
     "does not tell", "", false},
    {"memory v2 not on this device", FAKE_NVML_PATH,
     "error DeviceGetMemoryInfo_v2 3\nmemory 1000 50 600\n", 1000, 650, UNKNOWN,
     "own share", "", false},
    {"graphics", FAKE_NVML_PATH,
     "memory 1000 0 600\nprocess graphics 7 5\nprocess graphics 8 none\n", 1000, 600, 0,
     "", "7/5 8/?", false},
    {"in all three lists", FAKE_NVML_PATH,
     "memory 1000 0 600\nprocess compute 7 500\nprocess mps 7 501\n"
     "process graphics 7 499\nprocess graphics 8 9\n",
     1000, 600, 0, "", "7/501 8/9", false},
    {"in two lists of which one is old", FAKE_NVML_PATH,
     "memory 1000 0 600\nprocess compute 7 500\nprocess graphics 7 600\n"
     "error DeviceGetGraphicsRunningProcesses_v3 13\n",
     1000, 600, 0, "", "7/600", false},
    {"all ones in one list", FAKE_NVML_PATH,
     "memory 1000 0 600\nprocess compute 7 500\nprocess graphics 7 none\n", 1000, 600, 0,
     "", "7/500", false},
    {"no graphics", FAKE_NVML_PATH,
     "memory 1000 0 600\nerror DeviceGetGraphicsRunningProcesses_v3 3\n", 1000, 600, 0,
     "", "", false},
    {"graphics list fails", FAKE_NVML_PATH,
     "memory 1000 0 600\nprocess compute 7 5\n"
     "error DeviceGetGraphicsRunningProcesses_v3 999\n",
     1000, 600, 0, "cannot be listed", "7/5", true},
    {"lost", FAKE_NVML_PATH, "lost\nmemory 1000 0 600\n", UNKNOWN, UNKNOWN, UNKNOWN,
     "fallen off the bus (NVML error 15)", "", true},
    {"needs a reset", FAKE_NVML_PATH,
     "error DeviceGetMemoryInfo_v2 16\nmemory 1000 0 1\n", UNKNOWN, UNKNOWN, UNKNOWN,
     "reset", "", false},
    {"timeout", FAKE_NVML_PATH, "error DeviceGetMemoryInfo_v2 10\nmemory 1000 0 1\n",
     UNKNOWN, UNKNOWN, UNKNOWN, "in time", "", false},
    {"unknown error", FAKE_NVML_PATH,
     "error DeviceGetMemoryInfo_v2 999\nmemory 1000 0 1\n", UNKNOWN, UNKNOWN, UNKNOWN,
     "unknown error", "", false},
    {"not our device", FAKE_NVML_PATH,
     "error DeviceGetHandleByIndex_v2 4\nmemory 1 0 1\n", UNKNOWN, UNKNOWN, UNKNOWN,
     "permission", "", true},
    {"list refused", FAKE_NVML_PATH,
     "memory 1000 0 600\nerror DeviceGetComputeRunningProcesses_v3 999\n"
     "process mps 8 9\n",
     1000, 600, 0, "cannot be listed", "8/9", true},
    {"no list on this device", FAKE_NVML_PATH,
     "memory 1000 0 600\nerror DeviceGetComputeRunningProcesses_v3 3\n", 1000, 600, 0,
     "cannot be listed: not supported", "", true},
    {"no MPS", FAKE_NVML_PATH,
     "memory 1000 0 600\nprocess compute 7 5\n"
     "error DeviceGetMPSComputeRunningProcesses_v3 3\n",
     1000, 600, 0, "", "7/5", false},
    {"MPS list fails", FAKE_NVML_PATH,
     "memory 1000 0 600\nprocess compute 7 5\n"
     "error DeviceGetMPSComputeRunningProcesses_v3 10\n",
     1000, 600, 0, "cannot be listed", "7/5", true},
    {"list always grows", FAKE_NVML_PATH, "memory 1000 0 600\ngrowing\n", 1000, 600, 0,
     "too many", "", true},
    {"kernel driver older than v3", FAKE_NVML_PATH,
     "memory 1000 0 600\nprocess compute 7 5 1 2\nprocess compute 9 6\n"
     "error DeviceGetComputeRunningProcesses_v3 13\n",
     1000, 600, 0, "", "7/5 9/6", false},
    {"kernel driver older than v2", FAKE_NVML_PATH,
     "memory 1000 0 600\nprocess compute 7 5 1 2\nprocess compute 9 6\n"
     "error DeviceGetComputeRunningProcesses_v3 13\n"
     "error DeviceGetComputeRunningProcesses_v2 25\n",
     1000, 600, 0, "", "7/5 9/6", false},
    {"older than all lists", FAKE_NVML_PATH,
     "memory 1000 0 600\nerror DeviceGetComputeRunningProcesses_v3 13\n"
     "error DeviceGetComputeRunningProcesses_v2 13\n"
     "error DeviceGetComputeRunningProcesses 13\n",
     1000, 600, 0, "cannot do it", "", true},
    {"memory v2 unknown to the driver", FAKE_NVML_PATH,
     "memory 1000 50 600\nerror DeviceGetMemoryInfo_v2 13\n", 1000, 650, UNKNOWN,
     "own share", "", false},
    {"memory v2 of another version", FAKE_NVML_PATH,
     "memory 1000 50 600\nerror DeviceGetMemoryInfo_v2 25\n", 1000, 650, UNKNOWN,
     "own share", "", false},
    {"old library", FAKE_NVML_V1_PATH,
     "memory 1000 50 600\nprocess compute 7 5\nprocess compute 9 6\nprocess mps 9 7\n"
     "process graphics 9 8\n",
     1000, 650, UNKNOWN, "own share", "7/5 9/8", false},
    {"old library, all ones", FAKE_NVML_V1_PATH,
     "memory 1000 50 none\nprocess compute 7 none\n", 1000, UNKNOWN, UNKNOWN,
     "does not tell", "7/?", false},
    {"rows of 32 bytes", FAKE_NVML_535_PATH,
     "memory 1000 50 600\nprocess compute 7 5\nprocess compute 9 6\nprocess compute 11 "
     "7\n"
     "process mps 8 1\nprocess mps 9 9\nprocess graphics 12 3\nprocess graphics 11 8\n",
     1000, 600, 50, "", "7/5 9/9 11/8 8/1 12/3", false},
    {"rows of 32 bytes, then of 24", FAKE_NVML_535_PATH,
     "memory 1000 50 600\nprocess compute 7 5\nprocess compute 9 6\n"
     "error DeviceGetComputeRunningProcesses_v3 13\n",
     1000, 600, 50, "", "7/5 9/6", false},
};

static void test_devices(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(devices); i++) {
        const struct gpu_device *d = &sample.devices[0];
        struct gpu_source *source;
        char script[1024];

        assert_true(snprintf(script, sizeof(script), "device GPU-a X\n%s",
                             devices[i].script) > 0);
        source = nvml_open_good(devices[i].library, script);
        assert_int_equal(take(source, SECOND, true), 0);
        if (sample.n_devices != 1 || d->mem_total_bytes != devices[i].total ||
            d->mem_used_bytes != devices[i].used ||
            d->mem_reserved_bytes != devices[i].reserved ||
            strcmp(processes_of(0), devices[i].processes) != 0 ||
            (sample.processes_incomplete == 1) != devices[i].incomplete ||
            (devices[i].reason[0] ? !strstr(d->reason, devices[i].reason)
                                  : d->reason[0] != '\0'))
            fail_msg("[%s] %" PRIu64 " %" PRIu64 " %" PRIu64 " \"%s\" %u \"%s\"",
                     devices[i].row, d->mem_total_bytes, d->mem_used_bytes,
                     d->mem_reserved_bytes, processes_of(0), sample.processes_incomplete,
                     d->reason);
        gpu_nvml.close(source);
    }
}

static const char THREE[] = "device GPU-a A\nmemory 1000 0 1\nprocess compute 1 1\n"
                            "device GPU-b B\nmemory 1000 0 2\nprocess compute 2 2\n"
                            "device GPU-c C\nmemory 1000 0 3\nprocess compute 3 3\n";
static const char THREE_B_LOST[] =
    "device GPU-a A\nmemory 1000 0 1\nprocess compute 1 1\n"
    "device GPU-b B\nlost\n"
    "device GPU-c C\nmemory 1000 0 3\nprocess compute 3 3\n";

/* One lost GPU never hides the others, keeps its name, and comes back. */
static void test_lost_among_others(void **state)
{
    struct gpu_source *source = nvml_open_good(FAKE_NVML_PATH, THREE);
    uint64_t now = SECOND;

    (void)state;
    assert_int_equal(take(source, now, true), 0);
    files_write("script", THREE_B_LOST);
    for (int i = 0; i < 30; i++, now += SECOND) { // across several enumerations
        assert_int_equal(take(source, now, true), 0);
        assert_int_equal(sample.n_devices, 3);
        assert_int_equal(sample.devices[0].mem_used_bytes, 1);
        assert_string_equal(sample.devices[1].uuid, "GPU-b");
        assert_string_equal(sample.devices[1].name, "B");
        assert_true(sample.devices[1].mem_total_bytes == UNKNOWN);
        assert_true(sample.devices[1].mem_used_bytes == UNKNOWN);
        assert_non_null(strstr(sample.devices[1].reason, "fallen off the bus"));
        assert_int_equal(sample.devices[2].mem_used_bytes, 3);
        assert_string_equal(sample.devices[2].reason, "");
        assert_string_equal(processes_of(0), "1/1");
        assert_string_equal(processes_of(1), "");
        assert_string_equal(processes_of(2), "3/3");
        assert_int_equal(sample.processes_incomplete, 1);
    }
    // At once, every 5 s, and the library was started again 5 and 10 s later.
    assert_int_equal(files_count("calls", "DeviceGetCount_v2"), 1 + 6);
    assert_int_equal(files_count("calls", "Init_v2"), 1 + 2);
    assert_int_equal(files_count("calls", "Shutdown"), 2);

    files_write("script", THREE);
    assert_int_equal(take(source, now + 5 * SECOND, true), 0);
    assert_int_equal(sample.devices[1].mem_used_bytes, 2);
    assert_string_equal(sample.devices[1].reason, "");
    assert_int_equal(sample.processes_incomplete, 0);
    gpu_nvml.close(source);
}

/* Its UUID is not kept when another device has it now, or the count has changed. */
static void test_lost_name_is_not_guessed(void **state)
{
    struct gpu_source *source = nvml_open_good(FAKE_NVML_PATH, THREE);

    (void)state;
    assert_int_equal(take(source, SECOND, false), 0);
    files_write("script", "device GPU-b B\nmemory 1000 0 1\n"
                          "device GPU-x X\nlost\n"
                          "device GPU-c C\nmemory 1000 0 3\n");
    assert_int_equal(take(source, 11 * SECOND, false), 0);
    assert_string_equal(sample.devices[0].uuid, "GPU-b");
    assert_string_equal(sample.devices[1].uuid, "");

    files_write("script", "device GPU-b B\nlost\ndevice GPU-x X\nmemory 1000 0 1\n");
    assert_int_equal(take(source, 21 * SECOND, false), 0);
    assert_int_equal(sample.n_devices, 2);
    assert_string_equal(sample.devices[0].uuid, "");
    assert_string_equal(sample.devices[1].uuid, "GPU-x");
    gpu_nvml.close(source);
}

static void test_enumerates_every_ten_seconds(void **state)
{
    struct gpu_source *source = nvml_open_good(FAKE_NVML_PATH, THREE);

    (void)state;
    assert_int_equal(take(source, SECOND, false), 0);
    files_write("script", "device GPU-a A\nmemory 1000 0 1\n");
    assert_int_equal(take(source, 2 * SECOND, false), 0);
    assert_int_equal(sample.n_devices, 3); // the two others are lost so far
    files_write("script", THREE);
    assert_int_equal(take(source, 11 * SECOND - 1, false), 0); // looked for after trouble
    assert_int_equal(sample.n_devices, 3);
    assert_int_equal(files_count("calls", "DeviceGetCount_v2"), 2);

    assert_int_equal(take(source, 21 * SECOND - 2, false), 0);
    assert_int_equal(files_count("calls", "DeviceGetCount_v2"), 2);
    assert_int_equal(take(source, 21 * SECOND, false), 0);
    assert_int_equal(files_count("calls", "DeviceGetCount_v2"), 3);
    assert_int_equal(files_count("calls", "DeviceGetUUID"), 9);
    assert_int_equal(files_count("calls", "DeviceGetName"), 9);
    gpu_nvml.close(source);
}

/* While it runs, the driver as a whole goes: the worker closes it and starts again. */
static const struct {
    const char *row;
    const char *script;
    int r;
    enum gpu_verdict verdict;
} failures[] = {
    {"uninitialized", "error DeviceGetMemoryInfo_v2 1\n", -EIO, GPU_FAILED},
    {"unloaded", "error DeviceGetMemoryInfo_v2 9\n", -ENODEV, GPU_NO_DRIVER},
    {"upgraded", "error DeviceGetMemoryInfo_v2 18 1\n", -EPROTO, GPU_VERSION_MISMATCH},
    {"list", "error DeviceGetComputeRunningProcesses_v3 18 1\n", -EPROTO,
     GPU_VERSION_MISMATCH},
    {"handle", "error DeviceGetHandleByIndex_v2 18 2\n", -EPROTO, GPU_VERSION_MISMATCH},
    {"count", "error DeviceGetCount_v2 10\n", -ETIMEDOUT, GPU_FAILED},
};

static void test_driver_fails_as_a_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(failures); i++) {
        struct gpu_source *source = nvml_open_good(FAKE_NVML_PATH, THREE);
        char script[1024];
        int r;

        assert_true(snprintf(script, sizeof(script), "%s%s", THREE, failures[i].script) >
                    0);
        assert_int_equal(take(source, SECOND, true), 0);
        files_write("script", script);
        r = take(source, 20 * SECOND, true);
        if (r != failures[i].r || said.verdict != failures[i].verdict || !said.reason[0])
            fail_msg("[%s] is %d, \"%s\"", failures[i].row, r, said.reason);
        gpu_nvml.close(source);
    }
}

static void test_no_device(void **state)
{
    struct gpu_source *source = nvml_open_good(FAKE_NVML_PATH, "");

    (void)state;
    assert_int_equal(take(source, SECOND, true), 0);
    assert_int_equal(sample.n_devices, 0);
    assert_int_equal(sample.processes_incomplete, 0);
    gpu_nvml.close(source);
}

static void test_more_devices_than_fit(void **state)
{
    struct gpu_source *source;
    char script[3000] = "";
    size_t len = 0;

    (void)state;
    for (int i = 0; i < 70; i++)
        len += (size_t)snprintf(script + len, sizeof(script) - len,
                                "device GPU-%d X\nmemory 1000 0 1\n", i);
    source = nvml_open_good(FAKE_NVML_PATH, script);
    assert_int_equal(take(source, SECOND, true), 0);
    assert_int_equal(sample.n_devices, GPU_DEVICES_MAX);
    assert_string_equal(sample.devices[63].uuid, "GPU-63");
    assert_int_equal(sample.processes_incomplete, 1);
    gpu_nvml.close(source);
}

static void test_hostile_strings(void **state)
{
    struct gpu_source *source = nvml_open_good(
        FAKE_NVML_PATH, "driver 1\x1b[31m\n"
                        "device GPU-\\x1b]0;x\\x07 NVIDIA\\x0aH\\xff100\\xc2\\x9b1m\n"
                        "memory 1000 0 1\n");

    (void)state;
    assert_string_equal(said.driver_version, "1\xef\xbf\xbd[31m");
    assert_int_equal(take(source, SECOND, true), 0);
    assert_string_equal(sample.devices[0].uuid, "GPU-\xef\xbf\xbd]0;x\xef\xbf\xbd");
    assert_string_equal(sample.devices[0].name, "NVIDIA\xef\xbf\xbdH\xef\xbf\xbd"
                                                "100\xef\xbf\xbd"
                                                "1m");
    gpu_nvml.close(source);
}

/* 3,000 processes on two devices: lists grow to what they need, and no further. */
static void test_many_processes(void **state)
{
    static char script[64 * 3100];
    struct gpu_source *source;
    size_t len = 0;

    (void)state;
    for (int d = 0; d < 2; d++) {
        len += (size_t)snprintf(script + len, sizeof(script) - len,
                                "device GPU-%d X\nmemory 1000 0 1\n", d);
        for (int i = 0; i < (d ? 1500 : 1000); i++)
            len += (size_t)snprintf(script + len, sizeof(script) - len,
                                    "process compute %d 1\n", i + 1);
    }
    source = nvml_open_good(FAKE_NVML_PATH, script);
    assert_int_equal(take(source, SECOND, true), 0);
    assert_int_equal(sample.n_processes, GPU_PROCESSES_MAX);
    assert_int_equal(sample.processes[999].device, 0);
    assert_int_equal(sample.processes[1000].device, 1);
    assert_int_equal(sample.processes_incomplete, 1);
    gpu_nvml.close(source);
}

static void test_list_of_the_right_size(void **state)
{
    static char script[64 * 100];
    struct gpu_source *source;
    size_t len = 0;

    (void)state;
    len += (size_t)snprintf(script, sizeof(script), "device GPU-0 X\nmemory 1000 0 1\n");
    for (int i = 0; i < 65; i++) // one more than there is room for at first
        len += (size_t)snprintf(script + len, sizeof(script) - len,
                                "process compute %d 1\n", i + 1);
    source = nvml_open_good(FAKE_NVML_PATH, script);
    assert_int_equal(take(source, SECOND, true), 0);
    assert_int_equal(sample.n_processes, 65);
    assert_int_equal(sample.processes[64].pid, 65);
    assert_int_equal(files_count("calls", "DeviceGetComputeRunningProcesses_v3"), 2);
    assert_int_equal(take(source, SECOND, true), 0);
    assert_int_equal(files_count("calls", "DeviceGetComputeRunningProcesses_v3"), 3);
    gpu_nvml.close(source);
}

static void test_warm_sample_allocates_nothing(void **state)
{
    struct gpu_source *source = nvml_open_good(FAKE_NVML_PATH, THREE);
    unsigned before;

    (void)state;
    assert_int_equal(take(source, 0, true), 0);
    before = allocs;
    assert_true(before > 0); // the count works
    for (uint64_t i = 1; i < 30; i++)
        assert_int_equal(take(source, i * SECOND, true), 0);
    assert_int_equal(allocs, before);
    gpu_nvml.close(source);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_openings),
        cmocka_unit_test(test_two_devices),
        cmocka_unit_test(test_devices),
        cmocka_unit_test(test_lost_among_others),
        cmocka_unit_test(test_lost_name_is_not_guessed),
        cmocka_unit_test(test_enumerates_every_ten_seconds),
        cmocka_unit_test(test_driver_fails_as_a_whole),
        cmocka_unit_test(test_no_device),
        cmocka_unit_test(test_more_devices_than_fit),
        cmocka_unit_test(test_hostile_strings),
        cmocka_unit_test(test_many_processes),
        cmocka_unit_test(test_list_of_the_right_size),
        cmocka_unit_test(test_warm_sample_allocates_nothing),
    };

    return cmocka_run_group_tests(tests, nvml_setup, files_teardown);
}
