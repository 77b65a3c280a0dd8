// SPDX-License-Identifier: Apache-2.0
#include "gpu/gpu_backend.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "test_gpu_allocs.h"
#include "test_gpu_files.h"

static struct gpu_sample sample; // too large for the stack

static struct gpu_source *sim_open(const char *dir)
{
    const struct gpu_env env = {.sys_root = "/sys", .sim_dir = dir};
    struct gpu_source_state state = {0};
    struct gpu_source *source = NULL;

    assert_int_equal(gpu_sim.open(&env, &state, &source), 0);
    assert_non_null(source);
    assert_string_equal(state.driver_version, "simulated");
    return source;
}

static int take(struct gpu_source *source, bool with_processes,
                struct gpu_source_state *state)
{
    memset(&sample, 0, sizeof(sample));
    sample.n_sources = 1;
    return gpu_sim.sample(source, with_processes, state, &sample);
}

/* A folder of its own for each test. */
static int enter(void **state)
{
    return files_setup(state) < 0 ? -1 : mkdir(files_path("processes"), 0700);
}

static const char *process_file(pid_t pid)
{
    static char name[32];

    assert_true(snprintf(name, sizeof(name), "processes/%d", pid) > 0);
    return name;
}

static void test_default_device(void **state)
{
    struct gpu_source *source = sim_open(NULL);
    struct gpu_source_state said = {0};
    const struct gpu_device *device = &sample.devices[0];

    (void)state;
    assert_int_equal(take(source, true, &said), 0);
    assert_int_equal(sample.n_devices, 1);
    assert_string_equal(device->name, "Simulated GPU");
    assert_string_equal(device->uuid, "GPU-00000000-0000-0000-0000-000000000000");
    assert_int_equal(device->mem_total_bytes, 85899345920);
    assert_int_equal(device->mem_used_bytes, 0);
    assert_int_equal(device->mem_reserved_bytes, 0);
    assert_string_equal(device->reason, "");
    assert_int_equal(sample.n_processes, 0);
    assert_int_equal(sample.processes_incomplete, 0);
    assert_true(gpu_sim.only_by_name);
    gpu_sim.close(source);
}

static void test_processes_add_up(void **state)
{
    struct gpu_source *source = sim_open(files_dir);
    struct gpu_source_state said = {0};

    (void)state;
    files_write("devices", "GPU-a 1000 50 Simulated H100\n\nGPU-b 2000 0 X\n");
    files_write(process_file(getpid()), "0 100\n1 200\n0 7\n");
    files_write(process_file(getppid()), "1 300"); // no newline at the end
    files_write("processes/12.tmp", "0 999\n");
    files_write("processes/0", "0 999\n");
    files_write("processes/99999999999", "0 999\n");

    assert_int_equal(take(source, true, &said), 0);
    assert_int_equal(sample.n_devices, 2);
    assert_string_equal(sample.devices[0].uuid, "GPU-a");
    assert_string_equal(sample.devices[0].name, "Simulated H100");
    assert_int_equal(sample.devices[0].mem_reserved_bytes, 50);
    assert_int_equal(sample.devices[0].mem_used_bytes, 107);
    assert_int_equal(sample.devices[1].index, 1);
    assert_int_equal(sample.devices[1].mem_used_bytes, 500);
    assert_int_equal(sample.n_processes, 4);
    for (uint32_t i = 0; i < sample.n_processes; i++)
        assert_int_equal(sample.processes[i].device, i < 2 ? 0 : 1);
    assert_int_equal(sample.processes_incomplete, 0);

    assert_int_equal(take(source, false, &said), 0);
    assert_int_equal(sample.n_processes, 0);
    assert_int_equal(sample.devices[1].mem_used_bytes, 500);
    gpu_sim.close(source);
}

static void test_dead_process_holds_nothing(void **state)
{
    struct gpu_source *source = sim_open(files_dir);
    struct gpu_source_state said = {0};
    pid_t pid = fork();

    (void)state;
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)pause();
        _exit(0);
    }
    files_write("devices", "GPU-a 1000 0 X\n");
    files_write(process_file(pid), "0 400\n");
    assert_int_equal(take(source, true, &said), 0);
    assert_int_equal(sample.devices[0].mem_used_bytes, 400);
    assert_int_equal(sample.processes[0].pid, pid);

    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(take(source, true, &said), 0);
    assert_int_equal(sample.devices[0].mem_used_bytes, 0);
    assert_int_equal(sample.n_processes, 0);
    gpu_sim.close(source);
}

static const struct {
    const char *row;
    const char *line;
    bool good;
} device_lines[] = {
    {"good", "GPU-a 1000 0 X", true},
    {"name with blanks", "GPU-a 1000 0 a b  c", true},
    {"no name", "GPU-a 1000 0", false},
    {"empty name", "GPU-a 1000 0 ", false},
    {"uuid alone", "GPU-a", false},
    {"two blanks", "GPU-a  1000 0 X", false},
    {"negative", "GPU-a -1 0 X", false},
    {"hexadecimal", "GPU-a 0x10 0 X", false},
    {"too large", "GPU-a 18446744073709551616 0 X", false},
    {"all ones", "GPU-a 18446744073709551615 0 X", false},
    {"no memory", "GPU-a 0 0 X", false},
    {"more reserved than there is", "GPU-a 10 11 X", false},
    {"blank", " ", false},
};

