// SPDX-License-Identifier: Apache-2.0
/*
 * test_gpu_xe.c - the Intel back end on trees of files, and a kernel that the test plays
 *
 * An integrated GPU, an A770 with i915, a card of two tiles with xe, and one of AMD's.
 */
#include "test_gpu_allocs.h"
#include "test_gpu_drm.h"
#include "test_gpu_intel_kernel.h"

#define INTEGRATED "0000:00:02.0"
#define DG2 "0000:03:00.0"
#define PVC "0000:83:00.0"
#define DEVICES "sys/devices/pci0000:00/"

static void put_intel(uint32_t n, const char *address, const char *driver, const char *id)
{
    put_card(n, address, "0x8086\n", driver);
    put(name_of(DEVICES "%s/device", address), id);
}

static int setup(void **state)
{
    tested = &gpu_xe;
    tested_calls = &calls;
    memset(nodes, 0, sizeof(nodes));
    perfmon = true;
    n_opened = n_asked = 0;
    if (tree_setup(state) < 0)
        return -1;
    put_intel(0, INTEGRATED, "i915", "0x4680\n");
    put_intel(1, DG2, "i915", "0x56a0\n");
    put_card(2, "0000:07:00.0", "0x1002\n", "amdgpu");
    put_intel(3, PVC, "xe", "0x0bd5\n");
    put(DEVICES PVC "/class", "0x038000\n");
    put_i915(0, system_only, 1);
    put_i915(1, dg2, 2);
    put_xe(3, pvc, 3);
    return 0;
}

#define CLIENT(driver, pci, id, memory)                                              \
    "pos:\t0\nflags:\t0100002\nmnt_id:\t26\nino:\t685\ndrm-driver:\t" driver         \
    "\ndrm-client-id:\t" id "\ndrm-pdev:\t" pci "\ndrm-total-system:\t0\n" memory    \
    "drm-total-gtt:\t192 KiB\ndrm-resident-gtt:\t192 KiB\ndrm-resident-stolen:\t7\n" \
    "drm-cycles-rcs:\t28257900\ndrm-total-cycles-rcs:\t7655183225\n"
#define ON_PVC(id, first, second)                                                       \
    CLIENT("xe", PVC, id,                                                               \
           "drm-total-vram0:\t9 GiB\ndrm-shared-vram0:\t16 MiB\ndrm-active-vram0:\t0\n" \
           "drm-resident-vram0:\t" first "\ndrm-resident-vram1:\t" second "\n")
#define ON_DG2(id, resident)                                           \
    CLIENT("i915", DG2, id,                                            \
           "drm-total-local0:\t8 MiB\ndrm-resident-local0:\t" resident \
           "\ndrm-resident-stolen-local0:\t3 MiB\ndrm-resident-system0:\t5 MiB\n")

static void test_cards(void **state)
{
    const struct gpu_device *d = sample.devices;

    (void)state;
    take(SECOND, true);
    assert_int_equal(sample.n_devices, 2);
    assert_int_equal(d[0].index, 1);
    assert_string_equal(d[0].uuid, DG2);
    assert_string_equal(d[0].name, "Intel GPU 0x56a0");
    assert_int_equal(d[0].mem_total_bytes, 17028874240);
    assert_int_equal(d[0].mem_used_bytes, 8000000000);
    assert_true(d[0].mem_reserved_bytes == UNKNOWN);
    assert_true(!d[0].unified && !d[0].used_is_estimate);
    assert_string_equal(d[0].reason, "");
    assert_int_equal(d[1].index, 3);
    assert_string_equal(d[1].uuid, PVC);
    assert_string_equal(d[1].name, "Intel GPU 0x0bd5");
    assert_int_equal(d[1].mem_total_bytes, 120 * GIB);
    assert_int_equal(d[1].mem_used_bytes, 57 * GIB);
    expect_processes("no clients", "||", 0);

    xe_region(nodes[3].bytes, 2)->used += 4096;
    nodes[3].interrupted = 2; // by signals: asked again
    take(SECOND + SECOND / 2, false);
    assert_int_equal(d[1].mem_used_bytes, 57 * GIB + 4096);
    assert_string_equal(d[1].reason, "");
}

