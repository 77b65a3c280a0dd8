// SPDX-License-Identifier: Apache-2.0
/*
 * test_gpu_link.c - both ends of the worker's socket, with a real process at the other
 *
 * Times are given in: no test waits for a back-off or a silence of the link. Only the
 * worker's own back-off (a second) runs on the real clock.
 */
#include "gpu/gpu_link.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "test_gpu_allocs.h"
#include "test_gpu_files.h"

#define SECOND UINT64_C(1000000000)
#define START (1000 * SECOND)

static const char TWO_DEVICES[] = "device GPU-0 H100\n"
                                  "memory 85899345920 600000000 40000000000\n"
                                  "process compute 100 30000000000\n"
                                  "process mps 101 5000000000\n"
                                  "device GPU-1 H100\n"
                                  "memory 85899345920 600000000 0\n";

static struct gpu_link *link_new(const char *backend, const char *library)
{
    const struct gpu_link_options options = {
        .program = GPU_WORKER_PATH,
        .backends = backend,
        .nvml_library = library,
        .sys_root = files_dir, // where no card is, whatever this host has
        .proc_root = "/proc",
    };
    struct gpu_link *link = NULL;

    assert_int_equal(gpu_link_new(&options, START, &link), 0);
    return link;
}

static struct gpu_link *link_new_act(const char *act)
{
    struct gpu_link *link;

    assert_int_equal(setenv("GPU_WORKER_ACT", act, 1), 0);
    link = link_new("sim", NULL);
    assert_int_equal(unsetenv("GPU_WORKER_ACT"), 0);
    return link;
}

/* Until the worker has said something, or is gone. */
static void wait_readable(const struct gpu_link *link)
{
    struct pollfd wait = {.fd = gpu_link_fd(link), .events = POLLIN};

    assert_true(wait.fd >= 0);
    assert_int_equal(poll(&wait, 1, 10000), 1);
}

static int exchange(struct gpu_link *link, uint64_t now_ns)
{
    gpu_link_request(link, now_ns);
    assert_true(gpu_link_waiting(link));
    wait_readable(link);
    return gpu_link_receive(link, now_ns);
}

static void nap(void)
{
    const struct timespec pause = {0, 10000000};

    assert_int_equal(nanosleep(&pause, NULL), 0);
}

/* Another worker is wanted, and starts: a check waits no longer for one than a tick may. */
static void expect_start(struct gpu_link *link, uint64_t now_ns)
{
    int r = gpu_link_check(link, now_ns);

    for (int i = 0; i < 1000 && r == 0; i++) {
        nap();
        r = gpu_link_check(link, now_ns);
    }
    assert_int_equal(r, 1);
    assert_true(gpu_link_fd(link) >= 0);
}

/* None starts; what was said of the last one is not what is waited for. */
static void expect_no_start(struct gpu_link *link, uint64_t now_ns, const char *reason)
{
    for (int i = 0; i < 1000 && !strstr(gpu_link_reason(link, now_ns), reason); i++) {
        assert_int_equal(gpu_link_check(link, now_ns), 0);
        nap();
    }
    assert_non_null(strstr(gpu_link_reason(link, now_ns), reason));
    assert_int_equal(gpu_link_fd(link), -1);
}

static bool is_named(pid_t pid, const char *name)
{
    char path[64], comm[32] = "";
    FILE *file;

    assert_true(snprintf(path, sizeof(path), "/proc/%d/comm", pid) > 0);
    file = fopen(path, "re");
    if (!file)
        return false;
    if (!fgets(comm, sizeof(comm), file))
        comm[0] = '\0';
    assert_int_equal(fclose(file), 0);
    return strncmp(comm, name, strlen(name)) == 0;
}

/* The newest child of a process, of that name if one is given. */
static pid_t find_child(pid_t parent, const char *name)
{
    char path[64];
    FILE *file;
    int pid, found = 0;

    assert_true(
        snprintf(path, sizeof(path), "/proc/%d/task/%d/children", parent, parent) > 0);
    file = fopen(path, "re");
    assert_non_null(file);
    while (fscanf(file, "%d", &pid) == 1)
        if (!name || is_named(pid, name))
            found = pid;
    assert_int_equal(fclose(file), 0);
    assert_true(found > 0);
    return found;
}

static pid_t find_keeper(void)
{
    return find_child(getpid(), "vramscope-keep");
}

static pid_t find_worker(void)
{
    return find_child(find_keeper(), NULL);
}

