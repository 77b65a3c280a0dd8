// SPDX-License-Identifier: Apache-2.0
#include "gpu/gpu_frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "gpu/gpu_backend.h"

/* Where the header's fields lie, as another program would have to know. */
enum {
    AT_MAGIC = 0,
    AT_VERSION = 4,
    AT_LENGTH = 8,
    AT_FLAGS = 16,
    AT_SOURCE_SIZE = 20,
    AT_DEVICE_SIZE = 24,
    AT_PROCESS_SIZE = 28,
    AT_N_SOURCES = 32,
    AT_N_DEVICES = 36,
    AT_N_PROCESSES = 40,
    AT_INCOMPLETE = 44,
    AT_PROCESSES_TAKEN = 56,
    AT_SOURCE = GPU_FRAME_HEADER_SIZE,
    AT_DEVICE = AT_SOURCE + 2 * (int)sizeof(struct gpu_source_state),
    AT_PROCESS = AT_DEVICE + 3 * (int)sizeof(struct gpu_device),
    FRAME_SIZE = AT_PROCESS + 4 * (int)sizeof(struct gpu_process),
};

#define SOURCE(member) (AT_SOURCE + (int)offsetof(struct gpu_source_state, member))
#define DEVICE(member) (AT_DEVICE + (int)offsetof(struct gpu_device, member))

static const struct gpu_frame_info with_list = {7, true};
static const struct gpu_frame_info without_list = {8, false};

/* Too large for the stack. */
static struct gpu_sample sample, got;
static char frame[GPU_FRAME_MAX];

/* Two sources, three devices, four processes. */
static void fill_sample(void)
{
    memset(&sample, 0, sizeof(sample));
    sample.taken_ns = 123;
    sample.processes_taken_ns = 122;
    sample.processes_incomplete = 1;
    for (uint32_t i = 0; i < 2; i++) {
        sample.n_sources++;
        memcpy(sample.sources[i].backend, "twelve-bytes", 13);
        sample.sources[i].verdict = i ? GPU_NO_DRIVER : GPU_OK;
        memcpy(sample.sources[i].driver_version, "550.54.15", 10);
    }
    for (uint32_t i = 0; i < 3; i++) {
        struct gpu_device *device = gpu_add_device(&sample, i);

        memcpy(device->uuid, "GPU-\xc3\xa4", 7);
        memcpy(device->name, "H100", 5);
        device->mem_total_bytes = 1000 + i;
        gpu_add_process(&sample, 42, 500);
    }
    gpu_add_process(&sample, 43, UNKNOWN);
}

static int decode(size_t len, struct gpu_frame_info *ret)
{
    // Exactly as long as it is, so that a sanitizer sees a read beyond its end.
    char *copy = malloc(len ? len : 1);
    int r;

    assert_non_null(copy);
    memcpy(copy, frame, len);
    r = gpu_frame_decode((struct span){copy, len}, ret, &got);
    free(copy);
    return r;
}

static void test_round_trip(void **state)
{
    struct gpu_frame_info info;
    size_t len;

    (void)state;
    fill_sample();
    len = gpu_frame_encode(&with_list, &sample, frame);
    assert_int_equal(len, FRAME_SIZE);
    memset(&got, 0, sizeof(got));
    assert_int_equal(decode(len, &info), 0);
    assert_int_equal(info.seq, 7);
    assert_true(info.with_processes);
    assert_memory_equal(&got, &sample, sizeof(sample));
}

static void test_without_processes(void **state)
{
    struct gpu_frame_info info;
    size_t len;

    (void)state;
    fill_sample();
    len = gpu_frame_encode(&without_list, &sample, frame);
    assert_int_equal(len, AT_PROCESS);
    assert_int_equal(decode(len, &info), 0);
    assert_int_equal(info.seq, 8);
    assert_false(info.with_processes);
    assert_int_equal(got.n_devices, 3);
    assert_int_equal(got.n_processes, 0);
    assert_int_equal(got.processes_taken_ns, 0);
    assert_int_equal(got.processes_incomplete, 0);
}