static void test_processes(void **state)
{
    (void)state;
    put_fd(200, 5, ON_PVC("9", "51200 KiB", "1 MiB"));
    put_fd(200, 6, ON_PVC("9", "51200 KiB", "1 MiB")); // the same file
    put_fd(200, 7, ON_PVC("10", "100", "0"));
    put_fd(200, 8, ON_DG2("9", "2 MiB"));              // another card's 9
    put_fd(201, 3, ON_PVC("9", "51200 KiB", "1 MiB")); // handed on
    put_fd(202, 3, ON_DG2("11", "0"));
    put_fd(203, 3, CLIENT("i915", INTEGRATED, "1", "drm-resident-system0:\t9 MiB\n"));
    put_fd(203, 4, "drm-driver:\ti915\ndrm-pdev:\t" INTEGRATED "\n"); // not missed
    put_fd(204, 3, CLIENT("amdgpu", DG2, "1", "drm-resident-local0:\t9 MiB\n"));
    put_fd(205, 3, ON_DG2("12", "furlongs"));
    take(SECOND, true);
    expect_processes("clients", "| 200/2097152 205/?| 200/53477476", 0);

    remove_tree("proc/200");
    put_fd(206, 3, CLIENT("xe", "0000:99:00.0", "1", "drm-resident-vram0:\t5\n"));
    take(2 * SECOND, true);
    expect_processes("of no known card", "| 205/?| 201/53477376", 1);
}

/* How a client may put its memory. */
static const struct {
    const char *row;
    const char *text;
    const char *expected;
} memories[] = {
    {"first tile", ON_PVC("1", "5", "0"), "|| 300/5"},
    {"second tile", ON_PVC("1", "0", "6"), "|| 300/6"},
    {"two digits", CLIENT("xe", PVC, "1", "drm-resident-vram10:\t7\n"), "|| 300/7"},
    {"no number", CLIENT("xe", PVC, "1", "drm-resident-vram:\t7\n"), "|| 300/?"},
    {"a word behind", CLIENT("xe", PVC, "1", "drm-resident-vramx:\t7\n"), "|| 300/?"},
    {"total alone", CLIENT("xe", PVC, "1", "drm-total-vram0:\t7\n"), "|| 300/?"},
    {"an alias of another's", CLIENT("xe", PVC, "1", "drm-memory-vram0:\t7\n"),
     "|| 300/?"},
    {"i915's region in xe", CLIENT("xe", PVC, "1", "drm-resident-local0:\t7\n"),
     "|| 300/?"},
    {"garbage on one tile", ON_PVC("1", "5", "-1"), "|| 300/?"},
    {"2^64 in sum", ON_PVC("1", "18446744073709551614", "5"), "|| 300/?"},
    {"more than there is", ON_PVC("1", "999999 MiB", "0"), "|| 300/?"},
    {"driver said last",
     "drm-pdev:\t" PVC "\ndrm-client-id:\t1\ndrm-resident-vram0:\t8\ndrm-driver:\txe\n",
     "|| 300/8"},
    {"two drivers, one of them ours", ON_PVC("1", "5", "0") "drm-driver:\tvc4\n", "||"},
    {"nothing", "", "||"},
};

static void test_memories(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(memories); i++) {
        put("proc/300/fdinfo/3", memories[i].text);
        if (i == 0)
            put_link("proc/300/fd/3", "/dev/dri/renderD131");
        take((i + 1) * SECOND, true);
        expect_processes(memories[i].row, memories[i].expected, 0);
    }
}