static void test_answers(void **state)
{
    struct gpu_link *link = link_new("sim", NULL);
    const struct gpu_sample *sample;

    (void)state;
    assert_true(gpu_link_fd(link) >= 0);
    assert_null(gpu_link_sample(link));
    assert_string_equal(gpu_link_reason(link, START),
                        "the driver has not been asked yet");
    assert_int_equal(gpu_link_receive(link, START), 0);
    assert_int_equal(exchange(link, START), 1);
    assert_false(gpu_link_waiting(link));
    assert_int_equal(gpu_link_receive(link, START), 0);

    sample = gpu_link_sample(link);
    assert_int_equal(sample->n_sources, 1);
    assert_string_equal(sample->sources[0].backend, "sim");
    assert_int_equal(sample->sources[0].verdict, GPU_OK);
    assert_int_equal(sample->n_devices, 1);
    assert_string_equal(sample->devices[0].name, "Simulated GPU");
    assert_int_equal(sample->taken_ns, START);
    assert_int_equal(sample->processes_taken_ns, START);
    assert_string_equal(gpu_link_reason(link, START + SECOND), "");
    assert_string_equal(gpu_link_reason(link, START + 3 * SECOND),
                        "the newest figures are 3 s old");
    assert_int_equal(gpu_link_check(link, START + 60 * SECOND), 0);
    assert_int_equal(gpu_link_restarts(link), 0);
    gpu_link_free(link);
}

static void test_auto_never_simulates(void **state)
{
    struct gpu_link *link = link_new("auto", "/nonexistent/libnvidia-ml.so.1");
    const struct gpu_sample *sample;

    (void)state;
    assert_int_equal(exchange(link, START), 1);
    sample = gpu_link_sample(link);
    assert_int_equal(sample->n_sources, 3);
    assert_string_equal(sample->sources[0].backend, "nvml");
    assert_int_equal(sample->sources[0].verdict, GPU_NO_LIBRARY);
    assert_string_equal(sample->sources[1].backend, "amdgpu");
    assert_int_equal(sample->sources[1].verdict, GPU_NO_DEVICE);
    assert_string_equal(sample->sources[2].backend, "xe");
    assert_int_equal(sample->sources[2].verdict, GPU_NO_DEVICE);
    assert_non_null(strstr(sample->sources[0].reason, "/nonexistent/libnvidia-ml.so.1"));
    assert_int_equal(sample->n_devices, 0);
    gpu_link_free(link);
}

/* Without a path, the dynamic linker looks where it always does. */
static void test_library_found_by_its_name(void **state)
{
    struct gpu_link *link;

    (void)state;
    files_write("script", TWO_DEVICES);
    assert_int_equal(symlink(FAKE_NVML_PATH, files_path("libnvidia-ml.so.1")), 0);
    assert_int_equal(setenv("LD_LIBRARY_PATH", files_dir, 1), 0);
    link = link_new("auto", NULL);
    assert_int_equal(unsetenv("LD_LIBRARY_PATH"), 0);
    assert_int_equal(exchange(link, START), 1);
    assert_int_equal(gpu_link_sample(link)->n_sources, 1); // nothing of AMD's
    assert_int_equal(gpu_link_sample(link)->sources[0].verdict, GPU_OK);
    assert_int_equal(gpu_link_sample(link)->n_devices, 2);
    gpu_link_free(link);
}

/* A host with a card of AMD's: not a word about NVIDIA's library. */
static void test_only_the_vendors_that_are_there(void **state)
{
    static const char *const folders[] = {"class", "class/drm", "class/drm/card0",
                                          "class/drm/card0/device"};
    const struct gpu_sample *sample;
    struct gpu_link *link;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(folders); i++)
        assert_int_equal(mkdir(files_path(folders[i]), 0755), 0);
    files_write("class/drm/card0/device/vendor", "0x1002\n");
    files_write("class/drm/card0/device/mem_info_vram_total", "1000\n");
    files_write("class/drm/card0/device/mem_info_vram_used", "400\n");
    link = link_new("auto", "/nonexistent/libnvidia-ml.so.1");
    assert_int_equal(exchange(link, START), 1);
    sample = gpu_link_sample(link);
    assert_int_equal(sample->n_sources, 1);
    assert_string_equal(sample->sources[0].backend, "amdgpu");
    assert_int_equal(sample->sources[0].verdict, GPU_OK);
    assert_int_equal(sample->n_devices, 1);
    assert_int_equal(sample->devices[0].source, 0);
    assert_int_equal(sample->devices[0].mem_used_bytes, 400);
    gpu_link_free(link);
    assert_int_equal(rename(files_path("class"), files_path("no class")), 0);
}

static void test_unknown_backend(void **state)
{
    struct gpu_link *link = link_new("voodoo", NULL);

    (void)state;
    wait_readable(link);
    assert_int_equal(gpu_link_receive(link, START), -EPIPE);
    assert_int_equal(gpu_link_check(link, START), 1);
    assert_int_equal(gpu_link_fd(link), -1);
    while (gpu_link_check(link, START), strstr(gpu_link_reason(link, START), "it ended)"))
        nap();
    assert_non_null(strstr(gpu_link_reason(link, START), "status 2"));
    gpu_link_free(link);
}

