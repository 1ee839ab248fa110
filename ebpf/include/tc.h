/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The layout that the program shares with user space; crates/probes/src/tc.rs mirrors it, and a test there reads this
 * file and compares every number.
 */
#ifndef SKEP_TC_H
#define SKEP_TC_H

#include "packet.h"

#define DIRECTION_EGRESS 0
#define DIRECTION_INGRESS 1
#define DIRECTIONS 2

/* What is counted of one device in one direction. */
struct stats {
	struct counter counters[COUNTERS];
	/* Of the packet that is being read. */
	struct headers headers;
};

#endif