/* Without CAP_PERFMON, what processes hold is an estimate where all of them are seen. */
static void test_without_perfmon(void **state)
{
    const struct gpu_device *d = sample.devices;

    (void)state;
    perfmon = false;
    put_fd(200, 5, ON_PVC("9", "10 MiB", "1 MiB"));
    put_fd(201, 6, ON_PVC("10", "100 MiB", "0"));
    put_fd(202, 8, ON_DG2("9", "2 MiB"));
    take(SECOND, true);
    assert_int_equal(d[0].mem_total_bytes, 17028874240);
    assert_int_equal(d[0].mem_used_bytes, 2 << 20);
    assert_int_equal(d[1].mem_used_bytes, 111 << 20);
    assert_true(d[0].used_is_estimate && d[1].used_is_estimate);
    assert_non_null(strstr(d[0].reason, "in use: this is what processes hold"));
    expect_processes("they are told", "| 202/2097152| 200/11534336 201/104857600", 0);

    take(SECOND + SECOND / 2, false); // between two lists
    assert_int_equal(d[1].mem_used_bytes, 111 << 20);
    remove_tree("sys/class/drm/card1"); // and when the cards are listed anew
    take(11 * SECOND, false);
    assert_int_equal(d[1].mem_used_bytes, 111 << 20);
    remove_tree("proc/202");
    take(21 * SECOND, false);
    assert_int_equal(sample.n_devices, 1);
    assert_int_equal(d[0].mem_used_bytes, 111 << 20);

    put_fd(203, 8, ON_PVC("11", "130000 MiB", "0")); // shared buffers count for each
    put_fd(204, 8, ON_PVC("12", "130000 MiB", "0"));
    put_fd(205, 8, ON_PVC("13", "119 MiB", "0"));
    xe_region(nodes[3].bytes, 2)->total_size = 100 * GIB;
    take(22 * SECOND, true);
    assert_true(d[0].mem_used_bytes == UNKNOWN && !d[0].used_is_estimate);
    assert_int_equal(d[0].mem_total_bytes, 160 * GIB);
    assert_non_null(strstr(d[0].reason, "more than there is"));

    remove_tree("proc/203");
    put("proc/204/fdinfo/8", ON_PVC("12", "x", "0"));
    take(23 * SECOND, true);
    assert_true(d[0].mem_used_bytes == UNKNOWN);
    assert_non_null(strstr(d[0].reason, "of every process"));

    perfmon = true; // the service was given the right
    take(24 * SECOND, true);
    assert_int_equal(d[0].mem_used_bytes, 57 * GIB);
    assert_true(!d[0].used_is_estimate);
    assert_string_equal(d[0].reason, "");
}

/* As a user without rights meets a process of another. Root is one who has them. */
static void test_without_rights(void **state)
{
    const struct gpu_device *d = sample.devices;
    bool root = geteuid() == 0;

    (void)state;
    put_fd(600, 3, ON_DG2("9", "7 KiB"));
    put_fd(601, 3, ON_DG2("10", "8 KiB"));
    assert_int_equal(chmod(path_of("proc/600/fd"), 0), 0);
    assert_int_equal(chmod(files_dir, 0755), 0);
    assert_true(!root || seteuid(65534) == 0);
    take(SECOND, true);
    expect_processes("hidden", "| 601/8192|", 1);
    assert_int_equal(d[0].mem_used_bytes, 8000000000);
    perfmon = false;
    take(2 * SECOND, true);
    assert_true(d[0].mem_used_bytes == UNKNOWN && !d[0].used_is_estimate);
    assert_int_equal(d[0].mem_total_bytes, 17028874240);
    assert_non_null(strstr(d[0].reason, "CAP_PERFMON how much"));
    assert_non_null(strstr(d[0].reason, "CAP_SYS_PTRACE"));
    assert_true(!root || seteuid(0) == 0);
    assert_int_equal(chmod(path_of("proc/600/fd"), 0755), 0);
}

