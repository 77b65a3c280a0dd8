// SPDX-License-Identifier: Apache-2.0
/*
 * test_gpu_amdgpu.c - the AMD back end on trees of files as amdgpu and KFD make them
 *
 * Two cards of AMD's, one of Intel's and one of AMD's with the old radeon driver, linked
 * as in /sys. The time that the back end sees is the sample's.
 */
#include "gpu/amdgpu.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "test_gpu_allocs.h"
#include "test_gpu_drm.h"

#define GIB (UINT64_C(1) << 30)

#define FIRST "sys/devices/pci0000:00/0000:03:00.0"
#define SECOND_CARD "sys/devices/pci0000:00/0000:83:00.0"
#define NODES "sys/devices/virtual/kfd/kfd/topology/nodes"
#define KFD_PROC "sys/devices/virtual/kfd/kfd/proc"

static void put_memory(const char *folder, const char *total, const char *used)
{
    put(name_of("%s/mem_info_vram_total", folder), total);
    put(name_of("%s/mem_info_vram_used", folder), used);
}

static void put_node(uint32_t n, const char *gpu_id, const char *properties)
{
    put(name_of(NODES "/%u/gpu_id", n), gpu_id);
    put(name_of(NODES "/%u/properties", n), properties);
}

static void put_kfd(void)
{
    put_link("sys/class/kfd/kfd", "../../devices/virtual/kfd/kfd");
    put_node(0, "0\n", "cpu_cores_count 64\nsimd_count 0\ndrm_render_minor 0\n");
    put_node(1, "30303\n",
             "cpu_cores_count 0\nlocation_id 768\ndomain 0\ndrm_render_minor 129\n"
             "hive_id 0\nunique_id 1\n");
    put_node(2, "50505\n",
             "cpu_cores_count 0\nlocation_id 33536\ndomain 0\ndrm_render_minor 131\n");
    put(KFD_PROC "/x", "");
}

#define CLIENT(pci, id, memory)                                                \
    "pos:\t0\nflags:\t02100002\nmnt_id:\t27\nino:\t620\ndrm-driver:\tamdgpu\n" \
    "drm-client-id:\t" id "\ndrm-pdev:\t" pci "\npasid:\t32771\n" memory       \
    "drm-memory-gtt: \t2048 KiB\ndrm-memory-cpu: \t0 KiB\ndrm-engine-gfx:\t7 ns\n"
#define ON_FIRST "0000:03:00.0"
#define ON_SECOND "0000:83:00.0"

static int setup(void **state)
{
    tested = &gpu_amdgpu;
    if (tree_setup(state) < 0)
        return -1;
    put("sys/class/drm/version", "drm 1.1.0 20060810\n");
    put_card(0, "0000:00:02.0", "0x8086\n", "i915");
    put_card(1, "0000:03:00.0", "0x1002\n", "amdgpu");
    put_card(2, "0000:07:00.0", "0x1002\n", "radeon");
    put_card(3, "0000:83:00.0", "0x1002\n", "amdgpu");
    put_memory("sys/devices/pci0000:00/0000:00:02.0", "1\n", "1\n");
    put_memory(FIRST, "25753026560\n", "21474836480\n");
    put_memory(SECOND_CARD, "206141652992\n", "297795584\n");
    put(SECOND_CARD "/product_name", "AMD Instinct MI300X OAM\n");
    put(SECOND_CARD "/unique_id", "8a1b2c3d4e5f6071\n");
    put("proc/version", "Linux\n");
    return 0;
}

