// SPDX-License-Identifier: Apache-2.0
/*
 * outage.h - why there is nothing to show, and what can be done about it
 */
#ifndef SERVE_OUTAGE_H
#define SERVE_OUTAGE_H

enum { OUTAGE_CODE_SIZE = 32, OUTAGE_TEXT_SIZE = 256 }; // longer ones are cut

struct outage {
    const char *code;   // for programs: "no-driver"
    const char *reason; // a sentence, cleaned
    const char *remedy; // a sentence; "" when there is none
};

#endif