static void test_closed_nodes(void **state)
{
    const struct gpu_device *d = sample.devices;

    (void)state;
    nodes[0].open_error = nodes[1].open_error = EACCES;
    nodes[3].open_error = ENOENT; // a container that was not given it
    put_fd(600, 3, ON_DG2("9", "7 KiB"));
    take(SECOND, true);
    assert_int_equal(sample.n_devices, 2); // the integrated one is known by its place
    assert_string_equal(d[0].uuid, DG2);
    assert_true(d[0].mem_total_bytes == UNKNOWN && d[0].mem_used_bytes == UNKNOWN);
    assert_string_equal(d[0].reason,
                        "/dev/dri/renderD129 cannot be opened: Permission denied");
    assert_string_equal(
        d[1].reason, "/dev/dri/renderD131 cannot be opened: No such file or directory");
    expect_processes("known all the same", "| 600/7168|", 0);

    nodes[1].open_error = 0;
    take(2 * SECOND, false);
    assert_int_equal(d[0].mem_used_bytes, 8000000000);
    assert_string_equal(d[0].reason, "");
    assert_true(d[1].mem_total_bytes == UNKNOWN);

    remove_tree(DEVICES PVC "/drm/renderD131");
    take(12 * SECOND, false);
    assert_string_equal(d[1].reason,
                        "its memory cannot be read: No such device or address");
}

/* Answers of a kernel that lies, or that we misunderstand. */

static const struct {
    const char *row;
    uint32_t n;           // regions that are said to be there
    int64_t says_len;     // -1: the true length
    uint64_t total, used; // of the second region
    int error;            // of the call
    uint64_t expected_total, expected_used;
    const char *reason;
} lies[] = {
    {"none", 3, -1, 60 * GIB, GIB, 0, 120 * GIB, 8 * GIB, ""},
    {"a region more", 4, -1, 60 * GIB, GIB, 0, UNKNOWN, UNKNOWN, "not a number"},
    {"regions wrap around", 0x80000000, -1, 60 * GIB, GIB, 0, UNKNOWN, UNKNOWN,
     "not a number"},
    {"all the regions", UINT32_MAX, -1, 60 * GIB, GIB, 0, UNKNOWN, UNKNOWN,
     "not a number"},
    {"a region less", 2, -1, 60 * GIB, GIB, 0, 60 * GIB, GIB, ""},
    {"no length", 3, 0, 60 * GIB, GIB, 0, UNKNOWN, UNKNOWN, "not a number"},
    {"less than a header", 3, 7, 60 * GIB, GIB, 0, UNKNOWN, UNKNOWN, "not a number"},
    {"header and half a region", 1, 50, 60 * GIB, GIB, 0, UNKNOWN, UNKNOWN,
     "not a number"},
    {"long", 3, 4096, 60 * GIB, GIB, 0, 120 * GIB, 8 * GIB, ""},
    {"too long", 3, 4097, 60 * GIB, GIB, 0, UNKNOWN, UNKNOWN, "not a number"},
    {"4 GiB", 3, UINT32_MAX, 60 * GIB, GIB, 0, UNKNOWN, UNKNOWN, "not a number"},
    {"more used than there is", 3, -1, GIB, GIB + 1, 0, UNKNOWN, UNKNOWN, "not a number"},
    {"2^64 in sum", 3, -1, UNKNOWN - 1, 1, 0, UNKNOWN, UNKNOWN, "does not tell"},
    {"a pebibyte", 3, -1, UINT64_C(1) << 60, 1, 0, UNKNOWN, UNKNOWN, "the driver says"},
    {"fails", 3, -1, 60 * GIB, GIB, EIO, UNKNOWN, UNKNOWN, "Input/output error"},
    {"refuses", 3, -1, 60 * GIB, GIB, EPERM, UNKNOWN, UNKNOWN, "not permitted"},
    {"knows no such call", 3, -1, 60 * GIB, GIB, ENOTTY, UNKNOWN, UNKNOWN,
     "cannot be read"},
    {"knows no such question", 3, -1, 60 * GIB, GIB, EINVAL, UNKNOWN, UNKNOWN,
     "cannot be read"},
    {"unplugged", 3, -1, 60 * GIB, GIB, ENODEV, UNKNOWN, UNKNOWN, "gone"},
};