static void test_two_cards(void **state)
{
    const struct gpu_device *d = sample.devices;

    (void)state;
    take(SECOND, true);
    assert_int_equal(sample.n_devices, 2);
    assert_int_equal(d[0].index, 1);
    assert_string_equal(d[0].uuid, "0000:03:00.0");
    assert_string_equal(d[0].name, "AMD GPU 0x744c");
    assert_int_equal(d[0].mem_total_bytes, 25753026560);
    assert_int_equal(d[0].mem_used_bytes, 21474836480);
    assert_true(d[0].mem_reserved_bytes == UNKNOWN);
    assert_string_equal(d[0].reason, "");
    assert_int_equal(d[1].index, 3);
    assert_string_equal(d[1].uuid, "GPU-8a1b2c3d4e5f6071");
    assert_string_equal(d[1].name, "AMD Instinct MI300X OAM");
    assert_int_equal(d[1].mem_total_bytes, 206141652992);
    assert_int_equal(d[1].mem_used_bytes, 297795584);
    assert_string_equal(said.driver_version, "");
    expect_processes("no KFD, no clients", "||", 0);
}

static void test_names(void **state)
{
    (void)state;
    put("sys/module/amdgpu/version", "6.10.5\n");
    put(FIRST "/product_name", "\n");
    put(FIRST "/unique_id", "0000000000000000\n");
    put(SECOND_CARD "/product_name", "AMD \x1b]0;x\x07 MI300X\n");
    put(SECOND_CARD "/unique_id", "../../etc/passwd\n");
    take(SECOND, false);
    assert_string_equal(said.driver_version, "6.10.5");
    assert_string_equal(sample.devices[0].uuid, "0000:03:00.0");
    assert_string_equal(sample.devices[0].name, "AMD GPU 0x744c");
    assert_string_equal(sample.devices[1].uuid, "0000:83:00.0");
    assert_string_equal(sample.devices[1].name,
                        "AMD \xef\xbf\xbd]0;x\xef\xbf\xbd MI300X");
}

/* What the first card's files may say. */
static const struct {
    const char *row;
    const char *total, *used; // NULL: no such file
    uint64_t total_bytes, used_bytes;
    const char *reason;
} memories[] = {
    {"plain", "1000\n", "999\n", 1000, 999, ""},
    {"full", "1000", "1000", 1000, 1000, ""},
    {"nothing used", "1000\n", "0\n", 1000, 0, ""},
    {"more than there is", "1000\n", "1001\n", 1000, UNKNOWN, "1001 of 1000"},
    {"none at all", "0\n", "0\n", UNKNOWN, UNKNOWN, "has 0 bytes"},
    {"garbage", "1000\n", "lots\n", 1000, UNKNOWN, "not a number"},
    {"garbage total", "0x400\n", "1\n", UNKNOWN, 1, "not a number"},
    {"empty", "1000\n", "", 1000, UNKNOWN, "not a number"},
    {"negative", "1000\n", "-1\n", 1000, UNKNOWN, "not a number"},
    {"2^64", "1000\n", "18446744073709551616\n", 1000, UNKNOWN, "not a number"},
    {"2^64 - 1", "1000\n", "18446744073709551615\n", 1000, UNKNOWN, "not a number"},
    {"two lines", "1000\n", "1\n2\n", 1000, UNKNOWN, "not a number"},
    {"long", "1000\n",
     "0000000000000000000000000000000000000000000000000000000000000000000000001\n", 1000,
     UNKNOWN, "not a number"},
    {"an exabyte", "1152921504606846976\n", "1\n", UNKNOWN, UNKNOWN,
     "1152921504606846976"},
    {"gone", "1000\n", NULL, 1000, UNKNOWN, "gone"},
};

static void test_memories(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(memories); i++) {
        const struct gpu_device *d = &sample.devices[0];

        put_memory(FIRST, memories[i].total, memories[i].used ? memories[i].used : "");
        if (!memories[i].used)
            assert_int_equal(remove(path_of(FIRST "/mem_info_vram_used")), 0);
        take((1 + i) * SECOND, false);
        if (sample.n_devices != 2 || d->mem_total_bytes != memories[i].total_bytes ||
            d->mem_used_bytes != memories[i].used_bytes ||
            !strstr(d->reason, memories[i].reason) ||
            !d->reason[0] != !memories[i].reason[0])
            fail_msg("[%s] %" PRIu64 " of %" PRIu64 ", \"%s\"", memories[i].row,
                     d->mem_used_bytes, d->mem_total_bytes, d->reason);
        assert_int_equal(sample.devices[1].mem_used_bytes, 297795584);
        assert_string_equal(sample.devices[1].reason, "");
    }
}

