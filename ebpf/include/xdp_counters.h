/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The layout that the program shares with user space; crates/probes/src/xdp/layout.rs mirrors it, and a test there
 * reads this file and compares every number.
 */
#ifndef SKEP_XDP_COUNTERS_H
#define SKEP_XDP_COUNTERS_H

/* 64 devices cost 36 KiB a CPU; a machine with more names those that matter. */
#define DEVICES_MAX 64

#define HEADER_ETHERNET 0
#define HEADER_NONE 1
/* A frame header that the program cannot read: everything counts as `other`. */
#define HEADER_OPAQUE 2

#define FAMILY_OTHER 0
#define FAMILY_IPV4 1
#define FAMILY_IPV6 2
#define FAMILY_ARP 3
#define FAMILIES 4

#define PROTOCOL_OTHER 0
#define PROTOCOL_TCP 1
#define PROTOCOL_UDP 2
#define PROTOCOL_ICMP 3
#define PROTOCOL_ICMPV6 4
#define PROTOCOL_SCTP 5
#define PROTOCOL_IGMP 6
#define PROTOCOL_GRE 7
#define PROTOCOL_ESP 8
#define PROTOCOLS 9

#define COUNTERS_PER_DEVICE (FAMILIES * PROTOCOLS)

/* What user space says of a device, by its index. */
struct device {
	__u32 slot;
	__u32 header;
};

struct counter {
	__u64 packets;
	__u64 bytes;
};

#endif