static void test_lies_of_xe(void **state)
{
    const struct gpu_device *d = &sample.devices[1];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
        put_xe(3, pvc, 3);
        nodes[3].xe.n = lies[i].n;
        nodes[3].says_len = lies[i].says_len;
        nodes[3].error = lies[i].error;
        xe_region(nodes[3].bytes, 1)->total_size = lies[i].total;
        xe_region(nodes[3].bytes, 1)->used = lies[i].used;
        take((i + 1) * SECOND, false);
        if (sample.n_devices != 2 || d->mem_total_bytes != lies[i].expected_total ||
            d->mem_used_bytes != lies[i].expected_used ||
            !strstr(d->reason, lies[i].reason) || (!lies[i].reason[0] && d->reason[0]))
            fail_msg("[%s] %" PRIu64 " %" PRIu64 " \"%s\"", lies[i].row,
                     d->mem_total_bytes, d->mem_used_bytes, d->reason);
    }
}

static const struct {
    const char *row;
    uint32_t n;
    int64_t says_len;
    uint64_t probed, unallocated;
    int error, item_error;
    bool listed;
    uint64_t expected_total, expected_used;
} lies_of_i915[] = {
    {"none", 2, -1, 16 * GIB, 9 * GIB, 0, 0, true, 16 * GIB, 7 * GIB},
    {"a region more", 3, -1, 16 * GIB, 9 * GIB, 0, 0, true, UNKNOWN, UNKNOWN},
    {"less than a header", 2, 15, 16 * GIB, 9 * GIB, 0, 0, true, UNKNOWN, UNKNOWN},
    {"negative length", 2, UINT32_MAX, 16 * GIB, 9 * GIB, 0, 0, true, UNKNOWN, UNKNOWN},
    {"most negative", 2, 0x80000000, 16 * GIB, 9 * GIB, 0, 0, true, UNKNOWN, UNKNOWN},
    {"too long", 2, 4097, 16 * GIB, 9 * GIB, 0, 0, true, UNKNOWN, UNKNOWN},
    {"unknown size", 2, -1, UNKNOWN, GIB, 0, 0, true, UNKNOWN, UNKNOWN},
    {"both unknown", 2, -1, UNKNOWN, UNKNOWN, 0, 0, true, UNKNOWN, UNKNOWN},
    {"more free than there is", 2, -1, GIB, GIB + 1, 0, 0, true, UNKNOWN, UNKNOWN},
    {"fails", 2, -1, 16 * GIB, 9 * GIB, EIO, 0, true, UNKNOWN, UNKNOWN},
    {"fails within", 2, -1, 16 * GIB, 9 * GIB, 0, EIO, true, UNKNOWN, UNKNOWN},
    {"knows no such question", 2, -1, 16 * GIB, 9 * GIB, 0, EINVAL, false, 0, 0},
    {"knows no such call", 2, -1, 16 * GIB, 9 * GIB, EINVAL, 0, false, 0, 0},
    {"without local memory", 1, -1, 16 * GIB, 9 * GIB, 0, 0, false, 0, 0},
};

static void test_lies_of_i915(void **state)
{
    const struct gpu_device *d = &sample.devices[0];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lies_of_i915); i++) {
        put_i915(1, dg2, 2);
        nodes[1].i915.n = lies_of_i915[i].n;
        nodes[1].says_len = lies_of_i915[i].says_len;
        nodes[1].error = lies_of_i915[i].error;
        nodes[1].item_error = lies_of_i915[i].item_error;
        i915_region(nodes[1].bytes, 1)->probed_size = lies_of_i915[i].probed;
        i915_region(nodes[1].bytes, 1)->unallocated_size = lies_of_i915[i].unallocated;
        take((i + 1) * SECOND, false);
        if (sample.n_devices != (lies_of_i915[i].listed ? 2 : 1) ||
            (lies_of_i915[i].listed &&
             (d->mem_total_bytes != lies_of_i915[i].expected_total ||
              d->mem_used_bytes != lies_of_i915[i].expected_used)))
            fail_msg("[%s] %u devices, %" PRIu64 " %" PRIu64, lies_of_i915[i].row,
                     sample.n_devices, d->mem_total_bytes, d->mem_used_bytes);
    }
}