static void test_by_kfd(void **state)
{
    (void)state;
    put_kfd();
    put(KFD_PROC "/100/pasid", "32770\n");
    put(KFD_PROC "/100/vram_30303", "20000000000\n");
    put(KFD_PROC "/100/sdma_30303", "5\n");
    put(KFD_PROC "/100/vram_50505", "0\n"); // open, and nothing on it
    put(KFD_PROC "/4000000/vram_30303", "1000\n");
    put(KFD_PROC "/4000000/vram_50505", "2000\n");
    put(KFD_PROC "/4000000/context_1/vram_50505", "300\n");
    take(SECOND, true);
    assert_int_equal(sample.devices[0].mem_used_bytes, 21474836480);
    expect_processes("two processes", "| 100/20000000000 4000000/1000| 4000000/2300", 0);

    put(KFD_PROC "/100/vram_30303", "garbage\n");
    put(KFD_PROC "/4000000/vram_50505", "-1\n");
    take(2 * SECOND, true);
    expect_processes("garbage", "| 100/? 4000000/1000| 4000000/?", 0);

    put(KFD_PROC "/100/vram_30303", "18446744073709551616\n");
    put(KFD_PROC "/4000000/vram_50505", "206141652993\n"); // than the card has
    take(3 * SECOND, true);
    expect_processes("too many", "| 100/? 4000000/1000| 4000000/?", 0);

    remove_tree(KFD_PROC "/4000000");
    put(KFD_PROC "/100/vram_30303", "7");
    put(KFD_PROC "/100/vram_0", "1\n"); // of a GPU that is not in the topology
    take(4 * SECOND, true);
    expect_processes("one has ended", "| 100/7|", 1);
    take(4 * SECOND, false);
    expect_processes("not asked", "||", 0);
}

/* A partitioned card has a node for each part; the parts' render nodes are elsewhere. */
static void test_partitions(void **state)
{
    (void)state;
    put_kfd();
    put_node(3, "60606\n", "location_id 33537\ndomain 0\ndrm_render_minor 140\n");
    put_node(4, "70707\n", "location_id 268468992\ndomain 0\ndrm_render_minor 141\n");
    put_node(5, "80808\n", "location_id 33536\ndomain 1\ndrm_render_minor 142\n");
    put_node(6, "garbage\n", "location_id 33536\ndomain 0\n");
    put_node(7, "99999999999\n", "location_id 33536\ndomain 0\n");
    put(KFD_PROC "/100/vram_50505", "1000\n");
    put(KFD_PROC "/100/vram_60606", "200\n");
    put(KFD_PROC "/100/vram_70707", "30\n");
    take(SECOND, true);
    expect_processes("three parts", "|| 100/1230", 0);
    put(KFD_PROC "/100/vram_80808", "0\n"); // of a card that is not shown
    take(2 * SECOND, true);
    expect_processes("nothing elsewhere", "|| 100/1230", 0);
    put(KFD_PROC "/100/vram_80808", "4\n");
    take(3 * SECOND, true);
    expect_processes("something elsewhere", "|| 100/1230", 1);
}

