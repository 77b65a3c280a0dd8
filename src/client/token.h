// SPDX-License-Identifier: Apache-2.0
/*
 * token.h - the secret that a daemon may ask for
 */
#ifndef CLIENT_TOKEN_H
#define CLIENT_TOKEN_H

#include "base/complaint.h"

enum { TOKEN_MAX = 4096 };

/* Of visible ASCII, and not empty: anything else would not come through HTTP unchanged. */
bool token_is_sound(struct span token);

/*
 * A file's content without the line end, for the caller to give to token_free(). -EINVAL:
 * it cannot be read, or is no token; `why` names it. -ENOMEM.
 */
int token_read(const char *path, char **ret, struct complaint *why) MUST_CHECK;
void token_free(char *token); // wipes it; takes NULL

#endif
