// SPDX-License-Identifier: Apache-2.0
/*
 * Print man/vramscoped.yaml.5, from the tables that the file is read by. Runs at build
 * time; a test compares.
 */
#include "config/config.h"
#include "config/config_value.h"
#include "config/engine_kind_words.h"

#include <inttypes.h>
#include <stdio.h>

#define BYTES_MAX (UINT64_C(1) << 62)

struct key {
    const char *key; // NULL: a flag only
    enum value_kind kind;
    const char *flag, *environment; // of an engine's key: NULL
    const char *argument;
    uint64_t min, max;
    const char *fallback, *help;
};

static const struct key options[] = {
#define OPTION(member, kind, flag, key, environment, argument, min, max, fallback, help) \
    {key, kind, flag, environment, argument, min, max, fallback, help},
#define ACTION(action, letter, flag, help)
#include "config/options.def"
#undef OPTION
#undef ACTION
};

static const struct key engine_keys[] = {
#define KEY(member, kind, key, argument, min, max, help) \
    {key, kind, NULL, NULL, argument, min, max, NULL, help},
#include "config/engine_keys.def"
#undef KEY
};

static const char introduction[] =
    ".\\\" SPDX-License-Identifier: Apache-2.0\n"
    ".\\\" Made from src/config/options.def and engine_keys.def: `ninja manuals` in the "
    "build folder\n"
    ".\\\" makes it, in src/.\n"
    ".Dd $Mdocdate$\n"
    ".Dt VRAMSCOPED.YAML 5\n"
    ".Os\n"
    ".Sh NAME\n"
    ".Nm vramscoped.yaml\n"
    ".Nd configuration file of vramscoped\n"
    ".Sh SYNOPSIS\n"
    ".Dl vramscoped --config FILE\n"
    ".Sh DESCRIPTION\n"
    "A mapping in YAML, every key of which may be left out.\n"
    "A flag stands above a variable of the environment, that above this file, and the "
    "file "
    "above\n"
    "the default;\n"
    ".Xr vramscoped 8\n"
    "explains each option at length.\n"
    ".Pp\n"
    ".Dl vramscoped --config FILE --check-config\n"
    ".Pp\n"
    "tells file, line and column of what is wrong: a key that there is not, or twice, a "
    "value that\n"
    "is out of range.\n"
    "The file has 1 MiB at most and one document, without aliases and tags, and others "
    "than "
    "its\n"
    "owner may not write to it.\n"
    ".Sh KEYS\n";

static const char after_keys[] = ".Sh ENGINES\n"
                                 "Keys of an entry of\n"
                                 ".Li engines :\n";

static const char ending[] =
    ".Pp\n"
    "Of\n"
    ".Li kv_bytes_per_block\n"
    "and\n"
    ".Li kv_pool_bytes_per_gpu\n"
    "one can be given.\n"
    "They are trusted above all but the engine's own count of bytes; where the block is "
    "not "
    "said\n"
    "the daemon looks for it by itself, see\n"
    ".Sx CONFIGURATION FILE\n"
    "in\n"
    ".Xr vramscoped 8 .\n"
    ".Sh SIGNALS\n"
    "At\n"
    ".Dv SIGHUP\n"
    "the file is read again; what is then taken on, and what needs a restart, is in\n"
    ".Xr vramscoped 8 .\n"
    ".Sh EXAMPLES\n"
    ".Bd -literal\n"
    "listen: [127.0.0.1:6767, \"unix:/run/vramscope.sock\"]\n"
    "interval: 1000\n"
    "engines:\n"
    "  - url: http://127.0.0.1:8000\n"
    "    kv_bytes_per_block: 1835008\n"
    "  - url: https://127.0.0.1:8443\n"
    "    ca_file: /etc/ssl/engines.pem\n"
    "    kv_pool_bytes_per_gpu: 40GiB\n"
    "    gpus: 2\n"
    ".Ed\n"
    ".Sh SEE ALSO\n"
    ".Xr vramscope-wire 7 ,\n"
    ".Xr vramscoped 8\n";

/* Kinds of values of which the table says no more than their name. */
static const char *const kind_words[KIND_ACTION] = {
    [KIND_SWITCH] = "true or false",
    [KIND_BYTES] = "Bytes, perhaps with a suffix KiB, MiB or GiB",
    [KIND_URL] = "A URL",
    [KIND_SECRET] = "The name of a file",
    [KIND_PRIVATE] = "The name of a file that is closed to other users",
    [KIND_PRIVATE_SECRET] = "The name of a file that is closed to other users",
};

static void print_choices(const char *argument)
{
    (void)printf("One of ");
    for (; *argument; argument++)
        (void)(*argument == '|' ? fputs(", ", stdout) : putchar(*argument));
}

/* What may be written, as the kind of the value and the limits of the table say. */
static void print_limits(const struct key *key)
{
    if (kind_words[key->kind])
        (void)printf("%s", kind_words[key->kind]);
    else if (key->kind == KIND_WORD || key->kind == KIND_CHOICE)
        print_choices(key->argument);
    else if (key->kind == KIND_NUMBER)
        (void)printf("A whole number from %" PRIu64 " to %" PRIu64, key->min, key->max);
    else if (key->kind == KIND_TOKEN)
        (void)printf("The name of a file of %" PRIu64 " to %" PRIu64 " characters",
                     key->min, key->max);
    else if (key->kind == KIND_MODE)
        (void)printf("Octal digits, 0%" PRIo64 " at most", key->max);
    else if (key->kind == KIND_USERS)
        (void)printf("Users by name or number, with commas between them, %d at most",
                     (int)CONFIG_USERS_MAX);
    else if (key->kind == KIND_ENGINES)
        (void)printf("A list of up to %d mappings, whose keys are below",
                     (int)CONFIG_ENGINES_MAX);
    else if (key->kind == KIND_TEXT || key->kind == KIND_PREFIX)
        (void)printf("A text of up to %" PRIu64 " bytes", key->max);
    else
        (void)printf("One or a list of up to %" PRIu64, key->max);
    if (key->fallback)
        (void)printf("; %s by default", key->fallback);
    (void)printf(".\n");
}

/* A sentence a line, as mdoc wants it; a line must not begin as a request does. */
static void print_help(const char *help)
{
    for (; *help; help++) {
        if (help[0] == '\\')
            (void)fputs("\\e", stdout);
        else if (help[0] == ' ' && help[-1] == '.')
            (void)putchar('\n');
        else
            (void)putchar(*help);
    }
    (void)fputs(help[-1] == '.' ? "\n" : ".\n", stdout);
}

static void print_key(const struct key *key)
{
    if (!key->key)
        return;
    (void)printf(".It Li %s\n", key->key);
    if (key->flag && strncmp(key->flag, "no-", 3) == 0)
        (void)printf("With false: ");
    print_help(key->help);
    print_limits(key);
    if (key->flag)
        (void)printf("Also\n.Fl -%s\nand\n.Ev VRAMSCOPE_%s .\n", key->flag,
                     key->environment);
}

static void print_keys(const struct key *keys, size_t n)
{
    (void)puts(".Bl -tag -width Ds");
    for (size_t i = 0; i < n; i++)
        print_key(&keys[i]);
    (void)puts(".El");
}

int main(void)
{
    (void)fputs(introduction, stdout);
    print_keys(options, ARRAY_LEN(options));
    (void)fputs(after_keys, stdout);
    print_keys(engine_keys, ARRAY_LEN(engine_keys));
    (void)fputs(ending, stdout);
    return fflush(stdout) || ferror(stdout) ? 1 : 0;
}