static void test_by_fdinfo(void **state)
{
    (void)state;
    put_fd(200, 5, CLIENT(ON_FIRST, "9", "drm-memory-vram:\t1024 KiB\n"));
    put_fd(200, 6, CLIENT(ON_FIRST, "9", "drm-memory-vram:\t1024 KiB\n")); // the same
    put_fd(200, 7, CLIENT(ON_FIRST, "10", "drm-memory-vram:\t1 MiB\n"));
    put_fd(200, 8, CLIENT(ON_SECOND, "9", "drm-resident-vram:\t500\n")); // another's 9
    put_fd(201, 3,
           CLIENT(ON_SECOND, "11",
                  "drm-total-vram:\t9 MiB\ndrm-resident-vram:\t3 KiB\n"
                  "drm-memory-vram:\t4 KiB\n"));
    put_fd(202, 3, CLIENT(ON_FIRST, "12", "drm-memory-vram:\t0 KiB\n"));
    put_fd(203, 3,
           "drm-driver:\ti915\ndrm-pdev:\t" ON_FIRST "\ndrm-client-id:\t1\n"
           "drm-memory-vram:\t1 KiB\n");
    put_link("proc/204/fd/1", "socket:[77]");
    put("proc/204/fdinfo/1", CLIENT(ON_FIRST, "13", "drm-memory-vram:\t1 KiB\n"));
    put("proc/self/fdinfo/1", CLIENT(ON_FIRST, "14", "drm-memory-vram:\t1 KiB\n"));
    take(SECOND, true);
    expect_processes("clients", "| 200/2097152| 200/500 201/3072", 0);

    remove_tree("proc/200/fdinfo/7"); // closed between the two listings
    remove_tree("proc/201");
    put_fd(205, 3, CLIENT(ON_SECOND, "15", "drm-memory-vram:\t8 KiB\n"));
    take(2 * SECOND, true);
    expect_processes("others", "| 200/1048576| 200/500 205/8192", 0);
}

/* The memory of one client, as fdinfo may put it. */
static const struct {
    const char *row;
    const char *memory;
    uint64_t bytes;
} units[] = {
    {"KiB", "drm-memory-vram:\t3 KiB\n", 3072},
    {"MiB", "drm-memory-vram: 3 MiB\n", 3145728},
    {"bytes", "drm-memory-vram:3\n", 3},
    {"resident first", "drm-resident-vram:\t5\ndrm-memory-vram:\t6\n", 5},
    {"resident last", "drm-memory-vram:\t6\ndrm-resident-vram:\t5\n", 5},
    {"none", "", UNKNOWN},
    {"total alone", "drm-total-vram:\t5\n", UNKNOWN},
    {"empty", "drm-memory-vram:\n", UNKNOWN},
    {"negative", "drm-memory-vram:\t-3 KiB\n", UNKNOWN},
    {"garbage", "drm-memory-vram:\tKiB\n", UNKNOWN},
    {"another unit", "drm-memory-vram:\t3 furlongs\n", UNKNOWN},
    {"2^64", "drm-memory-vram:\t18446744073709551616\n", UNKNOWN},
    {"2^64 by its unit", "drm-memory-vram:\t18014398509481984 KiB\n", UNKNOWN},
};

static void test_units(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        const char *text = name_of("drm-driver:\tamdgpu\ndrm-pdev:\t0000:03:00.0\n"
                                   "drm-client-id:\t18446744073709551615\n%s",
                                   units[i].memory);
        struct drm_fdinfo info = drm_read_fdinfo(span_of(text), &amdgpu_vendor);

        if (info.vram_bytes != units[i].bytes || !info.is_ours || !info.has_client ||
            !info.has_pci || info.pci.location != 0x300)
            fail_msg("[%s] %" PRIu64, units[i].row, info.vram_bytes);
    }
}

static const struct {
    const char *text;
    bool good;
    struct pci_address address;
} addresses[] = {
    {"0000:03:00.0", true, {0, 0x300}},
    {"0000:83:1f.7", true, {0, 0x83ff}},
    {"10000:E1:00.1", true, {0x10000, 0xe101}},
    {"", false, {0, 0}},
    {"000:03:00.0", false, {0, 0}},
    {"0000:03:20.0", false, {0, 0}},
    {"0000:03:00.8", false, {0, 0}},
    {"0000:03:00", false, {0, 0}},
    {"0000:03:00.0 ", false, {0, 0}},
    {"0000-03-00.0", false, {0, 0}},
    {"123456789:03:00.0", false, {0, 0}},
};

