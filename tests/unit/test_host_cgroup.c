// SPDX-License-Identifier: Apache-2.0
/*
 * What is known of a process and its machine without looking into it: control group,
 * owner, memory, and the arguments of a port proxy.
 */
#include "host/cgroup.h"
#include "host/host_text.h"
#include "host/port_proxy.h"
#include "test_host_tree.h"

#define A "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define B "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define UID "01234567-89ab-cdef-0123-456789abcdef"
#define UID_ "01234567_89ab_cdef_0123_456789abcdef"
#define PODS \
    "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" UID_ ".slice"

enum { NONE, DOCKER, CONTAINERD, CRIO, PODMAN, OTHER, SERVICE };

static const struct {
    const char *row;
    const char *text;
    int runtime; // or a negative errno
    const char *container_id;
    const char *pod_uid;
    const char *path; // NULL: not looked at
} cgroups[] = {
    {"docker, version 2", "0::/system.slice/docker-" A ".scope\n", DOCKER, A, "",
     "/system.slice/docker-" A ".scope"},
    {"docker, version 1", "4:memory:/docker/" A "\n0::/\n", DOCKER, A, "", "/docker/" A},
    {"only one hierarchy tells", "5:pids:/\n4:memory:/a\n1:name=systemd:/docker/" A "\n",
     DOCKER, A, "", NULL},
    {"memory before the others", "1:name=systemd:/c\n7:pids:/b\n4:cpu,memory:/a\n0::/d\n",
     NONE, "", "", "/a"},
    {"a path before none", "4:memory:/\n0::/d\n", NONE, "", "", "/d"},
    {"containerd", "0::" PODS "/cri-containerd-" A ".scope\n", CONTAINERD, A, UID, NULL},
    {"containerd without systemd's driver",
     "0::/system.slice/containerd.service/kubepods-pod" UID_ ".slice:cri-containerd:" A
     "\n",
     CONTAINERD, A, UID, NULL},
    {"CRI-O", "0::" PODS "/crio-" A ".scope/container\n", CRIO, A, UID, NULL},
    {"CRI-O's monitor", "0::" PODS "/crio-conmon-" A ".scope\n", NONE, "", UID, NULL},
    {"podman", "0::/user.slice/user@1.service/user.slice/libpod-" A ".scope/container\n",
     PODMAN, A, "", NULL},
    {"podman's payload", "0::/a.service/libpod-payload-" A "\n", PODMAN, A, "", NULL},
    {"podman's monitor", "0::/libpod-conmon-" A ".scope\n", NONE, "", "", NULL},
    {"pod, version 1", "4:memory:/kubepods/besteffort/pod" UID "/" A "\n", OTHER, A, UID,
     NULL},
    {"pod of a file", "4:memory:/kubepods/pod0123456789abcdef0123456789abcdef/" A "\n",
     OTHER, A, "0123456789abcdef0123456789abcdef", NULL},
    {"pod in no kubepods", "0::/pod" UID "/x\n", NONE, "", "", NULL},
    {"pod with a short uid", "0::/kubepods/pod0123/x\n", NONE, "", "", NULL},
    {"docker in docker", "0::/docker/" A "/docker/" B "\n", DOCKER, B, "", NULL},
    {"kind",
     "0::/docker/" A "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod" UID_
     ".slice/cri-containerd-" B ".scope\n",
     CONTAINERD, B, UID, NULL},
    {"docker in a pod", "0::/kubepods/pod" UID "/" A "/docker/" B "\n", DOCKER, B, UID,
     NULL},
    {"systemd in docker", "0::/docker/" A "/system.slice/vllm.service\n", DOCKER, A, "",
     NULL},
    {"beside our namespace", "0::/../docker-" B ".scope\n", DOCKER, B, "", NULL},
    {"beside it, bare", "0::/../" B "\n", OTHER, B, "", NULL},
    {"above it", "0::/../../..\n", NONE, "", "", "/../../.."},
    {"service", "0::/system.slice/vllm.service\n", SERVICE, "", "", NULL},
    {"folder of a service", "0::/system.slice/vllm.service/x\n", NONE, "", "", NULL},
    {"root", "0::/\n", NONE, "", "", "/"},
    {"deleted", "0::/docker/" A " (deleted)\n", DOCKER, A, "", "/docker/" A},
    {"no container's id", "0::/docker/" A "0\n", NONE, "", "", NULL},
    {"capital digits",
     "0::/docker/0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef\n",
     NONE, "", "", NULL},
    {"id with more before it", "0::/xdocker-" A ".scope\n", NONE, "", "", NULL},
    {"colons in the path", "0::/a:b:memory:/c\n", NONE, "", "", "/a:b:memory:/c"},
    {"escaped newline", "0::/a\\x0a0::/docker/" A "\n", DOCKER, A, "", NULL},
    {"control characters", "0::/a\033[2J\n", NONE, "", "", "/a\xef\xbf\xbd[2J"},
    {"bad lines among good ones", "x\n::\n0\n0::a\n-1::/\n0::/b\n", NONE, "", "", "/b"},
    {"slashes", "0:://///\n", NONE, "", "", "/////"},
    {"only bad lines", "x\n0:/\n0::docker/" A "\n", -EBADMSG, "", "", NULL},
    {"empty", "", -EBADMSG, "", "", NULL},
};

