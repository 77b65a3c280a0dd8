// SPDX-License-Identifier: Apache-2.0
#include "config/config.h"
#include "config/config_value.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "test_folder.h"

enum { NOBODY = 65534 };

static const struct setting token_setting = {
    .kind = KIND_TOKEN, .offset = offsetof(struct config, token), .min = 32, .max = 512};

#define T16 "0123456789abcdef"
#define T32 T16 T16
#define T128 T32 T32 T32 T32
#define T512 T128 T128 T128 T128
#define LENGTH                                                                        \
    "does not hold one token of 32 to 512 characters of visible ASCII (openssl rand " \
    "-hex 32 makes a good one)"
#define OPEN "is open to every user of this host (chmod o-rwx)"
#define OWNER "belongs neither to root nor to the user who runs vramscoped"

static void write_file(const char *text, mode_t mode)
{
    int fd = open("token", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    close_fd(&fd);
}

static int set(struct config *config, const char *path, struct complaint *why)
{
    return value_set(&token_setting, config, span_of(path), why);
}

/* `complaint` follows the quoted name; NULL: the file is good. */
static const struct {
    const char *row;
    const char *text;
    mode_t mode;
    const char *complaint;
} files[] = {
    {"good", T32 "\n", 0600, NULL},
    {"no line end", T32, 0600, NULL},
    {"CRLF", T32 "\r\n", 0400, NULL},
    {"longest", T512 "\r\n", 0600, NULL},
    {"for the group", T32, 0640, NULL},
    {"any visible character", "!\"#$%&'()*+,-./:;<=>?@[]^_`{|}~Aa0", 0600, NULL},
    {"too long", T512 "x", 0600, LENGTH},
    {"far too long", T512 T512 T512 T512 T512 T512 T512 T512 T512, 0600, LENGTH},
    {"too short", "0123456789abcdef0123456789abcde\n", 0600, LENGTH},
    {"empty", "", 0600, LENGTH},
    {"a line end alone", "\r\n", 0600, LENGTH},
    {"two lines", T32 "\n" T32 "\n", 0600, LENGTH},
    {"two line ends", T32 "\n\n", 0600, LENGTH},
    {"blank inside", T32 " " T32, 0600, LENGTH},
    {"blank at its end", T32 " \n", 0600, LENGTH},
    {"not ASCII", T32 "\xc3\xa9", 0600, LENGTH},
    {"control character", T32 "\033", 0600, LENGTH},
    {"readable by all", T32, 0604, OPEN},
    {"writable by all", T32, 0602, OPEN},
    {"executable by all", T32, 0701, OPEN},
};

static void test_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        struct config *config = calloc(1, sizeof(*config));
        struct complaint why = {""};
        char expected[COMPLAINT_MAX] = "";
        int r;

        assert_non_null(config);
        write_file(files[i].text, files[i].mode);
        r = set(config, "token", &why);
        if (files[i].complaint)
            (void)snprintf(expected, sizeof(expected), "'token' %s", files[i].complaint);
        if (r != (files[i].complaint ? -EINVAL : 0) || strcmp(why.text, expected) != 0)
            fail_msg("[%s] is %d: %s", files[i].row, r, why.text);
        assert_int_equal(config->token.given, r == 0);
        assert_int_equal(config_has_secret(config), r == 0);
        config_free(config);
    }
}

/* echo -n 0123456789abcdef0123456789abcdef | sha256sum */
static const uint8_t digest_of_t32[] = {0x3e, 0xb1, 0xbd, 0x43, 0x99, 0x47, 0xeb, 0x76,
                                        0x29, 0x98, 0xe5, 0x66, 0xcc, 0xc2, 0xe0, 0x99,
                                        0xc7, 0x91, 0x11, 0x8b, 0x2f, 0x40, 0x57, 0x9c,
                                        0xc4, 0xf7, 0xda, 0x2b, 0x50, 0x61, 0xb7, 0xf9};