static void test_addresses(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
        struct pci_address address = {0, 0};

        if (pci_read(span_of(addresses[i].text), &address) != addresses[i].good ||
            address.domain != addresses[i].address.domain ||
            address.location != addresses[i].address.location)
            fail_msg("[%s] %x %x", addresses[i].text, address.domain, address.location);
    }
}

/* fdinfo has KFD's memory in it again, and other cards' besides: KFD's figure stands. */
static void test_by_both(void **state)
{
    (void)state;
    put_kfd();
    put(KFD_PROC "/300/vram_30303", "10000000000\n");
    put(KFD_PROC "/300/vram_50505", "0\n");
    put_fd(300, 5, CLIENT(ON_FIRST, "9", "drm-memory-vram:\t9765625 KiB\n"));
    put_fd(300, 6, CLIENT(ON_SECOND, "10", "drm-memory-vram:\t9765625 KiB\n"));
    put_fd(300, 7, CLIENT(ON_FIRST, "11", "drm-memory-vram:\t1 KiB\n"));
    put_fd(301, 3, CLIENT(ON_FIRST, "12", "drm-memory-vram:\t2 KiB\n")); // Vulkan
    take(SECOND, true);
    expect_processes("compute and graphics", "| 300/10000000000 301/2048|", 0);

    // What it has forked holds its file, but none of its memory.
    put_fd(299, 5, CLIENT(ON_FIRST, "9", "drm-memory-vram:\t9765625 KiB\n"));
    take(2 * SECOND, true);
    expect_processes("forked", "| 300/10000000000 301/2048|", 0);
}

static void test_shared_file(void **state)
{
    (void)state;
    put_fd(402, 3, CLIENT(ON_FIRST, "9", "drm-memory-vram:\t7 KiB\n"));
    put_fd(401, 9, CLIENT(ON_FIRST, "9", "drm-memory-vram:\t7 KiB\n"));
    put_fd(403, 4, CLIENT(ON_FIRST, "9", "drm-memory-vram:\t7 KiB\n"));
    put_fd(403, 5, CLIENT(ON_FIRST, "10", "drm-memory-vram:\t1 KiB\n"));
    take(SECOND, true);
    expect_processes("counted once", "| 401/7168 403/1024|", 0);
}

/* A client that cannot be matched is missing from the list. */
static void test_unmatched_clients(void **state)
{
    (void)state;
    put_kfd();
    put(KFD_PROC "/500/vram_30303", "10\n");
    put_fd(500, 3, "drm-driver:\tamdgpu\ndrm-client-id:\t4\n"); // of a partition
    take(SECOND, true);
    expect_processes("a partition's", "| 500/10|", 0);
    put_fd(501, 3, "drm-driver:\tamdgpu\ndrm-client-id:\t4\n");
    take(2 * SECOND, true);
    expect_processes("of no known card", "| 500/10|", 1);
}

/* As a user without rights meets a process of another. Root is one who has them. */
static void take_without_rights(uint64_t now_ns)
{
    bool root = geteuid() == 0;

    assert_int_equal(chmod(files_dir, 0755), 0);
    assert_true(!root || seteuid(65534) == 0);
    take(now_ns, true);
    assert_true(!root || seteuid(0) == 0);
}