static void test_smallest_and_largest(void **state)
{
    struct gpu_frame_info info;
    size_t len;

    (void)state;
    memset(&sample, 0, sizeof(sample));
    len = gpu_frame_encode(&with_list, &sample, frame);
    assert_int_equal(len, GPU_FRAME_HEADER_SIZE);
    assert_int_equal(decode(len, &info), 0);

    sample.n_sources = GPU_SOURCES_MAX;
    for (uint32_t i = 0; i < GPU_DEVICES_MAX; i++)
        assert_non_null(gpu_add_device(&sample, i));
    assert_null(gpu_add_device(&sample, 0));
    for (uint32_t i = 0; i < GPU_PROCESSES_MAX; i++)
        gpu_add_process(&sample, i, i);
    assert_int_equal(sample.processes_incomplete, 0);
    gpu_add_process(&sample, 0, 0);
    assert_int_equal(sample.processes_incomplete, 1);
    len = gpu_frame_encode(&with_list, &sample, frame);
    assert_int_equal(len, GPU_FRAME_MAX);
    assert_int_equal(decode(len, &info), 0);
    assert_memory_equal(&got, &sample, sizeof(sample));
}

static void test_every_other_length(void **state)
{
    struct gpu_frame_info info;

    (void)state;
    fill_sample();
    assert_int_equal(gpu_frame_encode(&with_list, &sample, frame), FRAME_SIZE);
    for (size_t len = 0; len < FRAME_SIZE + 100; len++)
        if (len != FRAME_SIZE)
            assert_int_equal(decode(len, &info), -EBADMSG);
}

/* One change each to a frame that is right. */
static const struct {
    const char *row;
    int at;
    uint32_t value;
    bool plain; // the frame without processes is changed
} spoiled[] = {
    {"magic", AT_MAGIC, 0x66757068, false},
    {"request's magic", AT_MAGIC, 0x71757067, false},
    {"next version", AT_VERSION, 3, false},
    {"version 0", AT_VERSION, 0, false},
    {"length too small", AT_LENGTH, FRAME_SIZE - 1, false},
    {"length too large", AT_LENGTH, FRAME_SIZE + 1, false},
    {"unknown flag", AT_FLAGS, 3, false},
    {"list not announced", AT_FLAGS, 0, false},
    {"size of a source", AT_SOURCE_SIZE, sizeof(struct gpu_source_state) + 8, false},
    {"size of a device", AT_DEVICE_SIZE, 0, false},
    {"size of a process", AT_PROCESS_SIZE, 24, false},
    {"a source too many", AT_N_SOURCES, 3, false},
    {"sources past the limit", AT_N_SOURCES, GPU_SOURCES_MAX + 1, false},
    {"no device", AT_N_DEVICES, 0, false},
    {"devices wrap around", AT_N_DEVICES, UINT32_MAX, false},
    {"devices past the limit", AT_N_DEVICES, GPU_DEVICES_MAX + 1, false},
    {"processes past the limit", AT_N_PROCESSES, GPU_PROCESSES_MAX + 1, false},
    {"a process less", AT_N_PROCESSES, 3, false},
    {"processes wrap around", AT_N_PROCESSES, 0x10000004, false},
    {"incomplete is no flag", AT_INCOMPLETE, 2, false},
    {"backend without end", SOURCE(backend) + 12, 0x61616161, false},
    {"backend with escape", SOURCE(backend), 0x1b, false},
    {"verdict past the last", SOURCE(verdict), GPU_VERDICTS, false},
    {"verdict negative", SOURCE(verdict), UINT32_MAX, false},
    {"reserved", SOURCE(reserved), 1, false},
    {"driver version with newline", SOURCE(driver_version) + 4, 0x0a0a0a0a, false},
    {"reason not UTF-8", SOURCE(reason), 0xff, false},
    {"second source too", SOURCE(reserved) + (int)sizeof(struct gpu_source_state), 1,
     false},
    {"device of no source", DEVICE(source), 2, false},
    {"uuid cut in a character", DEVICE(uuid) + 4, 0x000000c3, false},
    {"name with C1", DEVICE(name), 0x00009bc2, false},
    {"unified is no flag", DEVICE(unified), 2, false},
    {"an estimate is no flag", DEVICE(used_is_estimate), 2, false},
    {"uuid of a parent with newline", DEVICE(parent_uuid), 0x0a, false},
    {"reason of a device", DEVICE(reason), 0x7f, false},
    {"third device too", DEVICE(source) + 2 * (int)sizeof(struct gpu_device), 9, false},
    {"process of no device", AT_PROCESS + 4, 3, false},
    {"last process too", FRAME_SIZE - 12, UINT32_MAX, false},
    {"time without a list", AT_PROCESSES_TAKEN, 1, true},
    {"incomplete without a list", AT_INCOMPLETE, 1, true},
    {"rows without a list", AT_N_PROCESSES, 1, true},
};