static void test_cgroup(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cgroups); i++) {
        struct host_cgroup found = {0};
        int r = host_parse_cgroup(span_of(cgroups[i].text), &found);

        if ((r < 0 ? r : (int)found.runtime) != cgroups[i].runtime ||
            strcmp(found.container_id, cgroups[i].container_id) != 0 ||
            strcmp(found.pod_uid, cgroups[i].pod_uid) != 0 ||
            (cgroups[i].path && strcmp(found.path, cgroups[i].path) != 0))
            fail_msg("[%s] is %d: runtime %d, id %s, pod %s, path %s", cgroups[i].row, r,
                     (int)found.runtime, found.container_id, found.pod_uid, found.path);
    }
}

static struct host_cgroup cgroup_of(const char *text)
{
    struct host_cgroup cgroup;

    assert_int_equal(host_parse_cgroup(span_of(text), &cgroup), 0);
    return cgroup;
}

/* Paths that differ only behind what is kept of them are different. */
static void test_same_cgroup(void **state)
{
    char text[400], other[400];
    struct host_cgroup a, b;

    (void)state;
    memset(text, 'x', sizeof(text));
    memcpy(text, "0::/", 4);
    memcpy(text + sizeof(text) - 2, "\n", 2);
    memcpy(other, text, sizeof(text));
    other[sizeof(other) - 3] = 'y';
    a = cgroup_of(text);
    b = cgroup_of(text);
    assert_true(host_same_cgroup(&a, &b));
    assert_int_equal(strlen(a.path), HOST_CGROUP_PATH_SIZE - 1);
    b = cgroup_of(other);
    assert_string_equal(a.path, b.path);
    assert_false(host_same_cgroup(&a, &b));
}

static const struct host_process process = {.pid = 20, .start_ticks = 200};

static void test_read_cgroup(void **state)
{
    struct host *host = open_here();
    struct host_cgroup cgroup;
    struct host_process other = process;
    FILE *file;

    (void)state;
    assert_int_equal(host_read_cgroup(host, &process, &cgroup), -ESRCH);
    make_process(20, 1, 200);
    assert_int_equal(host_read_cgroup(host, &process, &cgroup), -ENOENT);
    write_file("20/cgroup", "0::/docker/" A "\n");
    assert_int_equal(host_read_cgroup(host, &process, &cgroup), 0);
    assert_string_equal(cgroup.container_id, A);
    other.start_ticks = 201;
    assert_int_equal(host_read_cgroup(host, &other, &cgroup), -ESRCH);
    write_file("20/cgroup", "0::/docker/" A);
    assert_int_equal(host_read_cgroup(host, &process, &cgroup), -EBADMSG);

    file = fopen("20/cgroup", "w"); // more than is read, and cut inside of a path
    assert_non_null(file);
    assert_true(fprintf(file, "1:cpu:/first\n2:memory:/docker/" A "/%020000d\n", 0) > 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(host_read_cgroup(host, &process, &cgroup), 0);
    assert_string_equal(cgroup.path, "/first");
    host_free(host);
}

static const struct {
    const char *row;
    const char *text;
    int r;
    uint32_t uid;
} statuses[] = {
    {"plain", "Name:\ta\nPPid:\t1\nUid:\t1000\t0\t1\t2\nGid:\t5\t5\t5\t5\n", 0, 1000},
    {"name of a user", "Name:\tUid:\t7\nUid:\t0\t0\t0\t0\n", 0, 0},
    {"largest", "Uid:\t4294967294\t0\t0\t0\n", 0, UINT32_MAX - 1},
    {"no user", "Uid:\t4294967295\t0\t0\t0\n", -EBADMSG, 0},
    {"cut", "Uid:\t100", -EBADMSG, 0},
    {"nothing", "Uid:\t\n", -EBADMSG, 0},
    {"no line", "Name:\ta\n", -EBADMSG, 0},
    {"empty", "", -EBADMSG, 0},
};

static void test_owner(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
        uint32_t uid = 0;
        int r = host_find_uid(span_of(statuses[i].text), &uid);

        if (r != statuses[i].r || uid != statuses[i].uid)
            fail_msg("[%s] is %d: %u", statuses[i].row, r, uid);
    }
}