static void test_rights(void **state)
{
    (void)state;
    put_fd(600, 3, CLIENT(ON_FIRST, "9", "drm-memory-vram:\t7 KiB\n"));
    put_fd(601, 3, CLIENT(ON_SECOND, "9", "drm-memory-vram:\t8 KiB\n"));
    assert_int_equal(chmod(path_of("proc/600/fd"), 0), 0);
    take_without_rights(SECOND);
    expect_processes("hidden", "|| 601/8192", 1);

    gpu_amdgpu.close(source);
    source = NULL;
    put_kfd(); // tells of all compute, to anyone
    put(KFD_PROC "/600/vram_30303", "5000\n");
    take_without_rights(2 * SECOND);
    expect_processes("hidden but for KFD", "| 600/5000| 601/8192", 0);

    assert_int_equal(chmod(path_of("proc/600/fd"), 0755), 0); // seen in the next round
    take_without_rights(3 * SECOND);
    assert_int_equal(chmod(path_of(NODES "/2/gpu_id"), 0), 0); // by a device cgroup
    take_without_rights(12 * SECOND);
    expect_processes("a hidden node", "| 600/5000| 601/8192", 1);
    assert_int_equal(chmod(path_of(NODES "/2/gpu_id"), 0644), 0);
    take_without_rights(22 * SECOND);
    expect_processes("no longer", "| 600/5000| 601/8192", 0);
    assert_int_equal(chmod(path_of(KFD_PROC), 0), 0);
    take_without_rights(23 * SECOND);
    expect_processes("hidden KFD", "| 600/7168| 601/8192", 1);
    assert_int_equal(chmod(path_of(KFD_PROC), 0755), 0);
}

static void test_lost_card(void **state)
{
    const struct gpu_device *d = sample.devices;

    (void)state;
    take(SECOND, true);
    remove_tree(SECOND_CARD);
    remove_tree("sys/class/drm/card3");
    take(2 * SECOND, true);
    assert_int_equal(sample.n_devices, 2);
    assert_int_equal(d[0].mem_used_bytes, 21474836480);
    assert_int_equal(d[1].index, 3);
    assert_string_equal(d[1].uuid, "GPU-8a1b2c3d4e5f6071");
    assert_true(d[1].mem_total_bytes == UNKNOWN && d[1].mem_used_bytes == UNKNOWN);
    assert_non_null(strstr(d[1].reason, "gone"));
    assert_int_equal(sample.processes_incomplete, 1);

    take(7 * SECOND - 1, true); // lost, until the cards are listed again
    assert_int_equal(sample.n_devices, 2);
    take(7 * SECOND, true);
    assert_int_equal(sample.n_devices, 1);
    assert_int_equal(d[0].index, 1);
    assert_int_equal(sample.processes_incomplete, 0);

    remove_tree("sys/class/drm");
    remove_tree(FIRST);
    take(8 * SECOND, true);
    assert_int_equal(sample.n_devices, 1);
    assert_non_null(strstr(d[0].reason, "gone"));
    take(13 * SECOND, true);
    assert_int_equal(sample.n_devices, 0);
}

static void test_hot_plug(void **state)
{
    (void)state;
    take(SECOND, false);
    put_card(9, "0000:c3:00.0", "0x1002\n", "amdgpu");
    put_memory("sys/devices/pci0000:00/0000:c3:00.0", "1000\n", "10\n");
    put_card(10, "0000:c4:00.0", "0x1002\n", "amdgpu");
    put_memory("sys/devices/pci0000:00/0000:c4:00.0", "1000\n", "20\n");
    take(11 * SECOND - 1, false);
    assert_int_equal(sample.n_devices, 2);
    take(11 * SECOND, false);
    assert_int_equal(sample.n_devices, 4);
    assert_int_equal(sample.devices[2].index, 9);
    assert_int_equal(sample.devices[3].index, 10); // by number, not by name
    assert_int_equal(sample.devices[3].mem_used_bytes, 20);

    // A failure has the folder listed at once: the card is back under another number.
    remove_tree("sys/devices/pci0000:00/0000:c3:00.0");
    remove_tree("sys/class/drm/card9");
    remove_tree("sys/class/drm/card9-HDMI-A-1");
    remove_tree("sys/class/drm/renderD137");
    remove_tree("sys/bus/pci/devices/0000:c3:00.0");
    put_card(4, "0000:c3:00.0", "0x1002\n", "amdgpu");
    put_memory("sys/devices/pci0000:00/0000:c3:00.0", "1000\n", "30\n");
    take(12 * SECOND, false);
    assert_int_equal(sample.n_devices, 4);
    assert_int_equal(sample.devices[2].index, 4);
    assert_int_equal(sample.devices[2].mem_used_bytes, 30);
}