static void test_program_missing(void **state)
{
    const struct gpu_link_options options = {
        .program = "/nonexistent", .backends = "sim", .sys_root = "/sys"};
    struct gpu_link *link = NULL;

    (void)state;
    assert_int_equal(gpu_link_new(&options, START, &link), -ENOENT);
    assert_null(link);
}

/* The keeper runs, but its program can be started no more. */
static void test_worker_cannot_be_started(void **state)
{
    struct gpu_link_options options = {.backends = "sim", .sys_root = files_dir};
    struct gpu_link *link = NULL;
    uint64_t now = START;

    (void)state;
    files_copy(GPU_WORKER_PATH, "program", 0755);
    options.program = files_path("program");
    assert_int_equal(setenv("GPU_WORKER_ACT", "leave", 1), 0);
    assert_int_equal(gpu_link_new(&options, now, &link), 0);
    assert_int_equal(unsetenv("GPU_WORKER_ACT"), 0);
    assert_int_equal(chmod(files_path("program"), 0644), 0);
    while (gpu_link_check(link, now) == 0)
        nap();
    now += SECOND;
    expect_no_start(link, now, "in 2 s");
    assert_int_equal(gpu_link_restarts(link), 0);
    gpu_link_request(link, now);
    assert_false(gpu_link_waiting(link));
    assert_int_equal(gpu_link_receive(link, now), 0);
    assert_string_equal(
        gpu_link_reason(link, now),
        "no GPU worker runs, the next starts in 2 s (the last: it could not "
        "be started: Permission denied)");
    expect_no_start(link, now + 2 * SECOND, "in 4 s");
    gpu_link_free(link);
}

static void test_killed_keeper(void **state)
{
    struct gpu_link *link = link_new("sim", NULL);
    pid_t worker;
    int r = 0;

    (void)state;
    assert_int_equal(exchange(link, START), 1);
    worker = find_worker();
    assert_int_equal(kill(find_keeper(), SIGKILL), 0);
    for (int i = 0; i < 500 && (kill(worker, 0) == 0 || r == 0); i++) {
        r = gpu_link_check(link, START + SECOND);
        assert_true(r == 0 || r == -EPIPE);
        nap();
    }
    assert_int_equal(r, -EPIPE);
    assert_int_equal(kill(worker, 0), -1);
    assert_int_equal(gpu_link_check(link, START + 60 * SECOND), -EPIPE);
    gpu_link_free(link);
}

/* Who is stopped is not waited for; what it says later still counts. */
static void test_stopped_keeper(void **state)
{
    struct gpu_link *link;
    uint64_t now = START;
    pid_t keeper;

    (void)state;
    assert_int_equal(setenv("GPU_WORKER_ACT", "leave", 1), 0);
    link = link_new("sim", NULL);
    assert_int_equal(unsetenv("GPU_WORKER_ACT"), 0);
    while (gpu_link_check(link, now) == 0)
        nap();
    keeper = find_keeper();
    assert_int_equal(kill(keeper, SIGSTOP), 0);
    now += SECOND;
    for (int i = 0; i < 3; i++)
        assert_int_equal(gpu_link_check(link, now + (uint64_t)i * SECOND), 0);
    assert_int_equal(kill(keeper, SIGCONT), 0);
    while (gpu_link_check(link, now) == 0)
        nap();
    assert_true(gpu_link_fd(link) >= 0);
    for (int i = 0; i < 20; i++) { // one was asked for, however often it was looked for
        assert_true(gpu_link_check(link, now) >= 0);
        nap();
    }
    assert_int_equal(gpu_link_restarts(link), 1);
    gpu_link_free(link);
}

