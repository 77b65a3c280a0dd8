// SPDX-License-Identifier: Apache-2.0
#include "net/tls.h"

#include "net/transport.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "certificates.h"

static const char *const files[] = {
    "good.pem",   "good.key",   "other.pem", "other.key", "late.pem",   "late.key",
    "early.pem",  "early.key",  "chain.pem", "long.pem",  "locked.key", "locked.pem",
    "open.key",   "group.key",  "empty",     "garbage",   "broken.pem", "broken.key",
    "second.pem", "second.key", "large",     "fifo",
};

static void put_file(const char *name, mode_t mode, const char *bytes, size_t len)
{
    FILE *file = create_file(name, mode);

    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

/* The text of a certificate or key, until the next call. */
static char *read_file(const char *from, size_t *ret_len)
{
    static char text[16 * 1024];
    FILE *file = fopen(path_of(from), "r");

    assert_non_null(file);
    *ret_len = fread(text, 1, sizeof(text), file);
    (void)fclose(file);
    return text;
}

static void copy_file(const char *from, const char *to, mode_t mode)
{
    size_t n;
    const char *text = read_file(from, &n);

    put_file(to, mode, text, n);
}

/* A file of which a byte in the middle is another. */
static void put_broken(const char *from, const char *to)
{
    size_t n;
    char *text = read_file(from, &n);

    text[n / 2] = '!';
    put_file(to, 0600, text, n);
}

static int set_up(void **state)
{
    static char large[300 * 1024];
    EVP_PKEY *key;

    (void)state;
    make_certificate_folder();
    put_pair("good", -DAY_S, DAY_S);
    put_pair("other", -DAY_S, DAY_S);
    put_pair("late", -2 * DAY_S, -DAY_S);
    put_pair("early", DAY_S, 2 * DAY_S);
    key = put_key("second.key", NULL);
    put_certificate("chain.pem", key, -DAY_S, DAY_S, 3);
    put_certificate("long.pem", key, -DAY_S, DAY_S, 12);
    put_certificate("second.pem", key, -DAY_S, DAY_S, 1);
    EVP_PKEY_free(key);
    key = put_key("locked.key", "secret");
    put_certificate("locked.pem", key, -DAY_S, DAY_S, 1);
    EVP_PKEY_free(key);
    copy_file("good.key", "open.key", 0644);
    copy_file("good.key", "group.key", 0640);
    put_broken("good.pem", "broken.pem");
    put_broken("good.key", "broken.key");
    put_file("empty", 0600, "", 0);
    put_file("garbage", 0600, "\0\xff-----BEGIN\n", 13);
    memset(large, 'x', sizeof(large));
    put_file("large", 0600, large, sizeof(large));
    assert_int_equal(mkfifo(path_of("fifo"), 0600), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    remove_certificate_folder(files, ARRAY_LEN(files));
    return 0;
}

// clang-format off
static const struct {
    const char *row;
    const char *cert;
    const char *key;
    int r;
    const char *file; // that the complaint begins with
    const char *says;
} rows[] = {
    {"good", "good.pem", "good.key", 0, "", ""},
    {"with its chain", "chain.pem", "second.key", 0, "", ""},
    {"key for its group", "good.pem", "group.key", 0, "", ""},
    {"key for everybody", "good.pem", "open.key", -EPERM, "open.key", "mode 644"},
    {"expired", "late.pem", "late.key", 1, "late.pem", "has expired"},
    {"not valid yet", "early.pem", "early.key", 1, "early.pem", "not valid yet"},
    {"key of another", "good.pem", "other.key", -EINVAL, "other.key", "not the key of"},
    {"key with a passphrase", "locked.pem", "locked.key", -EINVAL, "locked.key",
     "passphrase"},
    {"no certificate file", "none.pem", "good.key", -ENOENT, "none.pem", "No such file"},
    {"no key file", "good.pem", "none.key", -ENOENT, "none.key", "No such file"},
    {"empty certificate", "empty", "good.key", -EINVAL, "empty", "no certificate in PEM"},
    {"empty key", "good.pem", "empty", -EINVAL, "empty", "no private key in PEM"},
    {"garbage as certificate", "garbage", "good.key", -EINVAL, "garbage",
     "no certificate in PEM"},
    {"garbage as key", "good.pem", "garbage", -EINVAL, "garbage", "no private key in PEM"},
    {"broken certificate", "broken.pem", "good.key", -EINVAL, "broken.pem",
     "no certificate in PEM"},
    {"broken key", "good.pem", "broken.key", -EINVAL, "broken.key",
     "no private key in PEM"},
    {"the two exchanged", "good.key", "good.pem", -EINVAL, "good.key",
     "no certificate in PEM"},
    {"chain too long", "long.pem", "second.key", -E2BIG, "long.pem", "more than 11"},
    {"certificate too large", "large", "good.key", -EFBIG, "large", "larger than"},
    {"key too large", "good.pem", "large", -EFBIG, "large", "larger than"},
    {"folder", "", "good.key", -EINVAL, "", "not a regular file"},
    {"pipe as key", "good.pem", "fifo", -EINVAL, "fifo", "not a regular file"},
};
// clang-format on

static void test_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct complaint complaint = {""};
        struct tls *tls = NULL;
        int r = tls_new(path_of(rows[i].cert), path_of(rows[i].key), &complaint, &tls);
        const char *file = path_of(rows[i].file);

        if (r != rows[i].r || !tls != (r < 0))
            fail_msg("[%s] %d: %s", rows[i].row, r, complaint.text);
        if (r != 0 && (strncmp(complaint.text, file, strlen(file)) != 0 ||
                       !strstr(complaint.text, rows[i].says)))
            fail_msg("[%s] says: %s", rows[i].row, complaint.text);
        if (ERR_peek_error())
            fail_msg("[%s] leaves an error behind", rows[i].row);
        tls_free(tls);
    }
}

/* The key that a session begun now would show. */
static bool shows_key_of(struct tls *tls, const char *key_file)
{
    struct transport transport;
    FILE *file = fopen(path_of(key_file), "r");
    EVP_PKEY *key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
    bool same;

    (void)fclose(file);
    assert_non_null(key);
    assert_int_equal(transport_open(&transport, dup(0), tls), 0);
    same = EVP_PKEY_eq(SSL_get_privatekey(transport.ssl), key) == 1;
    transport_close(&transport);
    EVP_PKEY_free(key);
    return same;
}

static void test_reload(void **state)
{
    struct complaint complaint = {""};
    struct tls *tls = NULL;
    struct transport before;

    (void)state;
    assert_int_equal(tls_new(path_of("good.pem"), path_of("good.key"), &complaint, &tls),
                     0);
    assert_true(shows_key_of(tls, "good.key"));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].r >= 0)
            continue;
        assert_int_equal(
            reload_tls(tls, path_of(rows[i].cert), path_of(rows[i].key), &complaint),
            rows[i].r);
        if (!shows_key_of(tls, "good.key"))
            fail_msg("[%s] replaced a good one", rows[i].row);
    }

    assert_int_equal(transport_open(&before, dup(0), tls), 0);
    assert_int_equal(
        reload_tls(tls, path_of("other.pem"), path_of("other.key"), &complaint), 0);
    assert_true(shows_key_of(tls, "other.key"));
    assert_int_equal(
        reload_tls(tls, path_of("late.pem"), path_of("late.key"), &complaint), 1);
    assert_true(shows_key_of(tls, "late.key"));
    transport_close(&before); // its certificate has been there until now
    tls_free(tls);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_reload),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
