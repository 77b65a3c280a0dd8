// SPDX-License-Identifier: Apache-2.0
#include "net/tls.h"

#include "net/transport.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <sys/stat.h>

enum {
    PEM_MAX = 256 * 1024, // of one file
    CHAIN_MAX = 10,       // certificates between ours and the root
};

/* Those of 1.3 are all of this kind already. */
static const char SUITES_OF_1_2[] = "ECDHE+AESGCM:ECDHE+CHACHA20";

struct tls {
    pthread_mutex_t lock;
    SSL_CTX *context; // under the lock
    BIO_METHOD *method;
};

/* A file's contents, which may be a key. */
struct pem {
    char *text;
    size_t len;
};

static void pem_done(struct pem *pem)
{
    if (pem->text)
        OPENSSL_cleanse(pem->text, pem->len);
    free(pem->text);
}

static void free_bio(BIO **bio)
{
    BIO_free_all(*bio);
}

static void free_certificate(X509 **certificate)
{
    X509_free(*certificate);
}

static void free_key(EVP_PKEY **key)
{
    EVP_PKEY_free(*key);
}

static void free_context(SSL_CTX **context)
{
    SSL_CTX_free(*context);
}

static const char *openssl_reason(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());

    return reason ? reason : "unknown error";
}

/*
 * A key that everybody on the host can read protects nothing. Its group may: that is how
 * a distribution's `ssl-cert` group hands keys to services that do not run as root.
 */
static int check_file(int fd, const char *path, bool secret, struct complaint *complaint)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return complain(complaint, neg_errno(), "%s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return complain(complaint, -EINVAL, "%s: not a regular file", path);
    if (secret && st.st_mode & S_IRWXO)
        return complain(complaint, -EPERM,
                        "%s: a key that any user of this host can open (mode %03o); "
                        "chmod o-rwx it",
                        path, (unsigned)st.st_mode & 0777U);
    return 0;
}

static int read_pem(const char *path, bool secret, struct pem *pem,
                    struct complaint *complaint)
{
    OWNED(close_fd) int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    int r;

    if (fd < 0)
        return complain(complaint, neg_errno(), "%s: %s", path, strerror(errno));
    r = check_file(fd, path, secret, complaint);
    if (r < 0)
        return r;
    pem->text = malloc(PEM_MAX + 1);
    if (!pem->text)
        return complain(complaint, -ENOMEM, "%s: out of memory", path);
    for (;;) {
        ssize_t n = read(fd, pem->text + pem->len, PEM_MAX + 1 - pem->len);

        if (n < 0)
            return complain(complaint, neg_errno(), "%s: %s", path, strerror(errno));
        if (n == 0)
            return 0;
        pem->len += (size_t)n;
        if (pem->len > PEM_MAX)
            return complain(complaint, -EFBIG, "%s: larger than %d bytes", path, PEM_MAX);
    }
}

/* OpenSSL would ask on the terminal. */
static int refuse_passphrase(char *buffer, int room, int writing, void *asked)
{
    (void)buffer;
    (void)room;
    (void)writing;
    *(bool *)asked = true;
    return -1;
}

/* The certificates after the first, up to the end of the file. */
static int add_chain(SSL_CTX *context, BIO *bio, const char *path,
                     struct complaint *complaint)
{
    bool asked = false;

    for (int i = 0;; i++) {
        X509 *next = PEM_read_bio_X509(bio, NULL, refuse_passphrase, &asked);

        if (!next && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE)
            break;
        if (!next)
            return complain(complaint, -EINVAL, "%s: certificate %d: %s", path, i + 2,
                            openssl_reason());
        if (i == CHAIN_MAX || SSL_CTX_add0_chain_cert(context, next) != 1) {
            X509_free(next);
            if (i == CHAIN_MAX)
                return complain(complaint, -E2BIG, "%s: more than %d certificates", path,
                                CHAIN_MAX + 1);
            return complain(complaint, -EINVAL, "%s: certificate %d: %s", path, i + 2,
                            openssl_reason());
        }
    }
    return 0;
}