/* A worker whose descriptors find no place, or but one of them, is none, for the moment. */
static void test_no_descriptors_for_a_worker(void **state)
{
    for (rlim_t room = 0; room < 2; room++) {
        struct gpu_link *link;
        struct rlimit old, limit;
        int fd;

        (void)state;
        link = link_new_act("leave");
        while (gpu_link_check(link, START) == 0)
            nap();
        fd = dup(STDERR_FILENO);
        assert_true(fd >= 0);
        close_fd(&fd);
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
        limit = (struct rlimit){(rlim_t)fd + room, old.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        expect_no_start(link, START + SECOND,
                        "it could not be started: Too many open files");
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
        assert_int_equal(dup(STDERR_FILENO), fd); // nothing was left open
        close_fd(&fd);
        expect_start(link, START + 3 * SECOND);
        gpu_link_free(link);
    }
}

static void test_cpu_of_workers_that_ended(void **state)
{
    struct gpu_link *link = link_new_act("busy");
    double before = gpu_link_cpu_seconds(link);

    (void)state;
    gpu_link_request(link, START);
    while (gpu_link_check(link, START) == 0)
        nap();
    assert_true(gpu_link_cpu_seconds(link) >= before + 0.1);
    assert_true(gpu_link_cpu_seconds(link) < before + 5);
    gpu_link_free(link);
}

/*
 * What a host has in use never rests: it is no reason to read the lists of a device that
 * shares the host's memory.
 */
static void test_unified_memory_moves_no_list(void **state)
{
    struct gpu_link_options options = {
        .program = GPU_WORKER_PATH,
        .backends = "nvml",
        .nvml_library = FAKE_NVML_PATH,
        .sys_root = "/sys",
        .proc_root = files_dir,
    };
    struct gpu_link *link = NULL;
    const struct gpu_device *device;

    (void)state;
    files_write("script", "device GPU-0 GB10\nunified\nprocess compute 100 4096\n");
    files_write("calls", "");
    files_write("meminfo", "MemTotal: 8 kB\nMemAvailable: 8 kB\n");
    assert_int_equal(gpu_link_new(&options, START, &link), 0);
    assert_int_equal(exchange(link, START), 1);
    device = &gpu_link_sample(link)->devices[0];
    assert_int_equal(device->mem_total_bytes, 8192);
    assert_int_equal(device->mem_used_bytes, 0);
    assert_int_equal(device->unified, 1);

    files_write("meminfo", "MemTotal: 8 kB\nMemAvailable: 1 kB\n");
    assert_int_equal(exchange(link, START + SECOND / 4), 1);
    assert_int_equal(gpu_link_sample(link)->devices[0].mem_used_bytes, 7168);
    assert_int_equal(gpu_link_sample(link)->n_processes, 1);
    assert_int_equal(files_count("calls", "DeviceGetComputeRunningProcesses_v3"), 1);
    gpu_link_free(link);
}

/* A worker that cannot get rid of an old library says so, ends, and is replaced. */
static void test_library_replaced(void **state)
{
    struct gpu_link *link;

    (void)state;
    files_write("script", TWO_DEVICES);
    files_copy(FAKE_NVML_PATH, "lib.so", 0644);
    files_copy(FAKE_NVML_PATH, "lib.so.new", 0644);
    assert_int_equal(setenv("GPU_WORKER_PIN", files_path("lib.so"), 1), 0);
    link = link_new("nvml", files_path("lib.so"));
    assert_int_equal(unsetenv("GPU_WORKER_PIN"), 0);
    assert_int_equal(exchange(link, START), 1);
    assert_int_equal(gpu_link_sample(link)->sources[0].verdict, GPU_VERSION_MISMATCH);
    assert_non_null(strstr(gpu_link_sample(link)->sources[0].reason, "was replaced"));
    wait_readable(link);
    assert_int_equal(gpu_link_receive(link, START), -EPIPE);
    while (gpu_link_fd(link) >= 0) {
        (void)gpu_link_check(link, START);
        nap();
    }
    expect_start(link, START + SECOND);
    assert_int_equal(gpu_link_restarts(link), 1);
    assert_int_equal(exchange(link, START + SECOND), 1);
    assert_int_equal(gpu_link_sample(link)->sources[0].verdict, GPU_OK);
    gpu_link_free(link);
}

/* Stale after 2 s, killed after 10 s, replaced a second later. */
static void test_hanging_driver(void **state)
{
    struct gpu_link *link;
    uint64_t asked = START + SECOND;

    (void)state;
    files_write("script", TWO_DEVICES);
    link = link_new("nvml", FAKE_NVML_PATH);
    assert_int_equal(exchange(link, START), 1);

    files_write("script", "hang DeviceGetMemoryInfo_v2 600\ndevice a b\n");
    gpu_link_request(link, asked);
    assert_string_equal(gpu_link_reason(link, asked), "");
    assert_string_equal(gpu_link_reason(link, asked + 2 * SECOND),
                        "the driver has not answered for 2 s");
    assert_int_equal(gpu_link_sample(link)->n_devices, 2);

    gpu_link_request(link, asked + 3 * SECOND);
    assert_int_equal(gpu_link_receive(link, asked + 3 * SECOND), 0);
    assert_int_equal(gpu_link_check(link, asked + GPU_KILL_NS - 1), 0);
    assert_int_equal(gpu_link_check(link, asked + GPU_KILL_NS), 1);
    assert_int_equal(gpu_link_fd(link), -1);
    assert_non_null(strstr(gpu_link_reason(link, asked + GPU_KILL_NS),
                           "in 1 s (the last: it was killed, because the driver did not "
                           "answer for 10 s)"));
    assert_int_equal(gpu_link_sample(link)->n_devices, 2);

    files_write("script", TWO_DEVICES);
    assert_int_equal(gpu_link_check(link, asked + GPU_KILL_NS + SECOND - 1), 0);
    expect_start(link, asked + GPU_KILL_NS + SECOND);
    assert_int_equal(gpu_link_restarts(link), 1);
    assert_int_equal(exchange(link, asked + GPU_KILL_NS + SECOND), 1);
    assert_string_equal(gpu_link_reason(link, asked + GPU_KILL_NS + SECOND), "");
    gpu_link_free(link);
}

static void test_slow_answer_counts_from_the_question(void **state)
{
    struct gpu_link *link = link_new_act("future");

    (void)state;
    gpu_link_request(link, START);
    wait_readable(link);
    assert_int_equal(gpu_link_receive(link, START + 5 * SECOND), 1);
    assert_int_equal(gpu_link_sample(link)->taken_ns,
                     START + 5 * SECOND); // it said later
    assert_int_equal(gpu_link_sample(link)->processes_taken_ns, START + 5 * SECOND);
    gpu_link_free(link);
}

static const struct {
    const char *act;
    int good; // answers before the bad one
    int r;
} hostile[] = {
    {"garbage", 0, -EBADMSG},   {"short", 0, -EBADMSG},   {"huge", 0, -EBADMSG},
    {"other seq", 0, -EBADMSG}, {"twice", 1, -EBADMSG},   {"crash", 0, -EPIPE},
    {"half", 0, -EBADMSG},      {"version", 0, -EBADMSG}, {"flood", 1, -EBADMSG},
    {"empty", 0, -EPIPE},
};

static void test_hostile_worker(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(hostile); i++) {
        struct gpu_link *link = link_new_act(hostile[i].act);
        int r = exchange(link, START);

        if (hostile[i].good) {
            assert_int_equal(r, 1);
            wait_readable(link);
            r = gpu_link_receive(link, START);
        }
        if (r != hostile[i].r)
            fail_msg("[%s] is %d, expected %d", hostile[i].act, r, hostile[i].r);
        assert_int_equal(gpu_link_receive(link, START), -EPIPE);
        assert_int_equal(gpu_link_check(link, START), 1);
        assert_int_equal(gpu_link_fd(link), -1);
        assert_false(gpu_link_waiting(link));
        if (r == -EBADMSG)
            assert_non_null(strstr(gpu_link_reason(link, START + 2 * SECOND),
                                   "it sent a frame that cannot be"));
        assert_true(hostile[i].good == (gpu_link_sample(link) != NULL));
        expect_start(link, START + SECOND);
        gpu_link_free(link);
    }
}