static void test_read_owner(void **state)
{
    struct host *host = open_here();
    uint32_t uid = 7;

    (void)state;
    assert_int_equal(host_read_owner(host, &process, &uid), -ESRCH);
    make_process(20, 1, 200);
    assert_int_equal(host_read_owner(host, &process, &uid), -ESRCH);
    write_file("20/status", "Name:\ta\n");
    assert_int_equal(host_read_owner(host, &process, &uid), -EBADMSG);
    assert_int_equal(uid, 7);
    write_file("20/status", "Name:\ta\nUid:\t1000\t0\t0\t0\n");
    assert_int_equal(host_read_owner(host, &process, &uid), 0);
    assert_int_equal(uid, 1000);
    host_free(host);
}

#define AVAILABLE "MemAvailable:   200 kB\n"

static const struct {
    const char *row;
    const char *text;
    int r;
    uint64_t total;
} meminfos[] = {
    {"plain", "MemTotal:       100 kB\nMemFree: 1 kB\n" AVAILABLE, 0, 102400},
    {"largest", "MemTotal: 18014398509481983 kB\n" AVAILABLE, 0, UINT64_MAX - 1023},
    {"too large", "MemTotal: 18014398509481984 kB\n" AVAILABLE, -EBADMSG, 0},
    {"negative", "MemTotal: -1 kB\n" AVAILABLE, -EBADMSG, 0},
    {"another unit", "MemTotal: 100 MB\n" AVAILABLE, -EBADMSG, 0},
    {"no unit", "MemTotal: 100\n" AVAILABLE, -EBADMSG, 0},
    {"more behind", "MemTotal: 100 kB x\n" AVAILABLE, -EBADMSG, 0},
    {"a longer name", "MemTotals: 100 kB\n" AVAILABLE, -EBADMSG, 0},
    {"not available", "MemTotal: 100 kB\n", -EBADMSG, 0},
    {"no total", AVAILABLE, -EBADMSG, 0},
    {"empty", "", -EBADMSG, 0},
};

static void test_memory(void **state)
{
    struct host *host = open_here();
    uint64_t total = 0, available = 0;

    (void)state;
    assert_int_equal(host_read_memory(host, &total, &available), -ENOENT);
    for (size_t i = 0; i < ARRAY_LEN(meminfos); i++) {
        int r;

        total = available = 0;
        write_file("meminfo", meminfos[i].text);
        r = host_read_memory(host, &total, &available);
        if (r != meminfos[i].r || total != meminfos[i].total ||
            available != (r < 0 ? 0 : 204800))
            fail_msg("[%s] is %d: %ju", meminfos[i].row, r, (uintmax_t)total);
    }
    host_free(host);
}

#define NUL "\0"
#define FROM "-host-ip" NUL "0.0.0.0" NUL "-host-port" NUL "8000" NUL
#define TO "-container-ip" NUL "172.17.0.2" NUL "-container-port" NUL "80" NUL
#define ROW(text) (text), sizeof(text) - 1

