// SPDX-License-Identifier: Apache-2.0
/*
 * test_gpu_nvml_library.c - which file is loaded as the NVIDIA library, and which is not
 */
#include "gpu/nvml_library.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "test_gpu_nvml.h"

static const struct {
    const char *row;
    uid_t owner;
    mode_t mode;
    uid_t us;
    bool named;
    const char *why; // NULL: it may be loaded
} files[] = {
    {"the system's", 0, 0644, 1000, false, NULL},
    {"the system's, by path", 0, 0755, 1000, true, NULL},
    {"ours, by path", 1000, 0644, 1000, true, NULL},
    {"ours, but found", 1000, 0644, 1000, false, "not owned by root"},
    {"another user's", 1001, 0644, 1000, true, "neither by root"},
    {"another user's, and we are root", 1001, 0644, 0, true, "neither by root"},
    {"written by a group", 0, 0664, 1000, false, "may write"},
    {"written by all", 1000, 0646, 1000, true, "may write"},
    {"set-user-ID is no matter", 0, 04755, 0, false, NULL},
};

static void test_trust(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        const struct stat file = {.st_uid = files[i].owner,
                                  .st_mode = S_IFREG | files[i].mode};
        const char *why = nvml_library_distrust(&file, files[i].us, files[i].named);

        if (!why != !files[i].why || (why && !strstr(why, files[i].why)))
            fail_msg("[%s] \"%s\"", files[i].row, why ? why : "");
    }
}

/* Not one call reaches a library that is refused, not even the one that starts it. */
static void expect_refusal(const char *name, const char *why)
{
    struct gpu_source *source = NULL;

    files_write("script", "");
    files_write("calls", "");
    assert_int_equal(nvml_open(files_path(name), &source), -ELIBBAD);
    assert_int_equal(said.verdict, GPU_BAD_LIBRARY);
    assert_non_null(strstr(said.reason, why));
    assert_null(dlopen(files_path("lib.so"), RTLD_LAZY | RTLD_NOLOAD));
    assert_int_equal(files_count("calls", "Init_v2"), 0);
}

static void test_refused(void **state)
{
    struct gpu_source *source = NULL;

    (void)state;
    files_copy(FAKE_NVML_PATH, "lib.so", 0666);
    expect_refusal("lib.so", "others than its owner may write to it");
    assert_non_null(strstr(said.reason, "mode 666"));

    assert_int_equal(chmod(files_path("lib.so"), 0644), 0);
    assert_int_equal(nvml_open(files_path("lib.so"), &source), 0);
    gpu_nvml.close(source);

    assert_int_equal(symlink(files_path("lib.so"), files_path("link.so")), 0);
    assert_int_equal(chmod(files_path("lib.so"), 0664), 0);
    expect_refusal("link.so", "may write");

    if (geteuid() != 0)
        return; // nobody else can give a file away
    assert_int_equal(chmod(files_path("lib.so"), 0644), 0);
    assert_int_equal(chown(files_path("lib.so"), 65534, 65534), 0);
    expect_refusal("lib.so", "neither by root nor by the user");
    assert_non_null(strstr(said.reason, "owner 65534"));
}

/* What stays in the process is not loaded again under its name: a new process must. */
static void test_replaced(void **state)
{
    struct gpu_source *source = NULL;
    void *pin;

    (void)state;
    files_copy(FAKE_NVML_PATH, "pinned.so", 0644);
    assert_int_equal(symlink("/proc/self", files_path("self")), 0); // of the proc root
    assert_int_equal(nvml_open(files_path("pinned.so"), &source), 0);
    pin = dlopen(files_path("pinned.so"), RTLD_LAZY | RTLD_NOLOAD);
    assert_non_null(pin);
    gpu_nvml.close(source);

    assert_int_equal(nvml_open(files_path("pinned.so"), &source), 0); // the same file
    gpu_nvml.close(source);
    files_copy(FAKE_NVML_PATH, "pinned.so", 0644);
    assert_int_equal(nvml_open(files_path("pinned.so"), &source), -ESTALE);
    assert_int_equal(said.verdict, GPU_VERSION_MISMATCH);
    assert_non_null(strstr(said.reason, "was replaced"));

    assert_int_equal(dlclose(pin), 0);
    assert_int_equal(nvml_open(files_path("pinned.so"), &source), 0);
    gpu_nvml.close(source);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trust),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_replaced),
    };

    return cmocka_run_group_tests(tests, nvml_setup, files_teardown);
}