static void test_unasked_frame(void **state)
{
    struct gpu_link *link = link_new_act("unasked");

    (void)state;
    wait_readable(link);
    assert_int_equal(gpu_link_receive(link, START), -EBADMSG);
    assert_null(gpu_link_sample(link));
    assert_int_equal(gpu_link_check(link, START), 1);
    gpu_link_free(link);
}

static void test_crash_is_named(void **state)
{
    struct gpu_link *link = link_new_act("crash");

    (void)state;
    assert_int_equal(exchange(link, START), -EPIPE);
    assert_int_equal(gpu_link_check(link, START), 1);
    for (int i = 0; i < 1000 && !strstr(gpu_link_reason(link, START), "SIGABRT"); i++) {
        nap();
        assert_int_equal(gpu_link_check(link, START), 0);
    }
    assert_non_null(strstr(gpu_link_reason(link, START), "it was killed by SIGABRT"));
    gpu_link_free(link);
}

/* 1, 2, 4, 8, 16, 30, 30 s; and from the start again after a long life. */
static void test_restart_backs_off(void **state)
{
    static const uint64_t delays[] = {1, 2, 4, 8, 16, 30, 30};
    uint64_t now = START;
    struct gpu_link *link;

    (void)state;
    assert_int_equal(setenv("GPU_WORKER_ACT", "leave", 1), 0);
    link = link_new("sim", NULL);
    for (size_t i = 0; i < ARRAY_LEN(delays); i++) {
        while (gpu_link_check(link, now) == 0)
            nap();
        assert_int_equal(gpu_link_fd(link), -1);
        assert_int_equal(gpu_link_check(link, now + delays[i] * SECOND - 1), 0);
        now += delays[i] * SECOND;
        expect_start(link, now);
        assert_int_equal(gpu_link_restarts(link), i + 1);
    }

    now += 60 * SECOND;
    while (gpu_link_check(link, now) == 0)
        nap();
    assert_non_null(strstr(gpu_link_reason(link, now), "in 1 s"));
    assert_int_equal(unsetenv("GPU_WORKER_ACT"), 0);
    gpu_link_free(link);
}

