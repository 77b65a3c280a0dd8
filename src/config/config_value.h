// SPDX-License-Identifier: Apache-2.0
/*
 * config_value.h - check one value and put it into a struct
 *
 * A setting says where a value belongs and what it may be. The same code checks it for a
 * flag, the environment and the file; the sentence it gives does not say where the value
 * was written, which the caller puts before it.
 */
#ifndef CONFIG_CONFIG_VALUE_H
#define CONFIG_CONFIG_VALUE_H

#include "base/base.h"
#include "base/complaint.h"

enum { QUOTED_MAX = 96 };

enum value_kind {
    KIND_TEXT,           // char *, not empty, no control characters
    KIND_WORD,           // char *, one of `argument`
    KIND_CHOICE,         // int or an enum: the place in `argument`
    KIND_SWITCH,         // bool
    KIND_NUMBER,         // uint64_t
    KIND_BYTES,          // uint64_t, perhaps with KiB, MiB or GiB
    KIND_URL,            // char *, in canonical form
    KIND_SECRET,         // char *, what the named file holds
    KIND_MODE,           // uint64_t, octal digits; never 0
    KIND_USERS,          // struct config_users, names or numbers with commas between them
    KIND_TOKEN,          // struct config_token, of what the named file holds
    KIND_PRIVATE,        // char *, the name of a file that is closed to others
    KIND_PRIVATE_SECRET, // char *, what such a file holds
    KIND_PREFIX,         // char *, the first tokens of subjects

    /* More than one value each; not for value_set(). The first four: config_list. */
    KIND_SERVERS,
    KIND_LISTEN,
    KIND_HOSTS,
    KIND_ORIGINS,
    KIND_ENGINES,
    KIND_ACTION,
};

struct setting {
    const char *key; // in the file; NULL: not there
    enum value_kind kind;
    const char *argument;
    size_t offset; // of the member in the struct
    uint64_t min;
    uint64_t max; // of a number; the longest text in bytes; the longest list
};

/* A value to be shown in a sentence: cleaned, and cut if it is long. */
struct quoted {
    char text[QUOTED_MAX];
};

struct quoted quote(struct span text);

/* What `kind` expects, as in "expected a number". */
const char *value_expected(enum value_kind kind);

/* Check `text` and store it in `base`, whose old string is freed. -EINVAL, -ENOMEM. */
int value_set(const struct setting *setting, void *base, struct span text,
              struct complaint *why) MUST_CHECK;

/* For KIND_USERS and those of files that hold secrets; see value_set(). */
int value_set_users(const struct setting *setting, void *member, struct span text,
                    struct complaint *why) MUST_CHECK;
int value_set_secret(const struct setting *setting, void *member, struct span text,
                     struct complaint *why) MUST_CHECK;
int value_set_token(const struct setting *setting, void *member, struct span text,
                    struct complaint *why) MUST_CHECK;
int value_set_private(const struct setting *setting, void *member, struct span text,
                      struct complaint *why) MUST_CHECK;
int value_set_private_secret(const struct setting *setting, void *member,
                             struct span text, struct complaint *why) MUST_CHECK;

/* For KIND_PREFIX; see value_set(). */
int value_set_prefix(const struct setting *setting, void *member, struct span text,
                     struct complaint *why) MUST_CHECK;

bool value_is_list(enum value_kind kind); // of texts

/* Check `text` and append it to the struct config_list that `setting` means in `base`. */
int value_append(const struct setting *setting, void *base, struct span text,
                 struct complaint *why) MUST_CHECK;

bool value_is_visible_ascii(struct span text);

/* Split HOST:PORT or [IPV6]:PORT. Without ":PORT", *port stays what it was. */
int value_split_host(struct span text, struct span *host, uint64_t *port,
                     struct complaint *why) MUST_CHECK;

/* For KIND_MODE; see value_set(). */
int value_set_mode(const struct setting *setting, void *member, struct span text,
                   struct complaint *why) MUST_CHECK;

/* HOST:PORT, [IPV6]:PORT or unix:PATH, by its form alone: nothing is resolved. */
int value_check_listen(struct span text, struct complaint *why) MUST_CHECK;

/*
 * http[s]://HOST[:PORT][/PATH] without user, query and fragment. *ret is the caller's: in
 * lower case up to the port, with the port, without a slash at the end. Two spellings of
 * one engine thus become the same text.
 */
int value_read_url(struct span text, char **ret, struct complaint *why) MUST_CHECK;

#endif
