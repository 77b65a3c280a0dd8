// SPDX-License-Identifier: Apache-2.0
/*
 * certificates.h - certificates and keys, made when a test runs
 */
#ifndef TESTS_CERTIFICATES_H
#define TESTS_CERTIFICATES_H

#include "net/tls.h"

#include "base/base.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <sys/stat.h>

enum { DAY_S = 24 * 60 * 60 };

static char certificate_folder[64];

/* The path of a file in the folder; good until the fourth call after this one. */
static const char *path_of(const char *name)
{
    static char paths[4][128];
    static size_t next;
    char *path = paths[next++ % ARRAY_LEN(paths)];

    (void)snprintf(path, sizeof(paths[0]), "%s/%s", certificate_folder, name);
    return path;
}

static FILE *create_file(const char *name, mode_t mode)
{
    int fd;

    (void)unlink(path_of(name));
    fd = open(path_of(name), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(fchmod(fd, mode), 0);
    return fdopen(fd, "w");
}

static EVP_PKEY *put_key(const char *name, const char *passphrase)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    FILE *file = create_file(name, 0600);

    assert_non_null(key);
    assert_int_equal(PEM_write_PKCS8PrivateKey(
                         file, key, passphrase ? EVP_aes_128_cbc() : NULL, passphrase,
                         passphrase ? (int)strlen(passphrase) : 0, NULL, NULL),
                     1);
    assert_int_equal(fclose(file), 0);
    return key;
}

/* Its own issuer, for the host "localhost"; valid in these seconds from now. */
static void put_certificate(const char *name, EVP_PKEY *key, long from_s, long to_s,
                            int copies)
{
    static long serial;
    X509 *certificate = X509_new();
    FILE *file = create_file(name, 0644);
    X509_NAME *subject = X509_get_subject_name(certificate);

    (void)X509_set_version(certificate, X509_VERSION_3);
    (void)ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
    (void)X509_gmtime_adj(X509_getm_notBefore(certificate), from_s);
    (void)X509_gmtime_adj(X509_getm_notAfter(certificate), to_s);
    (void)X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                                     (const unsigned char *)"localhost", -1, -1, 0);
    (void)X509_set_issuer_name(certificate, subject);
    (void)X509_set_pubkey(certificate, key);
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    for (int i = 0; i < copies; i++)
        assert_int_equal(PEM_write_X509(file, certificate), 1);
    assert_int_equal(fclose(file), 0);
    X509_free(certificate);
}

/* NAME.pem and NAME.key. */
static void put_pair(const char *name, long from_s, long to_s)
{
    char file[64];
    EVP_PKEY *key;

    (void)snprintf(file, sizeof(file), "%s.key", name);
    key = put_key(file, NULL);
    (void)snprintf(file, sizeof(file), "%s.pem", name);
    put_certificate(file, key, from_s, to_s, 1);
    EVP_PKEY_free(key);
}

static void make_certificate_folder(void)
{
    (void)snprintf(certificate_folder, sizeof(certificate_folder),
                   "/tmp/test-certificates-XXXXXX");
    assert_non_null(mkdtemp(certificate_folder));
}

static void remove_certificate_folder(const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        (void)unlink(path_of(names[i]));
    assert_int_equal(rmdir(certificate_folder), 0);
}

/* Read a certificate anew for a holder in use, as tls_new() reads it. */
static inline int reload_tls(struct tls *tls, const char *cert, const char *key,
                             struct complaint *complaint)
{
    struct tls *fresh = NULL;
    int r = tls_new(cert, key, complaint, &fresh);

    if (r >= 0)
        tls_replace(tls, fresh);
    return r;
}

#endif