static void test_driver_loaded_later(void **state)
{
    struct gpu_link *link;
    const struct gpu_sample *sample;
    uint64_t now = START;

    (void)state;
    files_write("script", "error Init_v2 9\n");
    link = link_new("auto", FAKE_NVML_PATH);
    assert_int_equal(exchange(link, now), 1);
    sample = gpu_link_sample(link);
    assert_int_equal(sample->sources[0].verdict, GPU_NO_DRIVER);
    assert_non_null(strstr(sample->sources[0].reason, "not loaded"));
    assert_int_equal(sample->n_devices, 0);
    assert_string_equal(gpu_link_reason(link, now), "");

    files_write("script", TWO_DEVICES);
    for (int i = 0; i < 500 && gpu_link_sample(link)->n_devices == 0; i++) {
        nap();
        assert_int_equal(exchange(link, now++), 1);
    }
    sample = gpu_link_sample(link);
    assert_int_equal(sample->sources[0].verdict, GPU_OK);
    assert_string_equal(sample->sources[0].driver_version, "550.54.15");
    assert_int_equal(sample->n_devices, 2);
    assert_int_equal(sample->n_processes, 2); // although lists were not due: it has moved
    assert_int_equal(gpu_link_restarts(link), 0);
    gpu_link_free(link);
}

/* The driver fails as a whole while running: its state stays, its devices do not. */
static void test_driver_fails_and_comes_back(void **state)
{
    struct gpu_link *link;
    char script[1024];

    (void)state;
    files_write("script", TWO_DEVICES);
    link = link_new("nvml", FAKE_NVML_PATH);
    assert_int_equal(exchange(link, START), 1);
    assert_int_equal(gpu_link_sample(link)->n_processes, 2);

    // The first device is read already when the second one tells that all is over.
    assert_true(snprintf(script, sizeof(script), "%serror DeviceGetMemoryInfo_v2 18 1\n",
                         TWO_DEVICES) > 0);
    files_write("script", script);
    assert_int_equal(exchange(link, START + SECOND), 1);
    assert_int_equal(gpu_link_sample(link)->sources[0].verdict, GPU_VERSION_MISMATCH);
    assert_int_equal(gpu_link_sample(link)->n_devices, 0);
    assert_int_equal(gpu_link_sample(link)->n_processes, 0);

    files_write("script", TWO_DEVICES);
    for (int i = 0; i < 500 && gpu_link_sample(link)->n_devices == 0; i++) {
        nap();
        assert_int_equal(exchange(link, START + 2 * SECOND), 1);
    }
    assert_int_equal(gpu_link_sample(link)->n_devices, 2);
    gpu_link_free(link);
}

/* Memory each time, lists once a second, and at once when memory has moved. */
static void test_what_is_asked_how_often(void **state)
{
    struct gpu_link *link;
    uint64_t now = START;

    (void)state;
    files_write("calls", "");
    files_write("script", TWO_DEVICES);
    link = link_new("nvml", FAKE_NVML_PATH);
    for (int i = 0; i < 10; i++, now += SECOND / 2) {
        assert_int_equal(exchange(link, now), 1);
        assert_int_equal(gpu_link_sample(link)->n_processes, 2);
        assert_int_equal(gpu_link_sample(link)->processes_taken_ns, now - now % SECOND);
    }
    assert_int_equal(files_count("calls", "DeviceGetMemoryInfo_v2"), 2 * 10);
    assert_int_equal(files_count("calls", "DeviceGetComputeRunningProcesses_v3"), 2 * 5);
    assert_int_equal(files_count("calls", "DeviceGetMPSComputeRunningProcesses_v3"),
                     2 * 5);
    assert_int_equal(files_count("calls", "DeviceGetUUID"), 2);
    assert_int_equal(files_count("calls", "DeviceGetMemoryInfo"), 0);

    assert_int_equal(exchange(link, now),
                     1); // lists are due here, and half a second later
    now += SECOND / 2;   // they are not
    files_write("script", "device GPU-0 H100\n"
                          "memory 85899345920 600000000 50000000000\n"
                          "process compute 100 40000000000\n"
                          "device GPU-1 H100\n"
                          "memory 85899345920 600000000 0\n");
    assert_int_equal(exchange(link, now), 1);
    assert_int_equal(gpu_link_sample(link)->devices[0].mem_used_bytes, 50000000000);
    assert_int_equal(gpu_link_sample(link)->n_processes, 1);
    assert_int_equal(gpu_link_sample(link)->processes[0].used_bytes, 40000000000);
    assert_int_equal(gpu_link_sample(link)->processes_taken_ns, now);
    assert_int_equal(files_count("calls", "DeviceGetComputeRunningProcesses_v3"), 2 * 7);
    gpu_link_free(link);
}