static void test_spoiled(void **state)
{
    struct gpu_frame_info info = {99, true};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(spoiled); i++) {
        size_t len;
        int r;

        fill_sample();
        len = gpu_frame_encode(spoiled[i].plain ? &without_list : &with_list, &sample,
                               frame);
        assert_int_equal(decode(len, &info), 0);
        memcpy(frame + spoiled[i].at, &spoiled[i].value, sizeof(spoiled[i].value));

        info.seq = 99;
        memset(&got, 0xee, sizeof(got));
        memset(&sample, 0xee, sizeof(sample));
        r = decode(len, &info);
        if (r != -EBADMSG || info.seq != 99 || memcmp(&got, &sample, sizeof(got)) != 0)
            fail_msg("[%s] is %d, or something was written", spoiled[i].row, r);
    }
}

static void test_requests(void **state)
{
    char bytes[GPU_REQUEST_SIZE + 1];
    struct gpu_request request;

    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        gpu_request_encode(&(struct gpu_request){41 + i, i == 1}, bytes);
        assert_int_equal(
            gpu_request_decode((struct span){bytes, GPU_REQUEST_SIZE}, &request), 0);
        assert_int_equal(request.seq, 41 + i);
        assert_int_equal(request.with_processes, i == 1);
    }
    for (size_t len = 0; len <= sizeof(bytes); len++)
        if (len != GPU_REQUEST_SIZE)
            assert_int_equal(gpu_request_decode((struct span){bytes, len}, &request),
                             -EBADMSG);
    for (int at = 0; at < GPU_REQUEST_SIZE; at += at == 4 ? 8 : 4) { // all but seq
        bytes[at] ^= 2;
        assert_int_equal(
            gpu_request_decode((struct span){bytes, GPU_REQUEST_SIZE}, &request),
            -EBADMSG);
        bytes[at] ^= 2;
    }
}

static void test_verdicts_have_words(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < GPU_VERDICTS; i++) {
        assert_true(strlen(gpu_verdict_name(i)) > 1);
        assert_true((i == GPU_OK) == (gpu_verdict_remedy(i)[0] == '\0'));
    }
    assert_string_equal(gpu_verdict_name(GPU_VERSION_MISMATCH), "version-mismatch");
    assert_non_null(strstr(gpu_verdict_remedy(GPU_NO_LIBRARY), "--nvml-library"));
    assert_non_null(strstr(gpu_verdict_remedy(GPU_NO_DRIVER), "modprobe nvidia"));
    assert_string_equal(gpu_verdict_name(GPU_VERDICTS), "unknown");
}