static const struct {
    const char *row;
    const char *text;
    size_t len;
    uint16_t host_port; // 0: no port proxy
    uint16_t container_port;
} proxies[] = {
    {"plain", ROW("/usr/bin/docker-proxy" NUL "-proto" NUL "tcp" NUL FROM TO), 8000, 80},
    {"given a socket", ROW("docker-proxy" NUL FROM TO "-use-listen-fd" NUL), 8000, 80},
    {"with =",
     ROW("docker-proxy" NUL "--host-ip=::" NUL "-host-port=1" NUL
         "-container-ip=172.17.0.2" NUL "--container-port=65535" NUL),
     1, 65535},
    {"the last counts", ROW("docker-proxy" NUL FROM TO "-host-port" NUL "9" NUL), 9, 80},
    {"unknown option", ROW("docker-proxy" NUL "-x" NUL "1" NUL FROM TO), 8000, 80},
    {"UDP", ROW("docker-proxy" NUL "-proto" NUL "udp" NUL FROM TO), 0, 0},
    {"another program", ROW("socat" NUL FROM TO), 0, 0},
    {"another program's name", ROW("/docker-proxy/x" NUL FROM TO), 0, 0},
    {"a longer name", ROW("my-docker-proxy" NUL FROM TO), 0, 0},
    {"no container", ROW("docker-proxy" NUL FROM), 0, 0},
    {"no host", ROW("docker-proxy" NUL TO), 0, 0},
    {"port 0", ROW("docker-proxy" NUL TO FROM "-host-port" NUL "0" NUL), 0, 0},
    {"port too large", ROW("docker-proxy" NUL TO FROM "-host-port" NUL "65536" NUL), 0,
     0},
    {"negative port", ROW("docker-proxy" NUL TO FROM "-host-port=-1" NUL), 0, 0},
    {"bad address", ROW("docker-proxy" NUL TO FROM "-host-ip=1.2.3" NUL), 0, 0},
    {"empty address", ROW("docker-proxy" NUL TO FROM "-host-ip=" NUL), 0, 0},
    {"no value", ROW("docker-proxy" NUL TO FROM "-host-port" NUL), 0, 0},
    {"cut", ROW("docker-proxy" NUL TO FROM "-host-port" NUL "80"), 0, 0},
    {"dashes", ROW("docker-proxy" NUL "-" NUL "--" NUL "---" NUL "-=" NUL), 0, 0},
    {"program only", ROW("docker-proxy" NUL), 0, 0},
    {"empty", ROW(""), 0, 0},
};

static void test_port_proxy(void **state)
{
    static const uint8_t container[] = {0, 0, 0,   0,   0,   0,  0, 0,
                                        0, 0, 255, 255, 172, 17, 0, 2};
    struct host_port_proxy found = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(proxies); i++) {
        bool is =
            host_parse_port_proxy((struct span){proxies[i].text, proxies[i].len}, &found);

        if (is != (proxies[i].host_port != 0) ||
            (is && (found.host_port != proxies[i].host_port ||
                    found.container_port != proxies[i].container_port ||
                    memcmp(found.container_address, container, sizeof(container)) != 0)))
            fail_msg("[%s] is %d: %u to %u", proxies[i].row, is, found.host_port,
                     found.container_port);
    }
}

static void test_ourselves(void **state)
{
    struct host *host;
    struct host_process self;
    struct host_cgroup cgroup, again;
    uint64_t total, available;
    uint32_t uid;

    (void)state;
    assert_int_equal(host_new("/proc", &host), 0);
    assert_int_equal(host_read_process(host, (uint32_t)getpid(), &self), 0);
    assert_int_equal(host_read_owner(host, &self, &uid), 0);
    assert_int_equal(uid, getuid());
    assert_int_equal(host_read_memory(host, &total, &available), 0);
    assert_in_range(available, 1, total);
    if (host_read_cgroup(host, &self, &cgroup) == 0) {
        assert_int_equal(host_read_cgroup(host, &self, &again), 0);
        assert_true(host_same_cgroup(&cgroup, &again));
        assert_int_equal(*cgroup.path, '/');
    }
    host_free(host);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cgroup),     cmocka_unit_test(test_same_cgroup),
        IN_FOLDER(test_read_cgroup),       cmocka_unit_test(test_owner),
        IN_FOLDER(test_read_owner),        IN_FOLDER(test_memory),
        cmocka_unit_test(test_port_proxy), cmocka_unit_test(test_ourselves),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