static void test_device_lines(void **state)
{
    struct gpu_source *source = sim_open(files_dir);
    struct gpu_source_state said = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(device_lines); i++) {
        const struct gpu_device *device = &sample.devices[0];

        files_write("devices", device_lines[i].line);
        assert_int_equal(take(source, true, &said), 0);
        if (sample.n_devices != 1 ||
            (device->reason[0] == '\0') != device_lines[i].good ||
            (device_lines[i].good && device->mem_total_bytes != 1000))
            fail_msg("[%s] \"%s\"", device_lines[i].row, device->reason);
    }
    gpu_sim.close(source);
}

static const struct {
    const char *row;
    const char *text;
    uint32_t n_processes;
    uint64_t used_0, used_1;
    bool incomplete;
} process_files[] = {
    {"empty", "", 0, 0, 0, false},
    {"good", "0 5\n1 6\n", 2, 5, 6, false},
    {"bytes are no number", "0 5x\n1 6\n", 2, UNKNOWN, 6, false},
    {"bytes are missing", "0\n", 1, UNKNOWN, 0, false},
    {"bytes overflow", "0 9\n0 18446744073709551614\n", 2, UNKNOWN, 0, false},
    {"no device", "x 5\n1 6\n", 1, UNKNOWN, UNKNOWN, true},
    {"device past the last", "2 5\n", 0, 0, 0, true},
    {"device past any", "64 5\n", 0, UNKNOWN, UNKNOWN, true},
    {"more than there is", "0 1001\n", 1, UNKNOWN, 0, false},
    {"trailing word", "0 5 6\n", 1, UNKNOWN, 0, false},
};

static void test_process_files(void **state)
{
    struct gpu_source *source = sim_open(files_dir);
    struct gpu_source_state said = {0};

    (void)state;
    files_write("devices", "GPU-a 1000 0 X\nGPU-b 1000 0 X\n");
    for (size_t i = 0; i < ARRAY_LEN(process_files); i++) {
        const struct gpu_device *d = sample.devices;

        files_write(process_file(getpid()), process_files[i].text);
        assert_int_equal(take(source, true, &said), 0);
        if (sample.n_processes != process_files[i].n_processes ||
            d[0].mem_used_bytes != process_files[i].used_0 ||
            d[1].mem_used_bytes != process_files[i].used_1 ||
            (sample.processes_incomplete == 1) != process_files[i].incomplete ||
            (d[0].mem_used_bytes == UNKNOWN) != (d[0].reason[0] != '\0'))
            fail_msg("[%s] %u processes, \"%s\"", process_files[i].row,
                     sample.n_processes, d[0].reason);
    }
    gpu_sim.close(source);
}

static void test_file_too_large(void **state)
{
    struct gpu_source *source = sim_open(files_dir);
    struct gpu_source_state said = {0};
    static char text[40000];

    (void)state;
    memset(text, '\n', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    files_write("devices", "GPU-a 1000 0 X\n");
    files_write(process_file(getpid()), text);
    assert_int_equal(take(source, true, &said), 0);
    assert_true(sample.devices[0].mem_used_bytes == UNKNOWN);
    assert_int_equal(sample.processes_incomplete, 1);

    files_write("devices", text);
    assert_int_equal(take(source, true, &said), -EFBIG);
    gpu_sim.close(source);
}

static void test_more_devices_than_fit(void **state)
{
    struct gpu_source *source = sim_open(files_dir);
    struct gpu_source_state said = {0};
    char text[2048] = "";

    (void)state;
    for (size_t i = 0; i < 70; i++)
        memcpy(text + i * 15, "GPU-a 1000 0 X\n", 16);
    files_write("devices", text);
    assert_int_equal(take(source, true, &said), 0);
    assert_int_equal(sample.n_devices, GPU_DEVICES_MAX);
    assert_int_equal(sample.devices[63].index, 63);
    gpu_sim.close(source);
}

static void test_no_folder(void **state)
{
    struct gpu_source *source = sim_open("/nonexistent");
    struct gpu_source_state said = {0};

    (void)state;
    assert_int_equal(take(source, true, &said), -ENOENT);
    assert_int_equal(said.verdict, GPU_NO_DRIVER);
    assert_non_null(strstr(said.reason, "\"/nonexistent\""));
    gpu_sim.close(source);

    source = sim_open(files_dir); // no "devices" in it
    assert_int_equal(take(source, true, &said), -ENOENT);
    files_write("devices", "GPU-a 1000 0 X\n");
    assert_int_equal(rmdir(files_path("processes")), 0);
    assert_int_equal(take(source, true, &said), 0);
    assert_int_equal(sample.devices[0].mem_used_bytes, 0);
    gpu_sim.close(source);
}

static void test_warm_sample_allocates_nothing(void **state)
{
    struct gpu_source *source = sim_open(files_dir);
    struct gpu_source_state said = {0};
    unsigned before;

    (void)state;
    files_write("devices", "GPU-a 1000 0 X\n");
    files_write(process_file(getpid()), "0 5\n");
    before = allocs;
    assert_true(before > 0);
    for (int i = 0; i < 10; i++)
        assert_int_equal(take(source, true, &said), 0);
    assert_int_equal(allocs, before);
    gpu_sim.close(source);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_default_device, enter, files_teardown),
        cmocka_unit_test_setup_teardown(test_processes_add_up, enter, files_teardown),
        cmocka_unit_test_setup_teardown(test_dead_process_holds_nothing, enter,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(test_device_lines, enter, files_teardown),
        cmocka_unit_test_setup_teardown(test_process_files, enter, files_teardown),
        cmocka_unit_test_setup_teardown(test_file_too_large, enter, files_teardown),
        cmocka_unit_test_setup_teardown(test_more_devices_than_fit, enter,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(test_no_folder, enter, files_teardown),
        cmocka_unit_test_setup_teardown(test_warm_sample_allocates_nothing, enter,
                                        files_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
