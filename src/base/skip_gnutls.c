// SPDX-License-Identifier: Apache-2.0
/*
 * GnuTLS, which libcurl brings along for protocols that are not spoken here (RTMP, LDAP),
 * asks the program in this way whether to make itself ready before main(): 0.9 MiB of each
 * process. Whoever does use it says so with gnutls_global_init(), as those libraries do.
 * Part of the executables, where its weak symbol gives way to this one.
 */
__attribute__((visibility("default"))) int _gnutls_global_init_skip(void);

int _gnutls_global_init_skip(void)
{
    return 1;
}