static int add_certificate(SSL_CTX *context, const char *path, X509 **ret,
                           struct complaint *complaint)
{
    OWNED(pem_done) struct pem pem = {0};
    OWNED(free_bio) BIO *bio = NULL;
    bool asked = false;
    int r = read_pem(path, false, &pem, complaint);

    if (r < 0)
        return r;
    bio = BIO_new_mem_buf(pem.text, (int)pem.len);
    if (!bio)
        return complain(complaint, -ENOMEM, "%s: out of memory", path);
    *ret = PEM_read_bio_X509_AUX(bio, NULL, refuse_passphrase, &asked);
    if (!*ret)
        return complain(complaint, -EINVAL, "%s: no certificate in PEM: %s", path,
                        openssl_reason());
    if (SSL_CTX_use_certificate(context, *ret) != 1)
        return complain(complaint, -EINVAL, "%s: not a certificate to serve with: %s",
                        path, openssl_reason());
    return add_chain(context, bio, path, complaint);
}

static int add_key(SSL_CTX *context, const char *path, X509 *certificate,
                   const char *cert_file, struct complaint *complaint)
{
    OWNED(pem_done) struct pem pem = {0};
    OWNED(free_bio) BIO *bio = NULL;
    OWNED(free_key) EVP_PKEY *key = NULL;
    bool asked = false;
    int r = read_pem(path, true, &pem, complaint);

    if (r < 0)
        return r;
    bio = BIO_new_mem_buf(pem.text, (int)pem.len);
    if (!bio)
        return complain(complaint, -ENOMEM, "%s: out of memory", path);
    key = PEM_read_bio_PrivateKey(bio, NULL, refuse_passphrase, &asked);
    if (!key && asked)
        return complain(complaint, -EINVAL,
                        "%s: the key has a passphrase, which nobody is here to type",
                        path);
    if (!key)
        return complain(complaint, -EINVAL, "%s: no private key in PEM: %s", path,
                        openssl_reason());
    if (X509_check_private_key(certificate, key) != 1)
        return complain(complaint, -EINVAL, "%s: not the key of the certificate in %s",
                        path, cert_file);
    if (SSL_CTX_use_PrivateKey(context, key) != 1)
        return complain(complaint, -EINVAL, "%s: not a key to serve with: %s", path,
                        openssl_reason());
    return 0;
}

static int check_dates(const X509 *certificate, const char *path,
                       struct complaint *complaint)
{
    if (X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0)
        return complain(complaint, 1, "%s: this certificate has expired", path);
    if (X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0)
        return complain(complaint, 1, "%s: this certificate is not valid yet", path);
    return 0;
}