static void test_uneven_pace(void **state)
{
    static const uint64_t steps_ms[] = {501, 497, 503, 500, 506, 490, 500, 511};
    struct gpu_link *link;
    uint64_t now = START;

    (void)state;
    files_write("calls", "");
    files_write("script", TWO_DEVICES);
    link = link_new("nvml", FAKE_NVML_PATH);
    for (size_t i = 0; i < ARRAY_LEN(steps_ms); i++) {
        assert_int_equal(exchange(link, now), 1);
        now += steps_ms[i] * 1000000;
    }
    assert_int_equal(files_count("calls", "DeviceGetComputeRunningProcesses_v3"), 2 * 4);
    gpu_link_free(link);
}

/* A list outlives frames without one only as long as the devices are the same. */
static void expect_list_dropped(const char *act)
{
    struct gpu_link *link = link_new_act(act);
    const struct gpu_sample *sample;

    assert_int_equal(exchange(link, START), 1);
    assert_int_equal(exchange(link, START + 1), 1);
    sample = gpu_link_sample(link);
    assert_int_equal(sample->n_processes, 1);
    assert_int_equal(sample->processes[0].used_bytes, 100);
    assert_int_equal(sample->processes_taken_ns, START);
    assert_int_equal(sample->processes_incomplete, 0);

    assert_int_equal(exchange(link, START + 2), 1);
    sample = gpu_link_sample(link);
    assert_int_equal(sample->n_devices, 1);
    assert_int_equal(sample->n_processes, 0);
    assert_int_equal(sample->processes_taken_ns, 0);
    assert_int_equal(sample->processes_incomplete, 1);

    assert_int_equal(exchange(link, START + 3), 1);
    sample = gpu_link_sample(link);
    assert_int_equal(sample->n_processes, 1);
    assert_int_equal(sample->processes[0].used_bytes, 103);
    assert_int_equal(sample->processes_incomplete, 0);
    gpu_link_free(link);
}

static void test_list_of_other_devices(void **state)
{
    (void)state;
    expect_list_dropped("swap");
    expect_list_dropped("swap numbers");
    expect_list_dropped("swap instances");
}

static void test_no_descriptor_is_inherited(void **state)
{
    struct gpu_link *link;
    int fds[2];

    (void)state;
    assert_int_equal(pipe(fds), 0); // without O_CLOEXEC
    link = link_new_act("descriptors");
    assert_int_equal(exchange(link, START), 1);
    gpu_link_free(link);
    close_fd(&fds[0]);
    close_fd(&fds[1]);
}

static void test_signals_are_left_to_the_parent(void **state)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    struct gpu_link *link = link_new("sim", NULL);
    pid_t pid;

    (void)state;
    assert_int_equal(exchange(link, START), 1);
    pid = find_worker();
    for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
        assert_int_equal(kill(pid, signals[i]), 0);
        assert_int_equal(exchange(link, START + i), 1);
    }
    gpu_link_free(link);
    for (int i = 0; i < 500 && kill(pid, 0) == 0; i++)
        nap(); // the link waits for its end no longer than a daemon's end may take
    assert_int_equal(kill(pid, 0), -1); // and reaped
    assert_int_equal(errno, ESRCH);
}

static void test_worker_dies_with_its_parent(void **state)
{
    int fds[2], status;
    pid_t parent, worker = 0;

    (void)state;
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0); // the orphan comes to us
    files_write("script", "hang Init_v2 600\n");
    assert_int_equal(pipe(fds), 0);
    parent = fork();
    assert_true(parent >= 0);
    if (parent == 0) {
        struct gpu_link *link = link_new("nvml", FAKE_NVML_PATH);

        gpu_link_request(link, START);
        nap(); // it may be within the driver by then, or not yet: it must end either way
        worker = find_worker();
        _exit(write(fds[1], &worker, sizeof(worker)) == (ssize_t)sizeof(worker) ? 0 : 1);
    }
    assert_int_equal(read(fds[0], &worker, sizeof(worker)), sizeof(worker));
    assert_int_equal(waitpid(parent, &status, 0), parent);
    assert_true(worker > 0);
    for (int i = 0; i < 500 && kill(worker, 0) == 0; i++) {
        (void)waitpid(-1, &status, WNOHANG); // keeper and worker come to us
        nap();
    }
    assert_int_equal(kill(worker, 0), -1);
    assert_int_equal(errno, ESRCH);
    close_fd(&fds[0]);
    close_fd(&fds[1]);
}

/*
 * A traced process that was killed is not reaped before its tracer has looked at it: to
 * its parent it looks like one that hangs in the driver.
 */