static void test_lost_card(void **state)
{
    const struct gpu_device *d = sample.devices;

    (void)state;
    take(SECOND, true);
    nodes[3].error = ENODEV; // as DRM says at once
    remove_tree(DEVICES PVC);
    remove_tree("sys/class/drm/card3");
    take(2 * SECOND, true);
    assert_int_equal(sample.n_devices, 2);
    assert_string_equal(d[1].name, "Intel GPU 0x0bd5");
    assert_true(d[1].mem_total_bytes == UNKNOWN && d[1].mem_used_bytes == UNKNOWN);
    assert_non_null(strstr(d[1].reason, "gone"));
    assert_int_equal(sample.processes_incomplete, 1);
    take(7 * SECOND, true);
    assert_int_equal(sample.n_devices, 1);
    assert_int_equal(sample.processes_incomplete, 0);

    remove_tree("sys/class/drm/card0"); // nobody's loss
    take(17 * SECOND, true);
    assert_int_equal(sample.n_devices, 1);
    assert_int_equal(sample.processes_incomplete, 0);
}

static const struct {
    const char *row;
    const char *remove[2]; // of the tree
    enum gpu_verdict verdict;
    const char *reason;
} openings[] = {
    {"not bound to a driver",
     {"sys/class/drm/card1", "sys/class/drm/card3"},
     GPU_NO_DRIVER,
     "the xe and i915 kernel drivers do not have the Intel GPU at 0000:"},
    {"integrated only",
     {"sys/bus/pci/devices/" DG2, "sys/bus/pci/devices/" PVC},
     GPU_NO_DEVICE,
     "this host has no Intel GPU with memory of its own"},
    {"integrated, without a driver",
     {"sys/class/drm/card0", "sys/class/drm/card2"},
     GPU_NO_DEVICE,
     "this host has no Intel GPU with memory of its own"},
    {"none", {"sys/class/drm", "sys/bus"}, GPU_NO_DEVICE, "no Intel GPU"},
};

static void test_openings(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(openings); i++) {
        int r;

        for (size_t n = 0; n < ARRAY_LEN(openings[i].remove); n++)
            remove_tree(openings[i].remove[n]);
        memset(&said, 0, sizeof(said));
        r = open_it();
        if (r != -ENODEV || said.verdict != openings[i].verdict || source ||
            !strstr(said.reason, openings[i].reason))
            fail_msg("[%s] is %d, %s, \"%s\"", openings[i].row, r,
                     gpu_verdict_name(said.verdict), said.reason);
    }
}

/* An integrated one elsewhere than on a host's first bus, as in a virtual machine. */
static void test_integrated_elsewhere(void **state)
{
    (void)state;
    put_xe(3, pvc, 1);
    put_i915(1, dg2, 1);
    assert_int_equal(open_it(), -ENODEV);
    assert_int_equal(said.verdict, GPU_NO_DEVICE);
}

static void test_warm_sample_allocates_nothing(void **state)
{
    unsigned before;

    (void)state;
    perfmon = false;
    put_fd(100, 3, ON_DG2("9", "7 KiB"));
    put_fd(101, 3, ON_PVC("9", "7 KiB", "1 KiB"));
    take(0, true);
    before = allocs;
    assert_true(before > 0); // the count works
    for (uint64_t i = 1; i < 30; i++)
        take(i * SECOND, true);
    assert_int_equal(allocs, before);
    expect_processes("at last", "| 100/7168| 101/8192", 0);
    assert_in_range(n_opened, 3, 15); // once in ten seconds at most
    assert_int_equal(n_asked, 2 * 3 * 31);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    static const struct CMUnitTest tests[] = {
        TEST(test_cards),
        TEST(test_processes),
        TEST(test_memories),
        TEST(test_without_perfmon),
        TEST(test_without_rights),
        TEST(test_closed_nodes),
        TEST(test_lies_of_xe),
        TEST(test_lies_of_i915),
        TEST(test_lost_card),
        TEST(test_openings),
        TEST(test_integrated_elsewhere),
        TEST(test_warm_sample_allocates_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