/* Who offers protocols, but not ours, is refused rather than answered in another. */
static int select_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                           const unsigned char *in, unsigned in_len, void *ctx)
{
    static const unsigned char ours[] = "\x08http/1.1";
    unsigned char *chosen = NULL;

    (void)ssl;
    (void)ctx;
    if (SSL_select_next_proto(&chosen, out_len, ours, sizeof(ours) - 1, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *new_context(void)
{
    OWNED(free_context) SSL_CTX *context = SSL_CTX_new(TLS_server_method());

    if (!context || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_cipher_list(context, SUITES_OF_1_2) != 1)
        return NULL;
    (void)SSL_CTX_set_options(
        context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET |
                     // Heads and answers have ends of their own: none can be cut short.
                     SSL_OP_IGNORE_UNEXPECTED_EOF);
    (void)SSL_CTX_set_num_tickets(context, 0);
    (void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_max_early_data(context, 0);
    (void)SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS |
                                        SSL_MODE_ENABLE_PARTIAL_WRITE |
                                        SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    // One record a call: a peer that sends nothing but key updates must not hold the loop.
    (void)SSL_CTX_clear_mode(context, SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_alpn_select_cb(context, select_protocol, NULL);
    return TAKE(context);
}

static int load(const char *cert_file, const char *key_file, struct complaint *complaint,
                SSL_CTX **ret)
{
    OWNED(free_context) SSL_CTX *context = NULL;
    OWNED(free_certificate) X509 *certificate = NULL;
    int r;

    ERR_clear_error();
    context = new_context();
    r = context ? 0
                : complain(complaint, -ENOMEM, "cannot set up TLS: %s", openssl_reason());
    if (r == 0)
        r = add_certificate(context, cert_file, &certificate, complaint);
    if (r == 0)
        r = add_key(context, key_file, certificate, cert_file, complaint);
    ERR_clear_error(); // nothing is left behind for whoever looks next
    if (r < 0)
        return r;
    *ret = TAKE(context);
    return check_dates(certificate, cert_file, complaint);
}

static int socket_write(BIO *bio, const char *bytes, int len)
{
    const struct transport *transport = BIO_get_data(bio);
    ssize_t n = send(transport->fd, bytes, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL);

    BIO_clear_retry_flags(bio);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        BIO_set_retry_write(bio);
    return (int)n;
}

static int socket_read(BIO *bio, char *bytes, int room)
{
    struct transport *transport = BIO_get_data(bio);
    ssize_t n = recv(transport->fd, bytes, (size_t)room, MSG_DONTWAIT);

    BIO_clear_retry_flags(bio);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        BIO_set_retry_read(bio);
    if (n == 0)
        BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
    if (n > 0)
        transport->taken += (uint32_t)n;
    return (int)n;
}

static long socket_control(BIO *bio, int what, long number, void *pointer)
{
    (void)number;
    (void)pointer;
    if (what == BIO_CTRL_FLUSH)
        return 1;
    if (what == BIO_CTRL_EOF)
        return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
    return 0;
}

/* OpenSSL's own socket would write with write(2), which can raise SIGPIPE. */
static BIO_METHOD *new_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "connection");

    if (!method)
        return NULL;
    (void)BIO_meth_set_write(method, socket_write);
    (void)BIO_meth_set_read(method, socket_read);
    (void)BIO_meth_set_ctrl(method, socket_control);
    return method;
}

int tls_new(const char *cert_file, const char *key_file, struct complaint *complaint,
            struct tls **ret)
{
    struct tls *tls = calloc(1, sizeof(*tls));
    int r;

    if (!tls)
        return complain(complaint, -ENOMEM, "cannot set up TLS: out of memory");
    (void)pthread_mutex_init(&tls->lock, NULL);
    tls->method = new_method();
    r = tls->method ? load(cert_file, key_file, complaint, &tls->context)
                    : complain(complaint, -ENOMEM, "cannot set up TLS: out of memory");
    if (r < 0)
        tls_free(tls);
    else
        *ret = tls;
    return r;
}

void tls_replace(struct tls *tls, struct tls *fresh)
{
    SSL_CTX *old;

    (void)pthread_mutex_lock(&tls->lock);
    old = tls->context;
    tls->context = fresh->context;
    (void)pthread_mutex_unlock(&tls->lock);
    fresh->context = old; // sessions under way hold it on
    tls_free(fresh);
}

void tls_free(struct tls *tls)
{
    if (!tls)
        return;
    SSL_CTX_free(tls->context);
    BIO_meth_free(tls->method);
    (void)pthread_mutex_destroy(&tls->lock);
    free(tls);
}

int tls_begin(struct tls *tls, struct transport *transport)
{
    BIO *bio = BIO_new(tls->method);
    SSL *ssl;

    (void)pthread_mutex_lock(&tls->lock);
    ssl = SSL_new(tls->context);
    (void)pthread_mutex_unlock(&tls->lock);
    if (!bio || !ssl) {
        BIO_free_all(bio);
        SSL_free(ssl);
        ERR_clear_error();
        return -ENOMEM;
    }
    BIO_set_data(bio, transport);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    SSL_set_accept_state(ssl);
    transport->ssl = ssl;
    return 0;
}