static pid_t hold_corpse(pid_t worker)
{
    int fds[2];
    char told = 0;
    pid_t tracer;

    assert_int_equal(pipe(fds), 0);
    tracer = fork();
    assert_true(tracer >= 0);
    if (tracer == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); // a check may fail
        told = ptrace(PTRACE_SEIZE, worker, NULL, NULL) == 0 ? 'y' : 'n';
        if (write(fds[1], &told, 1) == 1)
            (void)pause();
        _exit(0);
    }
    assert_int_equal(read(fds[0], &told, 1), 1);
    close_fd(&fds[0]);
    close_fd(&fds[1]);
    if (told == 'y')
        return tracer;
    assert_int_equal(kill(tracer, SIGKILL), 0);
    assert_int_equal(waitpid(tracer, NULL, 0), tracer);
    return 0;
}

static void test_two_corpses_suspend_starts(void **state)
{
    uint64_t now = START;
    struct gpu_link *link;
    pid_t tracers[2] = {0, 0};

    (void)state;
    files_write("script", "hang * 600\n");
    link = link_new("nvml", FAKE_NVML_PATH);
    for (size_t i = 0; i < ARRAY_LEN(tracers); i++) {
        tracers[i] = hold_corpse(find_worker());
        if (tracers[i] == 0) {
            gpu_link_free(link);
            skip(); // tracing is forbidden here
        }
        gpu_link_request(link, now);
        now += GPU_KILL_NS; // enough for one that has answered, not for a first answer
        assert_int_equal(gpu_link_check(link, now), 0);
        now += GPU_START_NS - GPU_KILL_NS;
        assert_int_equal(gpu_link_check(link, now), 1);
        now += 60 * SECOND;
        if (i == 0)
            expect_start(link, now);
        else
            assert_int_equal(gpu_link_check(link, now), 0);
    }
    assert_int_equal(gpu_link_fd(link), -1);
    assert_non_null(
        strstr(gpu_link_reason(link, now), "2 GPU workers hang in the driver"));

    assert_int_equal(kill(tracers[0], SIGKILL), 0);
    assert_int_equal(waitpid(tracers[0], NULL, 0), tracers[0]);
    while (gpu_link_check(link, now) == 0)
        nap();
    assert_true(gpu_link_fd(link) >= 0);
    assert_int_equal(kill(tracers[1], SIGKILL), 0);
    assert_int_equal(waitpid(tracers[1], NULL, 0), tracers[1]);
    gpu_link_free(link);
}

static void test_warm_exchange_allocates_nothing(void **state)
{
    struct gpu_link *link = link_new("sim", NULL);
    uint64_t now = START;
    unsigned before;

    (void)state;
    assert_int_equal(exchange(link, now), 1);
    before = allocs;
    assert_true(before > 0); // the count works
    for (int i = 0; i < 20; i++) {
        now += SECOND / 2;
        assert_int_equal(exchange(link, now), 1);
        assert_int_equal(gpu_link_check(link, now), 0);
        assert_string_equal(gpu_link_reason(link, now), "");
    }
    assert_int_equal(allocs, before);
    gpu_link_free(link);
}

static int setup(void **state)
{
    if (files_setup(state) < 0)
        return -1;
    return setenv("VRAMSCOPE_FAKE_NVML", files_path("script"), 1) |
           setenv("VRAMSCOPE_FAKE_NVML_CALLS", files_path("calls"), 1);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_auto_never_simulates),
        cmocka_unit_test(test_library_found_by_its_name),
        cmocka_unit_test(test_only_the_vendors_that_are_there),
        cmocka_unit_test(test_unknown_backend),
        cmocka_unit_test(test_program_missing),
        cmocka_unit_test(test_worker_cannot_be_started),
        cmocka_unit_test(test_killed_keeper),
        cmocka_unit_test(test_stopped_keeper),
        cmocka_unit_test(test_no_descriptors_for_a_worker),
        cmocka_unit_test(test_cpu_of_workers_that_ended),
        cmocka_unit_test(test_unified_memory_moves_no_list),
        cmocka_unit_test(test_library_replaced),
        cmocka_unit_test(test_hanging_driver),
        cmocka_unit_test(test_slow_answer_counts_from_the_question),
        cmocka_unit_test(test_hostile_worker),
        cmocka_unit_test(test_unasked_frame),
        cmocka_unit_test(test_crash_is_named),
        cmocka_unit_test(test_restart_backs_off),
        cmocka_unit_test(test_driver_loaded_later),
        cmocka_unit_test(test_driver_fails_and_comes_back),
        cmocka_unit_test(test_what_is_asked_how_often),
        cmocka_unit_test(test_uneven_pace),
        cmocka_unit_test(test_list_of_other_devices),
        cmocka_unit_test(test_no_descriptor_is_inherited),
        cmocka_unit_test(test_signals_are_left_to_the_parent),
        cmocka_unit_test(test_worker_dies_with_its_parent),
        cmocka_unit_test(test_two_corpses_suspend_starts),
        cmocka_unit_test(test_warm_exchange_allocates_nothing),
    };

    return cmocka_run_group_tests(tests, setup, files_teardown);
}