static void test_reasons_are_clean_and_cut(void **state)
{
    struct gpu_source_state source = {0};
    char text[400];

    (void)state;
    memset(text, 'x', sizeof(text));
    text[3] = '\n';
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(gpu_say(&source, -EIO, GPU_FAILED, "%s", text), -EIO);
    assert_int_equal(source.verdict, GPU_FAILED);
    assert_memory_equal(source.reason, "xxx\xef\xbf\xbdxxx", 9);
    assert_int_equal(strlen(source.reason), GPU_REASON_MAX - 1);
}

static const struct {
    const char *row;
    uint64_t total, used, reserved;
    uint64_t got_total, got_used, got_reserved;
    bool reason;
} figures[] = {
    {"all well", 100, 50, 10, 100, 50, 10, false},
    {"full", 100, 100, 100, 100, 100, 100, false},
    {"nothing used", 100, 0, 0, 100, 0, 0, false},
    {"reserved unknown", 100, 50, UNKNOWN, 100, 50, UNKNOWN, false},
    {"more used than there is", 100, 101, 10, 100, UNKNOWN, 10, true},
    {"more reserved than there is", 100, 1, 101, 100, 1, UNKNOWN, true},
    {"no memory", 0, 0, 0, UNKNOWN, UNKNOWN, UNKNOWN, true},
    {"absurd", UNKNOWN - 1, 5, 5, UNKNOWN, UNKNOWN, UNKNOWN, true},
    {"a petabyte", UINT64_C(1) << 50, 5, 5, UINT64_C(1) << 50, 5, 5, false},
    {"not available", UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, true},
    {"used alone", UNKNOWN, 5, UNKNOWN, UNKNOWN, 5, UNKNOWN, true},
    {"used not available", 100, UNKNOWN, 1, 100, UNKNOWN, 1, true},
};

static void test_figures_that_cannot_be(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(figures); i++) {
        struct gpu_device d = {
            .mem_total_bytes = figures[i].total,
            .mem_used_bytes = figures[i].used,
            .mem_reserved_bytes = figures[i].reserved,
        };

        gpu_device_check(&d);
        if (d.mem_total_bytes != figures[i].got_total ||
            d.mem_used_bytes != figures[i].got_used ||
            d.mem_reserved_bytes != figures[i].got_reserved ||
            (d.reason[0] != '\0') != figures[i].reason)
            fail_msg("[%s] \"%s\"", figures[i].row, d.reason);
    }
}

static void test_process_larger_than_its_device(void **state)
{
    (void)state;
    memset(&sample, 0, sizeof(sample));
    gpu_add_process(&sample, 1, 1); // of no device
    assert_int_equal(sample.n_processes, 0);
    assert_int_equal(sample.processes_incomplete, 1);

    gpu_add_device(&sample, 0)->mem_total_bytes = 100;
    gpu_add_process(&sample, 1, 100);
    assert_string_equal(sample.devices[0].reason, "");
    gpu_add_process(&sample, 2, 101);
    assert_int_equal(sample.processes[0].used_bytes, 100);
    assert_true(sample.processes[1].used_bytes == UNKNOWN);
    assert_non_null(strstr(sample.devices[0].reason, "process 2 holds 101 bytes"));

    (void)gpu_add_device(&sample, 1); // total unknown
    gpu_add_process(&sample, 3, 101);
    gpu_add_process(&sample, 4, (UINT64_C(1) << 50) + 1);
    assert_int_equal(sample.processes[2].used_bytes, 101);
    assert_int_equal(sample.processes[2].device, 1);
    assert_true(sample.processes[3].used_bytes == UNKNOWN);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_without_processes),
        cmocka_unit_test(test_smallest_and_largest),
        cmocka_unit_test(test_every_other_length),
        cmocka_unit_test(test_spoiled),
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_verdicts_have_words),
        cmocka_unit_test(test_reasons_are_clean_and_cut),
        cmocka_unit_test(test_figures_that_cannot_be),
        cmocka_unit_test(test_process_larger_than_its_device),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