static void test_digest(void **state)
{
    struct config *config = calloc(1, sizeof(*config));
    struct complaint why = {""};
    struct config_token kept;

    (void)state;
    assert_non_null(config);
    write_file(T32 "\n", 0600);
    assert_int_equal(set(config, "token", &why), 0);
    assert_memory_equal(config->token.sha256, digest_of_t32, sizeof(digest_of_t32));

    kept = config->token; // a bad file leaves the old one
    write_file("short", 0600);
    assert_int_equal(set(config, "token", &why), -EINVAL);
    assert_memory_equal(&config->token, &kept, sizeof(kept));
    config_free(config);
}

static void expect(const char *path, const char *text)
{
    struct config *config = calloc(1, sizeof(*config));
    struct complaint why = {""};

    assert_non_null(config);
    assert_int_equal(set(config, path, &why), text ? -EINVAL : 0);
    assert_string_equal(why.text, text ? text : "");
    config_free(config);
}

static void test_what_is_no_file(void **state)
{
    (void)state;
    expect("", "the value is empty");
    expect("nowhere", "'nowhere': No such file or directory");
    expect(".", "'.' is not a regular file");
    expect("/dev/zero", "'/dev/zero' is not a regular file");
    assert_int_equal(mkfifo("pipe", 0600), 0);
    expect("pipe", "'pipe' is not a regular file");
    assert_int_equal(unlink("pipe"), 0);
}

static void test_links(void **state)
{
    (void)state;
    write_file(T32, 0600);
    assert_int_equal(symlink("token", "link"), 0);
    expect("link", NULL);
    write_file(T32, 0644);
    expect("link", "'link' " OPEN);
    if (geteuid() == 0) {
        write_file(T32, 0600);
        assert_int_equal(chown("token", NOBODY, NOBODY), 0);
        expect("link", "'link' " OWNER);
        expect("token", "'token' " OWNER);
    }
    assert_int_equal(unlink("link"), 0);
}

/* A file that is only named must be closed to others, too; one whose content is kept. */
static void test_private(void **state)
{
    static const struct setting settings[] = {
        {.kind = KIND_PRIVATE, .offset = offsetof(struct config, nats_creds)},
        {.kind = KIND_PRIVATE_SECRET, .offset = offsetof(struct config, nats_token)},
    };
    struct config *config = calloc(1, sizeof(*config));
    struct complaint why = {""};

    (void)state;
    assert_non_null(config);
    (void)unlink("token"); // it may be another's
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        write_file("s3cret\n", 0644);
        assert_int_equal(value_set(&settings[i], config, span_of("token"), &why),
                         -EINVAL);
        assert_string_equal(why.text, "'token' " OPEN);
        assert_int_equal(config_has_secret(config), i > 0);
        write_file("s3cret\n", 0600);
        assert_int_equal(value_set(&settings[i], config, span_of("token"), &why), 0);
        assert_true(config_has_secret(config));
    }
    assert_string_equal(config->nats_creds, "token");
    assert_string_equal(config->nats_token, "s3cret");
    assert_int_equal(value_set(&settings[0], config, span_of("nowhere"), &why), -EINVAL);
    assert_string_equal(config->nats_creds, "token");
    config_free(config);
}

static void test_secrets_of_engines(void **state)
{
    struct config *config = calloc(1, sizeof(*config));

    (void)state;
    assert_non_null(config);
    assert_false(config_has_secret(config));
    config->n_engines = 2;
    assert_false(config_has_secret(config));
    config->engines[1].api_key = strdup("key");
    assert_true(config_has_secret(config));
    config_free(config);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),           cmocka_unit_test(test_digest),
        cmocka_unit_test(test_what_is_no_file), cmocka_unit_test(test_links),
        cmocka_unit_test(test_private),         cmocka_unit_test(test_secrets_of_engines),
    };

    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
