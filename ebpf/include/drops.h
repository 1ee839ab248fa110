/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The layout that the program shares with user space; crates/probes/src/drops/layout.rs mirrors it, and a test there
 * reads this file and compares every number.
 */
#ifndef SKEP_DROPS_H
#define SKEP_DROPS_H

/*
 * Linux 6.18 knows 126 reasons, of which a machine meets a dozen, in 20 combinations of family and protocol. What finds
 * no place is counted by kind alone.
 */
#define DROPS_MAX 1024

/* `code` is the kernel's reason. */
#define KIND_PACKET 0
/* `code` is the XDP verdict that could not be carried out. */
#define KIND_XDP_EXCEPTION 1
/* `code` is the error number. */
#define KIND_XDP_REDIRECT 2
#define KINDS 3

#define FAMILY_OTHER 0
#define FAMILY_ARP 1
#define FAMILY_IPV4 4
#define FAMILY_IPV6 6

/* The kernel is older than its reasons. */
#define CODE_UNKNOWN 0xffffffff

struct drop {
	__u32 code;
	__u8 kind;
	__u8 family;
	/* As IP numbers it; 0 for those that are not told apart. */
	__u8 protocol;
	__u8 zero;
};

#endif