/* More processes than a call looks at: each is found in its turn, and stays found. */
static void test_sweep(void **state)
{
    (void)state;
    for (uint32_t pid = 1000; pid < 1500; pid++)
        put_fd(pid, 3, CLIENT(ON_FIRST, "9", "drm-memory-vram:\t7 KiB\n"));
    for (uint32_t pid = 1500; pid < 1600; pid++)
        put(name_of("proc/%u/fdinfo/3", pid), "pos:\t0\n");
    take(SECOND, true);
    assert_int_equal(sample.processes_incomplete, 1); // not yet all
    take(2 * SECOND, true);
    take(3 * SECOND, true);
    take(4 * SECOND, true);
    expect_processes("all of them", "| 1000/7168|", 0);
}

static const struct {
    const char *row;
    const char *remove; // of the tree
    enum gpu_verdict verdict;
    const char *reason;
} openings[] = {
    {"cards of others only", "sys/class/drm/card1", GPU_NO_DRIVER,
     "the AMD GPU at 0000:"},
    {"no DRM", "sys/class/drm", GPU_NO_DRIVER, "amdgpu kernel driver"},
    {"no GPU of AMD's", "sys/bus", GPU_NO_DEVICE, "no AMD GPU"},
};

static void test_openings(void **state)
{
    (void)state;
    remove_tree("sys/class/drm/card3");
    for (size_t i = 0; i < ARRAY_LEN(openings); i++) {
        int r;

        remove_tree(openings[i].remove);
        memset(&said, 0, sizeof(said));
        r = open_it();
        if (r != -ENODEV || said.verdict != openings[i].verdict || source ||
            !strstr(said.reason, openings[i].reason))
            fail_msg("[%s] is %d, %s, \"%s\"", openings[i].row, r,
                     gpu_verdict_name(said.verdict), said.reason);
    }
    remove_tree("sys");
    put("elsewhere/x", "");
    {
        const struct gpu_env env = {.sys_root = "/nonexistent", .proc_root = "/proc"};

        assert_int_equal(gpu_amdgpu.open(&env, &said, &source), -ENOENT);
        assert_int_equal(said.verdict, GPU_FAILED);
        assert_non_null(strstr(said.reason, "/nonexistent"));
    }
}

static void test_warm_sample_allocates_nothing(void **state)
{
    unsigned before;

    (void)state;
    put_kfd();
    put(KFD_PROC "/100/vram_30303", "20000000000\n");
    put_fd(100, 3, CLIENT(ON_FIRST, "9", "drm-memory-vram:\t7 KiB\n"));
    put_fd(101, 3, CLIENT(ON_SECOND, "9", "drm-memory-vram:\t7 KiB\n"));
    take(0, true);
    before = allocs;
    assert_true(before > 0); // the count works
    for (uint64_t i = 1; i < 30; i++)
        take(i * SECOND, true);
    assert_int_equal(allocs, before);
    expect_processes("at last", "| 100/20000000000| 101/7168", 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    static const struct CMUnitTest tests[] = {
        TEST(test_two_cards),
        TEST(test_names),
        TEST(test_memories),
        TEST(test_by_kfd),
        TEST(test_partitions),
        TEST(test_by_fdinfo),
        TEST(test_units),
        TEST(test_addresses),
        TEST(test_by_both),
        TEST(test_shared_file),
        TEST(test_unmatched_clients),
        TEST(test_rights),
        TEST(test_lost_card),
        TEST(test_hot_plug),
        TEST(test_sweep),
        TEST(test_openings),
        TEST(test_warm_sample_allocates_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
